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

segment::deleted_segment record_for(const planned_deletion& plan, time_point now) {
  const segment_info& one = plan.segment;
  return {one.number,      one.events, one.bytes, seconds_of(one.first), seconds_of(one.last), {now, precision::seconds},
          reasons_of(plan)};
}

std::string event_for(const planned_deletion& plan) {
  const segment_info& one = plan.segment;
  const std::string_view name = std::string_view(one.path).substr(one.path.rfind('/') + 1);
  const std::string reason = reasons_of(plan);
  std::string first;
  std::string last;
  std::vector<field> fields = {{"segment", one.number}};
  if (one.events) fields.push_back({"events", *one.events});
  if (one.bytes) fields.push_back({"bytes", *one.bytes});
  if (one.first) fields.push_back({"first", first = words::time(*one.first)});
  if (one.last) fields.push_back({"last", last = words::time(*one.last)});
  fields.push_back({"reason", reason});
  if (one.damage) fields.push_back({"damage", *one.damage});
  const std::string detail = "segment " + std::to_string(one.number) + " with " +
                             (one.events ? std::to_string(*one.events) : std::string("an unknown number of")) +
                             (one.damage ? " readable" : "") + " events was deleted: " + plan.why;
  return event_line(action, name, detail, std::move(fields));
}

std::optional<segment::deleted_segment> deletion_in(std::string_view line) {
  if (line.find(action) == std::string_view::npos) return std::nullopt;
  const auto read = json::decode_line(line);
  if (!read || read->container != "annals" || read->action != action) return std::nullopt;
  return segment::record_from(*read, read->ts);
}

}  // namespace annals::retention
