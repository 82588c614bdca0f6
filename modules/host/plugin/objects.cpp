// SPDX-License-Identifier: Apache-2.0
//
// Sinks and archivers that plugins make, as objects of the host.
module;
#include <annals_plugin.h>

#include <boost/dll/shared_library.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>
module annals.plugin;
import annals.io;
import annals.event.text;
import annals.json;
#include "library.h"

namespace annals {

namespace {

constexpr std::size_t message_bytes_max = 4096;  // of what a plugin says

errc error_code_of(std::int32_t code) noexcept {
  switch (code) {
    case ANNALS_ERROR_OPTIONS: return errc::invalid_config;
    case ANNALS_ERROR_IO: return errc::io;
    case ANNALS_ERROR_SYNC: return errc::sync_failed;
    case ANNALS_ERROR_NOT_REGULAR: return errc::not_a_regular_file;
    case ANNALS_ERROR_DISK_SPACE: return errc::disk_space;
    case ANNALS_ERROR_FILE_REMOVED: return errc::file_removed;
    default: return errc::sink_failed;
  }
}

notice_code notice_code_of(std::int32_t code) noexcept {
  switch (code) {
    case ANNALS_NOTICE_SEGMENT_CLOSED: return notice_code::segment_closed;
    case ANNALS_NOTICE_SEGMENT_DELETED: return notice_code::segment_deleted;
    case ANNALS_NOTICE_FILE_REPLACED: return notice_code::file_replaced;
    case ANNALS_NOTICE_PARTIAL_LINE: return notice_code::partial_line;
    case ANNALS_NOTICE_DISK_SPACE: return notice_code::disk_space;
    case ANNALS_NOTICE_ROTATION_FAILED: return notice_code::rotation_failed;
    case ANNALS_NOTICE_DELETION_FAILED: return notice_code::deletion_failed;
    case ANNALS_NOTICE_CHECK_FAILED: return notice_code::check_failed;
    case ANNALS_NOTICE_CONNECTION_LOST: return notice_code::connection_lost;
    default: return notice_code::other;
  }
}

severity severity_of(std::int32_t code) noexcept {
  switch (code) {
    case ANNALS_SEVERITY_INFO: return severity::info;
    case ANNALS_SEVERITY_WARNING: return severity::warning;
    default: return severity::error;
  }
}

std::string text_of(const char* message) {
  return message == nullptr ? std::string() : std::string(message, ::strnlen(message, message_bytes_max));
}

// A sink or an archiver that a plugin made: calls the functions of its table, and throws what they report.
template <class Functions, class Object>
class plugin_object {
 public:
  plugin_object(std::shared_ptr<const plugin::library> library, const Functions& functions, const sink_request& request,
                notice_handler on_notice)
      : library_(std::move(library)), functions_(functions), on_notice_(std::move(on_notice)) {
    std::vector<annals_option> options;
    options.reserve(request.options.size());
    for (const option& given : request.options) {
      if (given.name.find('\0') != std::string::npos) {
        throw failure({errc::invalid_config, 0, who() + ": the name of an option contains NUL: " + json::quoted(given.name)});
      }
      options.push_back({given.name.c_str(), given.text.c_str(), given.text.size(), static_cast<std::uint32_t>(given.kind), 0});
    }
    const std::string log_path = io::absolute(std::string(request.log_path)).value();
    annals_host host = {};
    host.struct_size = sizeof host;
    host.abi_major = ANNALS_PLUGIN_ABI_MAJOR;
    host.abi_minor = ANNALS_PLUGIN_ABI_MINOR;
    host.file_mode = request.file_mode;
    host.host_version = ANNALS_VERSION;
    host.log_path = log_path.c_str();
    host.options = options.data();
    host.options_count = options.size();
    host.option_size = sizeof(annals_option);
    host.context = this;
    host.notice = &plugin_object::take_notice;
    create(host);
  }
  ~plugin_object() {
    try {
      functions_.destroy(made_);
    } catch (...) {
      on_notice_({notice_code::other, severity::error, 0, let_out("destroy")});
    }
  }
  plugin_object(const plugin_object&) = delete;
  plugin_object& operator=(const plugin_object&) = delete;

  const plugin_info& info() const noexcept { return library_->info; }
  const Functions& functions() const noexcept { return functions_; }

  // Calls a function of the table for this object, and throws what it reports.
  template <class Function, class... Arguments>
  void call(const char* name, Function function, Arguments... arguments) {
    annals_status status = ANNALS_FAILED;
    try {
      status = function(made_, arguments...);
    } catch (...) {
      throw_let_out(name);
    }
    if (status != ANNALS_OK) [[unlikely]]
      fail(made_, status, name);
  }

 private:
  std::string who() const { return "the plugin '" + info().name + "'"; }

  void create(const annals_host& host) {
    annals_status status = ANNALS_FAILED;
    try {
      status = functions_.create(&host, &made_);
    } catch (...) {
      throw failure({errc::sink_failed, 0, let_out("create")});
    }
    if (status != ANNALS_OK) fail(nullptr, status, "create");
    if (made_ == nullptr) {
      throw failure({errc::sink_failed, 0, who() + " returned success and no object from create. " + broken()});
    }
  }

  bool ask_why(Object* of, annals_error& said) const noexcept {
    try {
      return functions_.last_error(of, &said) == ANNALS_OK;
    } catch (...) {
      return false;
    }
  }

