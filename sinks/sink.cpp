// SPDX-License-Identifier: Apache-2.0
module;
#include <functional>
#include <optional>
#include <string>
#include <utility>
module annals.sink;

namespace annals {

sink_error::~sink_error() = default;

notifier::notifier() = default;
notifier::~notifier() = default;

void notifier::set_notice_handler(notice_handler handler) {
  on_notice_ = std::move(handler);
}

void notifier::notify(const notice& what) const {
  if (on_notice_) on_notice_(what);
}

sink::sink() = default;
sink::~sink() = default;

bool sink::keeps_log() const noexcept {
  return false;
}

std::optional<closed_segment> sink::start_segment() {
  throw sink_error({errc::sink_failed, 0, "cannot start a new segment: this sink has no segments"});
}

archiver::archiver() = default;
archiver::~archiver() = default;

}  // namespace annals
