// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <iostream>
import annals;

// Who talked to 203.0.113.x in the last hour?
int main() {
  annals::audit_logger log({.path = "audit.jsonl"});
  log.log_event("web", "denied", {.dest = "203.0.113.7:443"});
  log.log_event("mail", "allowed", {.dest = "198.51.100.2:25"});

  const auto now = std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
  const annals::scan_filter filter = {.since = now - std::chrono::hours(1), .dest = annals::text_match{"203.0.113.*", true}};
  const auto print = [](const annals::event& e) {
    std::cout << e.ts << ' ' << e.container << ' ' << e.action << '\n';
    return true;  // false: enough
  };
  const annals::scan_result found = annals::scan("audit.jsonl", filter, print);
  return found.events == 1 ? 0 : 1;
}
