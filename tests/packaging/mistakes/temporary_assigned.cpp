// SPDX-License-Identifier: Apache-2.0
#include <string>
import annals;

int main() {
  annals::event_details details;
  details.detail = std::string("gone at the end of this line");
  return details.detail ? 0 : 1;
}
