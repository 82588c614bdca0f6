// SPDX-License-Identifier: Apache-2.0
//
// annals.reader: reads a log, with or without a logger, in the writing process or any other.
//
// A log is one stream of events, whichever files they lie in: closed segments, plain or compressed, in the order of their
// numbers, then the live segment. Readers see every event once, whatever is rotated and compressed under them. A path that
// names a closed segment, or a file that somebody else rotated or compressed (zstd), is read as that one file.
//
// Readers return the lines that are JSON objects. Anything else is skipped and reported as damage, with one exception: an
// incomplete last line is no damage, since its writer may be in the middle of it. A last line that lacks only its newline
// counts. Where a whole line follows a partial one on the same line, the fragment is damage and the line an event.
//
// Whatever a file holds, a reader takes no more than 64 MiB of memory, besides the events it hands out.
module;
#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>
export module annals.reader;
import annals.event;
#pragma GCC visibility push(default)

export namespace annals {

// A place where a reader could not read on as it should: bytes that are no event, or a file that changed under it.
struct damage {
  std::string file;
  std::uint64_t offset = 0;  // in the lines of the file, in bytes; uncompressed, except `in_compressed`
  std::uint64_t bytes = 0;   // how many were passed over; 0 where it is no matter of bytes
  std::string cause;
  bool in_compressed = false;  // offset and bytes are in the compressed file: what these held is not known
  bool is_unreadable = false;  // the system failed to open or read the file: what it holds from `offset` on is not known
  // What a compressed file records of the lines that are lost: how many, and their earliest and latest time. Absent where it
  // records nothing of them.
  std::optional<std::uint64_t> lines = {};
  std::optional<time_point> first = {};
  std::optional<time_point> last = {};
};
std::string to_string(const damage& found);  // a sentence for people

// Closed segments that are gone, between events that are there, or before the first: then at least one of them has no record of
// its deletion. What they held is known from the records.
struct gap {
  std::string log;
  std::uint64_t first = 0;  // their numbers
  std::uint64_t last = 0;
  std::uint64_t read_bytes = 0;              // of the lines of the first one, that had been read before
  std::optional<std::uint64_t> events = {};  // that all of them held; absent where the record of one is missing
  std::optional<std::uint64_t> bytes = {};   // of their lines; likewise
};
std::string to_string(const gap& missing);  // a sentence for people

struct read_options {
  // Hears of every damage, in the order in which it is met, on the thread that reads.
  std::function<void(const damage&)> on_damage = {};
  // Hears of every gap, likewise. Without it, a gap is told as damage.
  std::function<void(const gap&)> on_gap = {};
  // Are events that a dead process left in the ring of the log (delivery::ring) its last ones? A reader that goes on with a
  // follower from where he stopped says no, since they will come into the log.
  bool with_ring = true;
};

// Where a reader stands, to be kept and to go on from later, in another process too. The default is a log's beginning.
struct cursor {
  position at = {};
  // FNV-1a (64 bit) of the segment's first bytes and of the last ones before `at`: tells when the file there is no longer the
  // one that was read. 0: not known.
  std::uint64_t check = 0;
  bool operator==(const cursor&) const = default;
};

// "SEGMENT:OFFSET:CHECK", decimal, decimal, 16 hex digits; for people and files. parse_cursor reads nothing else.
std::string to_string(const cursor& from);
std::optional<cursor> parse_cursor(std::string_view text);

// --- the last events --------------------------------------------------------------------------------------------------

struct tail_page {
  std::vector<event> events;  // in the order of the log
  cursor next;                // where follow() goes on without a gap or a repetition
  std::uint64_t damaged = 0;  // how often on_damage was told
  std::uint64_t gaps = 0;     // how many gaps there were
};

// The last `n` events of the log at `path`: none for n <= 0, or where there is neither a regular file at `path` nor a closed
// segment. Reads files backwards in blocks, and decompresses frames backwards, no more of them than it needs (except files of
// frames over 8 MiB, which others make: those take a pass over the file). A closed segment that cannot be read is reported as
// damage. Throws annals::failure when the live segment cannot be read, or there is a symbolic link at `path`.
tail_page read_tail(const std::string& path, std::int64_t n = 50, const read_options& options = {});
std::vector<event> tail_log(const std::string& path, std::int64_t n = 50, const read_options& options = {});

// --- the events to come -----------------------------------------------------------------------------------------------

// Yields the events of a log one after the other, and waits for more. Goes on from segment to segment, and tells of a gap where
// some were deleted before they were read. Goes on, too, when the live segment is truncated, renamed, removed or replaced by
// somebody else, and waits for one that does not exist yet. Waits for the kernel's notification (inotify); never polls an idle
// log. For one thread, except stop().
class follower {
 public:
  follower(follower&&) noexcept;
  follower& operator=(follower&&) noexcept;
  ~follower();

  // The next event; nothing when none has come within `timeout` (no timeout: wait for ever) or after stop(). Throws
  // annals::failure when the file cannot be read, or the system has no inotify instance left.
  std::optional<event> next(std::optional<std::chrono::milliseconds> timeout = std::nullopt);

  // Behind the event returned last: follow(path, position()) goes on there. Of what was read, not of what the file may hold
  // now.
  cursor position() const;

  // How often on_damage was told, and how many gaps there were.
  std::uint64_t damaged() const noexcept;
  std::uint64_t gaps() const noexcept;

  // Makes next() return nothing, now and from now on. Any thread, and signal handlers.
  void stop() noexcept;

