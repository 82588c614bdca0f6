// SPDX-License-Identifier: Apache-2.0
//
// annals.ring: the crash-safe queue. A file that is mapped into memory, into which any number of threads of one process put
// lines, and out of which one drain takes them. A line that was put is in the page cache: it survives the death of the process
// for any reason. docs/ring-format.md is the file's specification; docs/decisions.md tells why it is this queue and no other.
//
//   reserve   a compare-and-swap on `head`, in the memory of the process, gives a producer its words of the ring and
//             its sequence number in one step. It then writes its record's header, marked `reserved`. A record does not cross
//             the end of a chunk. A new chunk is the free one that was drained last.
//   commit    the line is copied behind the header, and the header stored again, marked `committed` (release).
//   take      the drain copies committed lines into a batch and marks them `taken`.
//   release   once the batch is known to be in the log, the headers are zeroed and the tail moves on.
//
// Free words hold no header, whatever else they hold: a header's top byte is never that of ASCII text. So what lies behind a
// producer that reserved and went no further is found all the same, in the living process and in the file of a dead one.
//
// All words are little-endian 64-bit words of an x86-64 or AArch64 machine; a ring is read on the machine it was written on.
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
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>
export module annals.ring;
import annals.event;
import annals.io;
import annals.segment;

export namespace annals::ring {

// --- the file ------------------------------------------------------------------------------------------------------------

inline constexpr std::size_t page_bytes = 4096;              // of the header; the records follow
inline constexpr std::size_t bytes_min = 64 * 1024;          // of records
inline constexpr std::size_t bytes_max = 512 * 1024 * 1024;  // a position has 27 bits of words, one more than this needs
inline constexpr std::size_t word_bytes = 8;
inline constexpr std::uint64_t owner_byte = 0;  // which the owner locks (F_OFD_SETLK), so that readers see that it lives
inline constexpr std::uint64_t position_mask = (std::uint64_t{1} << 27) - 1;
inline constexpr unsigned sequence_shift = 27;
inline constexpr std::uint64_t sequence_mask = (std::uint64_t{1} << 37) - 1;

// The records lie in chunks, and none crosses the end of its chunk. The chunks of the file are used in any order: the one that
// was drained last comes next, since its pages are in memory and writable, and in the processor's caches.
inline constexpr std::size_t chunks_max = 64;
inline constexpr std::size_t chunks_min = 4;
inline constexpr std::uint64_t chunk_bytes_usual = 1024 * 1024;
inline constexpr std::uint64_t chunk_bytes_of(std::uint64_t ring_bytes) noexcept {
  return std::max(ring_bytes / chunks_max, std::min(ring_bytes / chunks_min, chunk_bytes_usual));
}
// Which chunk of the file has each chunk of the lap from the tail on: by the number of the latter modulo their count.
using chunk_order = std::array<std::uint8_t, chunks_max>;
inline constexpr chunk_order chunks_as_they_lie() noexcept {
  chunk_order order = {};
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::uint8_t>(i);
  return order;
}

// What stands in the top byte of a record's first word. The low 25 bits are the line's bytes. Between them: while reserved, 22
// bits of the thread that did; while committed or taken, 31 bits of the line's check; else 0.
enum class mark : std::uint8_t {
  none = 0,
  reserved = 0xa1,   // the line is being written, or never will be
  committed = 0xa2,  // the line is whole
  taken = 0xa3,      // the line is part of the batch that is being written to the log
  released = 0xa4,   // the line is in the log; its room is given back when the tail comes by
};

inline constexpr std::uint64_t line_bytes_mask = (std::uint64_t{1} << 25) - 1;

inline std::uint64_t header_of(mark state, std::size_t line_bytes, std::uint32_t thread = 0) noexcept {
  return static_cast<std::uint64_t>(state) << 56 | (static_cast<std::uint64_t>(thread) & 0x3fffff) << 34 |
         (static_cast<std::uint64_t>(line_bytes) & line_bytes_mask);
}
// The same header in another state. What is released has no check.
inline std::uint64_t with_mark(std::uint64_t header, mark state) noexcept {
  const std::uint64_t kept = state == mark::released ? line_bytes_mask : (std::uint64_t{1} << 56) - 1;
  return static_cast<std::uint64_t>(state) << 56 | (header & kept);
}
inline mark mark_of(std::uint64_t word) noexcept {
  const auto top = static_cast<std::uint8_t>(word >> 56);
  return top >= 0xa1 && top <= 0xa4 ? static_cast<mark>(top) : mark::none;
}
inline std::size_t line_bytes_of(std::uint64_t header) noexcept {
  return static_cast<std::size_t>(header & line_bytes_mask);
}
inline std::uint32_t thread_of(std::uint64_t header) noexcept {
  return static_cast<std::uint32_t>(header >> 34 & 0x3fffff);
}
inline constexpr std::uint64_t words_for(std::size_t line_bytes) noexcept {  // header included
  return 1 + (line_bytes + word_bytes - 1) / word_bytes;
}

// The check of a line: Fletcher's sums (a sum of the words, and the sum of those sums), over two interleaved rows of words and
// modulo 2^64, multiplied and folded to 31 bits with the record's place. A loss of power may leave a header over a line, or a
// part of one, that was there in an earlier lap: that has another check. It is no guard against somebody who means it.
inline std::uint64_t sum_of(std::string_view line) noexcept {
  const auto word = [](const char* at) {
    std::uint64_t read;
    std::memcpy(&read, at, sizeof read);
    return read;
  };
  const char* at = line.data();
  std::size_t left = line.size();
  std::uint64_t a = left;
  std::uint64_t b = 0;
  std::uint64_t c = 0;
  std::uint64_t d = 0;
  for (; left >= 2 * word_bytes; at += 2 * word_bytes, left -= 2 * word_bytes) {
    a += word(at);
    b += a;
    c += word(at + word_bytes);
    d += c;
  }
  if (left >= word_bytes) {
    a += word(at);
    b += a;
  }
  std::uint64_t last = 0;  // the last word, of which a part may have been counted already
  if (line.size() >= word_bytes) [[likely]] {
    last = word(line.data() + line.size() - word_bytes);
  } else {
    for (const char byte : line) last = last << 8 | static_cast<std::uint8_t>(byte);
  }
  c += last;
  d += c;
  return a * 0x9e3779b97f4a7c15 + b * 0xc2b2ae3d27d4eb4f + c * 0x165667b19e3779f9 + d * 0x27d4eb2f165667c5;
}
// `word`: where its record is, in words since the ring was made.
inline std::uint64_t committed_header(std::size_t line_bytes, std::uint64_t line_sum, std::uint64_t word) noexcept {
  const std::uint64_t check = (line_sum + (word & position_mask) * 0x9e3779b97f4a7c15) * 0xff51afd7ed558ccd >> 33;
  return header_of(mark::committed, line_bytes) | check << 25;
}

// What the drain is doing, as far as recovery has to know.
enum class phase : std::uint32_t {
  idle = 0,     // lines that are marked `taken` have not been given to the log
  writing = 1,  // they are being written: some of them may be in the log, behind `batch`
  done = 2,     // they all are in the log
};

// The first page of the file. What is fixed when the ring is made is covered by `check`.
struct file_header {
  char magic[8];             // "ANNALSRG"
  std::uint32_t version;     // 3
  std::uint32_t page_bytes;  // 4096: where the records begin
  std::uint64_t bytes;       // of records; a power of two
  std::int64_t made_us;      // when, in microseconds since 1970
  std::uint64_t made_by;     // process id
  std::uint64_t check;       // FNV-1a (64 bit) of the bytes before
  char filler[80];           // 0
  // --- a cache line of the drain's
  std::atomic<std::uint64_t> tail;   // words since the ring was made: what lies before was released
  std::atomic<std::uint32_t> phase;  // ring::phase
  std::uint32_t filler_2;
  segment::log_place batch;            // where in the log the batch goes; valid while phase is `writing`
  std::atomic<std::uint64_t> dropped;  // events that were dropped (on_full), and no line has reported yet
  char filler_3[72];
  // --- the producers'
  std::atomic<std::uint64_t>
      chunks[chunks_max];  // the number of the chunk that lies there, counted since the ring was made, plus 1
};
static_assert(sizeof(std::atomic<std::uint64_t>) == 8 && std::atomic<std::uint64_t>::is_always_lock_free);
static_assert(offsetof(file_header, tail) == 128 && offsetof(file_header, chunks) == 256 && sizeof(file_header) <= page_bytes);

// --- reading a ring ------------------------------------------------------------------------------------------------------
//
// A ring is shared memory: a process that can write its file can change any word at any time. So nothing is read from it twice.
// Each value is copied into memory of this process, checked there, and from then on only the copy is used. What contradicts
// itself is damage. docs/ring-format.md lists every place that reads.

// What the first page says, taken from a copy of it.
struct facts {
  std::uint64_t bytes = 0;  // of records
  std::uint64_t tail = 0;
  ring::phase phase = ring::phase::idle;
  segment::log_place batch = {};
  std::uint64_t dropped = 0;
  chunk_order chunks = chunks_as_they_lie();
};

// A copy of the first page, in memory of this process.
class page_copy {
 public:
  static constexpr std::size_t size = sizeof(file_header);

