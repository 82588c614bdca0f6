// SPDX-License-Identifier: Apache-2.0
//
// Amounts of space, and a policy as its options say it.
module;
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>
module annals.retention;
import annals.event.text;

namespace annals {

namespace {

constexpr std::uint32_t whole_hundredths = 100 * 100;
constexpr std::uint32_t years_max = 1000;

}  // namespace

std::uint64_t space_amount::of(std::uint64_t total_bytes) const noexcept {
  if (percent_hundredths == 0) return bytes;
  // In two parts, so that no product is too large.
  return total_bytes / whole_hundredths * percent_hundredths +
         total_bytes % whole_hundredths * percent_hundredths / whole_hundredths;
}

std::optional<space_amount> parse_space(std::string_view text) noexcept {
  if (!text.ends_with('%')) {
    const auto bytes = parse_size(text);
    if (!bytes) return std::nullopt;
    return space_amount{*bytes, 0};
  }
  text.remove_suffix(1);
  const std::size_t point = text.find('.');
  const std::string_view whole = text.substr(0, point);
  const std::string_view decimals = point == std::string_view::npos ? "0" : text.substr(point + 1);
  const auto digits = [](std::string_view part, std::size_t count_max) {
    return !part.empty() && part.size() <= count_max && part.find_first_not_of("0123456789") == std::string_view::npos;
  };
  if (!digits(whole, 3) || !digits(decimals, 2)) return std::nullopt;
  std::uint32_t hundredths = 0;
  std::uint32_t fraction = 0;
  std::from_chars(whole.data(), whole.data() + whole.size(), hundredths);
  std::from_chars(decimals.data(), decimals.data() + decimals.size(), fraction);
  hundredths = hundredths * 100 + fraction * (decimals.size() == 1 ? 10 : 1);
  if (hundredths > whole_hundredths) return std::nullopt;
  return space_amount{0, hundredths};  // "0%" is no bytes
}

std::string to_string(const space_amount& amount) {
  if (amount.percent_hundredths == 0) return size_text(amount.bytes);
  std::string text = std::to_string(amount.percent_hundredths / 100);
  if (const std::uint32_t fraction = amount.percent_hundredths % 100; fraction != 0) {
    text += '.';
    text += static_cast<char>('0' + fraction / 10);
    if (fraction % 10 != 0) text += static_cast<char>('0' + fraction % 10);
  }
  return text + '%';
}

time_point retention_age::before(time_point now) const noexcept {
  using std::chrono::days;
  if (years != 0) {
    const auto day = std::chrono::floor<days>(now);
    const std::chrono::year_month_day date(day);
    const auto year = date.year() - std::chrono::years(std::min(years, years_max));
    auto then = year / date.month() / date.day();
    if (!then.ok()) then = year / date.month() / std::chrono::last;
    now = std::chrono::sys_days(then) + (now - day);
  }
  return now.time_since_epoch() < time_point::min().time_since_epoch() + rest ? time_point::min() : now - rest;
}

std::optional<retention_age> parse_age(std::string_view text) noexcept {
  retention_age age;
  if (const std::size_t unit = text.find('y'); unit != std::string_view::npos) {
    const auto [end, status] = std::from_chars(text.data(), text.data() + unit, age.years);
    if (unit == 0 || status != std::errc() || end != text.data() + unit || age.years > years_max) return std::nullopt;
    text.remove_prefix(unit + 1);
    if (text.empty()) return age;
    if (text.find('y') != std::string_view::npos) return std::nullopt;
  }
  const auto rest = parse_duration(text);
  if (!rest) return std::nullopt;
  age.rest = *rest;
  return age;
}

std::string to_string(const retention_age& age) {
  const auto days = std::chrono::floor<std::chrono::days>(age.rest);  // duration_text would make years of them
  std::string text = age.years != 0 ? std::to_string(age.years) + "y" : "";
  if (days.count() != 0) text += std::to_string(days.count()) + "d";
  return text.empty() || age.rest != days ? text + duration_text(age.rest - days) : text;
}

std::string_view name_of(retention_limit limit) noexcept {
  switch (limit) {
    case retention_limit::age: return "age";
    case retention_limit::bytes: return "bytes";
    case retention_limit::segments: return "segments";
    case retention_limit::free_space: return "free_space";
  }
  return "unknown";
}

retention_policy read_retention(option_reader& reader) {
  constexpr std::uint64_t bytes_max = std::uint64_t{1} << 60;
  retention_policy policy;
  if (const auto text = reader.text("keep_for")) {
    policy.keep_for = parse_age(*text);
    if (!policy.keep_for || (policy.keep_for->years == 0 && policy.keep_for->rest < std::chrono::seconds(1))) {
      policy.keep_for.reset();
      reader.problem("keep_for", "a length of time from \"1s\" to \"1000y\", like \"7y\" (calendar years) or \"90d\"");
    }
  }
  policy.keep_bytes = reader.size("keep_bytes", 1, bytes_max);
  if (const auto segments = reader.integer("keep_segments", 1, 1'000'000'000)) {
    policy.keep_segments = static_cast<std::uint64_t>(*segments);
  }
  if (const auto text = reader.text("keep_free")) {
    policy.keep_free = parse_space(*text);
    if (!policy.keep_free) reader.problem("keep_free", "a size like \"5GiB\", or a share of the file system like \"10%\"");
  }
  policy.allow_younger = reader.boolean("allow_younger").value_or(false);
  return policy;
}

}  // namespace annals
