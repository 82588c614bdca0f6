// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/parse_options.hpp>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include "json_tree.h"
module annals.config;
import annals.io;
import annals.json;

namespace annals {

namespace {

using config::kind;
using config::node;

constexpr std::size_t config_bytes_max = 1024 * 1024;
constexpr std::size_t depth_max = 32;
constexpr std::size_t problems_max = 1000;  // from then on, repeated names are not looked for
constexpr std::size_t line_bytes_min = 64;

option_problem syntax_problem(std::string_view text, std::size_t offset, std::string found) {
  const std::string_view before = text.substr(0, std::min(offset, text.size()));
  const auto line = static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n')) + 1;
  const std::size_t column = before.size() - (before.rfind('\n') + 1) + 1;  // npos + 1 is 0
  return {"line " + std::to_string(line) + ", column " + std::to_string(column),
          std::move(found),
          "JSON (RFC 8259): an object, without comments or trailing commas",
          {}};
}

std::optional<option_problem> parse(std::string_view text, node& root) {
  boost::json::parse_options options;
  options.max_depth = depth_max;
  boost::json::basic_parser<config::tree_builder> parser(options);
  boost::system::error_code failed;
  const std::size_t used = parser.write_some(false, text.data(), text.size(), failed);
  if (failed) return syntax_problem(text, used, failed.message());
  if (const std::size_t end = text.find_first_not_of(" \t\r\n", used); end != std::string_view::npos) {
    return syntax_problem(text, end, json::quoted(text.substr(end, 1)));
  }
  root = std::move(parser.handler().root());
  if (root.kind != kind::object) return syntax_problem(text, 0, "a JSON value that is no object");
  return std::nullopt;
}

std::string escaped(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    constexpr char digits[] = "0123456789abcdef";
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20) {
      out.append("\\u00").append(1, digits[byte >> 4]).append(1, digits[byte & 15]);
    } else {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
  }
  return out + '"';
}

std::string compact(const node& of) {
  if (of.kind == kind::text) return escaped(of.text);
  if (of.kind != kind::array && of.kind != kind::object) return of.text;
  std::string out(1, of.kind == kind::array ? '[' : '{');
  for (const node& child : of.children) {
    if (out.size() > 1) out += ',';
    if (of.kind == kind::object) out += escaped(child.name) + ':';
    out += compact(child);
  }
  return out + (of.kind == kind::array ? ']' : '}');
}

option option_of(const node& of) {
  return {of.name, static_cast<option_kind>(of.kind), of.kind == kind::text ? of.text : compact(of)};
}

std::vector<option> options_of(const node& object) {
  std::vector<option> options;
  for (const node& member : object.children) options.push_back(option_of(member));
  return options;
}

// The last member of this name, as option_reader has it.
const node* child(const node& object, std::string_view name) {
  const node* found = nullptr;
  for (const node& member : object.children) {
    if (member.name == name) found = &member;
  }
  return found;
}

// JSON lets a name repeat, and readers differ in which one counts: here none may.
void find_repeated(const node& of, const std::string& path, std::vector<option_problem>& problems) {
  std::unordered_set<std::string_view> names;
  for (std::size_t i = 0; i < of.children.size() && problems.size() < problems_max; ++i) {
    const node& one = of.children[i];
    const std::string at = of.kind == kind::object ? member_path(path, one.name) : path + "[" + std::to_string(i) + "]";
    if (of.kind == kind::object && !names.insert(one.name).second) {
      problems.push_back({at, shown_value(option_of(one)), "each name once: this one stands twice in " + path, {}});
    }
    find_repeated(one, at, problems);
  }
}

std::string joined(const std::string& directory, const std::string& path) {
  if (path.starts_with('/') || directory.empty()) return path;
  return directory + (directory.ends_with('/') ? "" : "/") + path;
}

class checker {
 public:
  checker(const node& root, const std::string& directory) : root_(root), directory_(directory), top_(options_of(root)) {}

  config_check run() {
    option_reader reader(top_, "$");
    (void)reader.text("$schema");
    config_.enabled = reader.boolean("enabled").value_or(config_.enabled);
    delivery(reader);
    if (const auto chosen = reader.choice("timestamps", {"seconds", "milliseconds", "microseconds"})) {
      config_.timestamps = static_cast<precision>(*chosen);
    }
    config_.max_line_bytes = static_cast<std::size_t>(
        reader.size("max_line_bytes", line_bytes_min, limits::line_bytes_ceiling).value_or(config_.max_line_bytes));
    file_mode(reader);
    plugin_directories(reader);
    sink(reader);
    archiver(reader);
    if (const auto chosen = reader.choice("archive_priority", {"automatic", "lowest", "unchanged"})) {
      config_.archive_priority = static_cast<archive_priority>(*chosen);
    }
    const auto path = reader.text("path");
    if (path) config_.path = joined(directory_, *path);
    file_names(reader);
    pressure();
    if (config_.sink_type == "file" || !config_.archiver_type.empty()) reader.require("path", "the path of the log's file");
    if (config_.delivery == annals::delivery::ring) reader.require("path", "the path of the log, beside which its ring lies");
    config_check done;
    done.problems = reader.problems();
    done.problems.insert(done.problems.end(), deeper_.begin(), deeper_.end());
    find_repeated(root_, "$", done.problems);
    done.config = std::move(config_);
    return done;
  }

