// SPDX-License-Identifier: Apache-2.0
//
// What a case of `annals plugin check` does to the plugin: calls its functions and judges what they return.
#include <annals_plugin.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plugins/commands.h"
import annals;
#include "plugin_check/cases.h"

namespace cli {

namespace {

std::string replaced(std::string text, const std::string& directory) {
  constexpr std::string_view place = "{directory}";
  for (std::size_t at = text.find(place); at != std::string::npos; at = text.find(place, at + directory.size())) {
    text.replace(at, place.size(), directory);
  }
  return text;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const annals::utf8_character c = annals::first_character(text);
    if (!c.is_valid) return false;
    text.remove_prefix(c.bytes);
  }
  return true;
}

void ignore_notice(void*, const annals_notice*) {}

annals_sink* as_sink(made_object* object) {
  return reinterpret_cast<annals_sink*>(object);
}

annals_archiver* as_archiver(made_object* object) {
  return reinterpret_cast<annals_archiver*>(object);
}

// As much of the plugin's table as this host knows.
template <class Functions>
Functions copy_of(const Functions* table) {
  Functions known = {};
  if (table != nullptr) std::memcpy(&known, table, std::min<std::size_t>(table->struct_size, sizeof known));
  return known;
}

}  // namespace

std::string trial_line(std::uint64_t i) {
  return R"({"ts":"2026-01-01T00:00:00+00:00","container":"check","action":"write","number":)" + std::to_string(i) + "}\n";
}

plugin_trial::plugin_trial(const plugin_check_arguments& arguments, std::string directory, std::string captured_output,
                           table_call* call)
    : call_(call),
      directory_(std::move(directory)),
      captured_output_(std::move(captured_output)),
      log_path_(directory_ + "/audit.jsonl") {
  auto options = annals::parse_options(replaced(arguments.options, directory_));
  if (!options) fail_case("--options: " + options.error().message);
  options_ = std::move(*options);
  auto loaded = [&] {
    const in_call now(call_, table_call::constructors);
    return annals::load_plugin(arguments.file);
  }();
  if (!loaded) fail_case(loaded.error().message);
  plugin_ = std::move(*loaded);
  descriptor_ = static_cast<const annals_plugin_descriptor*>(plugin_->descriptor());
  sinks_ = copy_of(descriptor_->sink);
  archivers_ = copy_of(descriptor_->archiver);
  archives_ = !has(ANNALS_OFFERS_SINK);
  writes_to_output_ = arguments.destination == "stdout" || arguments.destination == "stderr";
  if (writes_to_output_) {
    destination_ = captured_output_;
  } else if (!arguments.destination.empty()) {
    destination_ = replaced(arguments.destination, directory_);
  } else if (has(ANNALS_WRITES_LOG)) {
    destination_ = log_path_;
  }
}

bool plugin_trial::judge(annals_status status, const char* function, made_object* of) {
  if (status == ANNALS_OK) return true;
  if (status != ANNALS_FAILED) {
    fail_case(std::string(function) + " returned " + std::to_string(status) + "; expected ANNALS_OK or ANNALS_FAILED");
  }
  reason_ = last_error(of);
  if (reason_.empty()) fail_case(std::string(function) + " failed, and last_error has no message; expected one that says why");
  // Of create there may be several lines: one for each option that is wrong.
  if (of != nullptr && reason_.find('\n') != std::string::npos)
    fail_case("the message of last_error has more than one line: " + reason_);
  return false;
}

std::string plugin_trial::last_error(made_object* of) {
  annals_error said = {};
  said.struct_size = sizeof said;
  const annals_status status = archives_ ? call(table_call::last_error, archivers_.last_error, as_archiver(of), &said)
                                         : call(table_call::last_error, sinks_.last_error, as_sink(of), &said);
  if (status == ANNALS_FAILED) return {};
  if (status != ANNALS_OK) fail_case("last_error returned " + std::to_string(status) + "; expected ANNALS_OK or ANNALS_FAILED");
  if (said.message == nullptr) fail_case("last_error succeeded with a null message; expected a text");
  std::string message = said.message;
  if (!is_utf8(message)) fail_case("the message of last_error is no UTF-8");
  return message;
}

