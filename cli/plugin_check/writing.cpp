// SPDX-License-Identifier: Apache-2.0
//
// The cases of `annals plugin check` about lines: what is written arrives, whole, once and in order.
#include <annals_plugin.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "plugins/commands.h"
import annals;
#include "plugin_check/cases.h"

namespace cli::check {

using std::string;

// --- writing ------------------------------------------------------------------------------------------------------------

void order(plugin_trial& trial) {
  need_sink(trial);
  trial.need_visible();
  made_object* const sink = trial.make();
  string expected;
  std::uint64_t next = 0;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    const std::uint64_t count = 1 + i % 7;
    const string batch = lines(next, count);
    trial.write(sink, batch, count);
    expected += batch;
    next += count;
  }
  trial.destroy(sink);
  trial.expect_delivered(expected);
}

void empty_batch(plugin_trial& trial) {
  need_sink(trial);
  made_object* const sink = trial.make();
  trial.write(sink, "", 0);
  trial.write(sink, lines(0, 1), 1);
  trial.write(sink, "", 0);
  trial.write(sink, lines(1, 1), 1);
  trial.destroy(sink);
  trial.expect_delivered(lines(0, 2));
}

// A destination may have a limit of its own, which is then an error; what follows gets through all the same.
void large_batch(plugin_trial& trial) {
  need_sink(trial);
  constexpr std::size_t bytes = 1024 * 1024;
  string many;
  std::uint64_t count = 0;
  while (many.size() < bytes) many += trial_line(count++);
  const string one = R"({"ts":"2026-01-01T00:00:00+00:00","container":"check","action":"write","detail":")" +
                     string(bytes - 100, 'x') + "\"}\n";
  made_object* const sink = trial.make();
  string expected;
  if (trial.try_write(sink, many, count)) expected += many;
  if (trial.try_write(sink, one, 1)) expected += one;
  trial.write(sink, lines(0, 1), 1);
  expected += lines(0, 1);
  trial.destroy(sink);
  trial.expect_delivered(expected);
}

void many_batches(plugin_trial& trial) {
  need_sink(trial);
  made_object* const sink = trial.make();
  string expected;
  for (std::uint64_t i = 0; i < 100'000; ++i) {
    const string line = trial_line(i);
    trial.write(sink, line, 1);
    if (trial.is_visible()) expected += line;
  }
  trial.destroy(sink);
  trial.expect_delivered(expected);
}

void sync(plugin_trial& trial) {
  need_sink(trial);
  made_object* const sink = trial.make();
  trial.sync(sink);
  for (std::uint64_t i = 0; i < 20; ++i) {
    trial.write(sink, trial_line(i), 1);
    trial.sync(sink);
    if (trial.is_visible()) trial.expect_delivered(lines(0, i + 1));
  }
  trial.sync(sink);
  trial.destroy(sink);
  trial.need_visible();
}

void reopen(plugin_trial& trial) {
  need_sink(trial);
  made_object* const sink = trial.make();
  trial.reopen(sink);
  trial.write(sink, lines(0, 3), 3);
  if (trial.is_file()) std::filesystem::rename(trial.destination(), trial.destination() + ".1");
  trial.reopen(sink);
  trial.write(sink, lines(3, 2), 2);
  trial.destroy(sink);
  trial.need_visible();
  if (!trial.is_file()) return trial.expect_delivered(lines(0, 5));
  trial.expect_delivered(lines(3, 2));
  if (content_of(trial.destination() + ".1") != lines(0, 3)) {
    fail_case("the file that was renamed before reopen has not the lines that were written before it, or more");
  }
}

void position_is_monotonic(plugin_trial& trial) {
  need_sink(trial);
  made_object* const sink = trial.make();
  annals_position last = trial.position(sink);
  for (std::uint64_t i = 0; i < 200; ++i) {
    const string batch = lines(i, 1 + i % 3);
    trial.write(sink, batch, 1 + i % 3);
    const annals_position now = trial.position(sink);
    const bool forward =
        now.segment > last.segment || (now.segment == last.segment && now.offset >= last.offset + batch.size());
    if (!forward) {
      fail_case("after " + std::to_string(batch.size()) + " bytes the position went from segment " +
                std::to_string(last.segment) + ", offset " + std::to_string(last.offset) + " to " +
                std::to_string(now.segment) + ", " + std::to_string(now.offset) + "; expected it to advance by at least that");
    }
    last = now;
  }
  trial.destroy(sink);
}

