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
import annals.event.text;
import annals.io;
import annals.json;
#include "library.h"

namespace annals {

namespace {

// The structs of ABI 2.0, which every later minor version begins with (annals_plugin.h).
constexpr std::size_t identity_bytes = 256;
constexpr std::size_t descriptor_bytes_min = identity_bytes + 2 * sizeof(void*);
static_assert(sizeof(annals_identity) == identity_bytes && sizeof(annals_plugin_descriptor) >= descriptor_bytes_min);
static_assert(static_cast<std::uint32_t>(option_kind::object) == ANNALS_OPTION_OBJECT);
static_assert(plugin_info::offers_sink == ANNALS_OFFERS_SINK && plugin_info::offers_archiver == ANNALS_OFFERS_ARCHIVER &&
              plugin_info::writes_log == ANNALS_WRITES_LOG);

error refused(const std::string& path, std::string_view why) {
  return {errc::plugin_refused, 0, "cannot load the plugin '" + path + "': " + std::string(why)};
}

// --- before loading -----------------------------------------------------------------------------------------------------

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

// Why a plugin with this identity cannot work with this host; nothing if it can.
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
  if (said.descriptor_size < descriptor_bytes_min) {
    return both("the size of its descriptor", said.descriptor_size, "at least ", descriptor_bytes_min);
  }
  if ((said.capabilities & (ANNALS_OFFERS_SINK | ANNALS_OFFERS_ARCHIVER)) == 0) {
    return "it offers neither sinks nor archivers; expected ANNALS_OFFERS_SINK, ANNALS_OFFERS_ARCHIVER or both among its "
           "capabilities";
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

// Copies as much of a plugin's table as both sides know. What the plugin does not have is null.
template <class Functions>
Functions copy_of(const Functions* theirs) noexcept {
  Functions ours = {};
  if (theirs != nullptr) std::memcpy(&ours, theirs, std::min<std::size_t>(theirs->struct_size, sizeof ours));
  return ours;
}

// The names of required functions that the tables lack; empty if there are none.
std::string missing(const annals_sink_functions& sink, const annals_archiver_functions& archiver, std::uint64_t capabilities) {
  std::string names;
  const auto need = [&names](std::uint64_t of, bool there, std::string_view name) {
    if (of != 0 && !there) names += (names.empty() ? "" : ", ") + std::string(name);
  };
  const std::uint64_t sinks = capabilities & ANNALS_OFFERS_SINK;
  need(sinks, sink.create != nullptr, "sink.create");
  need(sinks, sink.write != nullptr, "sink.write");
  need(sinks, sink.sync != nullptr, "sink.sync");
  need(sinks, sink.reopen != nullptr, "sink.reopen");
  need(sinks, sink.position != nullptr, "sink.position");
  need(sinks, sink.destroy != nullptr, "sink.destroy");
  need(sinks, sink.last_error != nullptr, "sink.last_error");
  const std::uint64_t archivers = capabilities & ANNALS_OFFERS_ARCHIVER;
  need(archivers, archiver.create != nullptr, "archiver.create");
  need(archivers, archiver.archive != nullptr, "archiver.archive");
  need(archivers, archiver.destroy != nullptr, "archiver.destroy");
  need(archivers, archiver.last_error != nullptr, "archiver.last_error");
  return names;
}

// The dynamic linker's message, with the plugin's path in place of the one that it was loaded by.
std::string linker_said(std::string text, const std::string& loaded_by, const std::string& path) {
  for (std::size_t at = text.find(loaded_by); at != std::string::npos; at = text.find(loaded_by, at + path.size())) {
    text.replace(at, loaded_by.size(), path);
  }
  return text;
}

// While one exists, std::terminate in this thread prints which plugin is being loaded. A handler, not only a catch: on some
// systems an exception does not leave dlopen(3), but terminates the process inside it.
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
                   "author, and try: annals plugin check %s\n",
                   path->c_str(), shell_quoted(*path).c_str());
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

// Loads the file. Returns the dynamic linker's message, or nothing. An exception of a static constructor terminates the process
// here at the latest (noexcept): it has left dlopen(3) with its lock held, and the next thread that loads anything would wait
// for ever.
std::string load_into(boost::dll::shared_library& handle, const std::string& by) noexcept {
  std::error_code failed;
  handle.load(by, boost::dll::load_mode::rtld_now | boost::dll::load_mode::rtld_local, failed);
  if (!failed) return {};
  const char* const said = ::dlerror();  // NOLINT(concurrency-mt-unsafe): each thread has its own
  return said == nullptr ? failed.message() : said;
}

// Plugins that are never unloaded. Never destroyed: their code may run until the process ends.
struct kept_libraries {
  std::mutex mutex;
  std::vector<boost::dll::shared_library> all;
};
kept_libraries& kept = *new kept_libraries;

}  // namespace

result<plugin_info> examine_plugin(const std::string& path) {
  auto found = examine(path);
  if (!found) return std::move(found.error());
  return std::move(found->info);
}

result<plugin> load_plugin(const std::string& path, unload policy) try {
  auto found = examine(path);
  if (!found) return std::move(found.error());
  auto loaded = std::make_shared<plugin::library>();
  const std::string by = found->file.path_in_proc();  // loads the file that was examined, even if another one is at `path` now
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
  annals_plugin_descriptor descriptor = {};
  std::memcpy(&descriptor, bytes, descriptor_bytes_min);
  loaded->sink = copy_of(descriptor.sink);
  loaded->archiver = copy_of(descriptor.archiver);
  if (const std::string names = missing(loaded->sink, loaded->archiver, found->identity.capabilities); !names.empty()) {
    return refused(path, "its function tables lack " + names + "; expected all that ABI " +
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

plugin_abi host_abi() noexcept {
  return {ANNALS_PLUGIN_ABI_MAJOR, ANNALS_PLUGIN_ABI_MINOR};
}

}  // namespace annals