  char* data() noexcept { return bytes_; }
  bool is_zero() const noexcept;
  // Why this is not the first page of a ring whose file has so many bytes; or nothing.
  std::optional<std::string> fault(std::uint64_t file_bytes) const;
  ring::facts facts() const noexcept;

 private:
  alignas(file_header) char bytes_[size] = {};
};

// Fills the first page of a new ring of `bytes` (a power of two from bytes_min to bytes_max) of records.
void make_header(file_header& header, std::uint64_t bytes, time_point now, std::uint64_t process) noexcept;

// Why the header of a ring, and the size of its file, make no sense; or nothing. `header`: in memory of this process.
std::optional<std::string> fault_of(const file_header& header, std::uint64_t file_bytes);

// Copies `count` bytes of the records, from `offset` on, to `to`. False when they cannot be read.
using record_source = std::function<bool(std::uint64_t offset, char* to, std::size_t count)>;

struct record {
  std::uint64_t at = 0;  // its first word, in words since the ring was made
  mark state = mark::none;
  std::uint64_t header = 0;
  std::string_view line = {};    // a copy, valid until the next record is read
  std::string_view damage = {};  // why it is not a line, or not the one its header was made for; empty when it is
};

// The records of the tail's lap that hold a line to be logged, in their order: committed and taken ones, and damaged ones.
// Takes memory for the longest line that there may be, and time linear in the bytes of the ring, whatever it holds.
class record_walk {
 public:
  record_walk(const facts& of, record_source read);
  std::optional<record> next();  // nothing at the end, and when the records cannot be read
  bool failed() const noexcept { return failed_; }

