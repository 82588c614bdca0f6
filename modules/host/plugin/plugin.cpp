// SPDX-License-Identifier: Apache-2.0
module;
#include <annals_plugin.h>
#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <boost/dll/shared_library.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>
module annals.plugin;
import annals.plugin.elf;
import annals.io;
import annals.json;

namespace annals {

namespace {

// The structs of ABI 1.0, which every later minor version begins with (annals_plugin.h).
constexpr std::size_t identity_bytes = 256;
constexpr std::size_t functions_bytes_min = 8 * sizeof(void*);
static_assert(sizeof(annals_identity) == identity_bytes && sizeof(annals_functions) >= functions_bytes_min);
static_assert(static_cast<std::uint32_t>(option_kind::object) == ANNALS_OPTION_OBJECT);
static_assert(plugin_info::can_archive == ANNALS_CAN_ARCHIVE && plugin_info::writes_log == ANNALS_WRITES_LOG);

constexpr std::size_t message_bytes_max = 4096;  // of what a plugin says

error refused(const std::string& path, std::string_view why) {
  return {errc::plugin_refused, 0, "cannot load the plugin '" + path + "': " + std::string(why)};
}

// --- before loading -----------------------------------------------------------------------------------------------------

std::string abi_text(unsigned major, unsigned minor) {
  return std::to_string(major) + "." + std::to_string(minor);
}

// Printable ASCII, ended by NUL and filled up with NUL.
template <std::size_t Size>
bool is_text(const char (&text)[Size]) {
  const char* const end = std::find(text, text + Size, '\0');
  return end != text && end != text + Size && std::all_of(text, end, [](char c) { return c >= ' ' && c <= '~'; }) &&
         std::all_of(end, text + Size, [](char c) { return c == '\0'; });
}

bool is_name(std::string_view name) {
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; });
}

std::string both(std::string_view what, std::uint64_t theirs, std::string_view expected, std::uint64_t ours) {
  return std::string(what) + " is " + std::to_string(theirs) + " bytes; this host expects " + std::string(expected) +
         std::to_string(ours) + ": build it with annals_plugin.h of ABI " +
         abi_text(ANNALS_PLUGIN_ABI_MAJOR, ANNALS_PLUGIN_ABI_MINOR) + ", unchanged, or a later minor version";
}

// Why a plugin with this identity cannot work with this host, or nothing.
std::optional<std::string> judge(const annals_identity& said, const std::string& path) {
  constexpr char magic[8] = ANNALS_PLUGIN_MAGIC;
  if (std::memcmp(said.magic, magic, sizeof magic) != 0) {
    return "its descriptor begins with " + json::quoted({said.magic, sizeof said.magic}) +
           "; expected \"ANNALSPL\": define it with " + "ANNALS_PLUGIN_IDENTITY";
  }
  if (said.abi_major != ANNALS_PLUGIN_ABI_MAJOR) {
    return "it was built for ABI " + abi_text(said.abi_major, said.abi_minor) + "; this host has ABI " +
           abi_text(ANNALS_PLUGIN_ABI_MAJOR, ANNALS_PLUGIN_ABI_MINOR) + ", and majors must be equal: " +
           (said.abi_major > ANNALS_PLUGIN_ABI_MAJOR ? "use a newer annals, or build the plugin with this one's annals_plugin.h"
                                                     : "build the plugin with this annals's annals_plugin.h");
  }
  if (said.identity_size != identity_bytes) return both("the size of its identity", said.identity_size, "", identity_bytes);
  if (said.functions_size < functions_bytes_min) {
    return both("the size of its function table", said.functions_size, "at least ", functions_bytes_min);
  }
  if (said.descriptor_size < identity_bytes + said.functions_size) {
    return both("the size of its descriptor", said.descriptor_size, "at least ", identity_bytes + said.functions_size);
  }
  if (!is_text(said.name) || !is_name(said.name))
    return "its descriptor has no name of a-z, 0-9 and _; expected one, filled up with NUL";
  if (!is_text(said.version) || !is_text(said.license) || !is_text(said.compiler)) {
    return "its descriptor's version, license or compiler is no text; expected printable ASCII, not empty, filled up with NUL";
  }
  const std::string file_name = "annals_" + std::string(said.name) + ".so";
  if (path.substr(path.rfind('/') + 1) != file_name) {
    return "its descriptor has the name \"" + std::string(said.name) + "\"; expected a file of that name: call it " + file_name;
  }
  return std::nullopt;
}

