// SPDX-License-Identifier: Apache-2.0
//
// Somebody who may write the log's directory puts other things at its names while it is written, again and again: symbolic
// links, hard links to another's file, FIFOs, directories. What the links lead to stays as it was; nothing hangs. And names
// that an event bears are no paths. ANNALS_ATTACK_ROUNDS says how often things are put there (default 2,000).
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "support/temp_directory.h"
import annals;
import annals.io;
import annals.rotation;
import annals.segment;
#include "rotation/rotating.h"

namespace {

constexpr std::string_view precious = "root:x:0:0:this is nobody's log\n";

// Puts things at the path, one after the other, as fast as it can.
[[noreturn]] void attack(const std::string& path, const std::string& target, long rounds) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const std::string fresh = path + ".attack";
  for (long i = 0; i < rounds; ++i) {
    ::unlink(fresh.c_str());
    switch (i % 5) {
      case 0: (void)!::symlink(target.c_str(), fresh.c_str()); break;
      case 1: (void)!::symlink("/dev/full", fresh.c_str()); break;  // hard links: a_hard_link_at_the_path
      case 2: (void)!::mkfifo(fresh.c_str(), 0666); break;
      case 3: ::mkdir(fresh.c_str(), 0777); break;
      default: break;  // nothing at all: the logger makes its own
    }
    if (i % 5 == 4 || i % 5 == 0) {
      ::unlink(path.c_str());
      ::rmdir(path.c_str());
    }
    if (i % 5 != 4 && ::rename(fresh.c_str(), path.c_str()) != 0) {
      ::rmdir(path.c_str());
      ::unlink(path.c_str());
      ::rmdir(fresh.c_str());
    }
  }
  ::_exit(0);
}

long rounds_wanted() {
  const char* const given = std::getenv("ANNALS_ATTACK_ROUNDS");
  return given != nullptr ? std::atol(given) : 2'000;
}

struct attacked {
  annals::delivery delivery;
  bool rotates;
  std::string_view suffix;  // of the name that is attacked
};

void write_under_attack(const attacked& how) {
  const support::temp_directory directory;
  const std::string path = directory / "audit.jsonl";
  const std::string target = directory / "target";
  support::write_file(target, precious);
  const pid_t attacker = ::fork();
  ASSERT_GE(attacker, 0);
  if (attacker == 0) attack(path + std::string(how.suffix), target, rounds_wanted());
  long accepted = 0;
  long refused = 0;
  int status = 0;
  while (::waitpid(attacker, &status, WNOHANG) == 0) {
    annals::logger_options options;
    options.path = path;
    options.delivery = how.delivery;
    options.ring_bytes = annals::limits::ring_bytes_floor;
    options.on_error = [](const annals::error&) {};
    if (how.rotates) options.sink = std::make_unique<support::rotating_sink>(path, support::of_size(200));
    annals::audit_logger log(std::move(options));
    for (int i = 0; i < 3; ++i) ++(log.log_event("web", "x", {.fields = {{"n", i}}}) ? accepted : refused);
  }
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_EQ(support::content_of(target), precious);
  struct ::stat found = {};
  ASSERT_EQ(::stat(target.c_str(), &found), 0);
  EXPECT_EQ(static_cast<std::size_t>(found.st_size), precious.size());
  std::printf("%ld rounds, %ld events accepted, %ld refused\n", rounds_wanted(), accepted, refused);
  EXPECT_GT(accepted + refused, 0);
}

TEST(an_attacker_in_the_directory, does_not_get_another_file_written_by_putting_it_at_the_logs_name) {
  write_under_attack({annals::delivery::direct, false, ""});
}

TEST(an_attacker_in_the_directory, does_not_get_another_file_written_by_putting_it_at_the_name_of_a_log_that_rotates) {
  write_under_attack({annals::delivery::direct, true, ""});
}

TEST(an_attacker_in_the_directory, does_not_get_another_file_written_by_putting_it_at_the_locks_name) {
  write_under_attack({annals::delivery::direct, true, ".lock"});
}

TEST(an_attacker_in_the_directory, does_not_get_another_file_written_by_putting_it_at_the_rings_name) {
  write_under_attack({annals::delivery::ring, false, ".ring"});
}

TEST(a_hard_link_at_the_path, is_refused_and_its_file_stays_as_it_was) {
  const support::temp_directory directory;
  const std::string path = directory / "audit.jsonl";
  support::write_file(directory / "target", precious);
  for (const std::string_view suffix : {"", ".lock"}) {
    std::filesystem::remove(path + std::string(suffix));
    std::filesystem::create_hard_link(directory / "target", path + std::string(suffix));
    annals::audit_logger log({.path = path,
                              .on_error = [](const annals::error&) {},
                              .sink = std::make_unique<support::rotating_sink>(path, annals::rotation::triggers{})});
    const annals::receipt made = log.log_event("web", "x");
    ASSERT_FALSE(made.accepted());
    EXPECT_EQ(made.cause()->code, annals::errc::not_a_regular_file);
    EXPECT_NE(made.message().find("it has 2 names (hard links)"), std::string::npos) << made.message();
    EXPECT_EQ(support::content_of(directory / "target"), precious);
    std::filesystem::remove(path + std::string(suffix));
    EXPECT_TRUE(log.log_event("web", "x")) << "when it is gone";
    (void)log.reopen();
    std::filesystem::remove(path);
  }
}

TEST(a_name_in_an_event, is_no_path_and_nothing_expands_it) {
  const support::temp_directory directory;
  std::filesystem::create_directory(directory / "logs");
  const std::string path = directory / "logs/audit.jsonl";
  annals::audit_logger log({.path = path, .sink = std::make_unique<support::rotating_sink>(path, support::of_size(1))});
  for (const std::string_view name :
       {"../../etc/passwd", "/etc/passwd", "..", "a/b", "$(id)", "${jndi:ldap://x}", "%n%s", "`id`", "~root", "*"}) {
    EXPECT_TRUE(log.log_event(name, name, {.dest = name, .detail = name, .fields = {annals::field{name, name}}}));
    const annals::event read = annals::tail_log(path, 1).at(0);
    EXPECT_EQ(read.container, name);
    EXPECT_EQ(read.action, name);
    EXPECT_EQ(read.dest, name);
    EXPECT_EQ(std::get<std::string>(*read.find(name)), name);
  }
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory.path())) {
    const std::string name = entry.path().filename().string();
    EXPECT_TRUE(name == "logs" || name.starts_with("audit")) << name;
  }
}

}  // namespace
