// SPDX-License-Identifier: Apache-2.0
//
// Addresses of the internet as destinations have them.
module;
#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <system_error>
module annals.reader;

namespace annals {

namespace {

constexpr unsigned ipv4_bits = 32;
constexpr unsigned ipv6_bits = 128;

struct place {
  std::string_view host;
  std::optional<std::string_view> port;
};

// HOST, HOST:PORT, [HOST] and [HOST]:PORT. What has several colons and no brackets is a host.
std::optional<place> split(std::string_view text) {
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view behind = text.substr(end + 1);
    if (!behind.empty() && !behind.starts_with(':')) return std::nullopt;
    return place{text.substr(1, end - 1), behind.empty() ? std::nullopt : std::optional(behind.substr(1))};
  }
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || text.find(':', colon + 1) != std::string_view::npos) return place{text, std::nullopt};
  return place{text.substr(0, colon), text.substr(colon + 1)};
}

template <class Number>
std::optional<Number> number_in(std::string_view text, int base = 10) {
  Number value = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return status == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

// Puts zeros at `zeros`, so that the first `count` bytes become all of them.
bool spread(std::array<unsigned char, 16>& bytes, std::size_t count, std::optional<std::size_t> zeros) {
  if (!zeros) return count == bytes.size();
  if (count == bytes.size()) return false;
  const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(*zeros);
  std::move_backward(begin, bytes.begin() + static_cast<std::ptrdiff_t>(count), bytes.end());
  std::fill(begin, bytes.end() - static_cast<std::ptrdiff_t>(count - *zeros), static_cast<unsigned char>(0));
  return true;
}

// Four numbers with dots, without needless zeros.
bool read_ipv4(std::string_view text, unsigned char* bytes) {
  for (int i = 0; i < 4; ++i) {
    const std::string_view part = text.substr(0, i < 3 ? text.find('.') : std::string_view::npos);
    const auto number = number_in<std::uint8_t>(part);
    if (!number || (part.size() > 1 && part.front() == '0')) return false;
    bytes[i] = *number;
    text.remove_prefix(std::min(part.size() + 1, text.size()));
  }
  return true;
}

// RFC 4291, 2.2: groups of hexadecimal digits with colons; `::` once, for those that are zero; an IPv4 address at the end.
bool read_ipv6(std::string_view text, std::array<unsigned char, 16>& bytes) {
  std::size_t count = 0;
  std::optional<std::size_t> zeros;  // where they begin
  if (text.starts_with("::")) {
    zeros = 0;
    text.remove_prefix(2);
  }
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(':'));
    const bool is_ipv4 = part.find('.') != std::string_view::npos;
    if (count + (is_ipv4 ? 4 : 2) > bytes.size() || (is_ipv4 && part.size() != text.size())) return false;
    if (is_ipv4) return read_ipv4(part, &bytes[count]) && spread(bytes, count + 4, zeros);
    const auto group = part.size() <= 4 ? number_in<std::uint16_t>(part, 16) : std::nullopt;
    if (!group) return false;
    bytes[count++] = static_cast<unsigned char>(*group >> 8);
    bytes[count++] = static_cast<unsigned char>(*group & 0xff);
    text.remove_prefix(part.size());
    if (text.empty()) break;
    text.remove_prefix(1);
    if (text.starts_with(':') && !zeros) {
      zeros = count;
      text.remove_prefix(1);
    } else if (text.empty()) {
      return false;
    }
  }
  return spread(bytes, count, zeros);
}

// One address, without a port; nothing where it is none.
std::optional<address_match> parse_address(std::string_view host) {
  constexpr std::array<unsigned char, 12> mapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  const std::string_view text = host.substr(0, host.find('%'));
  address_match found;
  found.bits = ipv4_bits;
  if (read_ipv4(text, found.address.data())) return found;
  found.address = {};
  if (!read_ipv6(text, found.address)) return std::nullopt;
  if (std::equal(mapped.begin(), mapped.end(), found.address.begin()) && text.find('.') != std::string_view::npos) {
    std::rotate(found.address.begin(), found.address.begin() + mapped.size(), found.address.end());
    return found;
  }
  found.is_ipv4 = false;
  found.bits = ipv6_bits;
  return found;
}

bool begin_alike(const address_match& a, const address_match& b, unsigned bits) {
  const std::size_t whole = bits / 8;
  if (!std::equal(a.address.begin(), a.address.begin() + static_cast<std::ptrdiff_t>(whole), b.address.begin())) return false;
  const unsigned rest = bits % 8;
  return rest == 0 || (a.address[whole] ^ b.address[whole]) >> (8 - rest) == 0;
}

}  // namespace

std::optional<address_match> parse_address_match(std::string_view text) {
  const auto parts = split(text);
  if (!parts) return std::nullopt;
  const std::size_t slash = parts->host.find('/');
  auto found = parse_address(parts->host.substr(0, slash));
  if (!found) return std::nullopt;
  if (slash != std::string_view::npos) {
    const auto bits = number_in<unsigned>(parts->host.substr(slash + 1));
    if (!bits || *bits > found->bits || (found->is_ipv4 && parts->host.find(':') != std::string_view::npos))
      return std::nullopt;
    found->bits = *bits;
  }
  if (parts->port) {
    found->port = number_in<std::uint16_t>(*parts->port);
    if (!found->port) return std::nullopt;
  }
  return found;
}

bool meets(const address_match& wanted, std::string_view dest) {
  const auto parts = split(dest);
  if (!parts) return false;
  const auto found = parse_address(parts->host);
  if (!found || found->is_ipv4 != wanted.is_ipv4 || !begin_alike(*found, wanted, wanted.bits)) return false;
  return !wanted.port || (parts->port && number_in<std::uint16_t>(*parts->port) == wanted.port);
}

}  // namespace annals
