// SPDX-License-Identifier: Apache-2.0
module;
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
module annals.segment;

namespace annals::segment {

namespace {

constexpr std::string_view extension = ".jsonl";
constexpr std::string_view time_shape = "dddddddd-dddddd-";  // d: a digit, -: the letter at this place in "T", "Z"
constexpr std::size_t number_digits_min = 6;

bool is_time(std::string_view text) noexcept {
  if (text.size() != time_shape.size() || text[8] != 'T' || text[15] != 'Z') return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (time_shape[i] == 'd' && (text[i] < '0' || text[i] > '9')) return false;
  }
  return true;
}

bool take_suffix(std::string_view& text, std::string_view suffix) noexcept {
  if (!text.ends_with(suffix)) return false;
  text.remove_suffix(suffix.size());
  return true;
}

bool take_prefix(std::string_view& text, std::string_view prefix) noexcept {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

}  // namespace

std::string_view directory_prefix(std::string_view path) noexcept {
  return path.substr(0, path.rfind('/') + 1);  // npos + 1 is 0
}

std::string stem_of(std::string_view live_path) {
  std::string_view name = live_path.substr(directory_prefix(live_path).size());
  if (name.size() > extension.size()) take_suffix(name, extension);
  return std::string(name);
}

std::string closed_path(std::string_view live_path, std::uint64_t number, time_point first_event, bool compressed) {
  std::string digits = std::to_string(number);
  if (digits.size() < number_digits_min) digits.insert(0, number_digits_min - digits.size(), '0');
  std::string time = to_string(timestamp{first_event, precision::seconds});  // 2026-01-31T23:59:59+00:00
  std::erase(time, '-');
  std::erase(time, ':');
  time.resize(time.find('+'));
  std::string path(directory_prefix(live_path));
  path.append(stem_of(live_path)).append("-").append(digits).append("-").append(time).append("Z").append(extension);
  if (compressed) path.append(compressed_extension);
  return path;
}

namespace {

// What precedes the number in the name of a closed segment, without the dash; nothing for other names.
std::optional<std::string_view> stem_of_closed_name(std::string_view name) noexcept {
  take_suffix(name, ".tmp");
  take_suffix(name, compressed_extension);
  constexpr std::size_t tail_bytes = 1 + time_shape.size() + extension.size();  // "-20260131T235959Z.jsonl"
  if (name.size() < tail_bytes) return std::nullopt;
  const std::size_t dash = name.substr(0, name.size() - tail_bytes).rfind('-');
  if (dash == 0 || dash == std::string_view::npos) return std::nullopt;
  const std::string_view stem = name.substr(0, dash);
  return parse_closed_name(name, stem) ? std::optional(stem) : std::nullopt;
}

}  // namespace

std::optional<std::string> log_of(std::string_view path) {
  const std::string_view directory = directory_prefix(path);
  std::string_view name = path.substr(directory.size());
  if (const auto stem = stem_of_closed_name(name)) return std::string(directory).append(*stem).append(extension);
  for (const std::string_view suffix : {".lock", ".deleted", ".deleted.tmp", ".holds", ".holds.tmp", ".ring", ".journal"}) {
    if (take_suffix(name, suffix) && name.ends_with(extension)) return std::string(directory).append(name);
  }
  return std::nullopt;
}

std::optional<error> refuse_as_log(std::string_view path) {
  const std::string named = "cannot use '" + std::string(path) + "' as a log: ";
  if (stem_of_closed_name(path.substr(directory_prefix(path).size()))) {
    return error{errc::invalid_argument, 0, named + "it is a closed segment of '" + *log_of(path) + "'"};
  }
  if (const auto log = log_of(path)) {
    return error{errc::invalid_argument, 0, named + "it is a file that belongs to the log '" + *log + "'"};
  }
  if (path.ends_with(compressed_extension)) {
    return error{errc::invalid_argument, 0, named + "it is the name of a compressed file, to which nothing can be appended"};
  }
  return std::nullopt;
}

std::optional<closed_segment> parse_closed_name(std::string_view file_name, std::string_view stem) {
  closed_segment found;
  found.compressed = take_suffix(file_name, compressed_extension);
  if (!take_suffix(file_name, extension) || !take_prefix(file_name, stem) || !take_prefix(file_name, "-")) return std::nullopt;
  const std::size_t dash = file_name.find('-');
  if (dash == std::string_view::npos || dash < number_digits_min) return std::nullopt;
  if (dash > number_digits_min && file_name.front() == '0') return std::nullopt;  // one name for one number
  const auto [end, status] = std::from_chars(file_name.data(), file_name.data() + dash, found.number);
  if (status != std::errc() || end != file_name.data() + dash) return std::nullopt;
  if (found.number == 0 || found.number > number_max) return std::nullopt;
  const std::string_view time = file_name.substr(dash + 1);
  if (!is_time(time)) return std::nullopt;
  time.copy(found.first_event_text.data(), found.first_event_text.size());
  return found;
}

}  // namespace annals::segment