 private:
  bool hold(std::uint64_t word, std::uint64_t words);
  bool read(std::uint64_t word, char* to, std::size_t count);
  std::uint64_t word_in_window(std::uint64_t word) const noexcept;
  std::string_view text_in_window(std::uint64_t word, std::size_t bytes) const noexcept;
  void copy_line(record& one);

  const record_source read_;
  const std::uint64_t capacity_words_;
  const std::uint64_t chunk_words_;
  const chunk_order chunks_;
  const std::uint64_t end_;
  std::uint64_t word_;          // the next to look at
  std::string window_;          // a copy of the records from window_begin_ on
  std::uint64_t window_begin_;  // a word
  bool failed_ = false;
};

// A record whose line is being written to the log.
struct taken_record {
  std::uint64_t at = 0;
  std::uint64_t header = 0;  // when it was taken
};

// What a dead owner was writing when it died.
struct taken_lines {
  std::uint64_t count = 0;
  std::vector<taken_record> records;  // empty, like the next, where there are more than any batch has
  std::vector<std::string> lines;
  bool failed = false;  // the records cannot be read
};
taken_lines taken_of(const facts& of, const record_source& read);

class shared_words;

// Ends the phase of a dead owner: what was taken, the records at these words, has `arrived` in the log, or is to be taken
// again. (Of phase idle nothing has arrived, of phase done everything.) Interrupted anywhere, it can be done again, and the
// same is found.
void settle(file_header& header, const shared_words& words, const std::vector<taken_record>& taken,
            const std::vector<bool>& arrived) noexcept;

// Where a queue begins.
struct start {
  std::uint64_t bytes = 0;  // of the records
  std::uint64_t tail = 0;
  std::uint64_t end = 0;    // behind the last record
  std::uint64_t found = 0;  // how many records there are
  bool has_gaps = false;    // between them
  std::uint64_t dropped = 0;
  chunk_order chunks = chunks_as_they_lie();
};

// Makes the lap from the tail on one unbroken row of committed records, and the words behind it free; what was taken is to be
// taken again, except in phase done, in which it is in the log. Then the phase is idle. Nothing when the records cannot be
// read.
std::optional<start> put_in_order(file_header& header, char* records, const facts& of, const record_source& read);

// The words of a ring's records in shared memory, by their number since the ring was made. A word is read by load(), once, and
// a line by append_line(). Any thread.
class shared_words {
 public:
  // `records`: the mapping. `bytes`: of the records, a power of two.
  shared_words(char* records, std::uint64_t bytes, const chunk_order& order) noexcept
      : records_(records),
        capacity_(bytes / word_bytes),
        chunk_shift_(static_cast<unsigned>(std::countr_zero(chunk_bytes_of(bytes) / word_bytes))),
        slot_mask_((capacity_ >> chunk_shift_) - 1) {
    for (std::size_t slot = 0; slot <= slot_mask_; ++slot) place(slot, order[slot]);
  }

