// SPDX-License-Identifier: Apache-2.0
module;
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
module annals.logger;
import annals.delivery;
import annals.durable;
import annals.io;
import annals.io.owned_file;
import annals.recovery;
import annals.ring.drain;
import annals.rotation;
import annals.segment;
import annals.sinks.file;

namespace annals {

namespace {

// Appends to a log whose writers take the lock of the log, so that they may rotate meanwhile.
class locked_files final : public sink {
 public:
  explicit locked_files(const std::string& path)
      : writer_(path, 0600, rotation::triggers{}, [this](const notice& what) { notify(what); }) {}
  void write(const batch& lines) override { writer_.write(lines); }
  void sync() override { writer_.sync(); }
  void reopen() override { writer_.reopen(); }
  annals::position position() override { return writer_.position(); }
  bool keeps_log() const noexcept override { return true; }

 private:
  rotation::segment_writer writer_;
};

std::unique_ptr<sink> files_of(const std::string& path) {
  if (io::status_at(rotation::lock_path(path)).value()) return std::make_unique<locked_files>(path);
  return std::make_unique<file_sink>(path);
}

// What another user made, or can write, is left as it is: its owner can recover it.
std::optional<error> refuse_foreign(const std::string& path, const io::file_status& status) {
  const auto fault = io::fault_of_owner(status);
  if (!fault) return std::nullopt;
  return error{errc::io, EACCES,
               "cannot recover the events in '" + path + "': " + *fault +
                   ". Recover them as the user who owns it; or, if you trust its content, make it yours, with mode 0600"};
}

// Nothing where there is no ring.
result<std::optional<std::uint64_t>> recover_ring(output& log, reporter& to) {
  const auto there = io::status_at(log.options().log_path + ".ring");
  if (!there) return there.error();
  if (!*there) return std::optional<std::uint64_t>();
  if (auto refused = refuse_foreign(log.options().log_path + ".ring", **there)) return std::move(*refused);
  std::vector<notice> notices;
  auto ring = owned_ring::open(log, limits::ring_bytes_floor, notices);
  for (const notice& what : notices) to.report(what);
  if (!ring) return std::move(ring.error());
  ring_drain drain(std::move(*ring), log);
  if (const auto failed = drain.flush()) return *failed;
  if (const auto failed = log.sync()) return *failed;
  drain.close();
  return std::optional(drain.recovered());
}

// Nothing where there is no journal.
result<std::optional<std::uint64_t>> recover_journal(output& log, reporter& to) {
  const std::string& path = log.options().log_path;
  const auto there = io::status_at(journal::path_of(path));
  if (!there) return there.error();
  if (!*there) return std::optional<std::uint64_t>();
  if (auto refused = refuse_foreign(journal::path_of(path), **there)) return std::move(*refused);
  const auto report = [&to](const notice& what) { to.report(what); };
  auto opened = journal::open(path, journal::page_bytes, report);
  if (!opened) return std::move(opened.error());
  const auto left = opened->read_lap();
  if (!left) return left.error();
  const auto write = [&log](std::string_view lines, std::size_t count) {
    const auto failed = log.write({lines, count, 1, io::calls().now()});
    log.report_pending();
    if (failed) throw failure(*failed);
    if (const auto unsynced = log.sync()) throw failure(*unsynced);
  };
  const auto events = recover(*left, {path, log.options().file_mode, write, report});
  if (!events) return events.error();
  if (auto failed = left->damage.empty() ? opened->remove() : opened->set_aside()) return std::move(*failed);
  return std::optional(*events);
}

}  // namespace

result<log_recovery> recover_log(const std::string& log_path, notice_handler on_notice) try {
  const std::string path = io::absolute(log_path).value();
  if (auto refused = segment::refuse_as_log(path)) return std::move(*refused);
  const auto on_error = [&](const error& what) {
    if (on_notice) on_notice(failure_notice(notice_code::other, what));
  };
  const auto any_notice = [&](const notice& what) {
    if (on_notice) on_notice(what);
  };
  reporter reporting(on_error, any_notice, std::chrono::nanoseconds(0));
  output log(files_of(path), {.log_path = path}, reporting);
  log_recovery done;
  for (const auto recover_from : {recover_journal, recover_ring}) {
    const auto events = recover_from(log, reporting);
    if (!events) return events.error();
    done.found = done.found || events->has_value();
    done.events += events->value_or(0);
  }
  return done;
} catch (const failure& failed) {
  return failed.cause();
} catch (const std::exception& failed) {
  return error{errc::io, 0, "cannot recover what was left of '" + log_path + "': " + failed.what()};
}

}  // namespace annals
