// SPDX-License-Identifier: Apache-2.0
#include "lines.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
import annals;

namespace bench {

namespace {

constexpr std::uint64_t line_bytes_typical = 150;

// The fields of `event` at the beginning of `room`.
std::span<const annals::field> fields_of(const generated_event& event, std::array<annals::field, 4>& room) {
  std::size_t count = 0;
  if (event.rule) room[count++] = {"rule", *event.rule};
  if (event.user) room[count++] = {"user", *event.user};
  if (event.bytes) room[count++] = {"bytes", *event.bytes};
  if (event.dry_run) room[count++] = {"dry_run", true};
  return {room.data(), count};
}

}  // namespace

void append_line(const generated_event& event, std::string& out) {
  std::array<annals::field, 4> room = {{{"", nullptr}, {"", nullptr}, {"", nullptr}, {"", nullptr}}};
  const annals::event_details details = {.dest = event.dest, .detail = event.detail, .fields = fields_of(event, room)};
  char ts[annals::timestamp_bytes_max];
  const annals::timestamp time = {annals::time_point(std::chrono::seconds(event.seconds)), annals::precision::seconds};
  const annals::json::line_parts parts = {std::string_view(ts, annals::format_timestamp(time, ts)), event.container,
                                          event.action, details};
  const std::size_t before = out.size();
  out.resize(before + annals::json::line_bytes_bound(parts));
  out.resize(before + annals::json::encode_line(parts, out.data() + before).value());
}

line_stream::line_stream(std::uint64_t seed, std::uint64_t bytes, std::int64_t from, std::int64_t to)
    : generator_(seed), bytes_(bytes), from_(from), to_(to) {}

const generated_event* line_stream::next(std::string& out) {
  if (made_bytes_ >= bytes_) return nullptr;
  const auto span = static_cast<std::uint64_t>(to_ - from_);
  const auto at = [&](std::uint64_t made) { return from_ + static_cast<std::int64_t>(span * std::min(made, bytes_) / bytes_); };
  const std::int64_t earliest = at(made_bytes_);
  const generated_event& event = generator_.next(earliest, at(made_bytes_ + 2 * line_bytes_typical) - earliest);
  const std::size_t before = out.size();
  append_line(event, out);
  made_bytes_ += out.size() - before;
  return &event;
}

}  // namespace bench
