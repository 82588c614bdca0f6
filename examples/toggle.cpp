// SPDX-License-Identifier: Apache-2.0
import annals;

int main() {
  annals::audit_logger log({.path = "audit.jsonl"});
  log.log_event("web", "setup");
  log.set_enabled(false);  // from any thread; the file stays open
  log.log_event("web", "allowed", {.dest = "noisy.example"});
  log.set_enabled(true);
  log.log_event("web", "teardown");
  return log.tail_log().size() == 2 ? 0 : 1;
}
