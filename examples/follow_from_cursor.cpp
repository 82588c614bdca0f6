// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <fstream>
#include <iostream>
#include <string>
import annals;

// Hands every new event on, once, however often this program is stopped and started.
int ship_new_events() {
  annals::cursor from;
  std::string saved;
  if (std::ifstream("shipped.cursor") >> saved) from = annals::parse_cursor(saved).value_or(annals::cursor{});

  annals::follower log = annals::follow("audit.jsonl", from);
  int shipped = 0;
  while (const auto e = log.next(std::chrono::milliseconds(100))) {  // no timeout: wait for ever
    std::cout << e->line << '\n';
    std::ofstream("shipped.cursor") << to_string(log.position()) << '\n';
    ++shipped;
  }
  return shipped;
}

int main() {
  annals::audit_logger log({.path = "audit.jsonl"});
  log.log_event("web", "setup");
  log.log_event("web", "denied");
  if (ship_new_events() != 2) return 1;
  log.log_event("web", "teardown");
  return ship_new_events() == 1 ? 0 : 1;
}
