// SPDX-License-Identifier: Apache-2.0
//
// Writes made-up events: lines in one file, or a log of closed segments with an empty live one behind them.
//
//   generate --file PATH --bytes 2GiB [--seed 1] [--from 2024-01-01T00:00:00Z] [--to 2027-01-01T00:00:00Z]
//   generate --log DIRECTORY/audit.jsonl --bytes 2GiB --segment 64MiB ...
//
// Prints the numbers of lines, bytes and files as JSON. The same arguments give the same bytes.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "lines.h"
import annals;

namespace {

constexpr std::size_t buffer_bytes = 1024 * 1024;

struct order {
  std::string file;
  std::string log;
  std::uint64_t bytes = 0;
  std::uint64_t segment_bytes = 64 * 1024 * 1024;
  std::uint64_t seed = 1;
  std::int64_t from = 1704067200;  // 2024-01-01T00:00:00Z
  std::int64_t to = 1798761600;    // 2027-01-01T00:00:00Z
};

template <class T>
T needed(std::optional<T> value, const std::string& option, const std::string& text) {
  if (!value) throw std::invalid_argument("'" + text + "' is no value for " + option);
  return *value;
}

std::int64_t seconds(const annals::timestamp& ts) {
  return std::chrono::duration_cast<std::chrono::seconds>(ts.time.time_since_epoch()).count();
}

order parsed(int argc, char** argv) {
  order made;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string option = argv[i];
    const std::string text = argv[i + 1];
    if (option == "--file")
      made.file = text;
    else if (option == "--log")
      made.log = text;
    else if (option == "--bytes")
      made.bytes = needed(annals::parse_size(text), option, text);
    else if (option == "--segment")
      made.segment_bytes = needed(annals::parse_size(text), option, text);
    else if (option == "--seed")
      made.seed = needed(annals::parse_size(text), option, text);
    else if (option == "--from")
      made.from = seconds(needed(annals::parse_timestamp(text), option, text));
    else if (option == "--to")
      made.to = seconds(needed(annals::parse_timestamp(text), option, text));
    else
      throw std::invalid_argument("there is no option '" + option + "'");
  }
  if (argc % 2 == 0) throw std::invalid_argument("every option takes a value");
  if (made.file.empty() == made.log.empty()) throw std::invalid_argument("one of --file and --log is needed");
  if (made.bytes == 0 || made.segment_bytes == 0 || made.to <= made.from) {
    throw std::invalid_argument("--bytes has to be given, --segment not to be 0, and --to to be later than --from");
  }
  return made;
}

// DIRECTORY/audit.jsonl and segment 7 give DIRECTORY/audit-000007-20240101T000000Z.jsonl.
std::string segment_path(const std::string& log, std::uint64_t number, std::int64_t first_event) {
  const std::string_view extension = ".jsonl";
  if (!log.ends_with(extension)) throw std::invalid_argument("--log '" + log + "' does not end in .jsonl");
  std::string time;
  for (const char c : annals::to_string({annals::time_point(std::chrono::seconds(first_event)), annals::precision::seconds})) {
    if (c == '+') break;
    if (c != '-' && c != ':') time += c;
  }
  std::string digits = std::to_string(number);
  if (digits.size() < 6) digits.insert(0, 6 - digits.size(), '0');
  return log.substr(0, log.size() - extension.size()) + "-" + digits + "-" + time + "Z.jsonl";
}

struct totals {
  std::uint64_t lines = 0;
  std::uint64_t bytes = 0;
  std::uint64_t files = 0;
};

class output {
 public:
  explicit output(const order& from) : order_(from) {}

  void take(std::string& lines, std::int64_t first_event) {
    if (!file_.is_open() || (!order_.log.empty() && file_bytes_ >= order_.segment_bytes)) begin(first_event);
    file_.write(lines.data(), static_cast<std::streamsize>(lines.size()));
    if (!file_) throw std::runtime_error("a write failed; is the disk full?");
    file_bytes_ += lines.size();
    totals_.bytes += lines.size();
    lines.clear();
  }

  totals finish(std::uint64_t lines) {
    file_.close();
    if (!file_) throw std::runtime_error("a write failed; is the disk full?");
    if (!order_.log.empty()) std::ofstream{order_.log};
    totals_.lines = lines;
    return totals_;
  }

 private:
  void begin(std::int64_t first_event) {
    if (file_.is_open()) file_.close();
    const std::string path = order_.log.empty() ? order_.file : segment_path(order_.log, totals_.files + 1, first_event);
    file_.open(path, std::ios::binary | std::ios::trunc);
    if (!file_) throw std::runtime_error("cannot create " + path);
    file_bytes_ = 0;
    ++totals_.files;
  }

  const order& order_;
  std::ofstream file_;
  std::uint64_t file_bytes_ = 0;
  totals totals_;
};

totals generate(const order& wanted) {
  bench::line_stream stream(wanted.seed, wanted.bytes, wanted.from, wanted.to);
  output out(wanted);
  std::string lines;
  std::uint64_t count = 0;
  std::int64_t first_event = 0;
  for (std::size_t before = 0; const bench::generated_event* event = stream.next(lines); before = lines.size()) {
    if (before == 0) first_event = event->seconds;
    ++count;
    if (lines.size() >= buffer_bytes) out.take(lines, first_event);
  }
  if (!lines.empty()) out.take(lines, first_event);
  return out.finish(count);
}

}  // namespace

int main(int argc, char** argv) try {
  const totals made = generate(parsed(argc, argv));
  std::cout << R"({"lines":)" << made.lines << R"(,"bytes":)" << made.bytes << R"(,"files":)" << made.files << "}\n";
} catch (const std::invalid_argument& thrown) {
  std::cerr << "generate: " << thrown.what() << '\n';
  return 2;
} catch (const std::exception& thrown) {
  std::cerr << "generate: " << thrown.what() << '\n';
  return 1;
}
