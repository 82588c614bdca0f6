// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
module annals.delivery;
import annals.json;

namespace annals {

// Made when the library is loaded, and never destroyed.
const error_pointer& out_of_memory =
    *new error_pointer(std::make_shared<const error>(error{errc::io, 0, "cannot log the event: no memory left"}));

error_pointer current_error() noexcept try {
  try {
    throw;
  } catch (const failure& thrown) {
    return std::make_shared<const error>(thrown.cause());
  } catch (const std::bad_alloc&) {
    return out_of_memory;
  } catch (const std::exception& thrown) {
    return std::make_shared<const error>(error{errc::sink_failed, 0, std::string("the sink failed: ") + thrown.what()});
  } catch (...) {
    return std::make_shared<const error>(
        error{errc::sink_failed, 0, "the sink failed: it threw something that is no std::exception"});
  }
} catch (...) {
  return out_of_memory;
}

// --- reports ---------------------------------------------------------------------------------------------------------------

namespace {

// Whether the message says how many events are concerned, so that each one has to be reported.
bool has_count(const error&) noexcept {
  return false;
}
bool has_count(const notice& what) noexcept {
  return what.code == notice_code::file_replaced || what.code == notice_code::events_repeated;
}

}  // namespace

reporter::reporter(error_handler on_error, notice_handler on_notice, std::chrono::nanoseconds interval)
    : on_error_(std::move(on_error)), on_notice_(std::move(on_notice)), interval_(interval) {}

void reporter::report(const error& what) noexcept {
  limit(errors_[static_cast<std::size_t>(what.code)], what);
}

void reporter::report(const notice& what) noexcept {
  limit(notices_[static_cast<std::size_t>(what.code)], what);
}

template <class Report>
void reporter::limit(kind& of_kind, const Report& what) noexcept try {
  if (has_count(what)) return pass_on(what);
  std::uint64_t unreported = 0;
  {
    const std::lock_guard lock(mutex_);
    const auto now = io::calls().uptime();
    if (of_kind.reported && now - *of_kind.reported < interval_) {
      ++of_kind.unreported;
      return;
    }
    of_kind.reported = now;
    unreported = std::exchange(of_kind.unreported, 0);
  }
  if (unreported == 0) return pass_on(what);
  Report counted = what;
  counted.message += " (and " + std::to_string(unreported) + " more of this kind since the last report)";
  pass_on(counted);
} catch (...) {  // a handler that throws, or no memory for a message: the counters and the receipt remain
}

void reporter::pass_on(const error& what) const {
  if (on_error_) {
    on_error_(what);
  } else {
    io::print_error(what.message);
  }
}

void reporter::pass_on(const notice& what) const {
  if (on_notice_) {
    on_notice_(what);
  } else if (what.severity == severity::error) {
    pass_on(error{errc::background_failed, what.system_code, what.message});
  }
}

// --- the sink --------------------------------------------------------------------------------------------------------------

output::output(std::unique_ptr<annals::sink> sink, output_options options, reporter& to)
    : options_(std::move(options)), reports_(to), sink_(std::move(sink)) {
  sink_->set_notice_handler([this](const notice& what) { hear(what); });
}

output::~output() {
  sink_.reset();
  report_pending();
}

void output::hear(const notice& what) {
  if (options_.on_notice) options_.on_notice(what);
  if (what.code == notice_code::segment_closed || what.code == notice_code::file_replaced) ++moves_;
  pending_notices_.push_back(what);
}

error_pointer output::write(const batch& lines) noexcept {
  const std::lock_guard lock(mutex_);
  try {
    sink_->write(lines);
    bytes_.add(lines.lines.size());
    return nullptr;
  } catch (...) {
    return current_error();
  }
}

error_pointer output::sync() noexcept {
  return use([](annals::sink& to) { to.sync(); });
}

void output::report_pending() noexcept {
  mutex_.lock();
  unlock_and_report(nullptr, 0);
}

void output::unlock_and_report(const error* cause, std::uint64_t events) noexcept {
  const std::vector<notice> pending = std::exchange(pending_notices_, {});
  notices_.add(pending.size());
  mutex_.unlock();
  if (cause != nullptr) failed_.fetch_add(events, std::memory_order_relaxed);
  for (const notice& what : pending) report(what);
  if (cause != nullptr) report(*cause);
}

receipt output::refuse(error cause) noexcept try {
  count_failed();
  report(cause);
  return receipt(std::make_shared<const error>(std::move(cause)));
} catch (...) {
  return receipt(out_of_memory);
}

receipt output::refuse_without_memory() noexcept {
  count_failed();
  report(*out_of_memory);
  return receipt(out_of_memory);
}

std::string own_line(std::string_view action, const event_details& details, precision timestamps) {
  const std::string ts = to_string(timestamp{io::calls().now(), timestamps});
  const json::line_parts parts = {ts, "annals", action, details};
  std::string line(json::line_bytes_bound(parts), '\0');
  line.resize(json::encode_line(parts, line.data()).value());
  return line;
}

event_delivery::~event_delivery() = default;

}  // namespace annals
