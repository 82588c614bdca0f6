// SPDX-License-Identifier: Apache-2.0
//
// The event and the record of a deletion.
module;
#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>
module annals.retention;
import annals.io;
import annals.json;
import annals.rotation.lock;
import annals.segment;
#include "internal.h"
#include "words.h"

namespace annals::retention {

namespace {

constexpr std::string_view action = "segment_deleted";

std::optional<timestamp> seconds_of(const std::optional<time_point>& time) {
  if (!time) return std::nullopt;
  return timestamp{*time, precision::seconds};
}

std::string reasons_of(const planned_deletion& plan) {
  std::string text;
  for (const retention_limit limit : plan.reasons) text.append(text.empty() ? "" : ",").append(name_of(limit));
  return text;
}

}  // namespace

segment::deleted_segment record_for(const planned_deletion& plan, const std::string& check, time_point now) {
  const segment_info& one = plan.segment;
  return {one.number,       one.events, one.bytes, seconds_of(one.first), seconds_of(one.last), {now, precision::seconds},
          reasons_of(plan), check};
}

std::string event_for(const planned_deletion& plan, const std::string& check, const std::string& token) {
  const segment_info& one = plan.segment;
  const std::string_view name = std::string_view(one.path).substr(one.path.rfind('/') + 1);
  const std::string reason = reasons_of(plan);
  std::string first;
  std::string last;
  std::vector<field> fields = {{"segment", one.number}};
  if (one.events) fields.emplace_back("events", *one.events);
  if (one.bytes) fields.emplace_back("bytes", *one.bytes);
  if (one.first) fields.emplace_back("first", first = words::time(*one.first));
  if (one.last) fields.emplace_back("last", last = words::time(*one.last));
  fields.emplace_back("reason", reason);
  if (one.damage) fields.emplace_back("damage", *one.damage);
  if (!check.empty()) fields.emplace_back("check", check);
  fields.emplace_back("token", token);
  const std::string detail = "segment " + std::to_string(one.number) + " with " +
                             (one.events ? std::to_string(*one.events) : std::string("an unknown number of")) +
                             (one.damage ? " readable" : "") + " events was deleted: " + plan.why;
  return event_line(action, name, detail, std::move(fields));
}

std::optional<told_deletion> deletion_in(std::string_view line) {
  if (line.find(action) == std::string_view::npos) return std::nullopt;
  const auto read = json::decode_line(line);
  if (!read || read->container != "annals" || read->action != action) return std::nullopt;
  auto record = segment::record_from(*read, read->ts);
  const stored_value* const token = read->find("token");
  const auto* const text = token != nullptr ? std::get_if<std::string>(token) : nullptr;
  if (!record || text == nullptr) return std::nullopt;
  return told_deletion{std::move(*record), *text};
}

bool is_of(const segment::deleted_segment& record, const segment_info& segment, const std::string& check) {
  const auto same_second = [](const std::optional<timestamp>& recorded, const std::optional<time_point>& found) {
    if (!recorded || !found) return !recorded && !found;
    return recorded->time == std::chrono::floor<std::chrono::seconds>(*found);
  };
  if (!record.events || !record.bytes || (!record.first && record.check.empty())) return false;
  return record.events == segment.events && record.bytes == segment.bytes && same_second(record.first, segment.first) &&
         (segment.is_last_guessed || same_second(record.last, segment.last)) && (record.check.empty() || record.check == check);
}

}  // namespace annals::retention
