// SPDX-License-Identifier: Apache-2.0
import annals;

int main() {
  return annals::audit_logger({.path = "audit.jsonl"}).enabled() ? 0 : 1;
}
