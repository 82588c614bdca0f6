// SPDX-License-Identifier: Apache-2.0
//
// Loads a logger and measures it. A program of these reads lines
//
//   SUBJECT LOAD WORKLOAD PRODUCERS EVENTS QUEUE_BYTES PATH
//
// and answers each with a line of JSON. Loads:
//   flood   PRODUCERS threads log as fast as they can. No clock is read within, so the mean is that of the calls alone
//   timed   the same, and each call is timed (from the end of the one before it, so that one clock read does for both)
//   open    100,000 events a second, each due at a time that was fixed before; its latency counts from that time, however late
//           the call was begun, so that a stall is seen in all the events it delays (no coordinated omission)
// The first event of all is logged before the clock starts: some open their files with it, others when they are made. The run
// ends when every line is in the file and the logger is gone.
//
// A subject is made from a request and a workload, and has: log(i), which logs item i, from any thread; finish(), which
// returns when all is in the file, and throws when something was refused.
#pragma once
#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <iostream>
#include <limits>
#include <map>
#include <numeric>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "workload.h"

namespace bench {

struct request {
  std::string subject;
  std::string load;
  std::string workload;
  std::size_t producers = 0;
  std::size_t events = 0;
  std::size_t queue_bytes = 0;
  std::string path;
};

struct answer {
  double caller_ns = 0;   // the mean of the calls
  double drained_ns = 0;  // from the first call to the last line in the file
  double cpu_ns = 0;      // of all threads, user and system
  std::vector<std::uint32_t> latencies;
};

inline constexpr std::int64_t open_loop_gap_ns = 10'000;
inline constexpr double quantiles[] = {0,    0.1,  0.2,   0.3,   0.4,    0.5,    0.6,     0.7,     0.8,      0.9, 0.95,
                                       0.98, 0.99, 0.995, 0.999, 0.9995, 0.9999, 0.99995, 0.99999, 0.999999, 1};

namespace detail {

inline std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

inline double cpu_ns() {
  rusage used = {};
  getrusage(RUSAGE_SELF, &used);
  const auto ns = [](const timeval& t) { return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_usec) * 1e3; };
  return ns(used.ru_utime) + ns(used.ru_stime);
}

inline std::uint32_t clipped(std::int64_t ns) {
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(ns, 0, std::numeric_limits<std::uint32_t>::max()));
}

// Alone, a producer spins until its event is due: a sleeper wakes too late to tell a fast logger from a slow one. Several would
// take the cores from the logger's own thread, so these sleep; the lateness of waking is in all their latencies alike.
inline void wait_until(std::int64_t due, bool alone) {
  if (!alone && now_ns() < due) {
    const timespec when = {due / 1'000'000'000, due % 1'000'000'000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, nullptr);
  }
  while (now_ns() < due) {
  }
}

// What one producer did.
struct part {
  std::int64_t busy_ns = 0;
  std::vector<std::uint32_t> latencies;
  std::exception_ptr failure;
};

template <class Subject>
void produce(const request& order, std::size_t items, std::size_t producer, std::int64_t start, Subject& subject, part& done) {
  std::size_t index = producer % items;
  const std::size_t step = order.producers % items;
  const auto advance = [&] {
    index += step;
    if (index >= items) index -= items;
  };
  const bool open = order.load == "open";
  const bool timed = order.load == "timed";
  const std::int64_t begin = now_ns();
  std::int64_t last = begin;
  for (std::size_t i = producer; i < order.events; i += order.producers, advance()) {
    if (i == 0) continue;  // it was logged before
    if (open) {
      last = start + static_cast<std::int64_t>(i) * open_loop_gap_ns;
      wait_until(last, order.producers == 1);
    }
    subject.log(index);
    if (!open && !timed) continue;
    const std::int64_t end = now_ns();
    done.latencies.push_back(clipped(end - last));
    last = end;
  }
  done.busy_ns = now_ns() - begin;
}

}  // namespace detail

template <class Subject, class... Arguments>
answer run(const request& order, const workload& items, Arguments... arguments) {
  std::vector<detail::part> parts(order.producers);
  for (detail::part& each : parts) {  // all pages of it are there before the clock starts
    if (order.load != "flood") each.latencies.assign(order.events / order.producers + 1, 0);
    each.latencies.clear();
  }
  Subject subject(order, items, arguments...);
  subject.log(0);
  std::atomic<std::int64_t> start = 0;
  std::vector<std::thread> threads;
  for (std::size_t p = 0; p < order.producers; ++p) {
    threads.emplace_back([&, p] {
      start.wait(0);
      try {
        detail::produce(order, items.size(), p, start, subject, parts[p]);
      } catch (...) {
        parts[p].failure = std::current_exception();
      }
    });
  }
  answer made;
  const double cpu_before = detail::cpu_ns();
  const std::int64_t began = detail::now_ns();
  start = began + (order.load == "open" ? 1'000'000 : 0);
  start.notify_all();
  for (std::thread& each : threads) each.join();
  subject.finish();
  made.drained_ns = static_cast<double>(detail::now_ns() - began);
  made.cpu_ns = detail::cpu_ns() - cpu_before;
  for (detail::part& each : parts) {
    if (each.failure) std::rethrow_exception(each.failure);
    made.caller_ns += static_cast<double>(each.busy_ns) / static_cast<double>(order.events);
    made.latencies.insert(made.latencies.end(), each.latencies.begin(), each.latencies.end());
  }
  std::sort(made.latencies.begin(), made.latencies.end());
  if (order.load == "open") {  // the producers also waited
    const double sum = std::accumulate(made.latencies.begin(), made.latencies.end(), 0.0);
    made.caller_ns = sum / static_cast<double>(order.events);
  }
  return made;
}

inline std::string as_json(const answer& made) {
  std::ostringstream out;
  out << R"({"caller_ns":)" << made.caller_ns << R"(,"drained_ns":)" << made.drained_ns << R"(,"cpu_ns":)" << made.cpu_ns
      << R"(,"latency_ns":[)";
  for (const double quantile : quantiles) {
    if (made.latencies.empty()) break;
    const auto last = static_cast<double>(made.latencies.size() - 1);
    out << (quantile == 0 ? "" : ",") << '[' << quantile << ',' << made.latencies[static_cast<std::size_t>(quantile * last)]
        << ']';
  }
  out << "]}";
  return out.str();
}

using loader = std::function<answer(const request&, const workload&)>;

// Answers standard input until its end. Returns the exit code; a subject that throws ends it with 1 and a message.
inline int serve_loads(const std::map<std::string, loader, std::less<>>& known) try {
  std::map<std::string, workload, std::less<>> made;
  request order;
  while (std::cin >> order.subject >> order.load >> order.workload >> order.producers >> order.events >> order.queue_bytes >>
             std::ws &&
         std::getline(std::cin, order.path)) {
    if (!made.contains(order.workload)) made[order.workload] = make_workload(order.workload);
    std::cout << as_json(known.at(order.subject)(order, made[order.workload])) << std::endl;
  }
  return 0;
} catch (const std::exception& thrown) {
  std::cerr << "bench: " << thrown.what() << '\n';
  return 1;
}

}  // namespace bench
