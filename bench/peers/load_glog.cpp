// SPDX-License-Identifier: Apache-2.0
//
// glog under load, as it comes: a mutex, a FILE's buffer that is flushed every 30 seconds or million bytes. The blank that it
// puts behind its prefix makes each line a byte longer than ours, and a few lines of its own stand before them.
#include <glog/logging.h>

#include <cstddef>
#include <iomanip>
#include <ostream>
#include <string>

#include "load.h"

namespace {

void write_time(std::ostream& out, const google::LogMessageInfo& of, void*) {
  out << R"({"ts":")" << std::setfill('0') << std::setw(4) << 1900 + of.time.year() << '-' << std::setw(2)
      << 1 + of.time.month() << '-' << std::setw(2) << of.time.day() << 'T' << std::setw(2) << of.time.hour() << ':'
      << std::setw(2) << of.time.min() << ':' << std::setw(2) << of.time.sec() << R"(+00:00",)";
}

class glog {
 public:
  glog(const bench::request& order, const bench::workload& items) : items_(items) {
    google::SetLogDestination(google::GLOG_INFO, order.path.c_str());
  }

  void log(std::size_t i) {
    const bench::item& of = items_[i];
    google::LogMessage line(__FILE__, __LINE__, google::GLOG_INFO);
    line.stream() << R"("container":")" << of.container_text << R"(","action":")" << of.action_text << '"';
    if (of.dest) line.stream() << R"(,"dest":")" << of.dest_text << '"';
    if (of.detail) line.stream() << R"(,"detail":")" << of.detail_text << '"';
    line.stream() << of.rest_text << '}';
  }

  void finish() {
    google::FlushLogFiles(google::GLOG_INFO);
    google::SetLogDestination(google::GLOG_INFO, "");  // closes the file
  }

 private:
  const bench::workload& items_;
};

}  // namespace

int main(int, char** argv) {
  FLAGS_timestamp_in_logfile_name = false;
  FLAGS_log_utc_time = true;
  FLAGS_max_log_size = 4095;  // MB: no rotation within a run
  google::InitGoogleLogging(argv[0], write_time);
  return bench::serve_loads({{"glog", bench::run<glog>}});
}