made_object* plugin_trial::try_make(const std::vector<annals::option>& options) {
  std::vector<annals_option> given;
  for (const annals::option& one : options) {
    given.push_back({one.name.c_str(), one.text.c_str(), one.text.size(), static_cast<std::uint32_t>(one.kind), 0});
  }
  annals_host host = {};
  host.struct_size = sizeof host;
  host.abi_major = ANNALS_PLUGIN_ABI_MAJOR;
  host.abi_minor = ANNALS_PLUGIN_ABI_MINOR;
  host.file_mode = 0600;
  host.host_version = ANNALS_VERSION;
  host.log_path = log_path_.c_str();
  host.options = given.data();
  host.options_count = given.size();
  host.option_size = sizeof(annals_option);
  host.notice = ignore_notice;
  annals_sink* sink = nullptr;
  annals_archiver* archiver = nullptr;
  const annals_status status = archives_ ? call(table_call::create, archivers_.create, &host, &archiver)
                                         : call(table_call::create, sinks_.create, &host, &sink);
  if (!judge(status, "create", nullptr)) return nullptr;
  auto* const made = archives_ ? reinterpret_cast<made_object*>(archiver) : reinterpret_cast<made_object*>(sink);
  if (made == nullptr) fail_case("create succeeded and made nothing");
  return made;
}

made_object* plugin_trial::make() {
  made_object* const made = try_make(options_);
  if (made == nullptr) fail_case("create failed with the given --options: " + reason_);
  return made;
}

bool plugin_trial::try_write(made_object* sink, std::string_view lines, std::uint64_t count) {
  const std::string copy(lines);  // so that a plugin that reads or keeps more than it may is seen by sanitizers
  annals_batch batch = {};
  batch.struct_size = sizeof batch;
  batch.lines = copy.data();
  batch.bytes = copy.size();
  batch.count = count;
  batch.first_sequence = sequence_;
  batch.now_us =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  sequence_ += count;
  return judge(call(table_call::write, sinks_.write, as_sink(sink), &batch), "write", sink);
}

void plugin_trial::write(made_object* sink, std::string_view lines, std::uint64_t count) {
  if (!try_write(sink, lines, count)) fail_case("write failed: " + reason_);
}

void plugin_trial::sync(made_object* sink) {
  if (!judge(call(table_call::sync, sinks_.sync, as_sink(sink)), "sync", sink)) fail_case("sync failed: " + reason_);
}

void plugin_trial::destroy(made_object* of) {
  if (archives_) {
    call(table_call::destroy, archivers_.destroy, as_archiver(of));
  } else {
    call(table_call::destroy, sinks_.destroy, as_sink(of));
  }
}

bool plugin_trial::try_reopen(made_object* sink) {
  return judge(call(table_call::reopen, sinks_.reopen, as_sink(sink)), "reopen", sink);
}

void plugin_trial::reopen(made_object* sink) {
  if (!try_reopen(sink)) fail_case("reopen failed: " + reason_);
}

annals_position plugin_trial::position(made_object* sink) {
  annals_position where = {};
  if (!judge(call(table_call::position, sinks_.position, as_sink(sink), &where), "position", sink))
    fail_case("position failed: " + reason_);
  return where;
}

std::string plugin_trial::start_segment(made_object* sink) {
  annals_segment closed = {};
  closed.struct_size = sizeof closed;
  if (!judge(call(table_call::start_segment, sinks_.start_segment, as_sink(sink), &closed), "start_segment", sink)) {
    fail_case("start_segment failed: " + reason_);
  }
  return closed.path == nullptr ? "" : closed.path;
}

bool plugin_trial::try_archive(made_object* archiver, const std::string& path, std::uint64_t number) {
  annals_segment segment = {};
  segment.struct_size = sizeof segment;
  segment.path = path.c_str();
  segment.number = number;
  return judge(call(table_call::archive, archivers_.archive, as_archiver(archiver), &segment), "archive", archiver);
}

void plugin_trial::need_visible() const {
  if (is_visible()) return;
  throw case_ended{verdict::not_checked,
                   "no call failed, but whether the lines arrive cannot be seen; say where they can be read: --destination "
                   "FILE, stdout or stderr"};
}

std::string plugin_trial::delivered() const {
  return check::content_of(destination_);
}

void plugin_trial::expect_delivered(const std::string& expected) const {
  need_visible();
  const std::string found = delivered();
  if (found == expected) return;
  const auto at = static_cast<std::size_t>(std::mismatch(found.begin(), found.end(), expected.begin(), expected.end()).first -
                                           found.begin());
  const auto line = std::count(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(at), '\n') + 1;
  fail_case("the destination has " + std::to_string(found.size()) + " bytes, expected the " + std::to_string(expected.size()) +
            " that were written; they differ from line " + std::to_string(line) + ", offset " + std::to_string(at));
}

}  // namespace cli
