// SPDX-License-Identifier: Apache-2.0
module;
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
module annals.event;

namespace annals {

namespace {

using namespace std::chrono;

constexpr std::size_t second_bytes = 19;  // 2026-11-23T09:00:00

void put_digits(char* out, std::uint32_t value, int digits) noexcept {
  for (int i = digits - 1; i >= 0; --i) {
    out[i] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
}

bool put_second(sys_seconds second, char* out) noexcept {
  const sys_days day = floor<days>(second);
  const year_month_day date(day);
  const int year = static_cast<int>(date.year());
  if (year < 0 || year > 9999) return false;
  const auto of_day = static_cast<std::uint32_t>((second - day).count());
  std::memcpy(out, "0000-00-00T00:00:00", second_bytes);
  put_digits(out, static_cast<std::uint32_t>(year), 4);
  put_digits(out + 5, static_cast<unsigned>(date.month()), 2);
  put_digits(out + 8, static_cast<unsigned>(date.day()), 2);
  put_digits(out + 11, of_day / 3600, 2);
  put_digits(out + 14, of_day / 60 % 60, 2);
  put_digits(out + 17, of_day % 60, 2);
  return true;
}

// Most events of a thread fall into the second of the one before.
struct second_cache {
  sys_seconds second = sys_seconds::min();
  char text[second_bytes] = {};
};
thread_local second_cache last_second;

// Years of a time_point reach +-292,000; outside these bounds year_month_day would overflow.
constexpr sys_seconds earliest = sys_days(year(0) / 1 / 1);
constexpr sys_seconds latest = sys_days(year(10000) / 1 / 1) - seconds(1);

class digit_reader {
 public:
  explicit digit_reader(std::string_view text) noexcept : rest_(text) {}

  std::optional<int> number(std::size_t digits) noexcept {
    if (rest_.size() < digits) return std::nullopt;
    int value = 0;
    for (const char c : rest_.substr(0, digits)) {
      if (c < '0' || c > '9') return std::nullopt;
      value = value * 10 + (c - '0');
    }
    rest_.remove_prefix(digits);
    return value;
  }

  bool any_of(std::string_view choices) noexcept {
    if (rest_.empty() || choices.find(rest_.front()) == std::string_view::npos) return false;
    taken_ = rest_.front();
    rest_.remove_prefix(1);
    return true;
  }

  char taken() const noexcept { return taken_; }
  bool done() const noexcept { return rest_.empty(); }

 private:
  std::string_view rest_;
  char taken_ = '\0';
};

}  // namespace

std::size_t format_timestamp(const timestamp& ts, char* out) noexcept {
  const sys_seconds second = floor<seconds>(ts.time);
  if (second < earliest || second > latest) return 0;
  second_cache& cache = last_second;
  if (cache.second != second) {
    if (!put_second(second, cache.text)) return 0;
    cache.second = second;
  }
  std::memcpy(out, cache.text, second_bytes);
  char* end = out + second_bytes;
  const auto fraction = static_cast<std::uint32_t>((ts.time - second).count());
  if (ts.precision == precision::milliseconds) {
    *end = '.';
    put_digits(end + 1, fraction / 1000, 3);
    end += 4;
  } else if (ts.precision == precision::microseconds) {
    *end = '.';
    put_digits(end + 1, fraction, 6);
    end += 7;
  }
  std::memcpy(end, "+00:00", 6);
  return static_cast<std::size_t>(end + 6 - out);
}

std::string to_string(const timestamp& ts) {
  char text[timestamp_bytes_max];
  return std::string(text, format_timestamp(ts, text));
}

// RFC 3339, section 5.6. Lower-case "t" and "z" and a space for "T" are allowed there, so they are here. ISO 8601 has offsets
// without a colon, and without minutes.
std::optional<timestamp> parse_timestamp(std::string_view text) noexcept {
  digit_reader in(text);
  const auto y = in.number(4);
  if (!y || !in.any_of("-")) return std::nullopt;
  const auto mo = in.number(2);
  if (!mo || !in.any_of("-")) return std::nullopt;
  const auto d = in.number(2);
  if (!d || !in.any_of("Tt ")) return std::nullopt;
  const auto h = in.number(2);
  if (!h || !in.any_of(":")) return std::nullopt;
  const auto mi = in.number(2);
  if (!mi || !in.any_of(":")) return std::nullopt;
  const auto s = in.number(2);
  if (!s || *h > 23 || *mi > 59 || *s > 60) return std::nullopt;
  const year_month_day date(year(*y), month(static_cast<unsigned>(*mo)), day(static_cast<unsigned>(*d)));
  if (!date.ok()) return std::nullopt;

  int fraction = 0;
  int digits = 0;
  if (in.any_of(".")) {
    for (auto digit = in.number(1); digit; digit = in.number(1)) {
      if (digits < 6) fraction = fraction * 10 + *digit;
      if (digits < std::numeric_limits<int>::max()) ++digits;
    }
    if (digits == 0) return std::nullopt;
    for (int i = digits; i < 6; ++i) fraction *= 10;
  }

  minutes offset(0);
  if (in.any_of("+-")) {
    const int sign = in.taken() == '-' ? -1 : 1;
    const auto oh = in.number(2);
    const bool has_minutes = !in.done();
    (void)in.any_of(":");
    const auto om = has_minutes ? in.number(2) : std::optional(0);
    if (!oh || !om || *oh > 23 || *om > 59) return std::nullopt;
    offset = minutes(sign * (*oh * 60 + *om));
  } else if (!in.any_of("Zz")) {
    return std::nullopt;
  }
  if (!in.done()) return std::nullopt;

  const sys_seconds minute = sys_days(date) + hours(*h) + minutes(*mi) - offset;
  time_point time = minute + seconds(*s) + microseconds(fraction);
  if (*s == 60) {  // a leap second: only at the end of a day of UTC
    if (minute + seconds(60) != ceil<days>(minute)) return std::nullopt;
    time = minute + seconds(60) - microseconds(1);
  }
  if (time < earliest || time > latest + microseconds(999'999)) return std::nullopt;
  return timestamp{time, digits == 0 ? precision::seconds : digits <= 3 ? precision::milliseconds : precision::microseconds};
}

}  // namespace annals
