// SPDX-License-Identifier: Apache-2.0
//
// The cases of `annals plugin check`: what each demands. They are tried in writing.cpp, manners.cpp,
// failing.cpp and archiving.cpp.
#include <annals_plugin.h>
#include <dirent.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <optional>
#include <set>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plugins/commands.h"
import annals;
#include "plugin_check/cases.h"

namespace cli {

namespace check {

using std::string;

// Lines first ... first + count - 1.
string lines(std::uint64_t first, std::uint64_t count) {
  string text;
  for (std::uint64_t i = first; i < first + count; ++i) text += trial_line(i);
  return text;
}

void need_sink(const plugin_trial& trial) {
  if (trial.has(ANNALS_OFFERS_SINK)) return;
  throw case_ended{verdict::not_applicable, "it offers no sinks; the case archive tries its archivers"};
}

string make_segment(const plugin_trial& trial, std::uint64_t number, std::uint64_t count) {
  string digits = std::to_string(number);
  digits.insert(0, digits.size() < 6 ? 6 - digits.size() : 0, '0');
  const string path = trial.directory() + "/audit-" + digits + "-20260101T000000Z.jsonl";
  std::ofstream(path, std::ios::binary) << lines(0, count);
  return path;
}

void use(plugin_trial& trial, made_object* object, std::uint64_t i) {
  if (!trial.archives()) return trial.write(object, trial_line(i), 1);
  const string path = make_segment(trial, i + 1, 20);
  if (!trial.try_archive(object, path, i + 1)) fail_case("archive of a good segment failed: " + trial.reason());
}

void call_the_rest(plugin_trial& trial, made_object* object) {
  if (trial.archives()) return;
  trial.sync(object);
  (void)trial.position(object);
  trial.reopen(object);
}

string content_of(const string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  return std::move(content).str();
}

std::set<string> names_in(const string& directory) {
  std::set<string> names;
  DIR* const opened = ::opendir(directory.c_str());
  if (opened == nullptr) return names;
  const string own = std::to_string(::dirfd(opened));
  while (const dirent* const entry = ::readdir(opened)) {
    if (entry->d_name[0] != '.' && entry->d_name != own) names.insert(entry->d_name);
  }
  ::closedir(opened);
  return names;
}

std::set<string> open_descriptors() {
  return names_in("/proc/self/fd");
}

}  // namespace check

namespace {

constexpr std::array<check_case, 22> cases = {{
    {"descriptor", "reserved slots are 0, the capabilities are known and agree with the tables", check::descriptor},
    {"bad_options", "an unknown option is refused and named; values of any kind crash nothing", check::bad_options},
    {"creation_opens_nothing", "create and destroy leave no file, descriptor or thread", check::creation_opens_nothing},
    {"order", "1,000 batches arrive whole and in order", check::order},
    {"empty_batch", "a batch of no lines does nothing and succeeds", check::empty_batch},
    {"large_batch", "1 MiB in many lines and in one arrives, or fails with a reason; then it goes on", check::large_batch},
    {"many_batches", "100,000 batches succeed and arrive", check::many_batches},
    {"sync", "sync succeeds, before and after writes, and what was written is there", check::sync},
    {"reopen", "after a rename and reopen, new lines go to a new file", check::reopen},
    {"position_is_monotonic", "the position advances by at least what was written", check::position_is_monotonic},
    {"start_segment", "start_segment closes the segment that was written to, and new lines go to a new one",
     check::start_segment},
    {"create_and_destroy_twice", "sinks can be made and destroyed again, two at a time, in any order; null is ignored",
     check::create_and_destroy_twice},
    {"fork", "a forked child that destroys its copy changes nothing for the parent", check::fork_leaves_the_parent_alone},
    {"descriptors", "200 sinks leave no descriptor open, and none is inherited by other programs", check::descriptors},
    {"memory_growth", "50,000 batches and 1,000 sinks leave no memory allocated", check::memory_growth},
    {"signals_left_alone", "signal handlers, signal mask, umask, working directory and locale stay as they are",
     check::signals_left_alone},
    {"silence", "nothing is printed but to its destination", check::silence},
    {"last_error", "there is a message after a failure, one line of UTF-8, and none after success", check::last_error},
    {"status", "every function returns ANNALS_OK or ANNALS_FAILED, and nothing else", check::status},
    {"threads", "a sink may be called by changing threads, four sinks by four at once", check::threads},
    {"failing_destination", "a full disk, no descriptors, a directory in the way: errors with reasons, then it goes on",
     check::failing_destination},
    {"archive",
     "a closed segment is replaced, also after a kill at any moment; nothing else is left; a missing one is an error",
     check::archive},
}};

}  // namespace

std::span<const check_case> check_cases() {
  return cases;
}

}  // namespace cli
