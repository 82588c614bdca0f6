// SPDX-License-Identifier: Apache-2.0
//
// The records of deletions: `<live path>.deleted`.
module;
#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>
module annals.segment;
import annals.io;
import annals.json;

namespace annals::segment {

namespace {

constexpr std::size_t chunk_bytes = 64 * 1024;
constexpr std::size_t line_bytes_max = 64 * 1024;                     // a longer line is none of ours
constexpr std::size_t end_bytes = 64 * 1024;                          // of the file: a plan and the records behind it take less
constexpr std::size_t text_bytes_max = 64;                            // of a reason, a check or a token
constexpr std::uint64_t recorded_number_max = 1'000'000'000'000'000;  // a file that records a higher one is not believed

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

// A text of a few bytes: what is longer is cut, before a character of several bytes.
std::string short_text_in(const event& from, std::string_view name) {
  std::string text = text_in(from, name);
  if (text.size() <= text_bytes_max) return text;
  text.resize(text_bytes_max);
  while (!text.empty() && static_cast<unsigned char>(text.back()) >= 0x80) text.pop_back();
  return text;
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

// ["a","b"], as decode_line leaves an array: compact. Nothing where it is something else, or has escapes.
std::vector<std::string> texts_of(std::string_view json) {
  std::vector<std::string> texts;
  for (std::size_t begin = json.find('"'); begin != std::string_view::npos; begin = json.find('"', begin)) {
    const std::size_t end = json.find('"', ++begin);
    if (end == std::string_view::npos) return {};
    if (json.substr(begin, end - begin).find('\\') != std::string_view::npos) return {};
    texts.emplace_back(json.substr(begin, std::min(end - begin, text_bytes_max)));
    begin = end + 1;
  }
  return texts;
}

void take_line(std::string_view line, const std::function<bool(const deleted_segment&)>& wanted, deletion_log& log) {
  const auto read = json::decode_line(line);
  if (!read) return;
  if (auto record = record_from(*read, text_in(*read, "deleted"))) {
    if (!wanted || wanted(*record)) log.deleted.push_back(std::move(*record));
  } else if (const auto suspect = number_in(*read, "suspect")) {
    log.suspect = suspect;
  } else if (auto planned = numbers_of(json_in(*read, "planned"))) {
    const auto at = json::decode_line(json_in(*read, "at"));
    if (!at) return;
    auto tokens = texts_of(json_in(*read, "tokens"));
    tokens.resize(std::min(tokens.size(), planned->size()));
    log.planned = {
        std::move(*planned), {number_in(*at, "segment").value_or(0), number_in(*at, "offset").value_or(0)}, std::move(tokens)};
  }
}

bool is_zeros(std::string_view bytes) noexcept {
  return bytes.find_first_not_of('\0') == std::string_view::npos;
}

// Where the reading of a file ended.
struct read_end {
  std::uint64_t lines_end = 0;  // behind the last whole line
  bool is_torn = false;         // something is behind it
};

// Calls `take` with each whole line from `offset` on, except those that are too long. Holes of a sparse file are skipped.
result<read_end> each_line(const io::file& file, std::uint64_t offset, const std::function<void(std::string_view)>& take) {
  std::string pending;
  std::string chunk(chunk_bytes, '\0');
  bool is_too_long = false;
  read_end end{offset, false};
  for (;;) {
    const auto got = file.read_at(chunk.data(), chunk.size(), offset);
    if (!got) return got.error();
    if (*got == 0) return end;
    std::string_view left(chunk.data(), *got);
    offset += *got;
    if (is_zeros(left)) {
      const auto data = file.next_data(offset);
      if (!data) return data.error();
      is_too_long = end.is_torn = true;  // what goes on behind a hole is no record
      if (!*data) return end;
      offset = **data;
      continue;
    }
    for (std::size_t newline = left.find('\n'); newline != std::string_view::npos; newline = left.find('\n')) {
      pending += left.substr(0, newline);
      if (!is_too_long && pending.size() <= line_bytes_max) take(pending);
      pending.clear();
      is_too_long = end.is_torn = false;
      left.remove_prefix(newline + 1);
      end.lines_end = offset - left.size();
    }
    pending += left;
    end.is_torn = end.is_torn || !pending.empty();
    if (pending.size() > line_bytes_max) {
      is_too_long = true;
      pending.clear();
    }
  }
}

// Nothing where there is none.
result<std::optional<io::file>> open_records(const std::string& live_path) {
  const std::string path = deletion_log_path(live_path);
  const auto status = io::status_at(path);
  if (!status) return status.error();
  if (!*status) return std::optional<io::file>();
  auto opened = io::file::open(path, io::open_for::reading);
  if (!opened) return std::move(opened.error());
  return std::optional<io::file>(std::move(*opened));
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
  // What is longer is quoted with dots behind it, which is no JSON.
  line.append(",\"reason\":").append(json::quoted(deleted.reason.substr(0, text_bytes_max)));
  if (!deleted.check.empty()) line.append(",\"check\":").append(json::quoted(deleted.check.substr(0, text_bytes_max)));
  return line.append("}\n");
}

std::string record_of(const planned_deletions& planned) {
  std::string line = "{\"planned\":[";
  for (const std::uint64_t number : planned.numbers) line.append(line.ends_with('[') ? "" : ",").append(std::to_string(number));
  line.append("],\"at\":{\"segment\":").append(std::to_string(planned.at.segment));
  line.append(",\"offset\":").append(std::to_string(planned.at.offset)).append("}");
  if (planned.tokens.empty()) return line.append("}\n");
  line.append(",\"tokens\":[");
  for (const std::string& token : planned.tokens) line.append(line.ends_with('[') ? "" : ",").append(json::quoted(token));
  return line.append("]}\n");
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
                         short_text_in(read, "reason"),
                         short_text_in(read, "check")};
}

result<deletion_log> read_deletion_log(const std::string& live_path,
                                       const std::function<bool(const deleted_segment&)>& wanted) {
  deletion_log log;
  const auto opened = open_records(live_path);
  if (!opened) return opened.error();
  if (!*opened) return log;
  const auto end = each_line(**opened, 0, [&](std::string_view line) { take_line(line, wanted, log); });
  if (!end) return end.error();
  log.is_torn = end->is_torn;
  return log;
}

result<std::vector<deleted_segment>> deleted_segments(const std::string& live_path) {
  auto log = read_deletion_log(live_path);
  if (!log) return std::move(log.error());
  return std::move(log->deleted);
}

result<std::uint64_t> number_behind_records(const std::string& live_path) {
  constexpr std::string_view record = "{\"segment\":";
  constexpr std::string_view plan = "{\"planned\":";
  constexpr std::string_view plan_at = "\"at\":{\"segment\":";
  const auto opened = open_records(live_path);
  if (!opened) return opened.error();
  if (!*opened) return std::uint64_t{1};
  const auto status = (*opened)->status();
  if (!status) return status.error();
  const auto text = (*opened)->read_before(status->bytes, end_bytes);
  if (!text) return text.error();
  std::uint64_t behind = 1;
  std::string_view left = *text;
  while (!left.empty()) {
    const std::string_view line = left.substr(0, left.find('\n'));
    left.remove_prefix(std::min(line.size() + 1, left.size()));
    const bool is_record = line.starts_with(record);
    const std::size_t at = is_record ? record.size() : line.starts_with(plan) ? line.find(plan_at) : std::string_view::npos;
    if (at == std::string_view::npos) continue;
    const std::string_view digits = line.substr(is_record ? at : at + plan_at.size());
    std::uint64_t number = 0;
    const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (failed == std::errc() && number <= recorded_number_max) behind = std::max(behind, is_record ? number + 1 : number);
  }
  return behind;
}

// --- of ranges ---------------------------------------------------------------------------------------------------------------

// False where the records cannot be read.
bool deletion_counts::update() {
  const auto opened = open_records(live_path_);
  if (!opened) return false;
  if (!*opened) return counted_.empty();
  const auto status = (*opened)->status();
  if (!status) return false;
  if (status->device != device_ || status->inode != inode_ || status->bytes < read_bytes_) {
    counted_.clear();
    sorted_ = 0;
    read_bytes_ = 0;
    is_crowded_ = false;
    device_ = status->device;
    inode_ = status->inode;
  }
  if (status->bytes == read_bytes_ || is_crowded_) return true;
  deletion_log none;
  const auto wanted = [this](const deleted_segment& record) {
    add(record);
    return false;
  };
  const auto end = each_line(**opened, read_bytes_, [&](std::string_view line) { take_line(line, wanted, none); });
  if (!end) return false;
  read_bytes_ = end->lines_end;
  sort();
  return true;
}

void deletion_counts::add(const deleted_segment& record) {
  if (counted_.size() == counted_max) sort();
  if (counted_.size() == counted_max) {
    is_crowded_ = true;
    return;
  }
  counted_.push_back({record.number, record.events.value_or(not_known), record.bytes.value_or(not_known), added_++});
}

// Of several records of one segment, the last one stays.
void deletion_counts::sort() {
  if (sorted_ == counted_.size()) return;
  std::sort(counted_.begin(), counted_.end(),
            [](const counted& a, const counted& b) { return std::tie(a.number, a.order) < std::tie(b.number, b.order); });
  std::size_t kept = 0;
  for (const counted& one : counted_) {
    if (kept != 0 && counted_[kept - 1].number == one.number) --kept;
    counted_[kept++] = one;
  }
  counted_.resize(kept);
  sorted_ = kept;
}

deletion_counts::sums deletion_counts::of(std::uint64_t first, std::uint64_t last) {
  sums found;
  if (!update() || is_crowded_) return {std::nullopt, std::nullopt};
  const auto begin = std::lower_bound(counted_.begin(), counted_.end(), first,
                                      [](const counted& one, std::uint64_t number) { return one.number < number; });
  std::uint64_t records = 0;
  for (auto one = begin; one != counted_.end() && one->number <= last; ++one, ++records) {
    found.events = found.events && one->events != not_known ? std::optional(*found.events + one->events) : std::nullopt;
    found.bytes = found.bytes && one->bytes != not_known ? std::optional(*found.bytes + one->bytes) : std::nullopt;
  }
  if (records != last - first + 1) found.events = found.bytes = std::nullopt;
  return found;
}

}  // namespace annals::segment
