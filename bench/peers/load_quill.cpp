// SPDX-License-Identifier: Apache-2.0
//
// quill under load: a bounded queue for each producer that blocks, one backend thread, a text file. Its pattern writes the time
// as text before the rest of the line. Its queue is fixed at compile time.
#include <quill/Backend.h>
#include <quill/Frontend.h>
#include <quill/LogMacros.h>
#include <quill/Logger.h>
#include <quill/sinks/FileSink.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "load.h"

namespace {

struct options : quill::FrontendOptions {
  static constexpr quill::QueueType queue_type = quill::QueueType::BoundedBlocking;
  static constexpr std::size_t initial_queue_capacity = 16 * 1024 * 1024;
};
using frontend = quill::FrontendImpl<options>;

class quill_log {
 public:
  quill_log(const bench::request& order, const bench::workload& items) : items_(items) {
    quill::FileSinkConfig config;
    config.set_open_mode('w');
    quill::PatternFormatterOptions pattern;
    pattern.format_pattern = "%(time) %(message)";
    pattern.timestamp_pattern = "%Y-%m-%dT%H:%M:%S+00:00";
    pattern.timestamp_timezone = quill::Timezone::GmtTime;
    log_ =
        frontend::create_or_get_logger(order.path, frontend::create_or_get_sink<quill::FileSink>(order.path, config), pattern);
  }

  void log(std::size_t i) {
    const bench::item& of = items_[i];
    if (of.dest && of.detail) {
      LOG_INFO(log_, R"("container":"{}","action":"{}","dest":"{}","detail":"{}"{})", of.container_text, of.action_text,
               of.dest_text, of.detail_text, of.rest_text);
    } else if (of.dest) {
      LOG_INFO(log_, R"("container":"{}","action":"{}","dest":"{}"{})", of.container_text, of.action_text, of.dest_text,
               of.rest_text);
    } else if (of.detail) {
      LOG_INFO(log_, R"("container":"{}","action":"{}","detail":"{}"{})", of.container_text, of.action_text, of.detail_text,
               of.rest_text);
    } else {
      LOG_INFO(log_, R"("container":"{}","action":"{}"{})", of.container_text, of.action_text, of.rest_text);
    }
  }

  void finish() {
    log_->flush_log();
    frontend::remove_logger(log_);  // closes the file
  }

 private:
  const bench::workload& items_;
  quill::LoggerImpl<options>* log_;
};

}  // namespace

int main() {
  quill::BackendOptions backend;
  backend.check_printable_char = {};
  quill::Backend::start(backend);
  return bench::serve_loads({{"quill", bench::run<quill_log>}});
}
