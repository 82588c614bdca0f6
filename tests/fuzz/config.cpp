// SPDX-License-Identifier: Apache-2.0
//
// The configuration: any text has problems that a terminal shows in one line each, or makes sense; and then it makes the same
// sense when it is written anew. So do options, sizes and lengths of time.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz.h"
import annals;

namespace {

using fuzz::require;

std::string in_json(std::string_view text) {
  constexpr char digits[] = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out.append("\\").append(1, c);
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out.append("\\u00").append(1, digits[c >> 4]).append(1, digits[c & 15]);
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string members(const std::vector<annals::option>& options) {
  std::string out;
  for (const annals::option& one : options) {
    out += (out.empty() ? "" : ",") + in_json(one.name) + ":";
    out += one.kind == annals::option_kind::text ? in_json(one.text) : one.text;
  }
  return out;
}

bool same_options(const std::vector<annals::option>& a, const std::vector<annals::option>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const annals::option& x, const annals::option& y) {
    return x.name == y.name && x.kind == y.kind && x.text == y.text;
  });
}

// A plugin of a configuration, with its options.
std::string plugin(std::string_view type, const std::vector<annals::option>& options) {
  return "{\"type\":" + in_json(type) + (options.empty() ? "" : "," + members(options)) + "}";
}

std::string written(const annals::logger_config& config) {
  constexpr std::string_view deliveries[] = {"direct", "ring", "durable"};
  constexpr std::string_view when_full[] = {"block", "fail", "drop"};
  constexpr std::string_view when_in_use[] = {"refuse", "use_direct"};
  constexpr std::string_view precisions[] = {"seconds", "milliseconds", "microseconds"};
  char mode[16];
  std::snprintf(mode, sizeof mode, "%o", config.file_mode);
  std::string out = "{\"enabled\":" + std::string(config.enabled ? "true" : "false");
  if (!config.path.empty()) out += ",\"path\":" + in_json(config.path);
  const auto text = [&out](std::string_view name, std::string_view value) {
    out += "," + in_json(name) + ":" + in_json(value);
  };
  text("delivery", deliveries[static_cast<std::size_t>(config.delivery)]);
  text("on_full", when_full[static_cast<std::size_t>(config.on_full)]);
  text("ring_in_use", when_in_use[static_cast<std::size_t>(config.ring_in_use)]);
  text("timestamps", precisions[static_cast<std::size_t>(config.timestamps)]);
  text("ring_bytes", std::to_string(config.ring_bytes) + "B");
  text("latency_max", std::to_string(config.latency_max.count()) + "ms");
  text("file_mode", mode);
  out += ",\"max_line_bytes\":" + std::to_string(config.max_line_bytes) + ",\"plugin_directories\":[";
  for (const std::string& one : config.plugin_directories) out += (out.back() == '[' ? "" : ",") + in_json(one);
  out += "],\"sink\":" + plugin(config.sink_type, config.sink_options);
  if (!config.archiver_type.empty()) out += ",\"archive\":" + plugin(config.archiver_type, config.archiver_options);
  return out + "}";
}

bool same(const annals::logger_config& a, const annals::logger_config& b) {
  return a.path == b.path && a.enabled == b.enabled && a.delivery == b.delivery && a.ring_bytes == b.ring_bytes &&
         a.on_full == b.on_full && a.ring_in_use == b.ring_in_use && a.latency_max == b.latency_max &&
         a.timestamps == b.timestamps && a.max_line_bytes == b.max_line_bytes && a.file_mode == b.file_mode &&
         a.plugin_directories == b.plugin_directories && a.sink_type == b.sink_type && a.archiver_type == b.archiver_type &&
         same_options(a.sink_options, b.sink_options) && same_options(a.archiver_options, b.archiver_options);
}

void check_values(const annals::logger_config& config) {
  require(config.ring_bytes >= annals::limits::ring_bytes_floor && config.ring_bytes <= annals::limits::ring_bytes_ceiling,
          "the ring has a size that a ring may have");
  require(config.max_line_bytes <= annals::limits::line_bytes_ceiling, "lines are no longer than they may be");
  require((config.file_mode & ~0666U) == 0 && (config.file_mode & 0600U) == 0600U,
          "the owner reads and writes, nobody executes");
  require(config.latency_max >= std::chrono::milliseconds(1) && config.latency_max <= std::chrono::seconds(1),
          "the latency is in its range");
  require(config.path.find('\0') == std::string::npos, "no path has a NUL", config.path);
  for (const std::string& one : config.plugin_directories) {
    require(one.starts_with('/') && one.find('\0') == std::string::npos, "directories of plugins are absolute", one);
  }
  for (const annals::option& one : config.sink_options) {
    require(one.name.find('\0') == std::string::npos, "no option's name has a NUL");
  }
}

void check_problem(const annals::option_problem& one) {
  const std::string told = to_string(one);
  require(!one.path.empty() && !one.expected.empty(), "a problem says where it is and what was expected", told);
  require(fuzz::is_plain(told), "a problem is one line that a terminal shows as it is", told);
  require(told.size() < 4096, "a problem is short", told);
}

void check_units(std::string_view text) {
  if (const auto bytes = annals::parse_size(text)) {
    require(annals::parse_size(std::to_string(*bytes)) == bytes, "a size is what its digits say", text);
  }
  if (const auto length = annals::parse_duration(text)) {
    require(length->count() >= 0, "no length of time is negative", text);
    require(annals::parse_duration(std::to_string(length->count()) + "us") == length, "a length is its microseconds", text);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::text_of(data, size);
  check_units(text);
  const annals::config_check checked = annals::check_config(text, "/etc/annals");
  for (const annals::option_problem& one : checked.problems) check_problem(one);
  require(fuzz::is_plain(text) || annals::config_error("x", checked.problems).message.find('\x1b') == std::string::npos,
          "the error has no escape sequence");
  if (checked.problems.empty()) {
    check_values(checked.config);
    const std::string anew = written(checked.config);
    const annals::config_check again = annals::check_config(anew, "/etc/annals");
    require(again.problems.empty(), "a configuration makes sense when it is written anew", anew);
    require(same(checked.config, again.config), "a configuration says the same when it is written anew", anew);
  }
  const auto options = annals::parse_options(text);
  if (!options) {
    require(fuzz::is_plain(options.error().message), "a refusal is plain text", options.error().message);
    return 0;
  }
  const std::string anew = "{" + members(*options) + "}";
  const auto again = annals::parse_options(anew);
  require(again && same_options(*options, *again), "options say the same when they are written anew", anew);
  return 0;
}
