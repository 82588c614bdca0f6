// SPDX-License-Identifier: Apache-2.0
//
// The cases of `annals plugin check` about archivers.
#include <annals_plugin.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

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

namespace {

// The files that a segment has become, and what else begins with its name.
std::set<string> left_of(const plugin_trial& trial, const string& path) {
  const string name = std::filesystem::path(path).filename().string();
  std::set<string> names = names_in(trial.directory());
  std::erase_if(names, [&](const string& one) { return !one.starts_with(name); });
  return names;
}

// Archives in a child that is killed after ever longer times, until one comes to its end. After each kill the segment is there
// as it was, or something has taken its place; what is left is picked up by the next.
void kill_at_any_moment(plugin_trial& trial) {
  constexpr std::uint64_t count = 50'000;
  const string expected = lines(0, count);
  const string path = make_segment(trial, 3, count);
  for (std::chrono::microseconds delay{0};; delay += delay / 4 + std::chrono::microseconds(200)) {
    const pid_t child = ::fork();
    if (child < 0) fail_case("the checker could not fork");
    if (child == 0) {
      made_object* const archiver = trial.make();
      const bool done = trial.try_archive(archiver, path, 3);
      trial.destroy(archiver);
      ::_exit(done ? 0 : 1);
    }
    std::this_thread::sleep_for(delay);  // as much of its work as is to be done before the kill
    ::kill(child, SIGKILL);
    int status = 0;
    if (::waitpid(child, &status, 0) != child) fail_case("the checker lost a child");
    const bool is_there = std::filesystem::exists(path);
    if (is_there && content_of(path) != expected) fail_case("after a kill the segment is changed");
    if (!is_there && left_of(trial, path).empty())
      fail_case("after a kill the segment is gone, and nothing has taken its place");
    if (WIFEXITED(status) && WEXITSTATUS(status) != 0) fail_case("after kills, archive of the same segment fails");
    if (WIFEXITED(status) && is_there) fail_case("archive succeeded after kills, and the segment is still there");
    if (!is_there) break;
  }
  if (const auto left = left_of(trial, path); left.size() != 1) {
    fail_case("a segment that was archived after kills has left " + std::to_string(left.size()) +
              " files; expected one: " + (left.empty() ? "none" : *left.begin() + " ... " + *left.rbegin()));
  }
}

}  // namespace

// What an archiver does with a segment while its disk is full, and while no descriptor is left: an error, and the segment
// stays.
void failing_archives(plugin_trial& trial) {
  made_object* const archiver = trial.make();
  const string path = make_segment(trial, 1, 5000);
  const auto expect_kept = [&](__rlimit_resource limited, rlim_t limit, const char* fault) {
    const bool archived = [&] {
      const soft_limit exceeded(limited, limit);
      return trial.try_archive(archiver, path, 1);
    }();
    if (archived) fail_case(string("archive succeeded with ") + fault);
    if (content_of(path) != lines(0, 5000))
      fail_case(string("archive failed with ") + fault + ", and the segment is gone or changed");
  };
  expect_kept(RLIMIT_FSIZE, 100, "a full disk");
  expect_kept(RLIMIT_NOFILE, 0, "no descriptor left");
  if (!trial.try_archive(archiver, path, 1)) fail_case("it does not go on after the fault is gone: " + trial.reason());
  trial.destroy(archiver);
}

void archive(plugin_trial& trial) {
  if (!trial.has(ANNALS_OFFERS_ARCHIVER)) throw case_ended{verdict::not_applicable, "it offers no archivers"};
  trial.set_archives(true);
  const string path = make_segment(trial, 1, 1000);
  made_object* const archiver = trial.make();
  const std::size_t before = names_in(trial.directory()).size();  // the segment's, and what else the plugin makes
  if (!trial.try_archive(archiver, path, 1)) fail_case("archive of a good segment failed: " + trial.reason());
  if (std::filesystem::exists(path)) fail_case("archive succeeded, and the segment is still there");
  if (names_in(trial.directory()).size() < before) fail_case("archive removed the segment and left nothing in its place");
  if (names_in(trial.directory()).size() != before)
    fail_case("archive left more than one file; expected what the segment has become alone");
  (void)trial.try_archive(archiver, path, 1);  // again: what it says is its own affair, as long as it says it well
  if (trial.try_archive(archiver, trial.directory() + "/audit-000002-20260101T000000Z.jsonl", 2)) {
    fail_case("archive of a segment that never was succeeded");
  }
  trial.destroy(archiver);
  kill_at_any_moment(trial);
}

}  // namespace cli::check
