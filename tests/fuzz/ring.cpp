// SPDX-License-Identifier: Apache-2.0
//
// What a dead process left: any ring file beside any log. Readers see what recovery brings into the log, each line once and in
// its order, and no more than the ring held; what is no ring is set aside as it is, and the log stays as it was.
//
// An input makes a log and a ring of records in any state. Then it may change any of the file's bytes; where it has not, a
// model says what has to be found.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz.h"
#include "recovered.h"
import annals;
import annals.io;
import annals.recovery;
import annals.ring;
import annals.segment;

namespace {

namespace ring = annals::ring;
using fuzz::require;

constexpr std::size_t record_bytes = ring::bytes_min;
constexpr std::uint64_t capacity = record_bytes / ring::word_bytes;
constexpr std::uint64_t chunk_words = ring::chunk_bytes_of(record_bytes) / ring::word_bytes;

struct made_record {
  ring::mark state = ring::mark::none;
  std::string line;
};

struct image {
  std::string log;
  std::string file;  // the ring's
  ring::file_header header = {};
  std::vector<made_record> records;
  bool is_plain = true;  // as the model has it
};

std::string line_from(fuzz::input& in, bool& is_plain) {
  const unsigned how = in.byte();
  std::string line = in.text();
  if ((how & 15) == 0) {  // any bytes
    is_plain = false;
    return line;
  }
  for (char& c : line) c = static_cast<char>(' ' + static_cast<unsigned char>(c) % 95);
  if ((how & 1) != 0) line = R"({"ts":"2026-01-31T23:59:59+00:00","container":"web","action":")" + std::to_string(how) + "\"}";
  return line + "\n";
}

// The records, one behind the other from the tail on, none across the end of a chunk; some of their lines, or a beginning of
// one, are in the log already.
void add_records(image& made, fuzz::input& in, std::uint64_t tail) {
  constexpr ring::mark states[] = {ring::mark::reserved, ring::mark::committed, ring::mark::committed, ring::mark::taken,
                                   ring::mark::taken,    ring::mark::taken,     ring::mark::released};
  std::uint64_t word = tail;
  for (std::uint64_t count = in.below(32); count > 0; --count) {
    const unsigned how = in.byte();
    made_record one{states[how % std::size(states)], line_from(in, made.is_plain)};
    const std::uint64_t words = ring::words_for(one.line.size());
    if (word % chunk_words + words > chunk_words) word += chunk_words - word % chunk_words;
    if (words > chunk_words || word + words > tail - tail % chunk_words + capacity) break;
    const bool has_line = one.state == ring::mark::committed || one.state == ring::mark::taken;
    const std::uint64_t header =
        has_line ? ring::with_mark(ring::committed_header(one.line.size(), ring::sum_of(one.line), word), one.state)
                 : ring::header_of(one.state, one.line.size(), how);
    for (std::size_t i = 0; i < words * ring::word_bytes; ++i) {
      const std::size_t at = (word % capacity * ring::word_bytes + i) % record_bytes;
      const bool of_line = i >= ring::word_bytes && i - ring::word_bytes < one.line.size();
      char byte = of_line ? one.line[i - ring::word_bytes] : '\0';
      if (i < ring::word_bytes) byte = static_cast<char>(header >> (8 * i) & 255);
      made.file[ring::page_bytes + at] = byte;
    }
    word += words;
    if ((how & 0x20) != 0)
      made.log += one.line.substr(0, (how & 0x40) != 0 ? in.byte() % (one.line.size() + 1) : one.line.size());
    made.records.push_back(std::move(one));
  }
}