  inline std::uint64_t capacity() const noexcept { return capacity_; }
  inline std::uint64_t chunk_words() const noexcept { return std::uint64_t{1} << chunk_shift_; }
  inline std::uint64_t chunk_of(std::uint64_t word) const noexcept { return word >> chunk_shift_; }
  inline std::uint64_t chunk_count() const noexcept { return slot_mask_ + 1; }
  inline std::uint64_t rest_of_chunk(std::uint64_t word) const noexcept { return chunk_words() - (word & (chunk_words() - 1)); }
  // Where a chunk of the ring lies: the number of the chunk of the file.
  inline std::uint8_t place_of(std::uint64_t chunk) const noexcept {
    return static_cast<std::uint8_t>(places_[chunk & slot_mask_].load(std::memory_order_relaxed) >> chunk_shift_);
  }
  inline void place(std::uint64_t chunk, std::uint8_t in_file) noexcept {
    places_[chunk & slot_mask_].store(static_cast<std::uint32_t>(in_file) << chunk_shift_, std::memory_order_relaxed);
  }

  inline char* at(std::uint64_t word) const noexcept {
    const std::uint64_t begin = places_[word >> chunk_shift_ & slot_mask_].load(std::memory_order_relaxed);
    return records_ + (begin + (word & (chunk_words() - 1))) * word_bytes;
  }
  inline std::uint64_t load(std::uint64_t word) const noexcept { return reference(word).load(std::memory_order_acquire); }
  inline void store(std::uint64_t word, std::uint64_t value) const noexcept {
    reference(word).store(value, std::memory_order_relaxed);
  }
  inline void publish(std::uint64_t word, std::uint64_t value) const noexcept {
    reference(word).store(value, std::memory_order_release);
  }
  inline bool replace(std::uint64_t word, std::uint64_t expected, std::uint64_t value) const noexcept {
    return reference(word).compare_exchange_strong(expected, value, std::memory_order_relaxed);
  }
  // Appends a copy of the `bytes` behind the first word of a record, which end in its chunk.
  inline void append_line(std::uint64_t word, std::size_t bytes, std::string& to) const {
    to.append(at(word) + word_bytes, bytes);
  }

 private:
  inline std::atomic_ref<std::uint64_t> reference(std::uint64_t word) const noexcept {
    return std::atomic_ref<std::uint64_t>(*reinterpret_cast<std::uint64_t*>(at(word)));
  }
  char* const records_;
  const std::uint64_t capacity_;
  const unsigned chunk_shift_;
  const std::uint64_t slot_mask_;
  std::array<std::atomic<std::uint32_t>, chunks_max> places_;  // in words from the beginning of the records
};

// --- the queue --------------------------------------------------------------------------------------------------------------

// The queue on the mapped memory of a ring file. Producers: any thread. Consumer functions: one thread at a time.
class queue {
 public:
  // `header`: the mapped first page, which is only written to. `records`: the mapping behind it. Both outlive the queue.
  // `from`: of put_in_order(), or of a new ring; its records are the first to be taken.
  queue(file_header& header, char* records, const start& from);

