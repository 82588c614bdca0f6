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

// Reads an absolute path of a socket, or "HOST", "HOST:PORT", "[V6]" or "[V6]:PORT". The default port is that of the transport:
// 514 (RFC 5426) or 601 (RFC 3195). Returns nothing for any other text.
std::optional<address> parse_address(transport kind, std::string_view text);

}  // namespace syslog_sink
