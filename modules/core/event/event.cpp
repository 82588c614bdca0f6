// SPDX-License-Identifier: Apache-2.0
module;
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
module annals.event;

namespace annals {

failure::failure(error cause) : cause_(std::make_shared<const error>(std::move(cause))) {}
failure::failure(const failure&) noexcept = default;
failure& failure::operator=(const failure&) noexcept = default;
failure::~failure() = default;

const char* failure::what() const noexcept {
  return cause_->message.c_str();
}

notice failure_notice(notice_code code, const error& cause) {
  return {code, severity::error, cause.system_code, cause.message};
}

std::string_view receipt::message() const noexcept {
  return cause_ ? std::string_view(cause_->message) : std::string_view();
}

const stored_value* event::find(std::string_view name) const noexcept {
  for (const stored_field& field : fields) {
    if (field.name == name) return &field.value;
  }
  return nullptr;
}

}  // namespace annals
