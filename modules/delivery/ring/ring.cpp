// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
module annals.ring;
import annals.io.checksum;
import annals.io.invariant;

namespace annals::ring {

namespace {

constexpr char magic[8] = {'A', 'N', 'N', 'A', 'L', 'S', 'R', 'G'};
constexpr std::uint32_t version = 2;
constexpr std::size_t checked_bytes = offsetof(file_header, check);

std::uint64_t check_of(const file_header& header) noexcept {
  char bytes[checked_bytes];
  std::memcpy(bytes, &header, sizeof bytes);
  return fnv_1a({bytes, sizeof bytes});
}

std::uint64_t word_at(const char* at) noexcept {
  std::uint64_t word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

// Why `line`, the copy of the line of the record at `word`, is not the one that this header was made for; or empty.
std::string_view fault_of_record(std::string_view line, std::uint64_t header, std::uint64_t word) noexcept {
  if (const std::string_view why = fault_of_line(line); !why.empty()) return why;
  if (with_mark(header, mark::committed) != committed_header(line.size(), sum_of(line), word)) {
    return "a line that is not the one its header was made for, as after a loss of power";
  }
  return {};
}

// What an honest owner can have marked as taken when it dies: a batch, or one line. A loss of power, or somebody else, can
// leave more. Then the log is not searched for it.
constexpr std::size_t taken_bytes_max = 8 * 1024 * 1024;
constexpr std::size_t taken_count_max = 64 * 1024;

constexpr std::size_t window_bytes = 64 * 1024;  // a power of two, not larger than the smallest ring

}  // namespace

void make_header(file_header& header, std::uint64_t bytes, time_point now, std::uint64_t process) noexcept {
  std::memset(static_cast<void*>(&header), 0, sizeof header);
  std::memcpy(header.magic, magic, sizeof magic);
  header.version = version;
  header.page_bytes = page_bytes;
  header.bytes = bytes;
  header.made_us = now.time_since_epoch().count();
  header.made_by = process;
  header.check = check_of(header);
}

std::optional<std::string> fault_of(const file_header& header, std::uint64_t file_bytes) {
  if (std::memcmp(header.magic, magic, sizeof magic) != 0) return "it does not begin with ANNALSRG, and so is no ring";
  if (header.version != version) {
    return "it is a ring of version " + std::to_string(header.version) + "; this library knows version " +
           std::to_string(version);
  }
  if (header.check != check_of(header)) return "its header is damaged: the check does not fit";
  if (header.page_bytes != page_bytes || header.bytes < bytes_min || header.bytes > bytes_max ||
      !std::has_single_bit(header.bytes)) {
    return "its header has sizes that no ring has";
  }
  if (header.tail.load(std::memory_order_relaxed) > std::numeric_limits<std::uint64_t>::max() / 2) {
    return "its tail is at a word that no ring ever reaches";
  }
  if (file_bytes != page_bytes + header.bytes) {
    return "it has " + std::to_string(file_bytes) + " bytes; expected " + std::to_string(page_bytes + header.bytes) +
           ", as its header says";
  }
  return std::nullopt;
}

bool page_copy::is_zero() const noexcept {
  return std::all_of(bytes_, bytes_ + size, [](char c) { return c == '\0'; });
}

std::optional<std::string> page_copy::fault(std::uint64_t file_bytes) const {
  return fault_of(*reinterpret_cast<const file_header*>(bytes_), file_bytes);
}

facts page_copy::facts() const noexcept {
  const auto& header = *reinterpret_cast<const file_header*>(bytes_);
  return {header.bytes, header.tail.load(std::memory_order_relaxed),
          static_cast<ring::phase>(header.phase.load(std::memory_order_relaxed)), header.batch,
          header.dropped.load(std::memory_order_relaxed)};
}

// --- the walk over the records ----------------------------------------------------------------------------------------------

record_walk::record_walk(const ring::facts& of, record_source read)
    : read_(std::move(read)),
      capacity_words_(of.bytes / word_bytes),
      end_(of.tail + capacity_words_),
      word_(of.tail),
      window_begin_(of.tail) {}

bool record_walk::read(std::uint64_t word, char* to, std::size_t count) {
  while (count != 0 && !failed_) {
    const std::uint64_t index = word & (capacity_words_ - 1);
    const std::size_t some = std::min<std::size_t>(count, static_cast<std::size_t>((capacity_words_ - index) * word_bytes));
    failed_ = !read_(index * word_bytes, to, some);
    to += some;
    count -= some;
    word += some / word_bytes;
  }
  return !failed_;
}

// Makes the window have these words. What it has already is not read again.
bool record_walk::hold(std::uint64_t word, std::uint64_t words) {
  const std::uint64_t held_end = window_begin_ + window_.size() / word_bytes;
  if (word >= window_begin_ && word + words <= held_end) [[likely]]
    return true;
  const std::uint64_t kept = word >= window_begin_ && word < held_end ? held_end - word : 0;
  const std::uint64_t wanted = std::min(std::max<std::uint64_t>(words, kept + window_bytes / word_bytes), end_ - word);
  window_.erase(0, window_.size() - static_cast<std::size_t>(kept * word_bytes));
  window_.resize(static_cast<std::size_t>(wanted * word_bytes));
  window_begin_ = word;
  return read(word + kept, window_.data() + kept * word_bytes, static_cast<std::size_t>((wanted - kept) * word_bytes));
}

std::uint64_t record_walk::word_in_window(std::uint64_t word) const noexcept {
  return word_at(window_.data() + (word - window_begin_) * word_bytes);
}

std::string_view record_walk::text_in_window(std::uint64_t word, std::size_t bytes) const noexcept {
  return {window_.data() + (word - window_begin_ + 1) * word_bytes, bytes};
}

// Sets the line of a record, or why it has none. A long one is given up at its first bytes that no line has, before the rest is
// read: else a ring full of headers with long lines would be read again for each of them.
void record_walk::copy_line(record& one) {
  const std::size_t bytes = line_bytes_of(one.header);
  if (bytes > limits::line_bytes_ceiling) {
    one.damage = "a line longer than the longest there may be";
    return;
  }
  for (std::size_t looked_at = 0; looked_at + window_bytes < bytes; looked_at += window_bytes) {
    if (!hold(one.at, words_for(looked_at + window_bytes))) return;
    if (is_printable_ascii(text_in_window(one.at, looked_at + window_bytes).substr(looked_at))) continue;
    one.damage = "a line with bytes that no line has";
    return;
  }
  if (!hold(one.at, words_for(bytes))) return;
  one.line = text_in_window(one.at, bytes);
  one.damage = fault_of_record(one.line, one.header, one.at);
}

std::optional<record> record_walk::next() {
  while (word_ < end_ && hold(word_, 1)) {
    const std::uint64_t first = word_in_window(word_);
    record one = {word_, mark_of(first), first};
    const std::uint64_t words = words_for(line_bytes_of(first));
    if (one.state == mark::none || word_ + words > end_) {
      ++word_;
    } else if (one.state == mark::reserved || one.state == mark::released) {
      word_ += words;  // the bytes of what was only reserved may hold anything, but no header
    } else {
      copy_line(one);
      if (failed_) return std::nullopt;
      word_ += one.damage.empty() ? words : 1;  // the length of what is damaged may be wrong, too
      return one;
    }
  }
  return std::nullopt;
}

taken_lines taken_of(const facts& of, const record_source& read) {
  taken_lines found;
  std::size_t bytes = 0;
  record_walk walk(of, read);
  while (const auto one = walk.next()) {
    if (one->state != mark::taken || !one->damage.empty()) continue;
    bytes += one->line.size();
    ++found.count;
    if (found.count > 1 && (bytes > taken_bytes_max || found.count > taken_count_max)) continue;
    found.records.push_back({one->at, one->header});
    found.lines.emplace_back(one->line);
  }
  found.failed = walk.failed();
  if (found.count != found.records.size()) {
    found.records.clear();
    found.lines.clear();
  }
  return found;
}

std::optional<start> put_in_order(file_header& header, char* records, const facts& of, const record_source& read) {
  const shared_words words(records, of.bytes);
  start made = {of.bytes, of.tail, of.tail, 0, false, of.dropped};
  // Whatever else looks like a header is what nobody will commit any more, or is damaged.
  const auto clear = [&words](std::uint64_t from, std::uint64_t to) {
    for (; from < to; ++from) {
      if (mark_of(words.load(from)) != mark::none) words.store(from, 0);
    }
  };
  record_walk walk(of, read);
  while (const auto one = walk.next()) {
    if (!one->damage.empty() || (one->state == mark::taken && of.phase == phase::done)) continue;
    clear(made.end, one->at);
    while (made.end < one->at) {
      const std::uint64_t gap = std::min(one->at - made.end, words_for(line_bytes_mask - word_bytes));
      words.store(made.end, header_of(mark::released, static_cast<std::size_t>(gap - 1) * word_bytes));
      made.has_gaps = true;
      made.end += gap;
    }
    // A page that is only read costs less.
    if (one->state != mark::committed) words.store(one->at, with_mark(one->header, mark::committed));
    made.end += words_for(one->line.size());
    ++made.found;
  }
  if (walk.failed()) return std::nullopt;
  clear(made.end, of.tail + words.capacity());
  header.phase.store(static_cast<std::uint32_t>(phase::idle), std::memory_order_release);
  return made;
}

// --- the queue --------------------------------------------------------------------------------------------------------------

thread_local std::uint32_t queue::thread_ = 0;

queue::queue(file_header& header, char* records, const start& from)
    : header_(header),
      words_(records, from.bytes),
      head_(from.found << sequence_shift | (from.end & position_mask)),
      released_(from.tail & position_mask),
      sequence_base_(0),
      dropped_(from.dropped),
      tail_(from.tail),
      scan_(from.tail),
      found_(from.found),
      overtaken_(from.has_gaps) {
  invariant(from.end - from.tail <= words_.capacity(), "the records of a dead owner fit into one lap");
}

std::uint64_t queue::end_of(std::uint64_t head) const noexcept {
  const std::uint64_t words = (head - tail_) & position_mask;
  invariant(words <= words_.capacity(), "producers reserve no word that is not released");
  return tail_ + words;
}

std::uint64_t queue::mark_end() const noexcept {
  return end_of(head_.load(std::memory_order_acquire));
}

std::uint64_t queue::last_sequence() const noexcept {
  const std::uint64_t base = sequence_base_.load(std::memory_order_relaxed);
  return base + (((head_.load(std::memory_order_acquire) >> sequence_shift) - base) & sequence_mask);
}

std::uint64_t queue::take_number() noexcept {
  const std::uint64_t head = head_.fetch_add(std::uint64_t{1} << sequence_shift, std::memory_order_seq_cst);
  const std::uint64_t base = sequence_base_.load(std::memory_order_relaxed);
  return base + (((head >> sequence_shift) + 1 - base) & sequence_mask);
}

std::uint64_t queue::used_bytes() const noexcept {
  return ((head_.load(std::memory_order_acquire) - released_.load(std::memory_order_acquire)) & position_mask) * word_bytes;
}

// Notes the first place where the records contradict themselves.
void queue::contradicts(std::uint64_t word, std::string_view why) noexcept {
  if (!fault_) fault_ = {word, why};
}

// Takes a copy of the committed record at `word`, which has to end before `end`, into the batch.
queue::taking queue::take_at(std::uint64_t word, std::uint64_t header, std::uint64_t end, std::size_t batch_bytes_max) {
  const std::size_t bytes = line_bytes_of(header);
  if (words_for(bytes) > end - word) {
    contradicts(word, "a record that ends behind the last one");
    return taking::contradicts;
  }
  const std::size_t before = lines_.size();
  if (!taken_.empty() && before + bytes > batch_bytes_max) return taking::no_room;
  lines_.reserve(before + bytes);
  taken_.push_back({word, header});
  words_.append_line(word, bytes, lines_);
  if (const auto why = fault_of_record(std::string_view(lines_).substr(before), header, word); !why.empty()) {
    lines_.resize(before);
    taken_.pop_back();
    contradicts(word, why);
    return taking::contradicts;
  }
  words_.store(word, with_mark(header, mark::taken));
  return taking::taken;
}

// The first header at or behind `from`, before `end`; or `end`. The words between belong to records that have no header yet,
// and their producers may be writing to them: ThreadSanitizer would call that a race. No value that a producer copies looks
// like a header, and words are read whole.
__attribute__((no_sanitize("thread"))) std::uint64_t queue::next_header(std::uint64_t from, std::uint64_t end) const noexcept {
  while (from < end && mark_of(*reinterpret_cast<const volatile std::uint64_t*>(words_.at(from))) == mark::none) ++from;
  std::atomic_thread_fence(std::memory_order_acquire);
  return from;
}

// Looks at one record, or at words without a header, in a hole. Returns where the next begins. What is still not committed goes
// to `left`.
std::uint64_t queue::walk_hole(const hole& one, std::uint64_t word, std::size_t batch_bytes_max, std::vector<hole>& left,
                               bool& has_room) {
  const auto keep = [&left](std::uint64_t begin, std::uint64_t end) {
    if (begin == end) return end;  // a header has come meanwhile: it is looked at next
    if (!left.empty() && left.back().end == begin) {
      left.back().end = end;
    } else {
      left.push_back({begin, end});
    }
    return end;
  };
  const std::uint64_t header = words_.load(word);
  const mark state = mark_of(header);
  if (state == mark::none) return keep(word, next_header(word, one.end));
  const std::uint64_t behind = word + words_for(line_bytes_of(header));
  bool is_fault = behind > one.end || state == mark::taken;
  if (is_fault) contradicts(word, "a record where there is room for none");
  if (!is_fault && state == mark::committed && has_room) {
    const taking done = take_at(word, header, one.end, batch_bytes_max);
    if (done == taking::taken) return behind;
    has_room = done != taking::no_room;
    is_fault = done == taking::contradicts;
  }
  if (is_fault) return passes_over_faults_ ? next_header(word + 1, one.end) : keep(word, one.end);
  if (state == mark::released || (state == mark::reserved && abandon(word, header))) return behind;
  return keep(word, behind);
}

// What was passed over may have been committed since. False where the batch has no room for the next of it: then nothing behind
// may be taken either, which may be of the same thread.
bool queue::take_from_holes(std::size_t batch_bytes_max) {
  std::vector<hole> left;
  bool has_room = true;
  for (const hole& one : holes_) {
    for (std::uint64_t word = one.begin; word < one.end;) word = walk_hole(one, word, batch_bytes_max, left, has_room);
  }
  holes_ = std::move(left);
  return has_room;
}

// Gives up the record of a thread that ended in the middle of it. False where the thread lives, or has committed it since the
// header was read, before it ended.
bool queue::abandon(std::uint64_t word, std::uint64_t header) noexcept {
  if (io::is_thread_alive(thread_of(header))) return false;
  return words_.replace(word, header, header_of(mark::released, line_bytes_of(header)));
}

// At a record that is not committed, which ends at `end`. True when it was passed over, or is to be looked at again; false to
// wait for it.
bool queue::pass_over(std::uint64_t header, std::uint64_t end, std::chrono::nanoseconds now,
                      std::chrono::nanoseconds patience) {
  if (end == scan_) return true;  // its header has come meanwhile
  if (!held_up_ || held_up_at_ != scan_) {
    held_up_ = true;
    held_up_at_ = scan_;
    held_up_since_ = now;
  }
  if (now - held_up_since_ < patience) return false;
  if (mark_of(header) != mark::reserved || !abandon(scan_, header)) holes_.push_back({scan_, end});
  overtaken_ = true;
  scan_ = end;
  held_up_ = false;
  return true;
}

queue::batch queue::take(std::size_t batch_bytes_max, std::chrono::nanoseconds now, std::chrono::nanoseconds patience) {
  lines_.clear();
  // The end first: a thread puts a line once its last one is committed. So before this end, no line of a thread is behind one
  // of its own that is not committed yet when the holes are looked at.
  const std::uint64_t end = mark_end();
  if (!holes_.empty() && !take_from_holes(batch_bytes_max)) [[unlikely]]
    return {lines_, taken_.size(), next_sequence_};
  while (scan_ < end && step(end, batch_bytes_max, now, patience)) continue;
  return {lines_, taken_.size(), next_sequence_};
}

// Takes the record at which the walk stands, or passes over it. False when the walk ends here for now.
bool queue::step(std::uint64_t end, std::size_t batch_bytes_max, std::chrono::nanoseconds now,
                 std::chrono::nanoseconds patience) {
  const std::uint64_t header = words_.load(scan_);
  const mark state = mark_of(header);
  if (state == mark::none) return pass_over(header, next_header(scan_, end), now, patience);
  const std::uint64_t behind = scan_ + words_for(line_bytes_of(header));
  if (state == mark::committed) [[likely]] {
    const taking done = take_at(scan_, header, end, batch_bytes_max);
    if (done == taking::no_room) return false;
    if (done == taking::taken) {
      scan_ = behind;
      held_up_ = false;
      return true;
    }
  } else if (behind > end || state == mark::taken) {
    contradicts(scan_, "a record where there is room for none");
  } else if (state == mark::reserved) {
    return pass_over(header, behind, now, patience);
  } else {
    scan_ = behind;
    return true;
  }
  if (!passes_over_faults_) return false;
  scan_ = next_header(scan_ + 1, end);
  overtaken_ = true;
  held_up_ = false;
  return true;
}

void queue::begin_writing(const segment::log_place& where) noexcept {
  place_ = where;
  is_writing_ = true;
  header_.batch = where;
  header_.phase.store(static_cast<std::uint32_t>(phase::writing), std::memory_order_release);
}

// Zeroes the headers between two words.
void queue::clear(std::uint64_t from, std::uint64_t to) noexcept {
  while (from < to) {
    const std::uint64_t header = words_.load(from);
    if (mark_of(header) == mark::none) {
      ++from;
      continue;
    }
    words_.store(from, 0);
    from += words_for(line_bytes_of(header));
  }
}

void queue::release() noexcept {
  header_.phase.store(static_cast<std::uint32_t>(phase::done), std::memory_order_release);
  const std::uint64_t tail = holes_.empty() ? scan_ : holes_.front().begin;
  invariant(tail_ <= tail && tail <= scan_, "the tail moves forward, behind what was taken");
  if (!overtaken_) [[likely]] {
    for (const taken_record& one : taken_) words_.store(one.at, 0);
  } else {
    for (const taken_record& one : taken_) words_.store(one.at, with_mark(one.header, mark::released));
    clear(tail_, tail);
    overtaken_ = tail != scan_;
  }
  next_sequence_ += taken_.size();
  taken_.clear();
  tail_ = tail;
  header_.tail.store(tail_, std::memory_order_release);
  header_.phase.store(static_cast<std::uint32_t>(phase::idle), std::memory_order_release);
  is_writing_ = false;
  sequence_base_.store(next_sequence_ - 1, std::memory_order_relaxed);
  released_.store(tail_ & position_mask, std::memory_order_release);
}

bool queue::release_abandoned() noexcept {
  const std::uint64_t before = tail_;
  if ((holes_.empty() ? scan_ : holes_.front().begin) != before) release();
  return tail_ != before;
}

void queue::settle(const std::vector<bool>& arrived) noexcept {
  invariant(arrived.size() == taken_.size(), "every line of the batch is settled");
  ring::settle(header_, words_.at(0), capacity_bytes(), taken_, arrived);
  is_writing_ = false;
  next_sequence_ += static_cast<std::uint64_t>(std::count(arrived.begin(), arrived.end(), true));
  take_again();
  // The room of the first lines is given back at once: a full ring could not take the lines that callers wait with.
  for (const std::uint64_t end = mark_end(); scan_ < end;) {
    const std::uint64_t header = words_.load(scan_);
    const std::uint64_t behind = scan_ + words_for(line_bytes_of(header));
    if (mark_of(header) != mark::released || behind > end) break;
    scan_ = behind;
  }
  if (release_abandoned()) overtaken_ = true;  // more lines that arrived may follow
}

void queue::take_back() noexcept {
  for (const taken_record& one : taken_) words_.store(one.at, one.header);
  is_writing_ = false;
  header_.phase.store(static_cast<std::uint32_t>(phase::idle), std::memory_order_release);
  take_again();
}

void queue::take_again() noexcept {
  taken_.clear();
  overtaken_ = true;
  scan_ = tail_;  // the walk steps over what was released
  holes_.clear();
  held_up_ = false;
}

void settle(file_header& header, char* records, std::uint64_t bytes, const std::vector<taken_record>& taken,
            const std::vector<bool>& arrived) noexcept {
  const shared_words words(records, bytes);
  const auto set_all = [&](bool which, mark state) {
    for (std::size_t i = 0; i < taken.size(); ++i) {
      if (arrived[i] == which) words.store(taken[i].at, with_mark(taken[i].header, state));
    }
  };
  const auto set_phase = [&](phase now) { header.phase.store(static_cast<std::uint32_t>(now), std::memory_order_release); };
  set_all(false, mark::committed);
  set_phase(phase::done);
  set_all(true, mark::released);
  set_phase(phase::idle);
}

}  // namespace annals::ring
