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

// A line as annals writes it: printable ASCII, ended by its only newline. Why it is none, or nothing.
std::string_view fault_of_line(std::string_view line) noexcept {
  if (line.empty() || line.back() != '\n') return "a line without its newline";
  line.remove_suffix(1);
  bool printable = true;
  for (const char c : line) printable &= c >= ' ' && c <= '~';
  return printable ? std::string_view() : "a line with bytes that no line has";
}

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

std::vector<record> whole_records(const file_header& header, const char* records,
                                  const std::function<void(const record&, std::string_view why)>& damaged) {
  const std::uint64_t capacity = header.bytes / word_bytes;
  const std::uint64_t tail = header.tail.load(std::memory_order_acquire);
  std::vector<record> found;
  for (std::uint64_t word = tail; word < tail + capacity;) {
    const char* const at = records + (word & (capacity - 1)) * word_bytes;
    const std::uint64_t first = word_at(at);
    const mark state = mark_of(first);
    const std::uint64_t words = words_for(line_bytes_of(first));
    if (state == mark::none || word + words > tail + capacity) {
      ++word;
      continue;
    }
    if (state == mark::reserved || state == mark::released) {  // the former's bytes may hold anything, but no header
      word += words;
      continue;
    }
    const record one = {word, state, {at + word_bytes, line_bytes_of(first)}};
    std::string_view why = fault_of_line(one.line);
    if (why.empty() && with_mark(first, mark::committed) != committed_header(one.line.size(), sum_of(one.line), word)) {
      why = "a line that is not the one its header was made for, as after a loss of power";
    }
    if (why.empty()) {
      found.push_back(one);
      word += words;
    } else {  // then its length may be wrong, too: look on behind the header
      if (damaged) damaged(one, why);
      ++word;
    }
  }
  return found;
}

// --- the queue --------------------------------------------------------------------------------------------------------------

thread_local std::uint32_t queue::thread_ = 0;

queue::queue(file_header& header, char* records, bool is_new)
    : header_(header),
      records_(records),
      capacity_words_(header.bytes / word_bytes),
      index_mask_(capacity_words_ - 1),
      head_(0),
      released_(0),
      sequence_base_(0),
      tail_(header.tail.load(std::memory_order_relaxed)),
      scan_(tail_) {
  const std::uint64_t end = is_new ? tail_ : put_in_order(whole_records(header, records));
  invariant(end - tail_ <= capacity_words_, "the records of a dead owner fit into one lap");
  released_.store(tail_ & position_mask, std::memory_order_relaxed);
  head_.store(found_ << sequence_shift | (end & position_mask), std::memory_order_release);
}

// Makes the lap from the tail on one unbroken row of records, and the words behind it free. Returns where the row ends.
// Whatever else looks like a header there is what nobody will commit any more, or is damaged.
std::uint64_t queue::put_in_order(const std::vector<record>& found) noexcept {
  std::size_t next = 0;
  for (std::uint64_t word = tail_; word < tail_ + capacity_words_; ++word) {
    if (next < found.size() && found[next].at == word) {
      word += words_for(found[next++].line.size()) - 1;
    } else if (mark_of(word_at(at(word))) != mark::none) {
      header_at(at(word)).store(0, std::memory_order_relaxed);
    }
  }
  std::uint64_t end = tail_;
  for (const record& one : found) {
    while (end < one.at) {
      const std::uint64_t words = std::min(one.at - end, words_for(line_bytes_mask - word_bytes));
      header_at(at(end)).store(header_of(mark::released, (words - 1) * word_bytes), std::memory_order_relaxed);
      overtaken_ = true;
      end += words;
    }
    if (one.state != mark::committed) set_mark(one.at, mark::committed);  // a page that is only read costs less
    end += words_for(one.line.size());
  }
  found_ = found.size();
  return end;
}

