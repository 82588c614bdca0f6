// SPDX-License-Identifier: Apache-2.0
//
// Uses an installed annals from outside: writes, reads back, catches what the library throws, brings a sink of its own.
// Argument: a directory to write in. Exits with 0 when everything was as expected.
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>
import annals;

namespace {

int failures = 0;

void expect(bool holds, std::string_view what) {
  if (holds) return;
  ++failures;
  std::cerr << "not as expected: " << what << '\n';
}

// The example at the front of the documentation.
void logs_and_reads_back(const std::string& path) {
  annals::audit_logger log({.path = path});
  log.log_event("web", "denied", {.dest = "203.0.113.7:443", .detail = "not in allowlist"});
  const annals::receipt made =
      log.log_event("web", "allowed", {.dest = "cdn.example", .fields = {{"rule", 17}, {"dry_run", false}}});
  expect(made && made.accepted() && made.sequence() == 2, "the second event is accepted");
  expect(static_cast<bool>(log.sync()), "sync succeeds");

  const std::vector<annals::event> events = log.tail_log(50);
  expect(events.size() == 2, "tail_log returns both events");
  if (events.size() != 2) return;
  expect(annals::parse_timestamp(events[0].ts).has_value(), "ts is a time");
  expect(events[0].container == "web" && events[0].action == "denied", "container and action");
  expect(events[0].dest == "203.0.113.7:443" && events[0].detail == "not in allowlist", "dest and detail");
  expect(events[1].dest == "cdn.example" && !events[1].detail, "an absent detail is absent");
  const annals::stored_value* const rule = events[1].find("rule");
  expect(rule != nullptr && *rule == annals::stored_value(std::int64_t{17}), "an integer field");
  const annals::stored_value* const dry_run = events[1].find("dry_run");
  expect(dry_run != nullptr && *dry_run == annals::stored_value(false), "a boolean field");
  expect(log.stats().accepted == 2 && log.stats().failed == 0, "the counters");
  expect(annals::tail_log(path, 1).size() == 1, "reading without a logger");
}

void says_why_not(const std::string& directory) {
  annals::audit_logger log({.path = directory, .on_error = [](const annals::error&) {}});
  const annals::receipt made = log.log_event("web", "denied");
  expect(!made && made.cause() != nullptr && made.cause()->code == annals::errc::not_a_regular_file, "a receipt's cause");
  expect(made.message().find(directory) != std::string_view::npos, "a message names the file");
}

void catches_what_the_library_throws() {
  try {
    annals::audit_logger log({.path = ""});
    expect(false, "a logger without a path throws");
  } catch (const annals::failure& e) {
    expect(e.cause().code == annals::errc::invalid_argument && *e.what() != '\0', "a failure's cause");
  }
}

struct record {
  std::string lines;
  bool destroyed = false;
};

class recording_sink final : public annals::sink {
 public:
  explicit recording_sink(record& out) : out_(out) {}
  ~recording_sink() override { out_.destroyed = true; }
  void write(const annals::batch& lines) override {
    if (lines.lines.find("refuse me") != std::string_view::npos) {
      throw annals::sink_error({.code = annals::errc::io, .message = "refused as asked"});
    }
    out_.lines += lines.lines;
  }
  void sync() override {}
  void reopen() override {}
  annals::position position() override { return {.segment = 0, .offset = out_.lines.size()}; }

 private:
  record& out_;
};

// The library calls the consumer's virtual functions, and catches what they throw.
void brings_its_own_sink() {
  record out;
  std::vector<annals::error> heard;
  {
    annals::logger_options options;
    options.on_error = [&heard](const annals::error& what) { heard.push_back(what); };
    options.sink = std::make_unique<recording_sink>(out);
    annals::audit_logger log(std::move(options));
    expect(log.log_event("web", "kept").accepted(), "an own sink takes events");
    const annals::receipt refused = log.log_event("web", "denied", {.detail = "refuse me"});
    expect(!refused && refused.cause()->code == annals::errc::io, "the library catches an own sink's sink_error");
  }
  expect(out.lines.ends_with("\"container\":\"web\",\"action\":\"kept\"}\n"), "an own sink gets lines");
  expect(heard.size() == 1 && heard.front().message.find("refused as asked") != std::string::npos, "on_error hears of it");
  expect(out.destroyed, "an own sink is destroyed");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: consumer DIRECTORY\n";
    return 2;
  }
  const std::filesystem::path directory = argv[1];
  std::filesystem::remove_all(directory);
  std::filesystem::create_directories(directory);
  logs_and_reads_back((directory / "audit.jsonl").string());
  says_why_not(directory.string());
  catches_what_the_library_throws();
  brings_its_own_sink();
  if (failures == 0) std::cout << "everything as expected, C++ " << __cplusplus << '\n';
  return failures == 0 ? 0 : 1;
}