  // The message about an exception, which is being handled, and which no plugin may let out.
  std::string let_out(const char* function) const {
    std::string what;
    try {
      throw;
    } catch (const std::exception& thrown) {
      what = " (" + text_of(thrown.what()) + ")";
    } catch (...) {
      what.clear();  // its type is not known
    }
    return who() + " let an exception" + what + " out of " + function + "; expected a status. " + broken();
  }

  // Throws what the plugin says of the failed call.
  [[noreturn, gnu::cold, gnu::noinline]] void fail(Object* of, annals_status status, const char* function) {
    annals_error said = {};
    said.struct_size = sizeof said;
    const bool has_said = ask_why(of, said);
    std::string message = has_said ? text_of(said.message) : std::string();
    if (message.empty()) message = std::string(function) + " failed, and it does not say why";
    if (status != ANNALS_FAILED) {
      message += " (" + std::string(function) + " returned the status " + std::to_string(status) + ", which ABI " +
                 abi_text(info().abi_major, info().abi_minor) + " does not have. " + broken() + ")";
    }
    const errc code = !has_said || status != ANNALS_FAILED ? errc::sink_failed : error_code_of(said.code);
    throw sink_error({code, has_said ? said.system_code : 0, who() + ": " + message});
  }

  [[noreturn, gnu::cold, gnu::noinline]] void throw_let_out(const char* function) const {  // or write() keeps registers for it
    throw sink_error({errc::sink_failed, 0, let_out(function)});
  }

  std::string broken() const {
    return "That breaks its contract; tell its author, and try: annals plugin check " + shell_quoted(info().path);
  }

  static void take_notice(void* context, const annals_notice* what) noexcept try {
    const auto& self = *static_cast<const plugin_object*>(context);
    self.on_notice_({notice_code_of(what->code), severity_of(what->severity), what->system_code,
                     self.who() + ": " + text_of(what->message)});
  } catch (const std::exception&) {  // no memory for a message
  }

  const std::shared_ptr<const plugin::library> library_;
  const Functions functions_;
  const notice_handler on_notice_;
  Object* made_ = nullptr;
};

class plugin_sink final : public sink {
 public:
  plugin_sink(const std::shared_ptr<const plugin::library>& library, const sink_request& request)
      : made_(library, library->sink, request, [this](const notice& what) { notify(what); }) {}

  void write(const batch& lines) override {
    annals_batch given = {};
    given.struct_size = sizeof given;
    given.lines = lines.lines.data();
    given.bytes = lines.lines.size();
    given.count = lines.count;
    given.first_sequence = lines.first_sequence;
    given.now_us = lines.now.time_since_epoch().count();
    made_.call("write", made_.functions().write, &given);
  }
  void sync() override { made_.call("sync", made_.functions().sync); }
  void reopen() override { made_.call("reopen", made_.functions().reopen); }
  annals::position position() override {
    annals_position where = {};
    made_.call("position", made_.functions().position, &where);
    return {where.segment, where.offset};
  }
  bool keeps_log() const noexcept override { return (made_.info().capabilities & plugin_info::writes_log) != 0; }
  std::optional<closed_segment> start_segment() override {
    if (made_.functions().start_segment == nullptr) return sink::start_segment();
    annals_segment closed = {};
    closed.struct_size = sizeof closed;
    made_.call("start_segment", made_.functions().start_segment, &closed);
    if (closed.path == nullptr) return std::nullopt;
    return closed_segment{closed.path, closed.number};
  }

 private:
  plugin_object<annals_sink_functions, annals_sink> made_;
};

class plugin_archiver final : public archiver {
 public:
  plugin_archiver(const std::shared_ptr<const plugin::library>& library, const sink_request& request)
      : made_(library, library->archiver, request, [this](const notice& what) { notify(what); }) {}

  void archive(const closed_segment& segment) override {
    annals_segment given = {};
    given.struct_size = sizeof given;
    given.path = segment.path.c_str();
    given.number = segment.number;
    made_.call("archive", made_.functions().archive, &given);
  }

 private:
  plugin_object<annals_archiver_functions, annals_archiver> made_;
};

}  // namespace

std::optional<error> refuse_unless_offered(const plugin_info& info, plugin_kind wanted) {
  const bool is_sink = wanted == plugin_kind::sink;
  if ((info.capabilities & (is_sink ? plugin_info::offers_sink : plugin_info::offers_archiver)) != 0) return std::nullopt;
  return error{errc::invalid_config, 0,
               "the plugin '" + info.name +
                   (is_sink ? "' is an archiver and offers no sink; use it as \"archive\", beside a \"sink\""
                            : "' offers no archiver; use one that does, such as zstd")};
}

std::unique_ptr<sink> plugin::make_sink(const sink_request& request) const {
  if (auto refused = refuse_unless_offered(info(), plugin_kind::sink)) throw failure(std::move(*refused));
  return std::make_unique<plugin_sink>(library_, request);
}

std::unique_ptr<archiver> plugin::make_archiver(const sink_request& request) const {
  if (auto refused = refuse_unless_offered(info(), plugin_kind::archiver)) throw failure(std::move(*refused));
  return std::make_unique<plugin_archiver>(library_, request);
}

}  // namespace annals