  // Puts a line into the ring, and returns its sequence number; or 0 where there is no room for it now. A line longer than
  // line_bytes_max() never has any. Sets `more_than_half` where the ring is more than half full.
  inline std::uint64_t put(std::string_view line, bool& more_than_half) noexcept {
    const std::uint64_t words = words_for(line.size());
    if (words > words_.chunk_words()) [[unlikely]]
      return 0;
    const std::uint64_t sum = sum_of(line);
    std::uint64_t head = head_.load(std::memory_order_relaxed);
    std::uint64_t unused = 0;  // words at the end of a chunk
    for (;;) {
      const std::uint64_t limit = limit_.load(std::memory_order_acquire);
      const std::uint64_t rest = words_.rest_of_chunk(head);
      unused = words > rest ? rest : 0;
      if (((limit - head) & position_mask) < unused + words) [[unlikely]] {
        const std::uint64_t again = head_.load(std::memory_order_acquire);
        if (again == head && !add_chunk(limit)) return 0;
        head = again;
        continue;
      }
      more_than_half = ((head - released_.load(std::memory_order_relaxed)) & position_mask) > words_.capacity() / 2;
      const std::uint64_t next = ((head >> sequence_shift) + 1) << sequence_shift | ((head + unused + words) & position_mask);
      if (head_.compare_exchange_weak(head, next, std::memory_order_seq_cst, std::memory_order_relaxed)) break;
    }
    const std::uint64_t at = (head & position_mask) + unused;
    if (unused != 0) [[unlikely]]
      words_.publish(head & position_mask, header_of(mark::released, static_cast<std::size_t>(unused - 1) * word_bytes));
    words_.store(at, header_of(mark::reserved, line.size(), this_thread()));
    std::memcpy(words_.at(at) + word_bytes, line.data(), line.size());
    words_.publish(at, committed_header(line.size(), sum, at));
    const std::uint64_t base = sequence_base_.load(std::memory_order_relaxed);
    return base + (((head >> sequence_shift) + 1 - base) & sequence_mask);
  }

  // The sequence number of a line that goes another way.
  std::uint64_t take_number() noexcept;

  std::size_t line_bytes_max() const noexcept { return (words_.chunk_words() - 1) * word_bytes; }
  std::size_t capacity_bytes() const noexcept { return words_.capacity() * word_bytes; }

  // The sequence number of the line put last. Those of the records that were found begin with 1.
  std::uint64_t last_sequence() const noexcept;
  std::uint64_t found() const noexcept { return found_; }  // how many records there were

  // A word that changes with each line put. Compared with was_drained_to(), which the drain knows, it tells whether there is
  // anything to do.
  std::uint64_t head() const noexcept { return head_.load(std::memory_order_seq_cst); }
  std::uint64_t used_bytes() const noexcept;
  // How many bytes of the records, from their beginning on, producers have had since the ring was opened. Any thread.
  std::size_t touched_bytes() const noexcept { return touched_.load(std::memory_order_relaxed); }

  // --- the consumer ---

  // Where everything put before this call ends, to be compared by is_drained_to().
  std::uint64_t mark_end() const noexcept;
  bool is_drained_to(std::uint64_t end) const noexcept { return tail_ >= end; }
  // Writes the tail into the header again, so that the next sync writes the page.
  void write_tail_again() noexcept { header_.tail.store(tail_, std::memory_order_release); }

  struct batch {
    std::string_view lines;  // valid until the next take()
    std::size_t count = 0;
    std::uint64_t first_sequence = 0;  // of the first line where nothing was overtaken
  };

  // Copies committed lines, up to about `bytes_max` of them (at least one), and marks them as taken. Lines behind a record
  // whose producer is held up are taken without it, once `patience` has passed: it comes later. A count of 0: there is nothing
  // (yet). Not while there is an unsettled batch: where it throws, there is one, of what was taken until then. Ends before what
  // contradicts itself: see fault().
  batch take(std::size_t bytes_max, std::chrono::nanoseconds now, std::chrono::nanoseconds patience);

  // The batch taken last is about to be written at `where`; is in the log, and its room is given back; or the lines that
  // `arrived` says are, and the others are to be taken again.
  void begin_writing(const segment::log_place& where) noexcept;
  void release() noexcept;
  void settle(const std::vector<bool>& arrived) noexcept;
  void take_back() noexcept;  // nothing of it was written: all lines are to be taken again

  // Where take() found nothing: gives back the room of what was abandoned before all that is left. True where there was any.
  bool release_abandoned() noexcept;

  // The batch that was neither released nor settled nor taken back; a count of 0 without such a batch. Was it begun, and where
  // in the log?
  batch unsettled() const noexcept { return {lines_, taken_.size(), next_sequence_}; }
  bool is_writing() const noexcept { return is_writing_; }
  const segment::log_place& place() const noexcept { return place_; }

  // Somebody else changed the records, or their memory was damaged: the first place where they contradict themselves. No event
  // that is put from now on is safe.
  struct contradiction {
    std::uint64_t at = 0;  // in words since the ring was made
    std::string_view why;
  };
  const std::optional<contradiction>& fault() const noexcept { return fault_; }
  // Lets take() pass over what contradicts itself, to the next record.
  void pass_over_faults() noexcept { passes_over_faults_ = true; }
  bool passes_over_faults() const noexcept { return passes_over_faults_; }

