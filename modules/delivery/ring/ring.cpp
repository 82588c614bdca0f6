// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
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

namespace annals::ring {

namespace {

constexpr char magic[8] = {'A', 'N', 'N', 'A', 'L', 'S', 'R', 'G'};
constexpr std::uint32_t version = 3;
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

// What an honest owner can have marked as taken when it dies: a batch, or one line. A loss of power, or somebody else, can
// leave more. Then the log is not searched for it.
constexpr std::size_t taken_bytes_max = 8 * 1024 * 1024;
constexpr std::size_t taken_count_max = 64 * 1024;

constexpr std::size_t window_bytes = 64 * 1024;  // a power of two, not larger than the smallest ring

// The chunks that nobody recorded lie where there is room: they hold no records.
chunk_order order_of(const file_header& header) noexcept {
  chunk_order order = chunks_as_they_lie();
  if (!std::has_single_bit(header.bytes) || header.bytes < bytes_min || header.bytes > bytes_max) return order;
  const std::uint64_t chunk_bytes = chunk_bytes_of(header.bytes);
  const std::uint64_t count = header.bytes / chunk_bytes;
  const std::uint64_t first = header.tail.load(std::memory_order_relaxed) / (chunk_bytes / word_bytes);
  std::array<bool, chunks_max> is_placed = {};
  std::array<bool, chunks_max> is_used = {};
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t chunk = header.chunks[i].load(std::memory_order_relaxed) - 1;
    if (chunk < first || chunk - first >= count || is_placed[chunk % count]) continue;
    is_placed[chunk % count] = is_used[i] = true;
    order[chunk % count] = static_cast<std::uint8_t>(i);
  }
  std::size_t next = 0;
  for (std::size_t slot = 0; slot < count; ++slot) {
    if (is_placed[slot]) continue;
    while (is_used[next]) ++next;
    order[slot] = static_cast<std::uint8_t>(next++);
  }
  return order;
}

}  // namespace

std::string_view fault_of_record(std::string_view line, std::uint64_t header, std::uint64_t word) noexcept {
  if (const std::string_view why = fault_of_line(line); !why.empty()) return why;
  if (with_mark(header, mark::committed) != committed_header(line.size(), sum_of(line), word)) {
    return "a line that is not the one its header was made for, as after a loss of power";
  }
  return {};
}

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
  return {header.bytes,
          header.tail.load(std::memory_order_relaxed),
          static_cast<ring::phase>(header.phase.load(std::memory_order_relaxed)),
          header.batch,
          header.dropped.load(std::memory_order_relaxed),
          order_of(header)};
}

// --- the walk over the records ----------------------------------------------------------------------------------------------

record_walk::record_walk(const ring::facts& of, record_source read)
    : read_(std::move(read)),
      capacity_words_(of.bytes / word_bytes),
      chunk_words_(chunk_bytes_of(of.bytes) / word_bytes),
      chunks_(of.chunks),
      end_((of.tail & ~(chunk_words_ - 1)) + capacity_words_),
      word_(of.tail),
      window_begin_(of.tail) {}

bool record_walk::read(std::uint64_t word, char* to, std::size_t count) {
  while (count != 0 && !failed_) {
    const std::uint64_t in_chunk = word & (chunk_words_ - 1);
    const std::uint64_t begin = chunks_[(word & (capacity_words_ - 1)) / chunk_words_] * chunk_words_;
    const std::size_t some = std::min<std::size_t>(count, static_cast<std::size_t>((chunk_words_ - in_chunk) * word_bytes));
    failed_ = !read_((begin + in_chunk) * word_bytes, to, some);
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
  if ((one.at & (chunk_words_ - 1)) + words_for(bytes) > chunk_words_) {
    one.damage = "a line that crosses the end of its chunk";
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
  const shared_words words(records, of.bytes, of.chunks);
  start made = {of.bytes, of.tail, of.tail, 0, false, of.dropped, of.chunks};
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

void settle(file_header& header, const shared_words& words, const std::vector<taken_record>& taken,
            const std::vector<bool>& arrived) noexcept {
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
