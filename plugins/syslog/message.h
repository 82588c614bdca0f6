// SPDX-License-Identifier: Apache-2.0
//
// A syslog message, RFC 5424.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace syslog_sink {

// What all messages of a sink have in common.
struct message_format {
  unsigned priority = 0;  // PRI: facility * 8 + severity
  std::string hostname;
  std::string app_name;
  std::string sd_id;       // "annals@32473"; empty: no structured data
  bool is_detail = false;  // MSG is the detail, not the line
};

// One event: what it said, and its line as it stands.
struct message_parts {
  std::uint64_t sequence = 0;
  std::string_view timestamp;  // RFC 3339; empty where the event has none
  std::string_view container;
  std::string_view action;
  std::optional<std::string_view> dest;
  std::string_view detail;
  std::string_view line;  // without its newline
};

// The message. It holds no newline, whatever the event says.
std::string make_message(const message_format& format, long process, const message_parts& parts);

// `text` as a field of the header: what is not PRINTUSASCII becomes '_', at most `bytes_max` bytes are kept, and nothing is
// "-".
std::string header_field(std::string_view text, std::size_t bytes_max);

// The whole of `text` can be a field of the header as it is.
bool is_header_field(std::string_view text, std::size_t bytes_max);

// NAME@NUMBER as RFC 5424 (7.2.2) has it for the use of everybody: up to 32 characters.
bool is_sd_id(std::string_view text);

// The number of a facility or severity, or nothing.
std::optional<unsigned> facility_number(std::string_view name);

}  // namespace syslog_sink