  // Is there a record that has been reserved and not committed, at which take() stopped, or which it passed over? Nothing tells
  // when it is committed: the head changed long before.
  bool is_held_up() const noexcept { return held_up_ || !holes_.empty(); }

  // Events that on_full dropped: counted by producers; the drain takes the number and logs a line that tells of it.
  // The file has the number for the next owner alone.
  void count_dropped() noexcept {
    dropped_.fetch_add(1, std::memory_order_relaxed);
    header_.dropped.fetch_add(1, std::memory_order_relaxed);
  }
  std::uint64_t dropped() const noexcept { return dropped_.load(std::memory_order_relaxed); }
  void told_of_dropped(std::uint64_t count) noexcept {
    dropped_.fetch_sub(count, std::memory_order_relaxed);
    header_.dropped.fetch_sub(count, std::memory_order_relaxed);
  }

 private:
  struct hole {  // words that were passed over: reserved, not committed
    std::uint64_t begin;
    std::uint64_t end;
  };

  enum class taking : std::uint8_t { taken, no_room, contradicts };

  static inline std::uint32_t this_thread() noexcept {
    if (thread_ == 0) [[unlikely]]
      thread_ = io::thread_id();
    return thread_;
  }

  bool add_chunk(std::uint64_t limit) noexcept;
  void free_chunks(std::uint64_t from, std::uint64_t to) noexcept;
  void take_again() noexcept;
  taking take_at(std::uint64_t word, std::uint64_t header, std::uint64_t end, std::size_t bytes_max);
  void contradicts(std::uint64_t word, std::string_view why) noexcept;
  std::uint64_t walk_hole(const hole& one, std::uint64_t word, std::size_t bytes_max, std::vector<hole>& left, bool& has_room);
  bool step(std::uint64_t end, std::size_t bytes_max, std::chrono::nanoseconds now, std::chrono::nanoseconds patience);
  void clear(std::uint64_t from, std::uint64_t to) noexcept;
  bool take_from_holes(std::size_t bytes_max);
  bool abandon(std::uint64_t word, std::uint64_t header) noexcept;
  bool pass_over(std::uint64_t header, std::uint64_t end, std::chrono::nanoseconds now, std::chrono::nanoseconds patience);
  std::uint64_t next_header(std::uint64_t from, std::uint64_t end) const noexcept;
  std::uint64_t end_of(std::uint64_t head) const noexcept;

  static thread_local std::uint32_t thread_ [[gnu::tls_model("initial-exec")]];

  // Read by producers. Never changed, except for the places of chunks that nobody uses yet.
  file_header& header_;
  shared_words words_;

  alignas(64) std::atomic<std::uint64_t> head_;      // sequence (37 bits), position in words (27 bits)
  alignas(64) std::atomic<std::uint64_t> released_;  // the tail's position; changed once a batch
  std::atomic<std::uint64_t> limit_;                 // the position behind the last chunk that producers have
  std::atomic<std::uint64_t> sequence_base_;         // a sequence number not far behind the present ones
  std::atomic<std::uint64_t> dropped_;

  std::mutex chunks_mutex_;         // for the next two
  std::uint64_t chunks_given_;      // to producers, since the ring was made
  std::vector<std::uint8_t> free_;  // chunks of the file: the one drained last is the last one
  std::atomic<std::size_t> touched_ = 0;

  // The consumer's.
  alignas(64) std::uint64_t tail_;   // in words since the ring was made
  std::uint64_t scan_;               // what lies before was taken, or is in holes_
  std::vector<hole> holes_;          // in order; nearly always empty
  std::vector<taken_record> taken_;  // the records of the batch
  std::string lines_;                // copies of their lines
  segment::log_place place_;         // where the batch was begun
  bool is_writing_ = false;
  std::optional<contradiction> fault_;
  bool passes_over_faults_ = false;
  std::uint64_t found_ = 0;
  std::uint64_t next_sequence_ = 1;
  bool overtaken_ = false;  // there are, or were, holes since the tail: between it and scan_ not all is in taken_
  bool held_up_ = false;
  std::uint64_t held_up_at_ = 0;
  std::chrono::nanoseconds held_up_since_{0};
};

}  // namespace annals::ring

// --- for the units of this module -------------------------------------------------------------------------------------------

namespace annals::ring {

// Why `line`, the copy of the line of the record at `word`, is not the one that this header was made for; or empty.
std::string_view fault_of_record(std::string_view line, std::uint64_t header, std::uint64_t word) noexcept;

}  // namespace annals::ring
