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

// One event: its parts, and its line.
struct message_parts {
  std::uint64_t sequence = 0;
  std::string_view timestamp;  // RFC 3339; empty if the event has none
  std::string_view container;
  std::string_view action;
  std::optional<std::string_view> dest;
  std::string_view detail;
  std::string_view line;  // without its newline
};

// The message. It contains no newline, whatever the event contains.
std::string make_message(const message_format& format, long process, const message_parts& parts);

// `text` as a field of the header: other characters than PRINTUSASCII become '_', the first `bytes_max` bytes are kept, and an
// empty text becomes "-".
std::string header_field(std::string_view text, std::size_t bytes_max);

// Whether `text` can be a field of the header unchanged.
bool is_header_field(std::string_view text, std::size_t bytes_max);

// Whether `text` is NAME@NUMBER, the form of RFC 5424 (7.2.2) for private names: up to 32 characters.
bool is_sd_id(std::string_view text);

// The number of a facility or severity, or nothing.
std::optional<unsigned> facility_number(std::string_view name);

}  // namespace syslog_sink