struct examined {
  io::file file;
  annals_identity identity = {};
  plugin_info info;
};

result<examined> examine(const std::string& path) {
  auto opened = io::file::open_trusted(path);
  if (!opened) return refused(path, opened.error().message);
  auto bytes = elf::read_exported(*opened, path, ANNALS_PLUGIN_SECTION, ANNALS_PLUGIN_SYMBOL, identity_bytes);
  if (!bytes) return refused(path, bytes.error().message);
  examined found;
  std::memcpy(&found.identity, bytes->data(), identity_bytes);
  if (auto why = judge(found.identity, path)) return refused(path, *why);
  found.file = std::move(*opened);
  const annals_identity& said = found.identity;
  found.info = {path, said.name, said.version, said.license, said.compiler, said.abi_major, said.abi_minor, said.capabilities};
  return found;
}

// --- loading ------------------------------------------------------------------------------------------------------------

// The functions that a plugin of this minor version must have, and has not.
std::string missing(const annals_functions& functions, std::uint64_t capabilities) {
  std::string names;
  const auto need = [&names](bool there, std::string_view name) {
    if (!there) names += (names.empty() ? "" : ", ") + std::string(name);
  };
  need(functions.create != nullptr, "create");
  need(functions.write != nullptr, "write");
  need(functions.sync != nullptr, "sync");
  need(functions.reopen != nullptr, "reopen");
  need(functions.position != nullptr, "position");
  need(functions.archive != nullptr || (capabilities & ANNALS_CAN_ARCHIVE) == 0, "archive (its capabilities promise it)");
  need(functions.destroy != nullptr, "destroy");
  need(functions.last_error != nullptr, "last_error");
  return names;
}

// The dynamic linker's words, with the plugin's path in place of the one it was loaded by.
std::string linker_said(std::string text, const std::string& loaded_by, const std::string& path) {
  for (std::size_t at = text.find(loaded_by); at != std::string::npos; at = text.find(loaded_by, at + path.size())) {
    text.replace(at, loaded_by.size(), path);
  }
  return text;
}

// While one lives, the end of the process in this thread by std::terminate is told with the plugin that it loads. A handler,
// and not a catch alone: of some systems' dlopen(3) no exception comes out, not even to end the process behind it.
class told_by_terminate {
 public:
  explicit told_by_terminate(const std::string& path) : outer_(std::exchange(loading, &path)) {
    const std::lock_guard lock(mutex);
    if (living++ == 0) before = std::set_terminate(tell);
  }
  ~told_by_terminate() {
    loading = outer_;
    const std::lock_guard lock(mutex);
    if (--living == 0 && std::get_terminate() == tell) std::set_terminate(before);  // unless the plugin set its own
  }
  told_by_terminate(const told_by_terminate&) = delete;
  told_by_terminate& operator=(const told_by_terminate&) = delete;

 private:
  [[noreturn]] static void tell() {
    if (const std::string* const path = std::exchange(loading, nullptr)) {
      std::fprintf(stderr,
                   "annals: a static constructor of the plugin '%s' threw an exception, which no process survives; tell its "
                   "author, and try: annals plugin check '%s'\n",
                   path->c_str(), path->c_str());
    }
    const std::terminate_handler next = before;
    if (next != nullptr && next != tell) next();
    std::abort();
  }

