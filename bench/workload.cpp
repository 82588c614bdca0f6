// SPDX-License-Identifier: Apache-2.0
#include "workload.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "generator.h"
#include "sample.h"
import annals;

namespace bench {

namespace {

constexpr std::size_t mix_items = 4096;
constexpr std::size_t long_line_bytes = 4096;

std::string encoded(std::string_view ts, std::string_view container, std::string_view action,
                    const annals::event_details& details) {
  const annals::json::line_parts parts = {ts, container, action, details};
  std::string line(annals::json::line_bytes_bound(parts), '\0');
  line.resize(annals::json::encode_line(parts, line.data()).value());
  return line;
}

std::string escaped(std::string_view text) {
  const std::size_t around = encoded("", "", "", {}).size();
  const std::string line = encoded("", text, "", {});
  return line.substr(std::string_view(R"({"ts":"","container":")").size(), line.size() - around);
}

// Fills in what is made from the event itself.
item finished(item made) {
  std::array<annals::field, 4> room = {{{"", nullptr}, {"", nullptr}, {"", nullptr}, {"", nullptr}}};
  std::size_t fields = 0;
  if (made.rule) room[fields++] = {"rule", *made.rule};
  if (made.user) room[fields++] = {"user", *made.user};
  if (made.bytes) room[fields++] = {"bytes", *made.bytes};
  if (made.dry_run) room[fields++] = {"dry_run", true};
  annals::event_details details = {.dest = made.dest, .detail = made.detail};
  const std::size_t without_fields = encoded(sample::timestamp, made.container, made.action, details).size();
  details.fields = std::span<const annals::field>(room.data(), fields);
  made.line = encoded(sample::timestamp, made.container, made.action, details);
  const std::size_t closing = std::string_view("}\n").size();
  made.rest_text = made.line.substr(without_fields - closing, made.line.size() - without_fields);
  made.container_text = escaped(made.container);
  made.action_text = escaped(made.action);
  if (made.dest) made.dest_text = escaped(*made.dest);
  if (made.detail) made.detail_text = escaped(*made.detail);
  return made;
}

item sample_with(std::string detail) {
  return finished({.container = std::string(sample::container),
                   .action = std::string(sample::action),
                   .dest = std::string(sample::dest),
                   .detail = std::move(detail)});
}

workload mix() {
  workload items;
  generator events(1);
  for (std::size_t i = 0; i < mix_items; ++i) {
    const generated_event& event = events.next(0, 0);
    items.push_back(finished({.container = std::string(event.container),
                              .action = std::string(event.action),
                              .dest = event.dest ? std::optional(std::string(*event.dest)) : std::nullopt,
                              .detail = event.detail ? std::optional(std::string(*event.detail)) : std::nullopt,
                              .rule = event.rule,
                              .user = event.user ? std::optional(std::string(*event.user)) : std::nullopt,
                              .bytes = event.bytes,
                              .dry_run = event.dry_run}));
  }
  return items;
}

workload escapes() {
  workload items;
  random_numbers random(2);
  constexpr std::array<std::string_view, 6> special = {"\"", "\\", "\n", "\t", "\x01", "é"};
  for (std::size_t i = 0; i < 64; ++i) {
    std::string detail;
    while (detail.size() < 60) {
      detail += special[random.below(special.size())];
      detail += static_cast<char>('a' + random.below(26));
    }
    items.push_back(sample_with(std::move(detail)));
  }
  return items;
}

workload long_lines() {
  workload items;
  random_numbers random(3);
  const std::size_t detail_bytes = long_line_bytes - (sample::line.size() - sample::detail.size());
  for (std::size_t i = 0; i < 16; ++i) {
    std::string detail;
    while (detail.size() < detail_bytes) detail += static_cast<char>('a' + random.below(26));
    items.push_back(sample_with(std::move(detail)));
  }
  return items;
}

}  // namespace

workload make_workload(std::string_view name) {
  if (name == "fixed") return {sample_with(std::string(sample::detail))};
  if (name == "mix") return mix();
  if (name == "escapes") return escapes();
  if (name == "4k") return long_lines();
  throw std::invalid_argument("there is no workload '" + std::string(name) + "'; expected fixed, mix, escapes or 4k");
}

std::size_t line_bytes_max(const workload& of) {
  return std::max_element(of.begin(), of.end(), [](const item& a, const item& b) { return a.line.size() < b.line.size(); })
      ->line.size();
}

}  // namespace bench
