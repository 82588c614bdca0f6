// SPDX-License-Identifier: Apache-2.0
//
// import_json_lines LOG NAME < lines: makes audit events of any JSON lines. A line that is an audit event already is taken as
// it is; any other object becomes the field `record` of an event of the container NAME. To show the switch, every hundredth
// line comes while the logger is off, and is counted, not logged.
#include <cstdint>
#include <iostream>
#include <string>
#include <string_view>
import annals;

namespace {

annals::receipt log_line(annals::audit_logger& log, std::string_view name, const annals::event& e) {
  if (!e.container.empty() && !e.action.empty()) {
    const annals::receipt r = log.log_event(e);
    if (r || r.cause()->code == annals::errc::io) return r;
  }
  return log.log_event(name, "imported", {.fields = {{"record", annals::raw_json{e.line}}}});
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: import_json_lines LOG NAME < lines\n";
    return 2;
  }
  annals::audit_logger log({.path = argv[1]});
  std::uint64_t number = 0;
  std::uint64_t switched_off = 0;
  std::uint64_t refused = 0;
  for (std::string line; std::getline(std::cin, line);) {
    ++number;
    const auto e = annals::json::decode_line(line);
    if (!e) {
      std::cerr << "line " << number << ": " << e.error().message << '\n';
      ++refused;
      continue;
    }
    log.set_enabled(number % 100 != 0);
    const annals::receipt r = log_line(log, argv[2], *e);
    if (!r) {
      std::cerr << "line " << number << ": " << r.message() << '\n';
      ++refused;
    } else if (!r.accepted()) {
      ++switched_off;
    }
  }
  std::cout << log.stats().accepted << " events logged; the logger was off for " << switched_off
            << "; lines refused: " << refused << '\n';
  return log.stats().accepted == 0 ? 1 : 0;
}
