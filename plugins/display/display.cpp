// SPDX-License-Identifier: Apache-2.0
#include "display/display.h"

#include <wchar.h>

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
import annals.event.text;

namespace display {

namespace {

// Takes the character at the front of `text`, which is not empty.
struct taken {
  annals::utf8_character character;
  std::string_view bytes;
};
taken take_character(std::string_view& text) {
  const annals::utf8_character character = annals::first_character(text);
  const std::string_view bytes = text.substr(0, character.bytes);
  text.remove_prefix(bytes.size());
  return {character, bytes};
}

}  // namespace

std::string visible_json(std::string_view line) {
  std::string out;
  while (!line.empty()) {
    const char32_t c = take_character(line).character.code_point;
    char text[16];
    if (c >= 0x20 && c < 0x7f) {
      out += static_cast<char>(c);
    } else if (c < 0x20) {
      out += ' ';  // inside strings these are escaped already
    } else if (c < 0x10000) {
      std::snprintf(text, sizeof text, "\\u%04x", static_cast<unsigned>(c));
      out += text;
    } else {
      std::snprintf(text, sizeof text, "\\u%04x\\u%04x", static_cast<unsigned>(0xd7c0 + (c >> 10)),
                    static_cast<unsigned>(0xdc00 + (c & 0x3ff)));
      out += text;
    }
  }
  return out;
}

std::size_t columns_of(std::string_view visible_text) {
  std::size_t columns = 0;
  while (!visible_text.empty()) {
    const int width = ::wcwidth(static_cast<wchar_t>(take_character(visible_text).character.code_point));
    columns += width < 0 ? 1 : static_cast<std::size_t>(width);
  }
  return columns;
}

std::string json_string(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const auto [character, bytes] = take_character(text);
    const char32_t c = character.code_point;
    char escape[8];
    if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c < 0x20) {
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
      out += escape;
    } else {
      out += visible_json(bytes);
    }
  }
  return out + '"';
}

}  // namespace display