  const std::string* outer_;
  static thread_local const std::string* loading;
  static std::mutex mutex;
  static int living;
  static std::atomic<std::terminate_handler> before;
};
thread_local const std::string* told_by_terminate::loading = nullptr;
std::mutex told_by_terminate::mutex;
int told_by_terminate::living = 0;
std::atomic<std::terminate_handler> told_by_terminate::before = nullptr;

// Loads the file; what the dynamic linker said, or nothing. Whatever a static constructor throws ends the process at the latest
// here: it has passed through dlopen(3), whose lock would stay locked, and the next thread that loads anything would wait for
// ever.
std::string load_into(boost::dll::shared_library& handle, const std::string& by) noexcept {
  std::error_code failed;
  handle.load(by, boost::dll::load_mode::rtld_now | boost::dll::load_mode::rtld_local, failed);
  if (!failed) return {};
  const char* const said = ::dlerror();  // NOLINT(concurrency-mt-unsafe): each thread has its own
  return said == nullptr ? failed.message() : said;
}

// Plugins that are never unloaded. Never destroyed: code of theirs may run until the process ends.
struct kept_libraries {
  std::mutex mutex;
  std::vector<boost::dll::shared_library> all;
};
kept_libraries& kept = *new kept_libraries;

}  // namespace

struct plugin::library {
  boost::dll::shared_library handle;
  plugin_info info;
  const void* descriptor = nullptr;
  annals_functions functions = {};  // what the plugin does not have is null
};

result<plugin_info> examine_plugin(const std::string& path) {
  auto found = examine(path);
  if (!found) return std::move(found.error());
  return std::move(found->info);
}

result<plugin> load_plugin(const std::string& path, unload policy) try {
  auto found = examine(path);
  if (!found) return std::move(found.error());
  auto loaded = std::make_shared<plugin::library>();
  const std::string by = found->file.path_in_proc();  // the file that was examined, whatever is at `path` now
  const std::string failed = [&] {
    const told_by_terminate told(path);
    return load_into(loaded->handle, by);
  }();
  if (!failed.empty()) {
    return refused(path, "the dynamic linker refused it: " + linker_said(failed, by, path) +
                             ". Are the libraries it needs installed (ldd '" + path + "'), and is /proc mounted?");
  }
  const auto* const bytes = &loaded->handle.get<const unsigned char>(ANNALS_PLUGIN_SYMBOL);
  if (std::memcmp(bytes, &found->identity, identity_bytes) != 0) {
    return refused(path, "its descriptor changed while it was loaded; expected a constant that nothing writes to");
  }
  std::memcpy(&loaded->functions, bytes + identity_bytes,
              std::min<std::size_t>(found->identity.functions_size, sizeof loaded->functions));
  if (const std::string names = missing(loaded->functions, found->identity.capabilities); !names.empty()) {
    return refused(path, "its function table lacks " + names + "; expected all that ABI " +
                             abi_text(found->identity.abi_major, found->identity.abi_minor) + " requires");
  }
  loaded->descriptor = bytes;
  loaded->info = std::move(found->info);
  if (policy == unload::never) {
    const std::lock_guard lock(kept.mutex);
    kept.all.push_back(loaded->handle);
  }
  return plugin(std::shared_ptr<const plugin::library>(std::move(loaded)));
} catch (const std::exception& failed) {
  return refused(path, failed.what());
}

// --- a loaded plugin ----------------------------------------------------------------------------------------------------

