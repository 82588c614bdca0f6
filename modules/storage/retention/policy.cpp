// SPDX-License-Identifier: Apache-2.0
//
// Amounts of space, and a policy as its options say it.
module;
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
  policy.keep_for = reader.duration("keep_for", std::chrono::seconds(1), std::chrono::hours(24 * 365 * 1000));
  policy.keep_bytes = reader.size("keep_bytes", 1, bytes_max);
  if (const auto segments = reader.integer("keep_segments", 1, 1'000'000'000)) {
    policy.keep_segments = static_cast<std::uint64_t>(*segments);
  }
  if (const auto text = reader.text("keep_free")) {
    policy.keep_free = parse_space(*text);
    if (!policy.keep_free) reader.problem("keep_free", "a size like \"5GiB\", or a share of the file system like \"10%\"");
  }
  return policy;
}

}  // namespace annals
