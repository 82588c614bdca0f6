// SPDX-License-Identifier: Apache-2.0
#include <string>
import annals;

#pragma clang diagnostic error "-Wdangling"

int main() {
  const annals::event_details details = {.detail = std::string("gone at the end of this line")};
  return details.detail ? 0 : 1;
}
