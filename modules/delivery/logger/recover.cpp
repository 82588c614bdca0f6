// SPDX-License-Identifier: Apache-2.0
//
// What a dead process left in a ring, and what a loss of power left in a journal, brought into the log without a logger.
module;
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
module annals.logger;
import annals.drain;
import annals.io;
import annals.durable;
import annals.recovery;
import annals.rotation;
import annals.sinks.file;
#include "own_lines.h"

namespace annals {

namespace {

// The log's files, by its lock where it has one: then others may rotate meanwhile.
class log_files {
 public:
  log_files(const std::string& path, notice_handler on_notice) {
    const auto lock = io::status_at(rotation::lock_path(path)).value();
    if (lock) {
      segments_.emplace(path, 0600, rotation::triggers{}, std::move(on_notice));
    } else {
      file_.emplace(path);
      file_->set_notice_handler(std::move(on_notice));
    }
  }
  void write(const batch& lines) { segments_ ? segments_->write(lines) : file_->write(lines); }
  void sync() { segments_ ? segments_->sync() : file_->sync(); }

 private:
  std::optional<rotation::segment_writer> segments_;
  std::optional<file_sink> file_;
};

class recovering final : public drain_client {
 public:
  recovering(const std::string& path, notice_handler on_notice)
      : on_notice_(std::move(on_notice)), files_(path, [this](const notice& what) { report(what); }) {}

  std::shared_ptr<const error> write(const batch& lines, std::vector<notice>&) noexcept override {
    return attempt([&] { files_.write(lines); });
  }
  std::shared_ptr<const error> sync() noexcept {
    return attempt([&] { files_.sync(); });
  }
  void report(const error& what) noexcept override try {
    report(failure_notice(notice_code::other, what));
  } catch (const std::exception&) {  // no memory for the message
  }
  void report(const notice& what) noexcept override try {
    if (on_notice_) on_notice_(what);
  } catch (...) {  // a handler that throws is not ours to mend
  }
  std::string line_of_dropped(std::uint64_t count) override { return dropped_line(count, precision::seconds); }

 private:
  template <class Call>
  static std::shared_ptr<const error> attempt(Call&& call) noexcept try {
    call();
    return nullptr;
  } catch (const failure& failed) {
    return std::make_shared<const error>(failed.cause());
  } catch (const std::exception& failed) {
    return std::make_shared<const error>(error{errc::io, 0, failed.what()});
  }

  notice_handler on_notice_;
  log_files files_;
};

// Returns nothing where there is no ring.
result<std::optional<std::uint64_t>> recover_ring(const std::string& path, recovering& client) {
  const auto there = io::status_at(path + ".ring");
  if (!there) return there.error();
  if (!*there) return std::optional<std::uint64_t>();
  std::mutex consumer;
  const drain_options how = {path, limits::ring_bytes_floor, 0600, std::chrono::milliseconds(5), true};
  auto drain = ring_drain::open(how, client, consumer);
  if (!drain) return std::move(drain.error());
  const std::uint64_t events = (*drain)->recovered();
  if (const auto failed = (*drain)->flush()) return *failed;
  if (const auto failed = client.sync()) return *failed;
  drain->reset();
  return std::optional(events);
}

// Likewise.
result<std::optional<std::uint64_t>> recover_journal(const std::string& path, recovering& client) {
  const auto there = io::status_at(journal::path_of(path));
  if (!there) return there.error();
  if (!*there) return std::optional<std::uint64_t>();
  const auto note = [&client](const notice& what) { client.report(what); };
  auto opened = journal::open(path, journal::page_bytes, 0600, note);
  if (!opened) return std::move(opened.error());
  const auto write = [&client](std::string_view lines, std::size_t count) {
    std::vector<notice> heard;
    if (const auto failed = client.write({lines, count, 1, io::calls().now()}, heard)) throw failure(*failed);
    if (const auto failed = client.sync()) throw failure(*failed);
  };
  const auto left = opened->read_lap();
  if (!left) return left.error();
  auto events = recover(*left, {path, 0600, write, note});
  if (!events) return std::move(events.error());
  if (auto failed = opened->remove()) return std::move(*failed);
  return std::optional(*events);
}

}  // namespace

result<log_recovery> recover_log(const std::string& path, notice_handler on_notice) try {
  recovering client(path, std::move(on_notice));
  log_recovery done;
  for (const auto recover_from : {recover_journal, recover_ring}) {
    const auto events = recover_from(path, client);
    if (!events) return events.error();
    done.found = done.found || events->has_value();
    done.events += events->value_or(0);
  }
  return done;
} catch (const failure& failed) {
  return failed.cause();
} catch (const std::exception& failed) {
  return error{errc::io, 0, "cannot recover what was left of '" + path + "': " + failed.what()};
}

}  // namespace annals
