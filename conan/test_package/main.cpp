// SPDX-License-Identifier: Apache-2.0
//
// Logs one event with the packaged library, and prints the log's last. Argument: the log.
#include <iostream>
#include <string>
#include <vector>
import annals;

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  annals::audit_logger log({.path = argv[1]});
  const annals::receipt made = log.log_event("conan", "tested", {.fields = {{"packaged", true}}});
  if (!made) std::cerr << made.message() << '\n';
  const std::vector<annals::event> events = log.tail_log(1);
  for (const annals::event& e : events) std::cout << e.line << '\n';
  return made.accepted() && events.size() == 1 && events.front().action == "tested" ? 0 : 1;
}
