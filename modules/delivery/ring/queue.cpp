// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
module annals.ring;
import annals.io.invariant;

namespace annals::ring {

thread_local std::uint32_t queue::thread_ = 0;

queue::queue(file_header& header, char* records, const start& from)
    : header_(header),
      words_(records, from.bytes, from.chunks),
      head_(from.found << sequence_shift | (from.end & position_mask)),
      released_(from.tail & position_mask),
      sequence_base_(0),
      dropped_(from.dropped),
      chunks_given_(words_.chunk_of(from.end + words_.chunk_words() - 1)),
      tail_(from.tail),
      scan_(from.tail),
      found_(from.found),
      overtaken_(from.has_gaps) {
  const std::uint64_t first = words_.chunk_of(from.tail);
  invariant(chunks_given_ - first <= words_.chunk_count(), "the records of a dead owner fit into the chunks of the file");
  free_.reserve(words_.chunk_count());
  for (std::uint64_t chunk = first + words_.chunk_count(); chunk-- > chunks_given_;) free_.push_back(words_.place_of(chunk));
  for (std::uint64_t chunk = first; chunk < chunks_given_; ++chunk)
    header_.chunks[words_.place_of(chunk)].store(chunk + 1, std::memory_order_release);
  limit_ = chunks_given_ * words_.chunk_words() & position_mask;
}

// Gives producers one more chunk: the one that was drained last. True also where another thread has done it since `limit`
// was read.
bool queue::add_chunk(std::uint64_t limit) noexcept {
  const std::lock_guard lock(chunks_mutex_);
  if (limit_.load(std::memory_order_relaxed) != limit) return true;
  if (free_.empty()) return false;
  const std::uint8_t place = free_.back();
  free_.pop_back();
  words_.place(chunks_given_, place);
  header_.chunks[place].store(chunks_given_ + 1, std::memory_order_release);
  ++chunks_given_;
  const std::size_t touched = (place + std::size_t{1}) * static_cast<std::size_t>(words_.chunk_words()) * word_bytes;
  touched_.store(std::max(touched_.load(std::memory_order_relaxed), touched), std::memory_order_relaxed);
  limit_.store(chunks_given_ * words_.chunk_words() & position_mask, std::memory_order_release);
  return true;
}

// Takes back the chunks that the tail has left.
void queue::free_chunks(std::uint64_t from, std::uint64_t to) noexcept {
  if (words_.chunk_of(from) == words_.chunk_of(to)) return;
  const std::lock_guard lock(chunks_mutex_);
  for (std::uint64_t chunk = words_.chunk_of(from); chunk < words_.chunk_of(to); ++chunk)
    free_.push_back(words_.place_of(chunk));
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
  if (words_for(bytes) > std::min(end - word, words_.rest_of_chunk(word))) {
    contradicts(word, "a record that ends behind the last one, or behind its chunk");
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
    overtaken_ = true;  // its header is no taken record's
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
  const std::uint64_t before = std::exchange(tail_, tail);
  header_.tail.store(tail_, std::memory_order_release);
  header_.phase.store(static_cast<std::uint32_t>(phase::idle), std::memory_order_release);
  is_writing_ = false;
  sequence_base_.store(next_sequence_ - 1, std::memory_order_relaxed);
  released_.store(tail_ & position_mask, std::memory_order_release);
  free_chunks(before, tail_);
}

bool queue::release_abandoned() noexcept {
  const std::uint64_t before = tail_;
  if ((holes_.empty() ? scan_ : holes_.front().begin) != before) release();
  return tail_ != before;
}

void queue::settle(const std::vector<bool>& arrived) noexcept {
  invariant(arrived.size() == taken_.size(), "every line of the batch is settled");
  ring::settle(header_, words_, taken_, arrived);
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

}  // namespace annals::ring