 private:
  struct [[gnu::visibility("hidden")]] state;
  explicit follower(std::unique_ptr<state> made) noexcept;
  friend follower follow(const std::string&, const cursor&, read_options);

  std::unique_ptr<state> state_;
};

// Follows the log at `path` from a cursor on; by default from its beginning, the oldest segment there is. A cursor stays good
// when its segment is closed or compressed; when that was deleted, the gap is told. One that no longer fits (the file was cut
// or replaced) is reported as damage, and the segment is read from its beginning; or the log, where it has no such segment yet.
follower follow(const std::string& path, const cursor& from = {}, read_options options = {});

// --- the events of the past ----------------------------------------------------------------------------------------------

// What a value has to be: the text, or anything that the pattern fits. In a pattern, `*` stands for any text and `?` for one
// character; `\*`, `\?` and `\\` for the character behind the backslash.
struct text_match {
  std::string text;
  bool is_pattern = false;
};

// An IP address, or a range of them, with or without a port.
struct address_match {
  std::array<unsigned char, 16> address = {};  // in the order of the network; of IPv4 the first four bytes
  unsigned bits = 0;                           // of it that have to be equal
  bool is_ipv4 = true;
  std::optional<std::uint16_t> port = {};
};

// Reads 203.0.113.7, 203.0.113.0/24, 203.0.113.7:443, 203.0.113.0/24:443, 2001:db8::1, 2001:db8::/32, [2001:db8::1]:443 and
// [2001:db8::/32]:443. Nothing for anything else.
std::optional<address_match> parse_address_match(std::string_view text);

// Is `dest` such an address, with any port where none is asked for? An IPv4 address in an IPv6 one that is written with dots
// (::ffff:203.0.113.7) is the IPv4 address. The zone of an IPv6 address (%eth0) says nothing. Any thread.
bool meets(const address_match& wanted, std::string_view dest);

// Which events to look for: those that meet everything that is given.
struct scan_filter {
  // The time of the event, from `since` on, before `until`. An event without a `ts` that can be read meets neither.
  std::optional<time_point> since = {};
  std::optional<time_point> until = {};
  std::optional<text_match> container = {};
  std::optional<text_match> action = {};
  std::optional<text_match> dest = {};
  std::optional<address_match> address = {};  // of the destination
  // A part of the line: as it stands there, or as it is once the escapes of JSON are resolved. Empty: anything.
  std::string contains = {};
};

struct scan_options {
  read_options reading = {};
  // How many threads decompress, look and decode; all calls come on the caller's, in the order of the log. More than one take
  // up to 16 MiB of memory each.
  unsigned threads = 1;
  // For callers who only count: compressed lines all of which must meet the filter by their recorded times are not decoded,
  // but added to scan_result::recorded. Damage there is not found, and lines that are no event count, too.
  bool count_recorded = false;
  // Also compares the facts that archives record of their lines with the lines, which takes another pass over each archive.
  // What differs is damage: a search by time relies on it.
  bool check_facts = false;
};

struct scan_result {
  std::uint64_t events = 0;    // given to `take`
  std::uint64_t recorded = 0;  // counted by what compressed files record of their lines: see scan_options::count_recorded
  std::uint64_t damaged = 0;   // how often on_damage was told: of what was looked at, see scan
  std::uint64_t gaps = 0;
  std::uint64_t bytes = 0;    // of lines that were looked at; the rest was passed over by its recorded times
  std::uint64_t undated = 0;  // events that a filter of times left out since they have no `ts` that can be read
  bool stopped = false;       // by `take`
};

// Gives the events that meet the filter, in the order of the log, to `take`, until that returns false. Sees every event that
// was acknowledged before the call. Segments and frames whose recorded times lie outside [since, until) are not looked at, and
// neither are lines whose bytes cannot meet the filter: damage there is not told. A closed segment that cannot be read is
// reported as damage. Throws annals::failure when the live segment cannot be opened or the directory cannot be listed, and what
// `take` throws.
scan_result scan(const std::string& path, const scan_filter& filter, const std::function<bool(const event&)>& take,
                 const scan_options& options = {});

// Gives all lines of the log, be they events or not, as they are, to `take`, until that returns false: uncompressed, in order,
// in pieces cut anywhere. A line that was never ended is ended, except an incomplete last line that is being written: it is
// left out when the file was changed within the last second, its name can be that of a live segment, and the line is no event.
// Of damage it tells only where bytes are lost.
scan_result read_lines(const std::string& path, const std::function<bool(std::string_view piece)>& take,
                       const read_options& options = {});

}  // namespace annals

// --- for the units of this module ---------------------------------------------------------------------------------------

namespace annals {

// Tells what readers have to tell, and counts it.
class [[gnu::visibility("hidden")]] reports {
 public:
  reports(std::string log, read_options options);
  void damaged(const damage& found);
  void unreadable(const std::string& file, const error& cause);
  void doubled(std::uint64_t number, const std::string& file);  // it has the number of another segment, and both are read
  // Segments that are not there; of the first one, so many bytes had been read.
  void missing(std::uint64_t first, std::uint64_t last, std::uint64_t read_bytes = 0);
  std::uint64_t damages() const noexcept { return damages_; }
  std::uint64_t gaps() const noexcept { return gaps_; }

 private:
  std::string log_;
  read_options options_;
  struct records;

  std::uint64_t damages_ = 0;
  std::uint64_t gaps_ = 0;
  std::shared_ptr<records> records_;  // of deletions, read for the first gap
};

}  // namespace annals
#pragma GCC visibility pop
