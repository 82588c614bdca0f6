// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
module annals.sinks.memory;
import annals.json;

namespace annals {

std::vector<std::string> memory_log::lines() const {
  const std::lock_guard lock(mutex_);
  return lines_;
}

std::vector<event> memory_log::events() const {
  std::vector<event> events;
  for (const std::string& line : lines()) events.push_back(json::decode_line(line).value());
  return events;
}

std::size_t memory_log::batches() const {
  const std::lock_guard lock(mutex_);
  return batches_;
}

std::size_t memory_log::syncs() const {
  const std::lock_guard lock(mutex_);
  return syncs_;
}

std::size_t memory_log::reopens() const {
  const std::lock_guard lock(mutex_);
  return reopens_;
}

void memory_log::clear() {
  const std::lock_guard lock(mutex_);
  lines_.clear();
  batches_ = syncs_ = reopens_ = 0;
}

void memory_log::fail_writes(error cause, int times) {
  const std::lock_guard lock(mutex_);
  writes_ = {std::move(cause), times};
}

void memory_log::fail_syncs(error cause, int times) {
  const std::lock_guard lock(mutex_);
  sync_faults_ = {std::move(cause), times};
}

void memory_log::meet(fault& one) {
  if (one.times == 0) return;
  if (one.times > 0) --one.times;
  throw sink_error(one.cause);
}

memory_sink::memory_sink(std::shared_ptr<memory_log> log) : log_(std::move(log)) {}

memory_sink::~memory_sink() = default;

void memory_sink::write(const batch& lines) {
  const std::lock_guard lock(log_->mutex_);
  memory_log::meet(log_->writes_);
  std::string_view rest = lines.lines;
  std::vector<std::string> taken;
  taken.reserve(lines.count);
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    taken.emplace_back(rest.substr(0, end));
    rest.remove_prefix(end + 1);
  }
  for (std::string& line : taken) log_->lines_.push_back(std::move(line));
  log_->bytes_ += lines.lines.size();
  ++log_->batches_;
}

void memory_sink::sync() {
  const std::lock_guard lock(log_->mutex_);
  memory_log::meet(log_->sync_faults_);
  ++log_->syncs_;
}

void memory_sink::reopen() {
  const std::lock_guard lock(log_->mutex_);
  ++log_->reopens_;
}

annals::position memory_sink::position() {
  const std::lock_guard lock(log_->mutex_);
  return {1, log_->bytes_};
}

}  // namespace annals
