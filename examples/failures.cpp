// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <iostream>
import annals;

int main() {
  std::filesystem::create_directory("audit.jsonl");  // a directory, where the log should be

  annals::audit_logger log({.path = "audit.jsonl", .on_error = [](const annals::error& e) {
                              std::cerr << "audit trail in danger: " << e.message << '\n';  // at most once a second of a kind
                            }});
  annals::receipt r = log.log_event("web", "denied");
  if (!r) std::cerr << r.message() << '\n';  // never throws

  std::filesystem::remove("audit.jsonl");
  r = log.log_event("web", "denied");  // the cause is gone: logging goes on
  if (r && log.sync()) std::cerr << "event " << r.sequence() << " survives a power loss\n";

  const annals::logger_stats s = log.stats();
  return s.accepted == 1 && s.failed == 1 ? 0 : 1;
}
