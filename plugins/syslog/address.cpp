// SPDX-License-Identifier: Apache-2.0
#include "address.h"

#include <sys/un.h>

#include <charconv>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

namespace syslog_sink {

namespace {

bool is_port(std::string_view text) {
  unsigned port = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), port);
  return status == std::errc() && end == text.data() + text.size() && port >= 1 && port <= 65535;
}

}  // namespace

std::optional<address> parse_address(transport kind, std::string_view text) {
  if (text.find('\0') != std::string_view::npos) return std::nullopt;
  if (kind == transport::unix_datagram || kind == transport::unix_stream) {
    if (!text.starts_with('/') || text.size() >= sizeof(sockaddr_un::sun_path)) return std::nullopt;
    return address{std::string(text), {}};
  }
  std::string_view host = text;
  std::string_view rest;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    host = text.substr(1, end - 1);
    rest = text.substr(end + 1);
  } else if (const std::size_t colon = text.find(':'); colon != std::string_view::npos) {
    host = text.substr(0, colon);
    rest = text.substr(colon);
  }
  if (host.empty() || (!rest.empty() && (rest.front() != ':' || !is_port(rest.substr(1))))) return std::nullopt;
  const std::string_view usual = kind == transport::udp ? "514" : "601";
  return address{std::string(host), std::string(rest.empty() ? usual : rest.substr(1))};
}

}  // namespace syslog_sink
