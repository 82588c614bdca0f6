// SPDX-License-Identifier: Apache-2.0
//
// Ours under load: each delivery there is, on the file sink.
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "load.h"
import annals;

namespace {

// An item as log_event takes it. The views are into the item.
struct call {
  std::string_view container;
  std::string_view action;
  std::vector<annals::field> fields;
  annals::event_details details;

  explicit call(const bench::item& of) : container(of.container), action(of.action) {
    if (of.rule) fields.push_back({"rule", *of.rule});
    if (of.user) fields.push_back({"user", std::string_view(*of.user)});
    if (of.bytes) fields.push_back({"bytes", *of.bytes});
    if (of.dry_run) fields.push_back({"dry_run", true});
    if (of.dest) details.dest = *of.dest;
    if (of.detail) details.detail = *of.detail;
  }
};

class annals_log {
 public:
  annals_log(const bench::request& order, const bench::workload& items, annals::delivery delivery) {
    calls_.reserve(items.size());
    for (const bench::item& each : items) calls_.emplace_back(each);
    for (call& each : calls_) each.details.fields = each.fields;
    annals::logger_options options = {.path = order.path, .delivery = delivery};
    options.ring_bytes = order.queue_bytes;
    options.on_error = [this](const annals::error& what) {
      const std::lock_guard lock(mutex_);
      failure_ = what.message;
    };
    log_ = std::make_unique<annals::audit_logger>(std::move(options));
  }

  void log(std::size_t i) {
    const call& each = calls_[i];
    if (!log_->log_event(each.container, each.action, each.details).accepted()) [[unlikely]]
      refused_.fetch_add(1, std::memory_order_relaxed);
  }

  void finish() {
    log_.reset();
    if (refused_ != 0) throw std::runtime_error("annals refused " + std::to_string(refused_) + " events: " + failure_);
  }

 private:
  std::vector<call> calls_;
  std::atomic<std::uint64_t> refused_ = 0;
  std::mutex mutex_;
  std::string failure_;  // the last one
  std::unique_ptr<annals::audit_logger> log_;
};

bench::loader loading(annals::delivery delivery) {
  return [delivery](const bench::request& order, const bench::workload& items) {
    return bench::run<annals_log>(order, items, delivery);
  };
}

}  // namespace

int main() {
  return bench::serve_loads({
      {"direct", loading(annals::delivery::direct)},
      {"ring", loading(annals::delivery::ring)},
      {"durable", loading(annals::delivery::durable)},
  });
}
