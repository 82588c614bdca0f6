// SPDX-License-Identifier: Apache-2.0
//
// import_dpkg_log LOG < dpkg.log: makes audit events of Debian's package log, the audit trail that every such machine has.
//
//   2026-11-23 17:00:01 upgrade libc6:amd64 2.36-9 2.36-9+deb12u1
//
// becomes container "libc6:amd64", action "upgrade", detail "2.36-9 2.36-9+deb12u1". While dpkg passes through its inner
// states ("status half-installed", ...), the logger is switched off: only what starts and what ends is kept.
#include <array>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <iomanip>
#include <iostream>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
import annals;

namespace {

// The package log tells local time, without a zone.
std::optional<annals::timestamp> time_of(const std::string& date, const std::string& time) {
  const auto as_if_utc = annals::parse_timestamp(date + "T" + time + "Z");
  if (!as_if_utc) return std::nullopt;
  std::tm fields = {};
  std::istringstream(date + " " + time) >> std::get_time(&fields, "%Y-%m-%d %H:%M:%S");
  fields.tm_isdst = -1;
  const std::time_t utc = std::mktime(&fields);
  return annals::timestamp{annals::time_point(std::chrono::seconds(utc)), annals::precision::seconds};
}

bool is_inner_state(std::string_view state) {
  constexpr std::array<std::string_view, 5> inner = {"unpacked", "half-configured", "half-installed", "triggers-awaited",
                                                     "triggers-pending"};
  for (const std::string_view name : inner) {
    if (state == name) return true;
  }
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: import_dpkg_log LOG < dpkg.log\n";
    return 2;
  }
  annals::audit_logger log({.path = argv[1]});
  std::uint64_t switched_off = 0;
  std::uint64_t not_understood = 0;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string date, time, verb, package;
    words >> date >> time >> verb;
    std::string state;
    if (verb == "status") words >> state;
    words >> package;
    const auto ts = time_of(date, time);
    if (!ts || package.empty()) {
      ++not_understood;
      continue;
    }
    std::string rest;
    std::getline(words >> std::ws, rest);

    log.set_enabled(!is_inner_state(state));
    annals::event_details details;
    details.ts = ts;
    if (!rest.empty()) details.detail = rest;
    const annals::receipt r = log.log_event(package, state.empty() ? verb : state, details);
    if (!r) {
      std::cerr << "import_dpkg_log: " << r.message() << '\n';
      return 1;
    }
    if (!r.accepted()) ++switched_off;
  }
  std::cout << log.stats().accepted << " events logged; the logger was off for " << switched_off
            << " (inner states of the package manager); lines not understood: " << not_understood << '\n';
  return log.stats().accepted == 0 ? 1 : 0;
}
