// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <vector>
import annals;

int main() {
  std::vector<annals::field> fields;
  fields.push_back({"user", std::string("gone at the end of this line")});
  return fields.empty() ? 0 : 1;
}
