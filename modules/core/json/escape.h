// SPDX-License-Identifier: Apache-2.0
//
// Escapes bytes into JSON string content, for the implementations of annals.json. Included behind `import annals.event.text;`,
// so it includes nothing itself.
//
// Everything here is a template over an output: text_output writes, size_output counts. Both see the same calls, so the
// size counted is the size written. In a module, members that a class defines are not inline by themselves.
#pragma once

namespace annals::json {

class text_output {
 public:
  inline explicit text_output(char* out) noexcept : at_(out) {}
  inline void put(char c) noexcept { *at_++ = c; }
  inline void put(std::string_view text) noexcept {
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }
  // The first `bytes` of the 8 at `word`. May write all 8: there is room, since 8 bytes of input never make fewer of output.
  inline void put_of_word(const char* word, std::size_t bytes) noexcept {
    std::memcpy(at_, word, 8);
    at_ += bytes;
  }
  // `bytes` < 8; writes no more than that.
  inline void put_rest(const char* text, std::size_t bytes) noexcept {
    const auto copy = [&](std::size_t n) noexcept {
      std::memcpy(at_, text, n);
      at_ += n;
      text += n;
    };
    if ((bytes & 4) != 0) copy(4);
    if ((bytes & 2) != 0) copy(2);
    if ((bytes & 1) != 0) copy(1);
  }
  inline char* at() const noexcept { return at_; }

 private:
  char* at_;
};

class size_output {
 public:
  inline void put(char) noexcept { ++bytes_; }
  inline void put(std::string_view text) noexcept { bytes_ += text.size(); }
  inline void put_of_word(const char*, std::size_t bytes) noexcept { bytes_ += bytes; }
  inline void put_rest(const char*, std::size_t bytes) noexcept { bytes_ += bytes; }
  inline std::size_t bytes() const noexcept { return bytes_; }

 private:
  std::size_t bytes_ = 0;
};

class string_output {
 public:
  inline explicit string_output(std::string& out) noexcept : out_(&out) {}
  inline void put(char c) { out_->push_back(c); }
  inline void put(std::string_view text) { out_->append(text); }
  inline void put_of_word(const char* word, std::size_t bytes) { out_->append(word, bytes); }
  inline void put_rest(const char* text, std::size_t bytes) { out_->append(text, bytes); }

