// SPDX-License-Identifier: Apache-2.0
//
// What a loss of power left of delivery::durable: any journal file beside any log. Of a journal that was not changed each line
// that the log lacks comes into the log, once, in its order; what is no journal is set aside as it is, and the log stays as it
// was. An input makes a log and groups of lines, and then may change any bytes of the file; checks are made to fit again or
// not.
#include <algorithm>
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
import annals.durable;
import annals.recovery;
import annals.segment;

namespace {

using annals::journal;
using fuzz::require;

constexpr std::size_t page = journal::page_bytes;
constexpr std::size_t pages = 8;

struct made_journal {
  std::string log;
  std::vector<std::string> lines;  // of the lap that counts
  annals::segment::log_place from;
  std::string file;
};

std::uint64_t fnv_1a(std::string_view bytes) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : bytes) hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x100000001b3;
  return hash;
}

std::string line_from(fuzz::input& in) {
  const unsigned how = in.byte();
  std::string line = in.text();
  for (char& c : line) c = static_cast<char>(' ' + static_cast<unsigned char>(c) % 95);
  if ((how & 1) != 0) line = R"({"ts":"2026-01-31T23:59:59+00:00","container":"web","action":")" + std::to_string(how) + "\"}";
  return line + "\n";
}

// The groups of a lap. One without any never begins: what was in the journal before stays there.
void add_lap(made_journal& made, fuzz::input& in, journal& to) {
  std::vector<std::string> of_lap;
  to.begin_lap(made.from);
  for (std::uint64_t groups = in.below(6); groups > 0; --groups) {
    std::vector<std::string> lines;
    for (std::uint64_t count = 1 + in.below(4); count > 0; --count) lines.push_back(line_from(in));
    const std::string group = fuzz::joined(lines);
    if (!to.has_room_for(group.size())) break;
    require(!to.append(group, lines.size()), "a journal can be written");
    of_lap.insert(of_lap.end(), lines.begin(), lines.end());
  }
  require(to.read_lap().value().lines == fuzz::joined(of_lap), "a lap is what was appended");
  if (!of_lap.empty()) made.lines = std::move(of_lap);
}

// One or two laps; some lines of the last one, or a beginning of one, are in the log already.
void add_laps(made_journal& made, fuzz::input& in, journal& to) {
  for (std::uint64_t laps = 1 + in.below(2); laps > 0; --laps) add_lap(made, in, to);
  for (const std::string& line : made.lines) {
    const unsigned how = in.byte();
    if ((how & 3) == 0) made.log += line;
    if ((how & 3) == 1) made.log += line.substr(0, in.byte() % (line.size() + 1));
  }
}

// False where the input changes nothing.
bool change(std::string& file, fuzz::input& in) {
  const bool fits = in.chance();
  bool changed = false;
  while (!in.is_empty()) {
    const std::size_t at = in.chance() ? in.byte() + page * in.below(pages + 1) : in.number<std::uint32_t>() % file.size();
    const std::string_view bytes = in.take(1 + in.below(8));
    if (bytes.empty()) {
      file.resize(std::max<std::size_t>(at % file.size(), 1));
    } else {
      file.replace(std::min(at, file.size()), bytes.size(), bytes);
    }
    changed = true;
  }
  if (!fits || file.size() < (pages + 1) * page) return changed;
  const auto put = [&file](std::size_t at, std::uint64_t value) { std::memcpy(file.data() + at, &value, sizeof value); };
  put(40, fnv_1a(std::string_view(file).substr(0, 40)));
  for (std::size_t at = page; at + page <= file.size(); at += page) {
    std::uint64_t line_bytes = 0;
    std::memcpy(&line_bytes, file.data() + at + 24, sizeof line_bytes);
    put(at, fnv_1a(std::string_view(file).substr(at + 8, 64 + std::min<std::uint64_t>(line_bytes, file.size()))));
  }
  return changed;
}

std::vector<std::string> missing(const made_journal& made) {
  const bool is_looked_into = made.from.segment == 1 && made.from.offset <= made.log.size();
  fuzz::written_lines in_log(is_looked_into ? std::string_view(made.log).substr(made.from.offset) : std::string_view());
  std::vector<std::string> lines;
  for (const std::string& line : made.lines) {
    if (!in_log.take(line)) lines.push_back(line);
  }
  return lines;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::work_directory directory;
  directory.clear();
  const std::string path = directory / "audit.jsonl";
  const std::string journal_path = journal::path_of(path);
  fuzz::input in(fuzz::text_of(data, size));
  made_journal made;
  const unsigned how = in.byte();
  made.log = in.text();
  fuzz::write_file(path, "");
  const auto status = annals::io::status_at(path).value();
  made.from = {(how & 1) != 0 ? in.byte() : 1U, (how & 2) != 0 ? in.number<std::uint16_t>() : made.log.size(), status->device,
               status->inode};
  {
    journal to = journal::open(path, pages * page, [](const annals::notice&) {}).value();
    add_laps(made, in, to);
  }
  if (fuzz::is_compressed(made.log)) return 0;
  fuzz::write_file(path, made.log);
  made.file = fuzz::content_of(journal_path);
  const bool changed = change(made.file, in);
  fuzz::write_file(journal_path, made.file);

  bool set_aside = false;
  bool is_none = false;
  const auto done = annals::recover_log(path, [&](const annals::notice& what) {
    set_aside = set_aside || what.code == annals::notice_code::journal_damaged;
    is_none = is_none || what.message.find("is no journal that can be used") != std::string::npos;
    require(!what.message.empty(), "a notice says something");
  });
  require(done && done->found, "any journal can be recovered", done ? "" : done.error().message);
  const std::string log = fuzz::content_of(path);
  require(log.starts_with(made.log), "what is in a log stays there");
  const std::string appended = log.substr(made.log.size());
  require(appended.empty() || appended.ends_with('\n'), "what is brought into a log are whole lines", appended);
  if (set_aside) fuzz::check_set_aside(directory, ".journal.damaged-", made.file);
  if (is_none) require(appended.empty(), "of what is no journal nothing comes into the log", appended);
  if (!changed)
    require(fuzz::is_expected(made.log, appended, missing(made)), "what the log lacked is brought into it, once", appended);
  require(!std::filesystem::exists(journal_path), "a journal that was recovered is removed");
  const auto again = annals::recover_log(path);
  require(again && !again->found, "what was recovered is gone");
  return 0;
}
