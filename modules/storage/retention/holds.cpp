// SPDX-License-Identifier: Apache-2.0
//
// Holds: the file `<live path>.holds`.
//   {"version":1,"holds":[{"name":"case-17","from":"...","to":"...","added":"...","by":"alice (1000)"}]}
// One object, so that a file cut anywhere is seen to be damaged: a hold that is lost would be a deletion too many.
module;
#include <algorithm>
#include <atomic>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <boost/system/error_code.hpp>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
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

namespace annals {

namespace {

constexpr std::size_t file_bytes_max = 1024 * 1024;  // parsed, it takes some twenty times as much memory
constexpr std::size_t name_bytes_max = 128;

std::string holds_path(const std::string& path) {
  return path + ".holds";
}

error damaged(const std::string& path, const std::string& found) {
  return {errc::invalid_json, 0,
          "the holds in '" + holds_path(path) + "' cannot be read: " + found +
              "; expected {\"version\":1,\"holds\":[...]}. Until that is put right nothing of this log is deleted: repair the "
              "file, "
              "or, if nothing is to be held, remove it"};
}

// What is wrong with the name, or an empty text.
std::string fault_of_name(std::string_view name) {
  if (name.empty()) return "it is empty";
  if (name.size() > name_bytes_max) return "it has more than " + std::to_string(name_bytes_max) + " bytes";
  for (const char c : name) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return "it has a control character in it";
  }
  boost::system::error_code failed;  // the parser's own look at a text that it wrote itself
  boost::json::parse(boost::json::serialize(boost::json::value(boost::json::string_view(name.data(), name.size()))), failed);
  return failed ? "it is not UTF-8" : "";
}

// A time of a hold: absent, or text that is one. False where it is neither.
bool take_time(const boost::json::object& from, std::string_view name, std::optional<time_point>& to) {
  const boost::json::value* const found = from.if_contains({name.data(), name.size()});
  if (found == nullptr) return true;
  if (!found->is_string()) return false;
  const auto read = parse_timestamp({found->get_string().data(), found->get_string().size()});
  if (!read) return false;
  to = read->time;
  return true;
}

std::optional<hold> hold_from(const boost::json::value& value) {
  if (!value.is_object()) return std::nullopt;
  const boost::json::object& object = value.get_object();
  const boost::json::value* const name = object.if_contains("name");
  if (name == nullptr || !name->is_string()) return std::nullopt;
  hold made;
  made.name.assign(name->get_string().data(), name->get_string().size());
  if (!fault_of_name(made.name).empty()) return std::nullopt;
  if (!take_time(object, "from", made.from) || !take_time(object, "to", made.to) || !take_time(object, "added", made.added)) {
    return std::nullopt;
  }
  if (const boost::json::value* const by = object.if_contains("by"); by != nullptr && by->is_string()) {
    made.by.assign(by->get_string().data(), by->get_string().size());
  }
  return made;
}

result<std::vector<hold>> parse_holds(const std::string& path, const std::string& text) try {
  boost::system::error_code failed;
  const boost::json::value root = boost::json::parse({text.data(), text.size()}, failed);
  if (failed) return damaged(path, text.empty() ? "it is empty" : "it is not JSON");
  const boost::json::object* const object = root.if_object();
  const boost::json::value* const version = object != nullptr ? object->if_contains("version") : nullptr;
  const boost::json::value* const list = object != nullptr ? object->if_contains("holds") : nullptr;
  if (version == nullptr || !version->is_int64() || list == nullptr || !list->is_array()) {
    return damaged(path, "it has no \"version\" and \"holds\"");
  }
  if (version->get_int64() != 1) return damaged(path, "it is of version " + std::to_string(version->get_int64()));
  std::vector<hold> holds;
  for (const boost::json::value& one : list->get_array()) {
    auto read = hold_from(one);
    if (!read) return damaged(path, "hold " + std::to_string(holds.size() + 1) + " makes no sense");
    holds.push_back(std::move(*read));
  }
  return holds;
} catch (const std::exception&) {  // no memory
  return damaged(path, "there is not enough memory for it");
}

std::string text_of(time_point time) {
  return to_string(timestamp{time, time.time_since_epoch() % std::chrono::seconds(1) == std::chrono::microseconds(0)
                                       ? precision::seconds
                                       : precision::microseconds});
}

std::string text_of(const std::vector<hold>& holds) {
  boost::json::array list;
  for (const hold& one : holds) {
    boost::json::object object;
    object["name"] = one.name;
    if (one.from) object["from"] = text_of(*one.from);
    if (one.to) object["to"] = text_of(*one.to);
    if (one.added) object["added"] = text_of(*one.added);
    object["by"] = one.by;
    list.push_back(std::move(object));
  }
  boost::json::object root;
  root["version"] = 1;
  root["holds"] = std::move(list);
  const auto text = boost::json::serialize(root);
  return std::string(text.data(), text.size()) + '\n';
}

// The event that tells of a hold.
std::string told(std::string_view action, const hold& one, std::string_view verb) {
  std::string detail = "hold " + one.name + " was " + std::string(verb) + ": it keeps ";
  std::string from;
  std::string to;
  if (one.from) from = text_of(*one.from);
  if (one.to) to = text_of(*one.to);
  detail += !one.from && !one.to ? "every segment" : "the segments with events";
  if (one.from) detail += " from " + from;
  if (one.to) detail += " to " + to;
  std::vector<field> fields = {{"hold", one.name}};
  if (one.from) fields.emplace_back("from", from);
  if (one.to) fields.emplace_back("to", to);
  return retention::event_line(action, one.name, detail, fields);
}

error no_such(const std::string& path, std::string_view name, const std::vector<hold>& holds) {
  std::vector<std::string> names;
  for (const hold& one : holds) names.push_back(one.name);
  return {errc::invalid_argument, 0,
          "there is no hold " + json::quoted(name) + " on '" + path + "'; " +
              (names.empty() ? std::string("it has none") : "it has " + words::list(names, 10))};
}

}  // namespace

