// SPDX-License-Identifier: Apache-2.0
//
// Prints the lines of a workload, for the programs that cannot make it themselves: workload_lines NAME
#include <exception>
#include <iostream>

#include "workload.h"

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::cerr << "usage: workload_lines NAME\n";
    return 2;
  }
  for (const bench::item& each : bench::make_workload(argv[1])) std::cout << each.line;
} catch (const std::exception& thrown) {
  std::cerr << "workload_lines: " << thrown.what() << '\n';
  return 1;
}
