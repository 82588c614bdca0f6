// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <vector>
import annals;

int main() {
  annals::audit_logger log({.path = "audit.jsonl", .timestamps = annals::precision::milliseconds});

  log.log_event("web", "allowed", {.dest = "cdn.example", .fields = {{"rule", 17}, {"dry_run", false}, {"score", 0.25}}});
  log.log_event("web", "allowed", {.fields = {{"tls", annals::raw_json{R"({"version": "1.3", "alpn": ["h2"]})"}}}});

  std::vector<annals::field> gathered;  // views: what they show must live until log_event returns
  const std::string user = "ada";
  gathered.emplace_back("user", user);
  gathered.emplace_back("attempts", 3);
  log.log_event("web", "login", {.fields = gathered});

  return log.stats().accepted == 3 ? 0 : 1;
}
