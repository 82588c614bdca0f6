// SPDX-License-Identifier: Apache-2.0
//
// The cases of `annals plugin check` about what a plugin says of itself, what it refuses, and how it fails.
#include <annals_plugin.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "plugin_check/soft_limit.h"
#include "plugins/commands.h"
import annals;
#include "plugin_check/cases.h"

namespace cli::check {

using std::string;

// --- the identity -------------------------------------------------------------------------------------------------------

void descriptor(plugin_trial& trial) {
  const annals_identity& said = trial.identity();
  if (std::any_of(std::begin(said.reserved), std::end(said.reserved), [](std::uint64_t one) { return one != 0; })) {
    fail_case("a reserved slot of the identity is not 0; expected 0 in all of them");
  }
  const std::uint64_t known = ANNALS_OFFERS_SINK | ANNALS_OFFERS_ARCHIVER | ANNALS_WRITES_LOG;
  if (said.abi_minor <= ANNALS_PLUGIN_ABI_MINOR && (said.capabilities & ~known) != 0) {
    fail_case("its capabilities are " + std::to_string(said.capabilities) + ", of which ABI " + std::to_string(said.abi_major) +
              "." + std::to_string(said.abi_minor) + " knows " + std::to_string(known));
  }
  if (!trial.has(ANNALS_OFFERS_SINK) && trial.descriptor().sink != nullptr) {
    fail_case("it has a table of sinks, but not the capability ANNALS_OFFERS_SINK: nobody will use it");
  }
  if (!trial.has(ANNALS_OFFERS_ARCHIVER) && trial.descriptor().archiver != nullptr) {
    fail_case("it has a table of archivers, but not the capability ANNALS_OFFERS_ARCHIVER: nobody will use it");
  }
}

void bad_options(plugin_trial& trial) {
  const string unknown = unknown_option;
  std::vector<annals::option> options = trial.options();
  options.push_back({unknown, annals::option_kind::text, "x"});
  if (made_object* const made = trial.try_make(options)) {
    trial.destroy(made);
    fail_case("create took the unknown option \"" + unknown + "\"; expected it to refuse what it does not know");
  }
  if (trial.reason().find(unknown) == string::npos) {
    fail_case("create refused an unknown option without naming it; expected \"" + unknown + "\" in: " + trial.reason());
  }
  using kind = annals::option_kind;
  const std::vector<annals::option> junk = {{"", kind::null, "null"},
                                            {"", kind::boolean, "true"},
                                            {"", kind::integer, "-99999999999999999999999"},
                                            {"", kind::number, "1e999"},
                                            {"", kind::text, ""},
                                            {"", kind::text, string(100'000, 'x')},
                                            {"", kind::text, string("\0\n\xff", 3)},
                                            {"", kind::array, "[[],{}]"},
                                            {"", kind::object, "{\"a\":{}}"}};
  for (std::size_t i = 0; i < trial.options().size(); ++i) {
    for (const annals::option& other : junk) {
      options = trial.options();
      options[i].kind = other.kind;
      options[i].text = other.text;
      if (made_object* const made = trial.try_make(options)) trial.destroy(made);
    }
  }
  trial.destroy(trial.make());  // and it works as before
}

void last_error(plugin_trial& trial) {
  made_object* const sink = trial.make();
  if (!trial.create_error().empty()) fail_case("last_error has a message for create, which succeeded");
  use(trial, sink, 0);
  if (const string said = trial.last_error(sink); !said.empty()) {
    fail_case("last_error has a message after a call that succeeded: " + said);
  }
  std::vector<annals::option> wrong = trial.options();
  wrong.push_back({unknown_option, annals::option_kind::null, "null"});
  if (made_object* const made = trial.try_make(wrong)) trial.destroy(made);  // bad_options tells of that
  use(trial, sink, 1);
  if (const string said = trial.last_error(sink); !said.empty()) {
    fail_case("a failed create is told of as the failure of another sink: " + said);
  }
  trial.destroy(sink);
}

// --- failures of the destination ----------------------------------------------------------------------------------------

namespace {

// Ends the case where one of the lines is not in the text as a line of its own.
void expect_lines(const string& text, const std::vector<string>& expected) {
  std::set<string> found;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size() - 1);
    found.insert(text.substr(at, end - at + 1));
    at = end + 1;
  }
  for (const string& line : expected) {
    if (!found.contains(line)) fail_case("write succeeded, but the line is not at the destination: " + line);
  }
}

// One sink, which goes through one fault after the other. While there is one, a call may succeed or fail with a reason; a line
// whose write succeeded has to be found afterwards; and once the fault is gone, writing works again.
class faults {
 public:
  explicit faults(plugin_trial& trial) : trial_(trial), sink_(trial.make()) { try_line(); }

  void disk_is_full() {
    std::error_code unknown;
    const auto size = trial_.is_visible() ? std::filesystem::file_size(trial_.destination(), unknown) : 0;
    {
      const soft_limit full(RLIMIT_FSIZE, unknown ? 0 : size + 150);
      for (int i = 0; i < 20; ++i) try_line();
    }
    recover();
  }

  void no_descriptor_is_left() {
    {
      rlim_t most = 3;
      for (const string& one : open_descriptors()) most = std::max<rlim_t>(most, static_cast<rlim_t>(std::stoi(one)) + 1);
      const soft_limit none_left(RLIMIT_NOFILE, most);
      std::vector<int> taken;
      for (int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC); fd >= 0; fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) {
        taken.push_back(fd);
      }
      try_line();
      const bool is_open = trial_.try_reopen(sink_);
      if (const int fd = is_open ? ::open("/dev/null", O_RDONLY | O_CLOEXEC) : -1; fd >= 0) taken.push_back(fd);
      try_line();
      for (const int fd : taken) ::close(fd);
    }
    recover();
  }

  void directory_is_in_the_way() {
    const string aside = trial_.destination() + ".aside";
    std::filesystem::rename(trial_.destination(), aside);
    std::filesystem::create_directory(trial_.destination());
    (void)trial_.try_reopen(sink_);
    for (int i = 0; i < 3; ++i) try_line();
    std::filesystem::remove_all(trial_.destination());
    std::filesystem::rename(aside, trial_.destination());
    (void)trial_.try_reopen(sink_);
    recover();
  }

  // A sink may make the directory anew; its lines are found there then.
  void directory_is_gone() {
    const string directory = std::filesystem::path(trial_.destination()).parent_path().string();
    const string aside = directory + ".aside";
    if (!directory.starts_with(trial_.directory())) return;  // it is not ours
    std::filesystem::rename(directory, aside);
    (void)trial_.try_reopen(sink_);
    for (int i = 0; i < 3; ++i) try_line();
    elsewhere_ += trial_.delivered();
    std::filesystem::remove_all(directory);
    std::filesystem::rename(aside, directory);
    (void)trial_.try_reopen(sink_);
    recover();
  }

  void finish() {
    trial_.destroy(sink_);
    trial_.need_visible();
    expect_lines(elsewhere_ + trial_.delivered(), acknowledged_);
  }

 private:
  bool try_line() {
    const string line = trial_line(next_++);
    const bool taken = trial_.try_write(sink_, line, 1);
    if (taken) acknowledged_.push_back(line);
    return taken;
  }

  // A sink that connects to something may wait between attempts.
  void recover() {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(2);
    while (!try_line()) {
      if (std::chrono::steady_clock::now() > until) {
        fail_case("it does not go on after the fault is gone; the last error: " + trial_.reason());
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }

  plugin_trial& trial_;
  made_object* sink_;
  std::uint64_t next_ = 0;
  std::vector<string> acknowledged_;
  string elsewhere_;
};

}  // namespace

void failing_destination(plugin_trial& trial) {
  ::signal(SIGXFSZ, SIG_IGN);  // as a host does that limits the size of its files
  if (trial.archives()) return failing_archives(trial);
  faults tried(trial);
  tried.disk_is_full();
  tried.no_descriptor_is_left();
  if (trial.is_file()) {
    tried.directory_is_in_the_way();
    tried.directory_is_gone();
  }
  tried.finish();
}

// Each function of the table, in success and in failure: the trial judges what they return.
void status(plugin_trial& trial) {
  std::vector<annals::option> wrong = trial.options();
  wrong.push_back({unknown_option, annals::option_kind::null, "null"});
  if (made_object* const made = trial.try_make(wrong)) trial.destroy(made);  // bad_options tells of that
  made_object* const object = trial.make();
  (void)trial.last_error(object);
  for (std::uint64_t i = 0; i < 3; ++i) {
    use(trial, object, i);
    (void)trial.last_error(object);
    call_the_rest(trial, object);
    (void)trial.last_error(object);
  }
  trial.destroy(object);
  if (!trial.has(ANNALS_OFFERS_ARCHIVER)) return;
  trial.set_archives(true);
  made_object* const archiver = trial.make();
  (void)trial.try_archive(archiver, trial.directory() + "/missing-000001.jsonl", 1);
  trial.destroy(archiver);
}

}  // namespace cli::check
