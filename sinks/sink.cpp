// SPDX-License-Identifier: Apache-2.0
module;
#include <functional>
#include <string>
#include <utility>
module annals.sink;

namespace annals {

sink_error::~sink_error() = default;

sink::sink() = default;
sink::~sink() = default;

bool sink::keeps_log() const noexcept {
  return false;
}

void sink::archive(const closed_segment& segment) {
  throw sink_error({errc::sink_failed, 0, "cannot archive '" + segment.path + "': this sink archives nothing"});
}

void sink::set_notice_handler(notice_handler handler) {
  on_notice_ = std::move(handler);
}

void sink::notice(const error& what) const {
  if (on_notice_) on_notice_(what);
}

}  // namespace annals
