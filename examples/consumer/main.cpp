// SPDX-License-Identifier: Apache-2.0
#include <iostream>  // includes first, imports last
import annals;

int main() {
  annals::audit_logger log({.path = "audit.jsonl"});
  log.log_event("web", "denied", {.dest = "203.0.113.7:443", .detail = "not in allowlist"});
  for (const annals::event& e : log.tail_log(50)) std::cout << e.ts << ' ' << e.container << ' ' << e.action << '\n';
}
