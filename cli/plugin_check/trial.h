// SPDX-License-Identifier: Apache-2.0
//
// What the parts of `annals plugin check` share: the harness runs each case in a process of its own; a case gets a
// plugin_trial, through which it calls the plugin's table. Included after `import annals;`.
#pragma once

namespace cli {

enum class verdict : std::uint8_t { passed, failed, not_checked, not_applicable };

struct outcome {
  cli::verdict verdict = verdict::passed;
  std::string why = {};
  std::chrono::duration<double> took = {};
};

// What of a plugin is running.
enum class table_call : std::uint8_t {
  none,
  constructors,
  create,
  write,
  sync,
  reopen,
  position,
  start_segment,
  archive,
  destroy,
  last_error
};

// How a case ends early.
struct case_ended {
  cli::verdict verdict;
  std::string why;
};
[[noreturn]] inline void fail_case(std::string why) {
  throw case_ended{verdict::failed, std::move(why)};
}

// A sink or an archiver of the plugin: which of them, plugin_trial::archives() says.
struct made_object;

// One plugin, loaded in the process of one case, in a directory of that case's own. Every status that it returns is judged.
class plugin_trial {
 public:
  // Replaces {directory} in `options` and `destination`. Ends the case where the plugin is refused.
  plugin_trial(const plugin_check_arguments& arguments, std::string directory, std::string captured_output, table_call* call);

  const annals_identity& identity() const { return descriptor_->identity; }
  const annals_sink_functions& sink_functions() const { return sinks_; }
  const annals_archiver_functions& archiver_functions() const { return archivers_; }
  const annals_plugin_descriptor& descriptor() const { return *descriptor_; }
  const std::string& directory() const { return directory_; }
  std::string log_path() const { return directory_ + "/audit.jsonl"; }
  std::vector<annals::option>& options() { return options_; }
  bool has(std::uint64_t capability) const { return (identity().capabilities & capability) != 0; }

  // Makes objects of this kind from now on. In the beginning: sinks, or archivers where the plugin offers no sinks.
  bool archives() const { return archives_; }
  void set_archives(bool archives) { archives_ = archives; }

  // An object with these options: null when create fails, and then create_error() says why. make() ends the case instead.
  made_object* try_make(const std::vector<annals::option>& options);
  made_object* make();
  std::string create_error() { return last_error(nullptr); }

  // True for ANNALS_OK, false for ANNALS_FAILED with a reason; all else ends the case. The second form ends it on failure, too.
  bool try_write(made_object* sink, std::string_view lines, std::uint64_t count);
  void write(made_object* sink, std::string_view lines, std::uint64_t count);
  void sync(made_object* sink);
  bool try_reopen(made_object* sink);
  void reopen(made_object* sink);
  annals_position position(made_object* sink);
  // The path of the segment that was closed; empty where there was none.
  std::string start_segment(made_object* sink);
  bool try_archive(made_object* archiver, const std::string& path, std::uint64_t number);
  void destroy(made_object* of);
  std::string last_error(made_object* of);
  std::string reason() const { return reason_; }  // of the last call that returned ANNALS_FAILED

  // Where the lines can be read; empty: nowhere that we know.
  const std::string& destination() const { return destination_; }
  bool is_visible() const { return !destination_.empty(); }
  bool is_file() const { return is_visible() && destination_ != captured_output_; }
  void need_visible() const;  // ends the case as not checked where it is not
  std::string delivered() const;
  void expect_delivered(const std::string& expected) const;
  const std::string& captured_output() const { return captured_output_; }
  bool writes_to_output() const { return writes_to_output_; }

 private:
  // Calls a function of the table; if the process ends there, the harness knows where.
  template <class Function, class... Arguments>
  auto call(table_call which, Function function, Arguments... arguments) {
    const in_call now(call_, which);
    return function(arguments...);
  }
  struct in_call {
    in_call(table_call* place, table_call which) : place_(place) { *place_ = which; }
    ~in_call() { *place_ = table_call::none; }
    in_call(const in_call&) = delete;
    in_call& operator=(const in_call&) = delete;
    table_call* place_;
  };
  bool judge(annals_status status, const char* function, made_object* of);

  table_call* call_;  // in memory shared with the harness: what is being called

  std::string directory_;
  std::string captured_output_;
  std::string destination_;
  std::string log_path_;
  bool writes_to_output_ = false;
  std::vector<annals::option> options_;
  std::optional<annals::plugin> plugin_;
  const annals_plugin_descriptor* descriptor_ = nullptr;
  annals_sink_functions sinks_ = {};
  annals_archiver_functions archivers_ = {};
  std::uint64_t sequence_ = 1;
  bool archives_ = false;
  std::string reason_;
};

struct check_case {
  const char* name;
  const char* demands;
  void (*run)(plugin_trial& trial);
};

std::span<const check_case> check_cases();

// The i-th line that a case writes.
std::string trial_line(std::uint64_t i);

// Runs one case in a child. Throws std::system_error where that cannot be done.
outcome run_case(const check_case& one, const plugin_check_arguments& arguments);

}  // namespace cli
