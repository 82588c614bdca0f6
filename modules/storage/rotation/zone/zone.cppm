// SPDX-License-Identifier: Apache-2.0
//
// annals.rotation.zone: what a clock on the wall shows. Offsets from UTC and the beginnings of hours and days in a time zone,
// from the compiled zone files of the system (TZif, RFC 8536) and the rule for the years behind their end (POSIX.1-2017, 8.3,
// TZ; RFC 8536, 3.3.1). Read by itself: <chrono> has no zones in libstdc++ 12, and localtime_r(3) knows one zone, that of the
// environment, which another thread may change.
module;
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>
export module annals.rotation.zone;
import annals.event;

export namespace annals {

enum class wall_unit : std::uint8_t { hour, day };

// Immutable once made: any thread.
class zone {
 public:
  zone() = default;  // UTC

  // "UTC"; an IANA name, "Europe/Berlin", which is looked for in /usr/share/zoneinfo; or "local": what TZ says (a name or a
  // rule), else /etc/localtime, else UTC. Errors: invalid_argument for what is no name, io, or invalid_argument for a file that
  // is no TZif.
  static result<zone> named(const std::string& name);

  // From the bytes of a TZif file; `name` is for messages.
  static result<zone> from_file(std::string_view bytes, const std::string& name);

  // From a rule like "CET-1CEST,M3.5.0,M10.5.0/3". Nothing for other text.
  static std::optional<zone> from_rule(std::string_view text);

  // A stretch of time with one offset from UTC.
  struct span {
    std::chrono::seconds offset{0};  // wall = UTC + offset
    std::chrono::sys_seconds until = std::chrono::sys_seconds::max();
  };
  span at(std::chrono::sys_seconds time) const;

  // The first instant after `time` at which the clock on the wall begins an hour, or a new date. Where the clock is put forward
  // over such a beginning, the instant at which it is put; an hour that it shows twice has two beginnings, a midnight only
  // counts when the date goes up by it.
  time_point next(time_point time, wall_unit unit) const;

 private:
  struct day_rule {
    enum class form : std::uint8_t { month_week_day, julian_without_leap_day, day_of_year };
    form is = form::month_week_day;
    unsigned month = 1, week = 1, day = 0;
    std::chrono::seconds time{7200};
    std::chrono::seconds local_time(std::chrono::year year) const;  // since 1970, on the wall
  };
  struct rule {
    std::chrono::seconds standard{0};
    std::chrono::seconds summer{0};
    bool has_summer = false;
    day_rule begin, end;  // of summer
  };
  struct transition {
    std::int64_t time;
    std::chrono::seconds offset;
  };
  static std::optional<rule> parse_rule(std::string_view text);
  static std::optional<day_rule> parse_day(std::string_view& text);
  static span at(const rule& rule, std::chrono::sys_seconds time);

  std::chrono::seconds before_{0};  // the first transition
  std::vector<transition> transitions_;
  std::optional<rule> rule_;  // behind the last transition; none: its offset goes on
};

}  // namespace annals
