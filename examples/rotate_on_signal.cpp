// SPDX-License-Identifier: Apache-2.0
#include <csignal>
#include <iostream>

import annals;

// The handler only asks; rotating is for a place that may do more than a handler.
annals::rotation_request rotation;
extern "C" void on_hangup(int) {
  rotation.ask();
}

int main() {
  std::signal(SIGHUP, on_hangup);
  annals::audit_logger log({.path = "audit.jsonl"});
  log.log_event("web", "allowed", {.dest = "cdn.example"});
  std::raise(SIGHUP);  // as `kill -HUP` would

  const auto closed = rotation.serve(log.path());
  if (!closed) std::cerr << closed.error().message << '\n';
  if (closed && *closed) std::cout << "closed " << (*closed)->path << '\n';
  return closed && *closed ? 0 : 1;
}
