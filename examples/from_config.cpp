// SPDX-License-Identifier: Apache-2.0
#include <fstream>
#include <iostream>
import annals;

int main() try {
  std::ofstream("annals.json") << R"({"path": "audit.jsonl", "timestamps": "milliseconds"})";
  annals::audit_logger log = annals::audit_logger::from_config("annals.json");
  return log.log_event("web", "denied") ? 0 : 1;
} catch (const annals::failure& failed) {
  std::cerr << failed.what() << '\n';  // every mistake in the file, and what was expected
  return 1;
}