bool retention::holds(const hold& one, const segment_info& segment) {
  if (!one.from && !one.to) return true;
  if (segment.is_last_guessed || !segment.first || !segment.last) return true;  // its range is not known
  return (!one.to || *segment.first <= *one.to) && (!one.from || *segment.last >= *one.from);
}

std::optional<error> retention::store_holds(const std::string& path, const std::vector<hold>& holds) {
  const std::string text = text_of(holds);
  if (text.size() > file_bytes_max) {
    return error{errc::invalid_argument, 0,
                 "cannot add a hold to '" + path + "': " + std::to_string(holds.size()) + " holds take " +
                     std::to_string(text.size()) + " bytes; expected at most " + std::to_string(file_bytes_max)};
  }
  const auto like = like_log(path);
  if (!like) return like.error();
  if (!*like) return error{errc::io, ENOENT, "cannot write '" + holds_path(path) + "': its directory does not exist"};
  return io::replace_file(holds_path(path), text, **like);
}

result<bool> retention::has_holds_file(const std::string& path) {
  const auto status = io::status_at(holds_path(path));
  if (!status) return status.error();
  return status->has_value();
}

namespace {

// Those of the file, or where it is missing, of the log's events.
result<std::vector<hold>> holds_in_force(const std::string& path) {
  const auto is_there = retention::has_holds_file(path);
  if (!is_there) return is_there.error();
  if (*is_there) return list_holds(path);
  return retention::inventory(path).told_holds();
}

}  // namespace

result<std::vector<hold>> list_holds(const std::string& path) {
  if (auto refused = segment::refuse_as_log(path)) return std::move(*refused);
  const auto text = io::read_file(holds_path(path), file_bytes_max);
  if (!text) return text.error();
  if (!*text) return std::vector<hold>();
  return parse_holds(path, **text);
}

result<hold> add_hold(const std::string& path, const hold& wanted) {
  if (auto refused = segment::refuse_as_log(path)) return std::move(*refused);
  if (const std::string fault = fault_of_name(wanted.name); !fault.empty()) {
    return error{errc::invalid_argument, 0,
                 "cannot add the hold " + json::quoted(wanted.name) + ": the name is none: " + fault};
  }
  if (wanted.from && wanted.to && *wanted.from > *wanted.to) {
    return error{errc::invalid_argument, 0,
                 "cannot add the hold " + wanted.name + ": it ends, " + text_of(*wanted.to) + ", before it begins, " +
                     text_of(*wanted.from)};
  }
  auto turn = retention::turn::take(path, true);
  if (!turn) return std::move(turn.error());
  auto holds = holds_in_force(path);
  if (!holds) return std::move(holds.error());
  for (const hold& one : *holds) {
    if (one.name != wanted.name) continue;
    return error{errc::invalid_argument, 0,
                 "cannot add the hold " + wanted.name + " to '" + path + "': there is one of that name, added by " + one.by};
  }
  hold made = wanted;
  made.added = io::calls().now();
  made.by = io::user_name();
  holds->push_back(made);
  if (auto failed = retention::store_holds(path, *holds)) return std::move(*failed);
  if (auto failed = retention::append_durably(path, told("hold_added", made, "added"))) {
    failed->message += ". The hold is in force; only the event that tells of it is missing";
    return std::move(*failed);
  }
  return made;
}

result<hold> remove_hold(const std::string& path, std::string_view name) {
  auto turn = retention::turn::take(path, true);
  if (!turn) return std::move(turn.error());
  auto holds = holds_in_force(path);
  if (!holds) return std::move(holds.error());
  const auto found = std::find_if(holds->begin(), holds->end(), [name](const hold& one) { return one.name == name; });
  if (found == holds->end()) return no_such(path, name, *holds);
  const hold removed = std::move(*found);
  holds->erase(found);
  // The event first: no hold goes without a word in the log.
  if (auto failed = retention::append_durably(path, told("hold_removed", removed, "removed"))) return std::move(*failed);
  if (auto failed = retention::store_holds(path, *holds)) {
    failed->message += ". The hold is still in force, though the log says it was removed";
    return std::move(*failed);
  }
  return removed;
}

}  // namespace annals
