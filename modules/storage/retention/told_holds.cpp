// SPDX-License-Identifier: Apache-2.0
//
// The holds that the events of a log tell of. They are in force where `<path>.holds` is missing: it may have been lost, or not
// have been restored with the log.
module;
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>
module annals.retention;
import annals.content;
import annals.io;
import annals.json;
import annals.rotation.lock;
import annals.segment;
#include "internal.h"

namespace annals::retention {

namespace {

constexpr std::size_t holds_max = 10'000;

std::string text_in(const event& from, std::string_view name) {
  const stored_value* const value = from.find(name);
  const auto* const text = value != nullptr ? std::get_if<std::string>(value) : nullptr;
  return text != nullptr ? *text : std::string();
}

// Applies the event of a hold; other lines change nothing. A time that cannot be read holds more, not less.
void apply(std::string_view line, std::vector<hold>& holds) {
  if (line.find("\"hold_") == std::string_view::npos) return;
  const auto read = json::decode_line(line);
  if (!read || read->container != "annals" || (read->action != "hold_added" && read->action != "hold_removed")) return;
  hold told;
  told.name = text_in(*read, "hold");
  if (told.name.empty()) return;
  std::erase_if(holds, [&told](const hold& one) { return one.name == told.name; });
  if (read->action == "hold_removed" || holds.size() == holds_max) return;
  const auto time_in = [&read](std::string_view name) {
    const auto time = parse_timestamp(text_in(*read, name));
    return time ? std::optional(time->time) : std::nullopt;
  };
  told.from = time_in("from");
  told.to = time_in("to");
  if (const auto added = parse_timestamp(read->ts)) told.added = added->time;
  told.by = text_in(*read, "by");
  holds.push_back(std::move(told));
}

}  // namespace

result<std::vector<hold>> inventory::told_holds() {
  if (told_) return *told_;
  std::vector<hold> holds;
  const auto segments = list();
  if (!segments) return segments.error();
  for (const segment_info& one : *segments) {
    auto opened = one.state == segment_state::live ? content::segment_reader::open(one.path)
                                                   : content::open_closed(path_, {.path = one.path, .number = one.number});
    if (!opened && opened.error().code == errc::io) return std::move(opened.error());
    if (!opened || !opened->is_open()) continue;
    const auto take = [&holds](const content::line& line) {
      apply(line.text, holds);
      return true;
    };
    const auto read =
        content::each_line(*opened, 0, static_cast<std::uint64_t>(-1), {}, take, [this] { return !is_stopped(); });
    if (!read) return read.error();
    if (!*read) return error{errc::io, ECANCELED, "stopped reading '" + one.path + "'"};
  }
  told_ = holds;
  return holds;
}

}  // namespace annals::retention
