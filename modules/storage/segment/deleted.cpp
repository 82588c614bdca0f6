// SPDX-License-Identifier: Apache-2.0
//
// The records of deletions: `<live path>.deleted`.
module;
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>
module annals.segment;
import annals.io;
import annals.json;

namespace annals::segment {

namespace {

constexpr std::size_t chunk_bytes = 64 * 1024;
constexpr std::size_t line_bytes_max = 64 * 1024;  // a longer line is none of ours

void add_number(std::string& line, std::string_view name, const std::optional<std::uint64_t>& value) {
  if (value) line.append(",\"").append(name).append("\":").append(std::to_string(*value));
}

void add_time(std::string& line, std::string_view name, const std::optional<timestamp>& value) {
  if (value) line.append(",\"").append(name).append("\":\"").append(to_string(*value)).append("\"");
}

std::optional<std::uint64_t> number_in(const event& from, std::string_view name) {
  const stored_value* const value = from.find(name);
  if (value == nullptr) return std::nullopt;
  if (const auto* const small = std::get_if<std::int64_t>(value); small != nullptr && *small >= 0) {
    return static_cast<std::uint64_t>(*small);
  }
  if (const auto* const large = std::get_if<std::uint64_t>(value)) return *large;
  return std::nullopt;
}

std::string text_in(const event& from, std::string_view name) {
  const stored_value* const value = from.find(name);
  const auto* const text = value != nullptr ? std::get_if<std::string>(value) : nullptr;
  return text != nullptr ? *text : std::string();
}

std::string json_in(const event& from, std::string_view name) {
  const stored_value* const value = from.find(name);
  const auto* const json = value != nullptr ? std::get_if<stored_json>(value) : nullptr;
  return json != nullptr ? json->text : std::string();
}

// "[1,2,3]", as decode_line leaves an array: compact. Nothing where it is something else.
std::optional<std::vector<std::uint64_t>> numbers_of(std::string_view text) {
  std::vector<std::uint64_t> numbers;
  if (text == "[]") return numbers;
  if (!text.starts_with('[')) return std::nullopt;
  while (text != "]") {
    text.remove_prefix(1);
    std::uint64_t number = 0;
    const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (status != std::errc() || end == text.data() + text.size() || (*end != ',' && *end != ']')) return std::nullopt;
    numbers.push_back(number);
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  }
  return numbers;
}

void take_line(std::string_view line, deletion_log& log) {
  const auto read = json::decode_line(line);
  if (!read) return;
  if (auto record = record_from(*read, text_in(*read, "deleted"))) {
    log.deleted.push_back(std::move(*record));
  } else if (const auto suspect = number_in(*read, "suspect")) {
    log.suspect = suspect;
  } else if (auto planned = numbers_of(json_in(*read, "planned"))) {
    const auto at = json::decode_line(json_in(*read, "at"));
    if (!at) return;
    log.planned = {std::move(*planned), {number_in(*at, "segment").value_or(0), number_in(*at, "offset").value_or(0)}};
  }
}

}  // namespace

std::string deletion_log_path(std::string_view live_path) {
  return std::string(live_path) + ".deleted";
}

std::string record_of(const deleted_segment& deleted) {
  std::string line = "{\"segment\":" + std::to_string(deleted.number);
  add_number(line, "events", deleted.events);
  add_number(line, "bytes", deleted.bytes);
  add_time(line, "first", deleted.first);
  add_time(line, "last", deleted.last);
  add_time(line, "deleted", deleted.deleted);
  constexpr std::size_t reason_bytes_max = 64;  // what is longer is quoted with dots behind it, which is no JSON
  return line.append(",\"reason\":").append(json::quoted(deleted.reason.substr(0, reason_bytes_max))).append("}\n");
}

std::string record_of(const planned_deletions& planned) {
  std::string line = "{\"planned\":[";
  for (const std::uint64_t number : planned.numbers) line.append(line.ends_with('[') ? "" : ",").append(std::to_string(number));
  line.append("],\"at\":{\"segment\":").append(std::to_string(planned.at.segment));
  return line.append(",\"offset\":").append(std::to_string(planned.at.offset)).append("}}\n");
}

std::string suspect_record(std::uint64_t live_segment) {
  return "{\"suspect\":" + std::to_string(live_segment) + "}\n";
}

std::optional<deleted_segment> record_from(const event& read, std::string_view deleted) {
  const auto number = number_in(read, "segment");
  if (!number) return std::nullopt;
  return deleted_segment{*number,
                         number_in(read, "events"),
                         number_in(read, "bytes"),
                         parse_timestamp(text_in(read, "first")),
                         parse_timestamp(text_in(read, "last")),
                         parse_timestamp(deleted).value_or(timestamp()),
                         text_in(read, "reason")};
}

result<deletion_log> read_deletion_log(const std::string& live_path) {
  const std::string path = deletion_log_path(live_path);
  deletion_log log;
  const auto status = io::status_at(path);
  if (!status) return status.error();
  if (!*status) return log;
  const auto opened = io::file::open(path, io::open_for::reading);
  if (!opened) return opened.error();
  std::string pending;
  std::string chunk(chunk_bytes, '\0');
  bool is_too_long = false;
  for (std::uint64_t offset = 0;;) {
    const auto got = opened->read_at(chunk.data(), chunk.size(), offset);
    if (!got) return got.error();
    if (*got == 0) break;
    offset += *got;
    std::string_view left(chunk.data(), *got);
    for (std::size_t end = left.find('\n'); end != std::string_view::npos; end = left.find('\n')) {
      pending += left.substr(0, end);
      if (!is_too_long && pending.size() <= line_bytes_max) take_line(pending, log);
      pending.clear();
      is_too_long = false;
      left.remove_prefix(end + 1);
    }
    pending += left;
    log.is_torn = !pending.empty();
    if (pending.size() > line_bytes_max) {
      is_too_long = true;
      pending.resize(1);  // it is not whole, and not empty
    }
  }
  return log;
}

result<std::vector<deleted_segment>> deleted_segments(const std::string& live_path) {
  auto log = read_deletion_log(live_path);
  if (!log) return std::move(log.error());
  return std::move(log->deleted);
}

}  // namespace annals::segment
