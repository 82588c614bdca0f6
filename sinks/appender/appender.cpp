// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>
module annals.sinks.appender;
import annals.segment;

namespace annals {

namespace {

// A partial last line may belong to a writer that is in the middle of its write(2), which takes microseconds. The partial line
// of a dead writer does not change.
constexpr int partial_line_looks = 10;
constexpr std::chrono::milliseconds partial_line_pause{4};

bool ends_a_line(const io::file& file, std::uint64_t bytes) {
  if (bytes == 0) return true;
  char last = '\n';
  or_throw(file.read_at(&last, 1, bytes - 1));
  return last == '\n';
}

}  // namespace

appender::appender(std::string path, unsigned mode, notice_handler notice)
    : path_(io::absolute(std::move(path)).value()), mode_(mode), notice_(std::move(notice)) {}

// Opens the file again when its descriptor is not held any more, and does not close the descriptor: it can be another file's.
// Lines that were written meanwhile are in that file. They are in this one where it has grown by as much.
void appender::regain_descriptor(time_point now) {
  (void)file_.release();
  const io::file_status before = identity_;
  const std::uint64_t lines = lines_since_look_;
  const bool was_unsynced = unsynced_;
  const std::uint64_t expected_bytes = bytes_;
  open(now);
  const bool is_same = io::same_file(before, identity_);
  unsynced_ = is_same && was_unsynced;
  const bool is_lost = lines != 0 && (!is_same || bytes_ < expected_bytes);
  error cause = {errc::file_removed, EBADF,
                 "the descriptor of '" + path_ + "' was closed by another part of this process; the file was opened again"};
  if (is_lost) {
    cause.message += ". Up to " + std::to_string(lines) + (lines == 1 ? " event" : " events") +
                     " may have been written to another file that had its number; expected a program that closes only its own "
                     "descriptors, or that closes all of them before it logs";
  }
  if (!lost_durability_ && (is_lost || (was_unsynced && !is_same))) lost_durability_ = cause;
  notice_({notice_code::file_replaced, is_lost ? severity::error : severity::warning, EBADF, std::move(cause.message)});
}

// After EBADF, so that nothing was written.
int appender::append_again(std::string_view lines, std::size_t& appended) {
  regain_descriptor(io::calls().now());
  end_partial_line();
  return file_.append(lines, appended);
}

void appender::fail_append(int failed, std::size_t appended) {
  torn_ = appended != 0;
  if (failed != io::file::interleaved) throw sink_error(io::system_error("append to", path_, failed));
  throw sink_error({errc::io, 0,
                    "cannot append to '" + path_ +
                        "': the system took the line in parts (is the disk full?), and another process "
                        "wrote between them"});
}

void appender::look(time_point now) {
  if (!file_.is_open() || !is_in_place(now)) open(now);
}

void appender::open(time_point now) {
  if (auto refused = segment::refuse_as_log(path_)) throw sink_error(std::move(*refused));
  io::file opened = or_throw(io::file::open(path_, io::open_for::appending, mode_, &unsynced_directories_));
  const io::file_status identity = or_throw(opened.status());
  directory_changed();  // it is not known who created the file; no later step fails
  if (!io::same_file(identity, identity_)) suspect_.reset();
  file_ = std::move(opened);
  identity_ = identity;
  looked_ = now;
  looked_in_ = io::fork_count();
  lines_since_look_ = 0;
  bytes_ = identity.bytes;
  unsynced_ = false;
  torn_ = true;  // not known: checked before the first line
}

// Whether the open file is still the one at the path. Closes it if it is not.
bool appender::is_in_place(time_point now) {
  looked_ = now;
  looked_in_ = io::fork_count();
  const auto at_path = io::status_at(path_);
  const auto held = file_.status();
  if (!held && held.error().system_code == EBADF) {
    regain_descriptor(now);
    return true;
  }
  if (!at_path || !held) {  // not known; the open file can still be written
    notice_(failure_notice(notice_code::check_failed, !at_path ? at_path.error() : held.error()));
    return true;
  }
  const std::uint64_t lines = std::exchange(lines_since_look_, 0);
  bytes_ = held->bytes;
  if (*at_path && io::same_file(**at_path, identity_)) return true;
  if (held->links != 0 && root_.has_changed()) return true;
  const bool removed = held->links == 0;
  const std::string events = lines == 1 ? "the last event" : "the last " + std::to_string(lines) + " events";
  const std::string what = removed ? "was removed by somebody else; " + events + " written to it may be lost with it"
                                   : "was renamed or replaced by somebody else; " + events + " may be in the old file";
  const error cause = {errc::file_removed, 0,
                       "'" + path_ + "' " + what + "; logging goes on in the file at that path, made anew if missing"};
  retire(removed ? &cause : nullptr);
  notice_({notice_code::file_replaced, removed ? severity::error : severity::warning, 0, cause.message});
  return false;
}

// So that the next line is not appended to it.
void appender::end_partial_line() {
  std::uint64_t bytes = or_throw(file_.status()).bytes;
  for (int looks = 0; !ends_a_line(file_, bytes); ++looks) {
    if (looks == partial_line_looks) {
      std::size_t appended = 0;
      const int failed = file_.append("\n", appended);
      if (failed != 0) throw sink_error(io::system_error("end the incomplete last line of", path_, failed));
      unsynced_ = true;
      notice_({notice_code::partial_line, severity::warning, 0,
               "the last line of '" + path_ + "', up to offset " + std::to_string(bytes) +
                   ", was incomplete: a writer died or failed in the middle of it. It was ended there; what it holds is kept"});
      break;
    }
    std::this_thread::sleep_for(partial_line_pause);
    if (or_throw(file_.status()).bytes != bytes) break;  // its writer lives, and finishes before this write begins
  }
  torn_ = false;
}

// Closes the file. Its lines were acknowledged, and a later sync() covers them, too: they are synced while the file is open.
void appender::retire(const error* removed) {
  if (unsynced_ && !lost_durability_) {
    lost_durability_ = removed != nullptr ? std::optional<error>(*removed) : suspect_ ? suspect_ : file_.sync_data();
  }
  if (removed != nullptr) suspect_.reset();  // that file cannot come back, but its inode number can
  file_.close();
  unsynced_ = false;
}

void appender::close_as_planned() {
  if (unsynced_ && !lost_durability_) {
    if (suspect_) {
      lost_durability_ = suspect_;
    } else {
      closed_.push_back(std::move(file_));
    }
  }
  unsynced_ = false;  // only now: without memory above, the file must still be synced
  file_.close();
}

void appender::sync_surplus() {
  while (closed_.size() > closed_files_max) {
    if (!lost_durability_) lost_durability_ = closed_.front().sync_data();
    closed_.erase(closed_.begin());
  }
}

void appender::sync() {
  if (file_.is_open()) (void)is_in_place(io::calls().now());
  sync_without_look();
}

void appender::sync_without_look() {
  for (; !closed_.empty(); closed_.pop_back()) {
    if (!lost_durability_) lost_durability_ = closed_.back().sync_data();
  }
  if (lost_durability_) throw sink_error(*lost_durability_);
  if (suspect_ && file_.is_open()) throw sink_error(*suspect_);
  if (unsynced_) {
    if (auto failed = file_.sync_data()) {
      if (failed->system_code == EBADF) throw sink_error(std::move(*failed));  // not tried: the next look opens it again
      suspect_ = std::move(failed);
      suspect_->message +=
          ". What the file holds may not survive a power loss, and no later sync of it will be believed:"
          " move it away, and logging goes on in a new one";
      throw sink_error(*suspect_);
    }
    unsynced_ = false;
  }
  if (auto failed = sync_directories()) throw sink_error(std::move(*failed));
}

void appender::directory_changed() {
  unsynced_directories_.push_back(io::parent_of(path_));
  std::sort(unsynced_directories_.begin(), unsynced_directories_.end());
  unsynced_directories_.erase(std::unique(unsynced_directories_.begin(), unsynced_directories_.end()),
                              unsynced_directories_.end());
}

std::optional<error> appender::sync_directories() {
  return io::sync_directories(unsynced_directories_);
}

void appender::reopen() {
  lost_durability_.reset();
  if (file_.is_open()) retire(nullptr);
}

std::uint64_t appender::bytes() {
  if (file_.is_open()) return or_throw(file_.status()).bytes;
  const auto status = or_throw(io::status_at(path_));
  return status ? status->bytes : 0;
}

}  // namespace annals
