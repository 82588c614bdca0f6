// SPDX-License-Identifier: Apache-2.0
#include "message.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

import annals.event.text;

namespace syslog_sink {

namespace {

bool is_printable(char c) {  // PRINTUSASCII
  return c > ' ' && c <= '~';
}

// PARAM-VALUE (6.3.3). Control characters are allowed, but receivers change them, and a newline ends the message with newline
// framing: they are escaped as `annals tail` escapes them.
void append_parameter(std::string& out, std::string_view name, std::string_view value) {
  out += ' ';
  out += name;
  out += "=\"";
  for (const char c : annals::visible(value)) {
    if (c == '"' || c == '\\' || c == ']') out += '\\';
    out += c;
  }
  out += '"';
}

void append_structured_data(std::string& out, const std::string& sd_id, const message_parts& parts) {
  if (sd_id.empty()) {
    out += '-';
    return;
  }
  out += '[' + sd_id;
  append_parameter(out, "seq", std::to_string(parts.sequence));
  append_parameter(out, "container", parts.container);
  append_parameter(out, "action", parts.action);
  if (parts.dest) append_parameter(out, "dest", *parts.dest);
  out += ']';
}

}  // namespace

std::string make_message(const message_format& format, long process, const message_parts& parts) {
  std::string out = "<" + std::to_string(format.priority) + ">1 ";
  out += parts.timestamp.empty() ? "-" : parts.timestamp;
  out += ' ' + format.hostname + ' ' + format.app_name + ' ' + std::to_string(process) + ' ' + header_field(parts.action, 32) +
         ' ';
  append_structured_data(out, format.sd_id, parts);
  if (!format.is_detail) {
    out += ' ';
    out += parts.line;  // ASCII, so without the byte order mark that UTF-8 needs (6.4)
  } else if (!parts.detail.empty()) {
    const std::string shown = annals::visible(parts.detail);
    const bool is_ascii = std::all_of(shown.begin(), shown.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
    out += is_ascii ? " " : " \xef\xbb\xbf";
    out += shown;
  }
  return out;
}

std::string header_field(std::string_view text, std::size_t bytes_max) {
  std::string out(text.substr(0, bytes_max));
  std::replace_if(out.begin(), out.end(), [](char c) { return !is_printable(c); }, '_');
  return out.empty() ? "-" : out;
}

bool is_header_field(std::string_view text, std::size_t bytes_max) {
  return !text.empty() && text.size() <= bytes_max && std::all_of(text.begin(), text.end(), is_printable);
}

bool is_sd_id(std::string_view text) {
  const std::size_t at = text.find('@');
  if (!is_header_field(text, 32) || text.find_first_of("=]\"") != std::string_view::npos || at == 0 ||
      at == std::string_view::npos) {
    return false;
  }
  const std::string_view number = text.substr(at + 1);
  return !number.empty() && number.find_first_not_of("0123456789.") == std::string_view::npos && number.front() != '.' &&
         number.back() != '.' && number.find("..") == std::string_view::npos;
}

std::optional<unsigned> facility_number(std::string_view name) {
  constexpr std::array<std::string_view, 24> names = {
      "kern", "user",  "mail",  "daemon", "auth",   "syslog", "lpr",    "news",   "uucp",   "cron",   "authpriv", "ftp",
      "ntp",  "audit", "alert", "clock",  "local0", "local1", "local2", "local3", "local4", "local5", "local6",   "local7"};
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) return std::nullopt;
  return static_cast<unsigned>(found - names.begin());
}

}  // namespace syslog_sink
