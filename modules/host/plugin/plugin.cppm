// SPDX-License-Identifier: Apache-2.0
//
// annals.plugin: finds and loads plugins, which offer sinks and archivers at run time, or says why it refuses one.
// plugins/abi/annals_plugin.h defines what a plugin is; docs/plugins.md shows how to write one.
//
//   annals::plugin_registry plugins({"/opt/example/annals"});
//   annals::plugin syslog = plugins.load("syslog").value();
//   annals::audit_logger log({.sink = syslog.make_sink({.options = options})});
//
// Before an instruction of a plugin's file runs, all of this is checked: the path is absolute and contains no symbolic link;
// only root and the current user can change or replace the file and the directories above it; the file is a shared object for
// this machine; it exports `annals_plugin` in a section of its own, with an identity that this host accepts. The file that was
// checked is the one that is loaded, even if its path leads elsewhere meanwhile.
module;
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>
export module annals.plugin;
import annals.event;
import annals.options;
import annals.sink;
#pragma GCC visibility push(default)

export namespace annals {

// The identity of a plugin, and where it was found.
struct plugin_info {
  static constexpr std::uint64_t offers_sink = 1U << 0;
  static constexpr std::uint64_t offers_archiver = 1U << 1;
  static constexpr std::uint64_t writes_log = 1U << 2;

  std::string path;
  std::string name;
  std::string version;
  std::string license;   // SPDX
  std::string compiler;  // that built it
  unsigned abi_major = 0;
  unsigned abi_minor = 0;
  std::uint64_t capabilities = 0;  // the above, or-ed; a newer plugin may have others
};

// The ABI version of this host.
struct plugin_abi {
  unsigned major;
  unsigned minor;
};
plugin_abi host_abi() noexcept;

enum class plugin_kind : std::uint8_t { sink, archiver };

// Why the plugin cannot be used as this: invalid_config. Nothing if it offers one. Any thread.
std::optional<error> refuse_unless_offered(const plugin_info& info, plugin_kind wanted);

// What a sink or an archiver is made with. Views: they outlive the call.
struct sink_request {
  std::span<const option> options = {};
  std::string_view log_path = {};  // the log's live segment; without NUL
  unsigned file_mode = 0600;
};

enum class unload : std::uint8_t {
  never,        // the plugin stays for the life of the process
  when_unused,  // it is unloaded with the last `plugin`, sink and archiver of it. Some code does not survive that
};

// A loaded plugin. Copies refer to the same one. Any thread.
class plugin {
 public:
  const plugin_info& info() const noexcept;

  // Make a sink or an archiver, which keeps the plugin loaded. Throw annals::failure: invalid_config if the plugin does not
  // offer one, or refuses the options; sink_failed or io for other failures that it reports; sink_failed if it breaks its
  // contract.
  std::unique_ptr<sink> make_sink(const sink_request& request) const;
  std::unique_ptr<archiver> make_archiver(const sink_request& request) const;

  // The annals_plugin_descriptor, for tools that test plugins.
  const void* descriptor() const noexcept;

  struct library;
  explicit plugin(std::shared_ptr<const library> loaded) noexcept;  // for this module
  plugin(const plugin&) noexcept;
  plugin(plugin&&) noexcept;
  plugin& operator=(const plugin&) noexcept;
  plugin& operator=(plugin&&) noexcept;
  ~plugin();

 private:
  std::shared_ptr<const library> library_;
};

// Checks the file at an absolute path as load_plugin does, and reads its identity. Runs no code of it. Errors: plugin_refused
// (the message says what was found, what was expected and what to do), io. Any thread.
result<plugin_info> examine_plugin(const std::string& path);

// Checks and loads the file at an absolute path. Errors as of examine_plugin. Loading twice gives the same plugin. Any thread.
result<plugin> load_plugin(const std::string& path, unload policy = unload::never);

// Where plugins are installed: `annals/plugins` beside this library.
std::string installed_plugin_directory();

// A file that is named like a plugin, and the result of examine_plugin.
struct found_plugin {
  std::string path;
  result<plugin_info> info;
};

// Finds plugins by name in directories: those given, in order, then the installed one. Never in the working directory or
// LD_LIBRARY_PATH. Immutable. Any thread.
class plugin_registry {
 public:
  explicit plugin_registry(std::vector<std::string> directories = {});

  const std::vector<std::string>& directories() const noexcept;

  // Every annals_*.so in the directories, in their order, then by name. Loads nothing. A directory that cannot be listed is an
  // entry with its error; a missing directory is skipped.
  std::vector<found_plugin> list() const;

  // The first annals_NAME.so in the directories, or the file at an absolute path. If the first one is refused, no later one is
  // tried. Errors: plugin_refused (if none was found, with the places that were searched), io.
  result<plugin_info> examine(std::string_view name_or_path) const;
  result<plugin> load(std::string_view name_or_path, unload policy = unload::never) const;

 private:
  result<std::string> path_of(std::string_view name_or_path) const;

  std::vector<std::string> directories_;
};

}  // namespace annals
#pragma GCC visibility pop
