// SPDX-License-Identifier: Apache-2.0
//
// Boost.Log under load: an asynchronous sink with a bounded queue that blocks, a text file. Its queue is counted in records and
// fixed at compile time: a record and its attributes take some 512 bytes of heap.
#include <boost/log/attributes/clock.hpp>
#include <boost/log/core.hpp>
#include <boost/log/expressions.hpp>
#include <boost/log/expressions/formatters/date_time.hpp>
#include <boost/log/sinks/async_frontend.hpp>
#include <boost/log/sinks/block_on_overflow.hpp>
#include <boost/log/sinks/bounded_fifo_queue.hpp>
#include <boost/log/sinks/text_ostream_backend.hpp>
#include <boost/log/sources/logger.hpp>
#include <boost/log/sources/record_ostream.hpp>
#include <boost/log/support/date_time.hpp>
#include <boost/make_shared.hpp>
#include <boost/smart_ptr/shared_ptr.hpp>

#include <cstddef>
#include <fstream>
#include <string>

#include "load.h"

namespace {

namespace expressions = boost::log::expressions;
namespace sinks = boost::log::sinks;

constexpr std::size_t records = 16 * 1024 * 1024 / 512;

class boost_log {
 public:
  boost_log(const bench::request& order, const bench::workload& items) : items_(items) {
    const auto backend = boost::make_shared<sinks::text_ostream_backend>();
    backend->add_stream(boost::make_shared<std::ofstream>(order.path, std::ios::binary));
    sink_ = boost::make_shared<sink>(backend);
    sink_->set_formatter(expressions::stream
                         << R"({"ts":")"
                         << expressions::format_date_time<boost::posix_time::ptime>("TimeStamp", "%Y-%m-%dT%H:%M:%S")
                         << R"(+00:00",)" << expressions::smessage << '}');
    boost::log::core::get()->add_sink(sink_);
    boost::log::core::get()->add_global_attribute("TimeStamp", boost::log::attributes::utc_clock());
  }

  void log(std::size_t i) {
    const bench::item& of = items_[i];
    thread_local boost::log::sources::logger source;
    boost::log::record record = source.open_record();
    boost::log::record_ostream out(record);
    out << R"("container":")" << of.container_text << R"(","action":")" << of.action_text << '"';
    if (of.dest) out << R"(,"dest":")" << of.dest_text << '"';
    if (of.detail) out << R"(,"detail":")" << of.detail_text << '"';
    out << of.rest_text;
    out.flush();
    source.push_record(std::move(record));
  }

  void finish() {
    boost::log::core::get()->remove_sink(sink_);
    sink_->stop();
    sink_->flush();
    sink_.reset();  // closes the file
  }

 private:
  using sink =
      sinks::asynchronous_sink<sinks::text_ostream_backend, sinks::bounded_fifo_queue<records, sinks::block_on_overflow>>;

  const bench::workload& items_;
  boost::shared_ptr<sink> sink_;
};

}  // namespace

int main() {
  return bench::serve_loads({{"boost-log", bench::run<boost_log>}});
}