 private:
  std::string* out_;
};

namespace detail {

struct escape {
  char text[7] = {};
  std::uint8_t bytes = 0;  // 0: the byte stands for itself
  inline std::string_view view() const noexcept { return {text, bytes}; }
};

inline constexpr char hex_digits[] = "0123456789abcdef";

// Named functions and no lambdas: GCC 15, in a module, takes one of two lambdas at this place for the other (seen with 15.3).
constexpr std::array<escape, 128> make_escapes() {
  std::array<escape, 128> table{};
  for (std::size_t c = 0; c < table.size(); ++c) {
    if (c >= 0x20 && c < 0x7f) continue;
    table[c] = {{'\\', 'u', '0', '0', hex_digits[c >> 4], hex_digits[c & 15]}, 6};
  }
  constexpr char named[][2] = {{'"', '"'}, {'\\', '\\'}, {'\n', 'n'}, {'\r', 'r'}, {'\t', 't'}, {'\b', 'b'}, {'\f', 'f'}};
  for (const auto& [c, letter] : named) table[static_cast<std::uint8_t>(c)] = {{'\\', letter}, 2};
  return table;
}
inline constexpr std::array<escape, 128> escapes = make_escapes();

template <class Output>
void put_utf16_unit(Output& out, std::uint32_t unit) {
  const char text[6] = {
      '\\', 'u', hex_digits[unit >> 12 & 15], hex_digits[unit >> 8 & 15], hex_digits[unit >> 4 & 15], hex_digits[unit & 15]};
  out.put(std::string_view(text, sizeof text));
}

// Writes the character at `at`, which is not ASCII, or U+FFFD for invalid bytes. Returns where the next character begins.
template <class Output>
const char* put_non_ascii(Output& out, const char* at, const char* end) {
  const utf8_character c = first_character({at, static_cast<std::size_t>(end - at)});
  const auto code_point = static_cast<std::uint32_t>(c.code_point);
  if (code_point < 0x10000) {
    put_utf16_unit(out, code_point);
  } else {
    put_utf16_unit(out, 0xd7c0 + (code_point >> 10));
    put_utf16_unit(out, 0xdc00 + (code_point & 0x3ff));
  }
  return at + c.bytes;
}

inline constexpr std::size_t word_bytes = 8;

inline std::uint64_t load_word(const char* at) noexcept {  // the first byte in memory is the lowest
  std::uint64_t word;
  std::memcpy(&word, at, sizeof word);
  if constexpr (std::endian::native == std::endian::big) word = __builtin_bswap64(word);
  return word;
}

// The `bytes` < 8 at `at` as the low bytes of a word, zeros above. Where the string they end is long enough, from one load.
inline std::uint64_t load_rest(const char* begin, const char* at, std::size_t bytes) noexcept {
  const std::size_t missing = word_bytes - bytes;
  if (static_cast<std::size_t>(at - begin) >= missing) return load_word(at - missing) >> (8 * missing);
  std::uint64_t word = 0;
  for (std::size_t i = 0; i < bytes; ++i) word |= std::uint64_t{static_cast<std::uint8_t>(at[i])} << (8 * i);
  return word;
}

// The number of leading bytes of `word` that stand for themselves. Each test sets the top bit of every byte it is after; a
// borrow may also set it in bytes above a true hit, never below one, and only the lowest is asked for.
inline std::size_t plain_bytes(std::uint64_t word) noexcept {
  constexpr std::uint64_t ones = 0x0101010101010101;
  constexpr std::uint64_t tops = ones * 0x80;
  const auto equal = [word](std::uint64_t byte) noexcept {
    const std::uint64_t difference = word ^ ones * byte;
    return (difference - ones) & ~difference;
  };
  const std::uint64_t control = (word - ones * 0x20) & ~word;
  const std::uint64_t special = (control | word | equal('"') | equal('\\') | equal(0x7f)) & tops;
  return special == 0 ? word_bytes : static_cast<std::size_t>(std::countr_zero(special)) / 8;
}

}  // namespace detail

// Writes `text`, any bytes, as the content of a JSON string. At most 6 bytes of output a byte of input, and never fewer
// than one.
template <class Output>
void put_escaped(Output& out, std::string_view text) {
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  const char* at = begin;
  for (;;) {
    std::size_t plain = detail::word_bytes;
    while (plain == detail::word_bytes && static_cast<std::size_t>(end - at) >= detail::word_bytes) {
      plain = detail::plain_bytes(detail::load_word(at));
      out.put_of_word(at, plain);
      at += plain;
    }
    const auto left = static_cast<std::size_t>(end - at);
    if (left == 0) return;
    if (plain == detail::word_bytes) {
      plain = detail::plain_bytes(detail::load_rest(begin, at, left));  // the zeros above are not plain
      out.put_rest(at, plain);
      at += plain;
      if (plain == left) return;
    }
    do {  // what needs escaping comes in groups: do not try whole words between
      const auto c = static_cast<std::uint8_t>(*at);
      if (c >= 0x80) {
        at = detail::put_non_ascii(out, at, end);
      } else if (detail::escapes[c].bytes != 0) {
        out.put(detail::escapes[c].view());
        ++at;
      } else {
        break;
      }
    } while (at != end);
  }
}

template <class Output>
void put_string(Output& out, std::string_view text) {
  out.put('"');
  put_escaped(out, text);
  out.put('"');
}

template <class Output, class Integer>
void put_integer(Output& out, Integer value) {
  char text[24];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  out.put(std::string_view(text, static_cast<std::size_t>(end - text)));
}

// Writes a finite number as Python's repr does: the shortest digits that read back the same, without an exponent from
// 1e-4 up to 1e16, with ".0" where it would look like an integer.
template <class Output>
void put_double(Output& out, double value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value, std::chars_format::scientific).ptr;
  std::string_view number(text, static_cast<std::size_t>(end - text));  // [-]d[.ddd]e(+|-)dd
  if (number.front() == '-') {
    out.put('-');
    number.remove_prefix(1);
  }
  const std::size_t e = number.find('e');
  int exponent = 0;
  const char* const exponent_begin = number.data() + e + (number[e + 1] == '+' ? 2 : 1);
  std::from_chars(exponent_begin, number.data() + number.size(), exponent);
  if (exponent < -4 || exponent >= 16) {
    out.put(number);
    return;
  }
  char digits[32];
  std::size_t count = 0;
  for (const char c : number.substr(0, e)) {
    if (c != '.') digits[count++] = c;
  }
  const std::string_view all(digits, count);
  if (exponent < 0) {
    out.put("0.");
    for (int i = exponent + 1; i < 0; ++i) out.put('0');
    out.put(all);
    return;
  }
  const auto whole = static_cast<std::size_t>(exponent) + 1;
  out.put(all.substr(0, whole));
  for (std::size_t i = count; i < whole; ++i) out.put('0');
  out.put('.');
  out.put(count > whole ? all.substr(whole) : std::string_view("0"));
}

}  // namespace annals::json