namespace {

errc code_of(std::int32_t code) noexcept {
  switch (code) {
    case ANNALS_ERROR_OPTIONS: return errc::invalid_config;
    case ANNALS_ERROR_IO: return errc::io;
    case ANNALS_ERROR_SYNC: return errc::sync_failed;
    case ANNALS_ERROR_NOT_REGULAR: return errc::not_a_regular_file;
    case ANNALS_ERROR_DISK_SPACE: return errc::disk_space;
    default: return errc::sink_failed;
  }
}

notice notice_of(std::int32_t code, std::int32_t system_code, std::string message) {
  switch (code) {
    case ANNALS_ERROR_REPLACED: return {notice_code::file_replaced, severity::warning, system_code, std::move(message)};
    case ANNALS_ERROR_TORN_TAIL: return {notice_code::partial_line, severity::warning, system_code, std::move(message)};
    case ANNALS_ERROR_CLOSED: return {notice_code::segment_closed, severity::info, system_code, std::move(message)};
    case ANNALS_ERROR_DELETED: return {notice_code::segment_deleted, severity::info, system_code, std::move(message)};
    case ANNALS_ERROR_DISK_SPACE: return {notice_code::disk_space, severity::warning, system_code, std::move(message)};
    default: return {notice_code::other, severity::error, system_code, std::move(message)};
  }
}

std::string text_of(const char* message) {
  return message == nullptr ? std::string() : std::string(message, ::strnlen(message, message_bytes_max));
}

// The sink on this side of the border: calls the plugin's table, and throws what it reports.
class plugin_sink final : public sink {
 public:
  plugin_sink(std::shared_ptr<const plugin::library> library, const sink_request& request)
      : library_(std::move(library)), functions_(library_->functions) {
    std::vector<annals_option> options;
    options.reserve(request.options.size());
    for (const option& given : request.options) {
      if (given.name.find('\0') != std::string::npos) {
        throw failure({errc::invalid_config, 0, who() + ": the name of an option contains NUL: " + json::quoted(given.name)});
      }
      options.push_back({given.name.c_str(), given.text.c_str(), given.text.size(), static_cast<std::uint32_t>(given.kind), 0});
    }
    const std::string log_path(request.log_path);
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
    host.notice = &plugin_sink::on_notice;
    create(host);
  }
  ~plugin_sink() override {
    try {
      functions_.destroy(made_);
    } catch (...) {
      notify({notice_code::other, severity::error, 0, let_out("destroy")});
    }
  }

  void write(const batch& lines) override {
    annals_batch given = {};
    given.struct_size = sizeof given;
    given.lines = lines.lines.data();
    given.bytes = lines.lines.size();
    given.count = lines.count;
    given.first_sequence = lines.first_sequence;
    given.now_us = lines.now.time_since_epoch().count();
    check("write", functions_.write, made_, &given);
  }
  void sync() override { check("sync", functions_.sync, made_); }
  void reopen() override { check("reopen", functions_.reopen, made_); }
  annals::position position() override {
    annals_position where = {};
    check("position", functions_.position, made_, &where);
    return {where.segment, where.offset};
  }
  bool keeps_log() const noexcept override { return (library_->info.capabilities & plugin_info::writes_log) != 0; }
  void archive(const closed_segment& segment) {
    annals_segment given = {};
    given.struct_size = sizeof given;
    given.path = segment.path.c_str();
    given.number = segment.number;
    check("archive", functions_.archive, made_, &given);
  }

 private:
  std::string who() const { return "the plugin '" + library_->info.name + "'"; }

  void create(const annals_host& host) {
    annals_status status = ANNALS_FAILED;
    try {
      status = functions_.create(&host, &made_);
    } catch (...) {
      throw failure({errc::sink_failed, 0, let_out("create")});
    }
    if (status != ANNALS_OK) fail(nullptr, status, "create");
    if (made_ == nullptr) {
      throw failure({errc::sink_failed, 0, who() + " returned success and no sink from create. " + broken()});
    }
  }

  // Calls a function of the table, and throws what it reports.
  template <class Function, class... Arguments>
  void check(const char* name, Function function, Arguments... arguments) {
    annals_status status = ANNALS_FAILED;
    try {
      status = function(arguments...);
    } catch (...) {
      throw_let_out(name);
    }
    if (status != ANNALS_OK) [[unlikely]]
      fail(made_, status, name);
  }