std::uint64_t queue::end_of(std::uint64_t head) const noexcept {
  const std::uint64_t words = (head - tail_) & position_mask;
  invariant(words <= capacity_words_, "producers reserve no word that is not released");
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

void queue::set_mark(std::uint64_t word, mark state) noexcept {
  const std::uint64_t header = header_at(at(word)).load(std::memory_order_relaxed);
  header_at(at(word)).store(with_mark(header, state), std::memory_order_relaxed);
}

// Takes the committed record at `word` into the batch. False where it has no room there.
bool queue::take_at(std::uint64_t word, std::uint64_t header, std::size_t batch_bytes_max) {
  const std::size_t bytes = line_bytes_of(header);
  if (!taken_.empty() && lines_.size() + bytes > batch_bytes_max) return false;
  lines_.reserve(lines_.size() + bytes);
  taken_.push_back(word);
  lines_.append(at(word) + word_bytes, bytes);
  header_at(at(word)).store(with_mark(header, mark::taken), std::memory_order_relaxed);
  return true;
}

// The first header at or behind `from`, before `end`; or `end`. The words between belong to records that have no header yet,
// and their producers may be writing to them: ThreadSanitizer would call that a race. No value that a producer copies looks
// like a header, and words are read whole.
__attribute__((no_sanitize("thread"))) std::uint64_t queue::next_header(std::uint64_t from, std::uint64_t end) const noexcept {
  while (from < end && mark_of(*reinterpret_cast<const volatile std::uint64_t*>(at(from))) == mark::none) ++from;
  std::atomic_thread_fence(std::memory_order_acquire);
  return from;
}

// What was passed over may have been committed since. False where the batch has no room for the next of it: then nothing behind
// may be taken either, which may be of the same thread.
bool queue::take_from_holes(std::size_t batch_bytes_max) {
  std::vector<hole> left;
  bool has_room = true;
  const auto keep = [&left](std::uint64_t begin, std::uint64_t end) {
    if (begin == end) return;  // a header has come meanwhile: it is looked at next
    if (!left.empty() && left.back().end == begin) {
      left.back().end = end;
    } else {
      left.push_back({begin, end});
    }
  };
  for (const hole& one : holes_) {
    for (std::uint64_t word = one.begin; word < one.end;) {
      const std::uint64_t header = header_at(at(word)).load(std::memory_order_acquire);
      const mark state = mark_of(header);
      const std::uint64_t behind = state == mark::none ? next_header(word, one.end) : word + words_for(line_bytes_of(header));
      if (state == mark::committed) has_room = has_room && take_at(word, header, batch_bytes_max);
      const bool done = state == mark::released || (state == mark::committed && has_room) ||
                        (state == mark::reserved && abandon(word, header));
      if (!done) keep(word, behind);
      word = behind;
    }
  }
  holes_ = std::move(left);
  return has_room;
}

// Gives up the record of a thread that ended in the middle of it. False where the thread lives, or has committed it since the
// header was read, before it ended.
bool queue::abandon(std::uint64_t word, std::uint64_t header) noexcept {
  if (io::is_thread_alive(thread_of(header))) return false;
  return header_at(at(word)).compare_exchange_strong(header, header_of(mark::released, line_bytes_of(header)),
                                                     std::memory_order_relaxed);
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
  while (scan_ < end) {
    const std::uint64_t header = header_at(at(scan_)).load(std::memory_order_acquire);
    const mark state = mark_of(header);
    const std::uint64_t behind = scan_ + words_for(line_bytes_of(header));
    if (state == mark::committed) [[likely]] {
      if (!take_at(scan_, header, batch_bytes_max)) break;
      scan_ = behind;
      held_up_ = false;
    } else if (state == mark::released) {
      scan_ = behind;
    } else if (!pass_over(header, state == mark::reserved ? behind : next_header(scan_, end), now, patience)) {
      break;
    }
  }
  return {lines_, taken_.size(), next_sequence_};
}

void queue::begin_writing(const segment::log_place& where) noexcept {
  header_.batch = where;
  header_.phase.store(static_cast<std::uint32_t>(phase::writing), std::memory_order_release);
}

// Zeroes the headers between two words.
void queue::clear(std::uint64_t from, std::uint64_t to) noexcept {
  while (from < to) {
    const std::uint64_t header = header_at(at(from)).load(std::memory_order_relaxed);
    if (mark_of(header) == mark::none) {
      ++from;
      continue;
    }
    header_at(at(from)).store(0, std::memory_order_relaxed);
    from += words_for(line_bytes_of(header));
  }
}

void queue::release() noexcept {
  header_.phase.store(static_cast<std::uint32_t>(phase::done), std::memory_order_release);
  const std::uint64_t tail = holes_.empty() ? scan_ : holes_.front().begin;
  invariant(tail_ <= tail && tail <= scan_, "the tail moves forward, behind what was taken");
  if (!overtaken_) [[likely]] {
    for (const std::uint64_t word : taken_) header_at(at(word)).store(0, std::memory_order_relaxed);
  } else {
    for (const std::uint64_t word : taken_) set_mark(word, mark::released);
    clear(tail_, tail);
    overtaken_ = tail != scan_;
  }
  next_sequence_ += taken_.size();
  taken_.clear();
  tail_ = tail;
  header_.tail.store(tail_, std::memory_order_release);
  header_.phase.store(static_cast<std::uint32_t>(phase::idle), std::memory_order_release);
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
  ring::settle(header_, records_, taken_, arrived);
  next_sequence_ += static_cast<std::uint64_t>(std::count(arrived.begin(), arrived.end(), true));
  take_again();
  // The room of the first lines is given back at once: a full ring could not take the lines that callers wait with.
  for (const std::uint64_t end = mark_end(); scan_ < end;) {
    const std::uint64_t header = header_at(at(scan_)).load(std::memory_order_acquire);
    if (mark_of(header) != mark::released) break;
    scan_ += words_for(line_bytes_of(header));
  }
  if (release_abandoned()) overtaken_ = true;  // more lines that arrived may follow
}

void queue::take_back() noexcept {
  for (const std::uint64_t word : taken_) set_mark(word, mark::committed);
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

void settle(file_header& header, char* records, const std::vector<std::uint64_t>& taken,
            const std::vector<bool>& arrived) noexcept {
  const std::uint64_t index_mask = header.bytes / word_bytes - 1;
  const auto set_all = [&](bool which, mark state) {
    for (std::size_t i = 0; i < taken.size(); ++i) {
      if (arrived[i] != which) continue;
      char* const at = records + (taken[i] & index_mask) * word_bytes;
      const std::atomic_ref<std::uint64_t> word(*reinterpret_cast<std::uint64_t*>(at));
      word.store(with_mark(word.load(std::memory_order_relaxed), state), std::memory_order_relaxed);
    }
  };
  const auto set_phase = [&](phase now) { header.phase.store(static_cast<std::uint32_t>(now), std::memory_order_release); };
  set_all(false, mark::committed);
  set_phase(phase::done);
  set_all(true, mark::released);
  set_phase(phase::idle);
}

}  // namespace annals::ring
