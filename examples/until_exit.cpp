// SPDX-License-Identifier: Apache-2.0
// Logging until the process ends: also from destructors of static objects, in whichever order they run.
#include <cstdlib>
import annals;

annals::audit_logger& audit() {
  static annals::audit_logger& log = annals::audit_logger::immortal({.path = "audit.jsonl"});
  return log;
}

struct session {
  ~session() {
    if (!audit().log_event("web", "ended")) std::_Exit(1);
  }
};

session last_of_all;  // is made before the logger

int main() {
  return audit().log_event("web", "began") ? 0 : 1;
}