 private:
  void delivery(option_reader& reader) {
    using std::chrono::milliseconds;
    if (const auto chosen = reader.choice("delivery", {"direct", "ring", "durable"})) {
      config_.delivery = static_cast<annals::delivery>(*chosen);
    }
    config_.ring_bytes = static_cast<std::size_t>(
        reader.size("ring_bytes", limits::ring_bytes_floor, limits::ring_bytes_ceiling).value_or(config_.ring_bytes));
    if (const auto chosen = reader.choice("on_full", {"block", "fail", "drop"}))
      config_.on_full = static_cast<on_full>(*chosen);
    if (const auto chosen = reader.choice("ring_in_use", {"refuse", "use_direct"})) {
      config_.ring_in_use = static_cast<ring_in_use>(*chosen);
    }
    if (const auto given = reader.duration("latency_max", milliseconds(1), milliseconds(1000))) {
      config_.latency_max = std::chrono::ceil<milliseconds>(*given);
    }
  }

  // The longest name of a file of the log: of the temporary file of an archive, or of one beside the log.
  void file_names(option_reader& reader) {
    constexpr std::size_t name_bytes_max = 255;  // NAME_MAX
    constexpr std::string_view closed = "-000001-20260131T235959Z.jsonl.zst.tmp";
    constexpr std::string_view beside = ".holds.tmp";
    if (config_.path.empty()) return;
    const std::string name = std::filesystem::path(config_.path).filename().string();
    constexpr std::string_view extension = ".jsonl";
    const std::size_t stem_bytes = name.size() - (name.ends_with(extension) ? extension.size() : 0);
    const bool is_rotated = config_.sink_type == "rotate" || !config_.archiver_type.empty();
    const std::size_t longest = std::max(name.size() + beside.size(), is_rotated ? stem_bytes + closed.size() : 0);
    if (longest <= name_bytes_max) return;
    reader.problem("path", "a shorter name: files of the log get names that are longer by up to " +
                               std::to_string(longest - name.size()) + " bytes, and a file system takes " +
                               std::to_string(name_bytes_max));
  }

  void pressure() {
    if (config_.sink_type != "rotate" || !config_.archiver_type.empty()) return;
    const node* const of_sink = child(root_, "sink");
    const node* const stages = of_sink == nullptr ? nullptr : child(*of_sink, "pressure");
    const node* const archive = stages == nullptr ? nullptr : child(*stages, "archive");
    if (archive == nullptr) return;
    deeper_.push_back({"$.sink.pressure.archive",
                       shown_value(option_of(*archive)),
                       R"($.archive beside it: without an archiver, this stage can do nothing)",
                       {}});
  }

  void file_mode(option_reader& reader) {
    const auto text = reader.text("file_mode");
    if (!text) return;
    unsigned mode = 0;
    const auto read = std::from_chars(text->data(), text->data() + text->size(), mode, 8);
    const bool whole = read.ec == std::errc() && read.ptr == text->data() + text->size() && text->size() <= 5;
    if (!whole || (mode & ~0666U) != 0 || (mode & 0600U) != 0600U) {
      return reader.problem("file_mode",
                            "octal digits that let the owner read and write and nobody execute: \"0600\", \"0640\"");
    }
    config_.file_mode = mode;
  }

  void plugin_directories(option_reader& reader) {
    if (!reader.json("plugin_directories", option_kind::array)) return;
    const node& list = *child(root_, "plugin_directories");
    for (std::size_t i = 0; i < list.children.size(); ++i) {
      const node& one = list.children[i];
      if (one.kind == kind::text && !one.text.empty() && one.text.find('\0') == std::string::npos) {
        config_.plugin_directories.push_back(joined(directory_, one.text));
      } else {
        deeper_.push_back(
            {"$.plugin_directories[" + std::to_string(i) + "]", shown_value(option_of(one)), "the path of a directory", {}});
      }
    }
  }

  void sink(option_reader& reader) {
    if (!reader.json("sink", option_kind::object)) return;
    config_.sink_type = plugin("sink", R"("file", the name of a plugin)", config_.sink_options);
  }

