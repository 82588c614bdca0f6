// SPDX-License-Identifier: Apache-2.0
//
// spdlog under load. Its pattern writes the time, its formatting the rest; nothing is escaped by it: it is given what is
// escaped already, so the bytes in the file are ours.
#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>

#include "load.h"

namespace {

void set_up(spdlog::logger& log, std::atomic<bool>& failed) {
  log.set_formatter(std::make_unique<spdlog::pattern_formatter>(R"({"ts":"%Y-%m-%dT%H:%M:%S+00:00",%v})",
                                                                spdlog::pattern_time_type::utc, "\n"));
  log.set_error_handler([&failed](const std::string&) { failed = true; });
}

void log_item(spdlog::logger& log, const bench::item& of) {
  if (of.dest && of.detail) {
    log.info(R"("container":"{}","action":"{}","dest":"{}","detail":"{}"{})", of.container_text, of.action_text, of.dest_text,
             of.detail_text, of.rest_text);
  } else if (of.dest) {
    log.info(R"("container":"{}","action":"{}","dest":"{}"{})", of.container_text, of.action_text, of.dest_text, of.rest_text);
  } else if (of.detail) {
    log.info(R"("container":"{}","action":"{}","detail":"{}"{})", of.container_text, of.action_text, of.detail_text,
             of.rest_text);
  } else {
    log.info(R"("container":"{}","action":"{}"{})", of.container_text, of.action_text, of.rest_text);
  }
}

// One worker, a queue that blocks when it is full, and as many slots as make up the queue's bytes: a slot holds a message in
// itself up to some length, and in the heap beyond.
class asynchronous {
 public:
  asynchronous(const bench::request& order, const bench::workload& items) : items_(items) {
    const std::size_t longest = bench::line_bytes_max(items);
    const std::size_t slot_bytes = sizeof(spdlog::details::async_msg) + (longest > spdlog_buffer_bytes ? longest : 0);
    pool_ = std::make_shared<spdlog::details::thread_pool>(order.queue_bytes / slot_bytes, 1);
    log_ = std::make_shared<spdlog::async_logger>("audit", std::make_shared<spdlog::sinks::basic_file_sink_mt>(order.path),
                                                  pool_, spdlog::async_overflow_policy::block);
    set_up(*log_, failed_);
  }

  void log(std::size_t i) { log_item(*log_, items_[i]); }

  void finish() {
    pool_.reset();  // ends behind the last message; nobody else holds it
    log_.reset();   // closes the file
    if (failed_) throw std::runtime_error("spdlog reported an error");
  }

 private:
  static constexpr std::size_t spdlog_buffer_bytes = 250;

  const bench::workload& items_;
  std::atomic<bool> failed_ = false;
  std::shared_ptr<spdlog::details::thread_pool> pool_;
  std::shared_ptr<spdlog::async_logger> log_;
};

class synchronous {
 public:
  synchronous(const bench::request& order, const bench::workload& items)
      : items_(items), log_("audit", std::make_shared<spdlog::sinks::basic_file_sink_mt>(order.path)) {
    set_up(log_, failed_);
    log_.flush_on(spdlog::level::trace);
  }

  void log(std::size_t i) { log_item(log_, items_[i]); }

  void finish() {
    if (failed_) throw std::runtime_error("spdlog reported an error");
  }

 private:
  const bench::workload& items_;
  std::atomic<bool> failed_ = false;
  spdlog::logger log_;
};

template <class Subject>
bench::answer load(const bench::request& order, const bench::workload& items) {
  return bench::run<Subject>(order, items);
}

}  // namespace

int main() {
  return bench::serve_loads({{"spdlog-async", load<asynchronous>}, {"spdlog-sync", load<synchronous>}});
}
