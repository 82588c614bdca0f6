// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace syslog_sink {

enum class transport : std::uint8_t { unix_datagram, unix_stream, udp, tcp };

struct address {
  std::string host;  // of Unix sockets: the path
  std::string port;  // decimal; of Unix sockets: empty
};

// An absolute path that a socket may have; or "HOST", "HOST:PORT", "[V6]" or "[V6]:PORT", with the transport's port where there
// is none: 514 (RFC 5426), 601 (RFC 3195). Nothing for anything else.
std::optional<address> parse_address(transport kind, std::string_view text);

}  // namespace syslog_sink
