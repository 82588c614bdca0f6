// SPDX-License-Identifier: Apache-2.0
#include <string>
import annals;

int main() {
  annals::event_details details;
  details.fields = {{"user", 1}};
  return details.fields.empty() ? 0 : 1;
}
