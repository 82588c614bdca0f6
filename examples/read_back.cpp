// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <iostream>
#include <variant>
import annals;

int main() {
  {
    annals::audit_logger log({.path = "audit.jsonl"});
    log.log_event("web", "denied", {.dest = "203.0.113.7:443", .fields = {{"rule", 17}}});
  }
  const auto report = [](const annals::damage& d) {
    std::cerr << d.file << ": " << d.bytes << " bytes at offset " << d.offset << " skipped: " << d.cause << '\n';
  };
  for (const annals::event& e : annals::tail_log("audit.jsonl", 50, {.on_damage = report})) {
    std::cout << e.ts << ' ' << e.container << ' ' << e.action << ' ' << e.dest.value_or("-");
    if (const annals::stored_value* rule = e.find("rule")) std::cout << " rule " << std::get<std::int64_t>(*rule);
    std::cout << '\n';
  }
}
