// SPDX-License-Identifier: Apache-2.0
//
// What one call costs where no peer does the same: encoding, decoding, a disabled logger, threads on one logger.
// usage: micro DIRECTORY [options of Google Benchmark]; logs are written in DIRECTORY.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sample.h"
import annals;

namespace {

std::filesystem::path directory;

// Nobody but the compiler knows these at compile time; a program's strings come from elsewhere.
template <class T>
T& unknown(T& value) {
  benchmark::DoNotOptimize(value);
  return value;
}

void encode(benchmark::State& state, std::string_view dest, std::string_view detail, const annals::field_list& fields) {
  annals::event_details details = {.dest = dest, .detail = detail, .fields = fields};
  annals::json::line_parts parts = {sample::timestamp, sample::container, sample::action, details};
  std::vector<char> out(annals::json::line_bytes_bound(parts));
  std::size_t bytes = 0;
  for (auto _ : state) {
    const auto encoded = annals::json::encode_line(unknown(parts), out.data());
    if (!encoded) return state.SkipWithError(encoded.error().message.c_str());
    bytes = *encoded;
    benchmark::ClobberMemory();
  }
  state.counters["line_bytes"] = static_cast<double>(bytes);
  if (const auto read = annals::json::decode_line({out.data(), bytes - 1}); !read || read->dest != dest) {
    state.SkipWithError("the encoded line does not read back");
  }
}

void encode_sample(benchmark::State& state) {
  char out[8192];
  annals::event_details details = {.dest = sample::dest, .detail = sample::detail};
  annals::json::line_parts parts = {sample::timestamp, sample::container, sample::action, details};
  std::size_t bytes = 0;
  for (auto _ : state) {
    const auto encoded = annals::json::encode_line(unknown(parts), out);
    if (!encoded) return state.SkipWithError(encoded.error().message.c_str());
    bytes = *encoded;
    benchmark::ClobberMemory();
  }
  if (std::string_view(out, bytes) != sample::line) state.SkipWithError("not the 133-byte line that was expected");
}
BENCHMARK(encode_sample)->Name("encode");

void format_timestamp(benchmark::State& state) {
  char out[annals::timestamp_bytes_max];
  annals::timestamp ts = *annals::parse_timestamp(sample::timestamp);
  for (auto _ : state) {
    benchmark::DoNotOptimize(annals::format_timestamp(unknown(ts), out));
    benchmark::ClobberMemory();
  }
  if (std::string_view(out, sample::timestamp.size()) != sample::timestamp) state.SkipWithError("not the expected time");
}
BENCHMARK(format_timestamp)->Name("encode-timestamp");

void encode_escapes(benchmark::State& state) {
  encode(state, sample::dest, "\"C:\\Temp\\\n\tline\" \x01\x02 \"quoted\"\r\n", {});
}
BENCHMARK(encode_escapes)->Name("encode-escapes");

void encode_non_ascii(benchmark::State& state) {
  encode(state, sample::dest, "принято: γειά, 拒否されました, \U0001F512", {});
}
BENCHMARK(encode_non_ascii)->Name("encode-non-ascii");

void encode_4k(benchmark::State& state) {
  const std::string detail(4096, 'x');
  encode(state, sample::dest, detail, {});
}
BENCHMARK(encode_4k)->Name("encode-4k");

void encode_fields(benchmark::State& state) {
  const std::vector<annals::field> fields = {
      {"rule", 17}, {"dry_run", false}, {"seconds", 0.25}, {"user", "root"}, {"bytes", std::uint64_t{1234567}}};
  encode(state, sample::dest, sample::detail, fields);
}
BENCHMARK(encode_fields)->Name("encode-fields");

void decode(benchmark::State& state) {
  std::string_view line = sample::line.substr(0, sample::line.size() - 1);
  for (auto _ : state) {
    const auto read = annals::json::decode_line(unknown(line));
    if (!read || read->detail != sample::detail) return state.SkipWithError("the line does not read back");
  }
}
BENCHMARK(decode)->Name("decode");

void disabled(benchmark::State& state) {
  const std::filesystem::path path = directory / "disabled.jsonl";
  annals::audit_logger log({.path = path.string(), .enabled = false});
  for (auto _ : state) {
    auto receipt = log.log_event(sample::container, sample::action, {.dest = sample::dest, .detail = sample::detail});
    benchmark::DoNotOptimize(receipt);
  }
  if (std::filesystem::exists(path)) state.SkipWithError("a disabled logger created its file");
}
BENCHMARK(disabled)->Name("disabled");

// Google Benchmark starts and ends the loops of all threads together: the first thread's part before and behind its loop
// has the logger to itself.
void threads(benchmark::State& state) {
  static std::unique_ptr<annals::audit_logger> log;
  const std::filesystem::path path = directory / "threads.jsonl";
  if (state.thread_index() == 0) log = std::make_unique<annals::audit_logger>(annals::logger_options{.path = path.string()});
  std::int64_t accepted = 0;
  const auto start = std::chrono::steady_clock::now();
  for (auto _ : state) {
    const auto receipt = log->log_event(sample::container, sample::action, {.dest = sample::dest, .detail = sample::detail});
    accepted += receipt.accepted() ? 1 : 0;
  }
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
  if (accepted != state.iterations()) state.SkipWithError("an event was not accepted");
  if (state.thread_index() != 0) return;
  log.reset();
  std::ifstream file(path);
  const auto lines = std::count(std::istreambuf_iterator<char>(file), {}, '\n');
  // Our own measure: Google Benchmark's time of a loop in several threads means different things in different versions.
  const auto events = static_cast<double>(state.iterations() * state.threads());
  state.counters["event_ns"] = took.count() / events;
  state.counters["events"] = events;
  state.counters["lines"] = static_cast<double>(lines);
  std::filesystem::remove(path);
}
BENCHMARK(threads)->Name("threads")->Threads(2)->Threads(8)->UseRealTime()->Iterations(10000);

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (argc != 2) {
    std::fprintf(stderr, "usage: micro DIRECTORY [options of Google Benchmark]\n");
    return 2;
  }
  directory = argv[1];
  std::filesystem::create_directories(directory);
  benchmark::RunSpecifiedBenchmarks();
}
