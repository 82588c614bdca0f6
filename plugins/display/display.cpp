// SPDX-License-Identifier: Apache-2.0
#include "display/display.h"

#include <wchar.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
import annals.event.text;

namespace display {

namespace {

struct range {
  char32_t first;
  char32_t last;
};

// Characters that change how others are shown, or cannot be seen. Unicode 15: general categories Cc, Cf, Zl, Zp, and the
// fillers and variation selectors that have no glyph.
constexpr std::array<range, 27> unseen = {{
    {0x00, 0x1f},       {0x7f, 0x9f},       {0xad, 0xad},       {0x34f, 0x34f},     {0x600, 0x605},     {0x61c, 0x61c},
    {0x6dd, 0x6dd},     {0x70f, 0x70f},     {0x890, 0x891},     {0x8e2, 0x8e2},     {0x115f, 0x1160},   {0x17b4, 0x17b5},
    {0x180b, 0x180f},   {0x200b, 0x200f},   {0x2028, 0x202e},   {0x2060, 0x206f},   {0x3164, 0x3164},   {0xfe00, 0xfe0f},
    {0xfeff, 0xfeff},   {0xffa0, 0xffa0},   {0xfff0, 0xfffb},   {0x110bd, 0x110bd}, {0x110cd, 0x110cd}, {0x13430, 0x1343f},
    {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
}};

bool is_unseen(char32_t c) {
  for (const range& r : unseen) {
    if (c >= r.first && c <= r.last) return true;
  }
  return false;
}

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

void append_bytes(std::string& out, std::string_view invalid) {
  for (const char c : invalid) {
    char escape[8];
    std::snprintf(escape, sizeof escape, "\\x%02x", static_cast<unsigned>(static_cast<std::uint8_t>(c)));
    out += escape;
  }
}

void append_escape(std::string& out, char32_t c) {
  switch (c) {
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    default: break;
  }
  char text[16];
  std::snprintf(text, sizeof text, c <= 0xffff ? "\\u%04x" : "\\u{%x}", static_cast<unsigned>(c));
  out += text;
}

}  // namespace

std::string visible(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto [c, bytes] = take_character(text);
    if (!c.is_valid) {
      append_bytes(out, bytes);
    } else if (c.code_point == '\\') {
      out += "\\\\";
    } else if (is_unseen(c.code_point)) {
      append_escape(out, c.code_point);
    } else {
      out += bytes;
    }
  }
  return out;
}

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
