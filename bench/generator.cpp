// SPDX-License-Identifier: Apache-2.0
#include "generator.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace bench {

namespace {

constexpr std::size_t containers = 240;
constexpr std::size_t dests = 8192;

struct kind_of_action {
  std::string_view name;
  std::uint64_t weight;
  bool has_dest;
};
constexpr std::array actions = {
    kind_of_action{"allowed", 5200, true},   kind_of_action{"denied", 2600, true}, kind_of_action{"resolved", 900, true},
    kind_of_action{"connected", 600, true},  kind_of_action{"closed", 400, true},  kind_of_action{"started", 120, false},
    kind_of_action{"stopped", 100, false},   kind_of_action{"exec", 50, false},    kind_of_action{"mounted", 20, false},
    kind_of_action{"login failed", 6, true}, kind_of_action{"policy", 4, false},
};

constexpr std::array<std::string_view, 12> services = {"web",  "api",    "db",      "cache",  "queue",  "mail",
                                                       "auth", "search", "billing", "report", "ingest", "proxy"};
constexpr std::array<std::string_view, 8> domains = {"example.com",          "example.org",     "registry.example.net",
                                                     "api.payments.example", "updates.example", "storage.example.net",
                                                     "metrics.internal",     "dns.internal"};
constexpr std::array<std::string_view, 10> users = {"root",    "deploy",   "alice",          "bob",      "Åsa Lindström",
                                                    "Γιώργος", "O'Connor", "svc-\"backup\"", "山田太郎", "nobody"};
constexpr std::array<std::uint64_t, 8> ports = {443, 443, 443, 53, 80, 5432, 6379, 8443};

std::vector<std::uint64_t> weights_of_actions() {
  std::vector<std::uint64_t> weights;
  for (const kind_of_action& action : actions) weights.push_back(action.weight);
  return weights;
}

template <class T, std::size_t Size>
const T& one_of(const std::array<T, Size>& of, random_numbers& random) {
  return of[random.below(Size)];
}

}  // namespace

weighted::weighted(std::vector<std::uint64_t> weights) : up_to_(std::move(weights)) {
  for (std::size_t i = 1; i < up_to_.size(); ++i) up_to_[i] += up_to_[i - 1];
}

weighted weighted::zipf(std::size_t count) {
  std::vector<std::uint64_t> weights;
  for (std::size_t i = 1; i <= count; ++i) weights.push_back((1U << 24) / i);
  return weighted(std::move(weights));
}

std::size_t weighted::draw(random_numbers& random) const noexcept {
  const std::uint64_t point = random.below(up_to_.back());
  return static_cast<std::size_t>(std::upper_bound(up_to_.begin(), up_to_.end(), point) - up_to_.begin());
}

generator::generator(std::uint64_t seed)
    : random_(seed),
      which_container_(weighted::zipf(containers)),
      which_dest_(weighted::zipf(dests)),
      which_action_(weights_of_actions()) {
  for (std::size_t i = 0; i < containers; ++i) {
    containers_.push_back(std::string(one_of(services, random_)) + "-" + std::to_string(i));
  }
  for (std::size_t i = 0; i < dests; ++i) dests_.push_back(made_up_dest(i));
}

std::string generator::made_up_dest(std::size_t rank) {
  const std::string port = ":" + std::to_string(one_of(ports, random_));
  switch (random_.below(20)) {
    case 0: return "[2001:db8::" + std::to_string(random_.below(10000)) + "]" + port;
    case 1: return "/run/service " + std::to_string(rank) + "/socket";
    case 2:
    case 3:
    case 4:
    case 5:
    case 6: return "host" + std::to_string(rank) + "." + std::string(one_of(domains, random_)) + port;
    default: {
      const std::string third = std::to_string(random_.below(256));  // drawn in this order by every compiler
      const std::string fourth = std::to_string(random_.below(256));
      return "203.0." + third + "." + fourth + port;
    }
  }
}

void generator::number(std::uint64_t value) {
  char digits[20];
  detail_.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
}

void generator::hexadecimal(std::uint64_t value) {
  char digits[16];
  detail_.append(digits, std::to_chars(digits, digits + sizeof digits, value, 16).ptr);
}

std::string_view generator::made_up_detail() {
  detail_.clear();
  switch (random_.below(16)) {
    case 0:
      detail_ += "matched rule ";
      number(random_.below(400));
      detail_ += " of policy \"default-deny\"";
      break;
    case 1:
      detail_ += "GET /api/v1/items/";
      number(random_.below(100000));
      detail_ += "?page=";
      number(random_.below(40));
      break;
    case 2:
      detail_ += "C:\\ProgramData\\agent\\";
      number(random_.below(300));
      detail_ += ".log";
      break;
    case 3:
      detail_ += "exit code ";
      number(random_.below(4));
      detail_ += "\nstderr:\tno such file or directory";
      break;
    case 4:
      detail_ += "доступ запрещён: правило ";
      number(random_.below(60));
      break;
    case 5:
      detail_ += "拒否されました 🔒 rule ";
      number(random_.below(60));
      break;
    case 6:
      detail_ += "Zugriff verweigert für ";
      detail_ += one_of(users, random_);
      break;
    case 7:
    case 8:
      detail_ += "request ";
      hexadecimal(random_.next());
      break;
    case 9: detail_ += "TLS handshake failed: certificate has expired"; break;
    case 10:
      detail_ += "rate limit exceeded; retry in ";
      number(random_.below(60));
      detail_ += "s";
      break;
    default:
      detail_ += "not in allowlist; rule ";
      number(random_.below(60));
      break;
  }
  return detail_;
}

const generated_event& generator::next(std::int64_t earliest, std::int64_t spread) {
  const std::int64_t jitter = spread > 0 ? static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(spread))) : 0;
  const std::int64_t now = std::max(event_.seconds, earliest + jitter);
  const kind_of_action& action = actions[which_action_.draw(random_)];
  event_ = {.seconds = now, .container = containers_[which_container_.draw(random_)], .action = action.name};
  if (action.has_dest) event_.dest = dests_[which_dest_.draw(random_)];
  if (random_.percent(70)) event_.detail = made_up_detail();
  if (random_.percent(15)) event_.rule = random_.below(400);
  if (random_.percent(10)) event_.user = one_of(users, random_);
  if (random_.percent(10)) event_.bytes = random_.below(1U << 24);
  event_.dry_run = random_.percent(1);
  return event_;
}

}  // namespace bench