  bool ask_why(annals_sink* of, annals_error& said) const noexcept {
    try {
      return functions_.last_error(of, &said) == ANNALS_OK;
    } catch (...) {
      return false;
    }
  }

  // What to say of an exception, which is being handled, and which no plugin may let out.
  std::string let_out(const char* function) const {
    std::string what;
    try {
      throw;
    } catch (const std::exception& thrown) {
      what = " (" + text_of(thrown.what()) + ")";
    } catch (...) {  // nothing more to say of it
    }
    return who() + " let an exception" + what + " out of " + function + "; expected a status. " + broken();
  }

  // Throws what the plugin says of the failed call.
  [[noreturn, gnu::cold, gnu::noinline]] void fail(annals_sink* of, annals_status status, const char* function) {
    annals_error said = {};
    said.struct_size = sizeof said;
    const bool has_said = ask_why(of, said);
    std::string message = has_said ? text_of(said.message) : std::string();
    if (message.empty()) message = std::string(function) + " failed, and it does not say why";
    if (status != ANNALS_FAILED) {
      message += " (" + std::string(function) + " returned the status " + std::to_string(status) + ", which ABI " +
                 abi_text(library_->info.abi_major, library_->info.abi_minor) + " does not have. " + broken() + ")";
    }
    const errc code = !has_said || status != ANNALS_FAILED ? errc::sink_failed : code_of(said.code);
    throw sink_error({code, has_said ? said.system_code : 0, who() + ": " + message});
  }

  [[noreturn, gnu::cold, gnu::noinline]] void throw_let_out(const char* function) const {  // or write() keeps registers for it
    throw sink_error({errc::sink_failed, 0, let_out(function)});
  }

  std::string broken() const {
    return "That breaks its contract; tell its author, and try: annals plugin check '" + library_->info.path + "'";
  }

  static void on_notice(void* context, std::int32_t code, std::int32_t system_code, const char* message) noexcept try {
    const auto& self = *static_cast<const plugin_sink*>(context);
    self.notify(notice_of(code, system_code, self.who() + ": " + text_of(message)));
  } catch (const std::exception&) {  // no memory for a message
  }

  const std::shared_ptr<const plugin::library> library_;
  const annals_functions functions_;
  annals_sink* made_ = nullptr;
};

class plugin_archiver final : public archiver {
 public:
  plugin_archiver(std::shared_ptr<const plugin::library> library, const sink_request& request)
      : with_(std::move(library), request) {
    with_.set_notice_handler([this](const notice& what) { notify(what); });
  }
  void archive(const closed_segment& segment) override { with_.archive(segment); }

 private:
  plugin_sink with_;
};

}  // namespace

plugin::plugin(std::shared_ptr<const library> loaded) noexcept : library_(std::move(loaded)) {}
plugin::plugin(const plugin&) noexcept = default;
plugin::plugin(plugin&&) noexcept = default;
plugin& plugin::operator=(const plugin&) noexcept = default;
plugin& plugin::operator=(plugin&&) noexcept = default;
plugin::~plugin() = default;

const plugin_info& plugin::info() const noexcept {
  return library_->info;
}

const void* plugin::descriptor() const noexcept {
  return library_->descriptor;
}

std::unique_ptr<sink> plugin::make_sink(const sink_request& request) const {
  return std::make_unique<plugin_sink>(library_, request);
}

std::unique_ptr<archiver> plugin::make_archiver(const sink_request& request) const {
  if ((info().capabilities & plugin_info::can_archive) == 0) {
    throw failure(
        {errc::invalid_config, 0, "the plugin '" + info().name + "' archives nothing; expected an archiver, as zstd is"});
  }
  return std::make_unique<plugin_archiver>(library_, request);
}

plugin_abi host_abi() noexcept {
  return {ANNALS_PLUGIN_ABI_MAJOR, ANNALS_PLUGIN_ABI_MINOR};
}

}  // namespace annals