  void archiver(option_reader& reader) {
    if (!reader.json("archive", option_kind::object)) return;
    config_.archiver_type = plugin("archive", "the name of a plugin", config_.archiver_options);
  }

  // Reads the member `name` of the configuration, which is for a plugin: its type, and its options.
  std::string plugin(const std::string& name, const std::string& expected, std::vector<option>& options) {
    const std::string path = "$." + name;
    const std::vector<option> given = options_of(*child(root_, name));
    option_reader of_plugin(given, path);
    const auto type = of_plugin.text("type");
    const bool is_built_in = name == "sink" && type == "file";
    if (type && !is_type(*type)) of_plugin.problem("type", expected + " (a-z, 0-9, _) or its absolute path");
    of_plugin.require("type", expected + " or its absolute path");
    // Only the plugin knows which others it has: what is unknown here is passed on.
    for (option_problem& one : is_built_in ? of_plugin.problems() : known_problems(of_plugin, given)) {
      deeper_.push_back(std::move(one));
    }
    for (const option& one : given) {
      if (one.name == "type") continue;
      if (one.name.find('\0') != std::string::npos) {  // to a plugin, names end with NUL
        deeper_.push_back({member_path(path, one.name), shown_value(one), "a name without NUL", {}});
      }
      options.push_back(one);
    }
    return type.value_or("");
  }

  // The problems that concern "type" alone.
  static std::vector<option_problem> known_problems(option_reader& of_plugin, const std::vector<option>& given) {
    std::vector<option_problem> all = of_plugin.problems();
    const auto others = static_cast<std::size_t>(
        std::count_if(given.begin(), given.end(), [](const option& one) { return one.name != "type"; }));
    all.resize(all.size() - others);  // unknown ones come last
    return all;
  }

  static bool is_type(std::string_view type) {
    if (type.starts_with('/')) return true;
    return type.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string_view::npos;
  }

  const node& root_;
  const std::string& directory_;
  const std::vector<option> top_;
  logger_config config_;
  std::vector<option_problem> deeper_;
};

}  // namespace

config_check check_config(std::string_view text, const std::string& directory) {
  node root;
  if (auto failed = parse(text, root)) return {{}, {std::move(*failed)}};
  return checker(root, directory).run();
}

result<std::vector<option>> parse_options(std::string_view text) {
  node root;
  std::vector<option_problem> problems;
  if (auto failed = parse(text, root)) {
    problems.push_back(std::move(*failed));
  } else {
    find_repeated(root, "$", problems);
  }
  if (problems.empty()) return options_of(root);
  return error{errc::invalid_config, 0, "cannot use these options: " + to_string(problems.front())};
}

result<config_check> check_config_file(const std::string& path) {
  if (path.empty() || path.find('\0') != std::string::npos) {
    return error{errc::invalid_argument, 0,
                 "cannot read the configuration " + json::quoted(path) + ": expected the path of a file"};
  }
  auto file = io::file::open(path, io::open_for::reading);
  if (!file) return std::move(file.error());
  std::string text(config_bytes_max + 1, '\0');
  const auto got = file->read_at(text.data(), text.size(), 0);
  if (!got) return got.error();
  if (*got > config_bytes_max) {
    return error{
        errc::invalid_config, 0,
        "cannot use the configuration '" + path + "': it has more than " + std::to_string(config_bytes_max) + " bytes"};
  }
  text.resize(*got);
  // Where the file was found, without symbolic links: after "link/..", the text of a path does not tell.
  std::error_code unknown;
  const std::filesystem::path directory = std::filesystem::canonical(io::parent_of(path), unknown);
  if (unknown) {
    return error{errc::io, unknown.value(), "cannot find the directory of '" + path + "': " + unknown.message()};
  }
  return check_config(text, directory.string());
}

error config_error(const std::string& path, const std::vector<option_problem>& problems, std::string_view of_sink) {
  std::string all;
  for (const option_problem& one : problems) all += "\n  " + to_string(one);
  if (!of_sink.empty()) all += "\n  $.sink: ";
  for (const char c : of_sink) all += c == '\n' ? "\n  " : std::string(1, c);
  const auto count = std::count(all.begin(), all.end(), '\n');
  return {errc::invalid_config, 0,
          "cannot use the configuration '" + path + "': " + std::to_string(count) + (count == 1 ? " problem:" : " problems:") +
              all};
}

result<logger_config> read_config(const std::string& path) {
  auto checked = check_config_file(path);
  if (!checked) return std::move(checked.error());
  if (!checked->problems.empty()) return config_error(path, checked->problems);
  return std::move(checked->config);
}

}  // namespace annals