void start_segment(plugin_trial& trial) {
  need_sink(trial);
  if (trial.sink_functions().start_segment == nullptr) {
    throw case_ended{verdict::not_applicable, "its sinks have no segments: the function start_segment is null"};
  }
  made_object* const sink = trial.make();
  if (const string closed = trial.start_segment(sink); !closed.empty()) {
    fail_case("start_segment closed '" + closed + "' before the first line; expected it to close nothing");
  }
  trial.write(sink, lines(0, 3), 3);
  const annals_position before = trial.position(sink);
  const string closed = trial.start_segment(sink);
  if (closed.empty()) fail_case("start_segment closed nothing after three lines");
  if (content_of(closed) != lines(0, 3)) fail_case("'" + closed + "', which start_segment closed, has not the lines written");
  const annals_position after = trial.position(sink);
  if (after.segment <= before.segment || after.offset != 0) {
    fail_case("after start_segment the position is segment " + std::to_string(after.segment) + ", offset " +
              std::to_string(after.offset) + "; expected offset 0 of a segment behind " + std::to_string(before.segment));
  }
  trial.write(sink, lines(3, 2), 2);
  trial.sync(sink);
  trial.destroy(sink);
  trial.expect_delivered(lines(3, 2));
}

// --- lives --------------------------------------------------------------------------------------------------------------

void create_and_destroy_twice(plugin_trial& trial) {
  trial.destroy(nullptr);
  for (int round = 0; round < 3; ++round) {
    made_object* const first = trial.make();
    made_object* const second = trial.make();
    if (first == second) fail_case("create made the same sink twice");
    const auto base = static_cast<std::uint64_t>(round) * 3;
    use(trial, first, base);
    use(trial, second, base + 1);
    trial.destroy(round == 0 ? second : first);
    use(trial, round == 0 ? first : second, base + 2);
    trial.destroy(round == 0 ? first : second);
  }
}

void fork_leaves_the_parent_alone(plugin_trial& trial) {
  made_object* const sink = trial.make();
  for (std::uint64_t i = 0; i < 10; ++i) use(trial, sink, i);
  const pid_t child = ::fork();
  if (child < 0) fail_case("the checker could not fork");
  if (child == 0) {
    trial.destroy(sink);
    std::exit(0);  // with all that a process does at its end: buffers that were copied are flushed now
  }
  int status = 0;
  if (::waitpid(child, &status, 0) != child || status != 0) {
    fail_case("a forked child that destroyed its copy of the sink ended with status " + std::to_string(status));
  }
  for (std::uint64_t i = 10; i < 20; ++i) use(trial, sink, i);
  call_the_rest(trial, sink);
  trial.destroy(sink);
  if (!trial.archives()) trial.expect_delivered(lines(0, 20));
}

void threads(plugin_trial& trial) {
  made_object* const sink = trial.make();
  std::exception_ptr failed;
  const auto in_thread = [&failed](const std::function<void()>& work) {
    return std::thread([&failed, work] {
      try {
        work();
      } catch (...) {
        failed = std::current_exception();
      }
    });
  };
  for (std::uint64_t i = 0; i < 100; ++i) in_thread([&] { use(trial, sink, i); }).join();
  trial.destroy(sink);
  if (failed) std::rethrow_exception(failed);
  if (trial.is_visible()) trial.expect_delivered(lines(0, 100));
  // Four sinks in four threads. The trial itself keeps state, so each thread has the table alone.
  constexpr std::uint64_t calls_each = 500;
  constexpr std::uint64_t archives_each = 20;
  std::vector<string> segments;
  for (std::uint64_t n = 0; n < 4 * archives_each && trial.archives(); ++n)
    segments.push_back(make_segment(trial, 1000 + n, 20));
  std::vector<made_object*> objects;
  for (int i = 0; i < 4; ++i) objects.push_back(trial.make());
  std::vector<std::thread> running;
  std::array<int, 4> failures = {};
  for (std::size_t i = 0; i < objects.size(); ++i) {
    running.emplace_back([&, i] {
      for (std::uint64_t n = i; n < segments.size(); n += 4) {
        const annals_segment segment = {sizeof segment, segments[n].c_str(), 1000 + n};
        auto* const archiver = reinterpret_cast<annals_archiver*>(objects[i]);
        if (trial.archiver_functions().archive(archiver, &segment) != ANNALS_OK) ++failures[i];
      }
      for (std::uint64_t n = 0; n < calls_each && !trial.archives(); ++n) {
        const string line = trial_line(n);
        annals_batch batch = {sizeof batch, line.data(), line.size(), 1, n + 1, 0};
        auto* const sink = reinterpret_cast<annals_sink*>(objects[i]);
        if (trial.sink_functions().write(sink, &batch) != ANNALS_OK) ++failures[i];
      }
    });
  }
  for (std::thread& one : running) one.join();
  for (made_object* const one : objects) trial.destroy(one);
  const int all = failures[0] + failures[1] + failures[2] + failures[3];
  if (all != 0) fail_case(std::to_string(all) + " calls failed with four sinks in four threads");
  if (!trial.archives()) trial.need_visible();
}

}  // namespace cli::check