void make_image(image& made, fuzz::input& in) {
  made.file.resize(ring::page_bytes + record_bytes);
  const unsigned how = in.byte();
  made.log = in.text();
  const std::size_t before = made.log.size();
  ring::make_header(made.header, record_bytes, annals::time_point(std::chrono::hours(500'000)), 1);
  made.header.tail = (how & 1) != 0 ? in.number<std::uint16_t>() : 0;
  if ((how & 6) == 6) made.header.tail = in.number<std::uint64_t>() >> 1;
  made.header.phase = static_cast<std::uint32_t>(how >> 3 & 3);
  made.header.batch.segment = 1;
  made.header.batch.offset = (how & 0x20) != 0 ? in.number<std::uint16_t>() : before;
  if ((how & 0x40) != 0) made.header.batch.segment = in.byte();
  add_records(made, in, made.header.tail);
}

// The header gets its place in the file, and the log's own number, once there is a log; then come the changes, and the check is
// made to fit again or not.
void finish(image& made, fuzz::input& in, const annals::io::file_status& log) {
  made.header.batch.device = log.device;
  made.header.batch.inode = log.inode;
  std::memcpy(made.file.data(), static_cast<const void*>(&made.header), sizeof made.header);
  const bool fits = in.chance();
  while (!in.is_empty()) {
    const std::size_t at = in.chance() ? in.byte() : in.number<std::uint32_t>() % made.file.size();
    const std::string_view bytes = in.take(1 + in.below(8));
    made.file.replace(std::min(at, made.file.size()), bytes.size(), bytes);
    made.is_plain = false;
    if (bytes.empty()) made.file.resize(at);
  }
  if (!fits || made.file.size() < sizeof made.header) return;
  ring::file_header anew = {};
  const auto& read = *reinterpret_cast<const ring::file_header*>(made.file.data());
  ring::make_header(anew, read.bytes, annals::time_point(std::chrono::microseconds(read.made_us)), read.made_by);
  std::memcpy(made.file.data(), static_cast<const void*>(&anew), offsetof(ring::file_header, tail));
}

// The lines that have to be found, of an image that was not changed.
std::vector<std::string> expected_of(const image& made) {
  const auto phase = made.header.phase.load();
  const annals::segment::log_place& place = made.header.batch;
  const bool is_looked_into = phase == 1 && place.segment == 1 && place.offset <= made.log.size();
  fuzz::written_lines in_log(is_looked_into ? std::string_view(made.log).substr(place.offset) : std::string_view());
  std::vector<std::string> expected;
  for (const made_record& one : made.records) {
    if (one.state != ring::mark::committed && one.state != ring::mark::taken) continue;
    if (one.state == ring::mark::taken && phase == 2) continue;
    if (one.state != ring::mark::taken || !in_log.take(one.line)) expected.push_back(one.line);
  }
  return expected;
}

std::vector<std::string> left_in(const std::string& path) {
  annals::left_in_ring left = annals::left_in_ring::of(path);
  require(left.is_unchanged(), "a ring that nobody uses does not change");
  std::vector<std::string> lines;
  (void)left.each([&](std::string_view line) {
    lines.emplace_back(line);
    return true;
  });
  require(lines.size() <= capacity / 2, "a ring holds no more records than it has room for");
  for (const std::string& line : lines) {
    require(line.ends_with('\n') && fuzz::is_plain(std::string_view(line).substr(0, line.size() - 1)), "a line is printable",
            line);
  }
  return lines;
}

// By the command's way, or by a logger that goes on with the ring and logs one event more.
std::string recover(const std::string& path, bool by_logger) {
  if (!by_logger) {
    const auto done = annals::recover_log(path);
    require(done && done->found, "any ring can be recovered", done ? "" : done.error().message);
    const auto again = annals::recover_log(path);
    require(again && !again->found, "what was recovered is gone");
    return {};
  }
  annals::logger_options options;
  options.path = path;
  options.delivery = annals::delivery::ring;
  options.ring_bytes = annals::limits::ring_bytes_floor;
  options.on_error = [](const annals::error&) {};
  annals::audit_logger log(std::move(options));
  const annals::timestamp ts{annals::time_point(std::chrono::hours(500'000)), annals::precision::seconds};
  const annals::receipt made = log.log_event("fuzz", "last", {.ts = ts});
  require(made && made.accepted(), "a logger goes on with any ring", made.message());
  const annals::receipt synced = log.sync();
  require(static_cast<bool>(synced), "a logger goes on with any ring", synced.message());
  return R"({"ts":")" + annals::to_string(ts) + R"(","container":"fuzz","action":"last"})" + "\n";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::work_directory directory;
  directory.clear();
  const std::string path = directory / "audit.jsonl";
  fuzz::input in(fuzz::text_of(data, size));
  image made;
  make_image(made, in);
  const bool by_logger = in.chance();
  if (fuzz::is_compressed(made.log)) return 0;  // no live segment is; readers refuse the one and decode the other
  fuzz::write_file(path, made.log);
  finish(made, in, **annals::io::status_at(path));
  fuzz::write_file(path + ".ring", made.file);

  std::vector<std::string> left = left_in(path);
  if (made.is_plain) require(left == expected_of(made), "what the model says is left is left", fuzz::joined(left));
  (void)annals::read_tail(path, 5);
  require(fuzz::content_of(path + ".ring") == made.file && fuzz::content_of(path) == made.log, "a reader changes nothing");

  alignas(ring::file_header) char first[sizeof(ring::file_header)] = {};
  std::memcpy(first, made.file.data(), std::min(made.file.size(), sizeof first));
  const auto& header = *reinterpret_cast<const ring::file_header*>(first);
  const bool is_unused = std::all_of(std::begin(first), std::end(first), [](char c) { return c == '\0'; });
  const bool is_ring = made.file.size() >= sizeof first && !ring::fault_of(header, made.file.size());
  const std::string last = recover(path, by_logger);
  const std::string log = fuzz::content_of(path);
  require(log.starts_with(made.log), "what is in a log stays there");
  if (!last.empty()) left.push_back(last);
  const bool told_of_dropped = is_ring && header.dropped.load() != 0;  // by a line of its own
  require(told_of_dropped || fuzz::is_expected(made.log, log.substr(made.log.size()), left),
          "what was left is brought into the log, once", log.substr(made.log.size()));
  require(!std::filesystem::exists(path + ".ring"), "a ring that is empty is removed");
  if (!is_ring && !is_unused) fuzz::check_set_aside(directory, ".ring.damaged-", made.file);
  return 0;
}
