// SPDX-License-Identifier: Apache-2.0
module;
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
module annals.sinks.file;
import annals.segment;

namespace annals {

namespace {

// A tail without its newline may belong to a writer that is in the middle of its write(2). That takes microseconds; a dead
// writer's tail stays as it is.
constexpr int torn_tail_looks = 5;
constexpr std::chrono::milliseconds torn_tail_pause{2};

template <class T>
T or_throw(result<T> value) {
  if (!value) throw sink_error(std::move(value.error()));
  return std::move(*value);
}

bool ends_a_line(const io::file& file, std::uint64_t bytes) {
  if (bytes == 0) return true;
  char last = '\n';
  or_throw(file.read_at(&last, 1, bytes - 1));
  return last == '\n';
}

}  // namespace

file_sink::file_sink(std::string path, unsigned mode) : path_(std::move(path)), mode_(mode) {}

file_sink::~file_sink() = default;

void file_sink::write(const batch& lines) {
  if (!file_.is_open()) [[unlikely]] {
    open(lines.now);
  } else if (lines.now - looked_ >= check_interval || lines.now < looked_) [[unlikely]] {
    look_at_path(lines.now);
  }
  if (torn_) [[unlikely]]
    end_torn_tail();
  std::size_t appended = 0;
  const int failed = file_.append(lines.lines, appended);
  if (appended != 0) unsynced_ = true;
  if (failed != 0) [[unlikely]] {
    torn_ = appended != 0;
    throw sink_error(io::system_error("append to", path_, failed));
  }
  lines_since_look_ += lines.count;
}

void file_sink::open(time_point now) {
  io::file opened = or_throw(io::file::open(path_, io::open_for::appending, mode_));
  const io::file_status identity = or_throw(opened.status());
  if (!io::same_file(identity, identity_)) suspect_.reset();
  file_ = std::move(opened);
  identity_ = identity;
  looked_ = now;
  lines_since_look_ = 0;
  unsynced_ = false;
  directory_unsynced_ = true;
  torn_ = true;  // unknown: look before the first line
}

// Is the file that we hold still the one at the path? If not, go on with the one that is, or a new one.
void file_sink::look_at_path(time_point now) {
  const auto at_path = io::status_at(path_);
  const auto held = file_.status();
  if (!at_path || !held) {  // we cannot tell; what we hold is a file all the same
    looked_ = now;
    notice(!at_path ? at_path.error() : held.error());
    return;
  }
  if (*at_path && io::same_file(**at_path, identity_)) {
    looked_ = now;
    lines_since_look_ = 0;
    return;
  }
  const bool removed = held->links == 0;
  const std::string events = std::to_string(lines_since_look_) + (lines_since_look_ == 1 ? " event" : " events");
  const std::string what = removed ? "was removed by somebody else; the last " + events + " written to it may be lost with it"
                                   : "was renamed or replaced by somebody else; the last " + events + " are in the old file";
  const error cause = {errc::replaced, 0,
                       "'" + path_ + "' " + what + "; logging goes on in the file at that path, made anew if missing"};
  retire(removed ? &cause : nullptr);
  notice(cause);
  open(now);
}

// Ends an incomplete last line, so that nothing is glued to it.
void file_sink::end_torn_tail() {
  std::uint64_t bytes = or_throw(file_.status()).bytes;
  for (int looks = 0; !ends_a_line(file_, bytes); ++looks) {
    if (looks == torn_tail_looks) {
      std::size_t appended = 0;
      const int failed = file_.append("\n", appended);
      if (failed != 0) throw sink_error(io::system_error("end the incomplete last line of", path_, failed));
      unsynced_ = true;
      notice({errc::torn_tail, 0,
              "the last line of '" + path_ + "', up to offset " + std::to_string(bytes) +
                  ", was incomplete: a writer died or failed in the middle of it. It was ended there; what it holds is kept"});
      break;
    }
    std::this_thread::sleep_for(torn_tail_pause);
    if (or_throw(file_.status()).bytes != bytes) break;  // its writer lives, and will be done before our write begins
  }
  torn_ = false;
}

// Lets go of the file. What it holds was acknowledged, so a later sync() speaks for it too: sync it while we can.
void file_sink::retire(const error* removed) {
  if (unsynced_ && !lost_durability_) {
    lost_durability_ = removed != nullptr ? std::optional<error>(*removed) : suspect_ ? suspect_ : file_.sync_data();
  }
  file_.close();
  unsynced_ = false;
}

void file_sink::sync() {
  if (lost_durability_) throw sink_error(*std::exchange(lost_durability_, std::nullopt));
  if (!file_.is_open()) return;
  if (suspect_) throw sink_error(*suspect_);
  if (unsynced_) {
    if (auto failed = file_.sync_data()) {
      failed->message +=
          ". What the file holds may not survive a power loss, and no later sync of it will be believed:"
          " move it away, and logging goes on in a new one";
      suspect_ = std::move(failed);
      throw sink_error(*suspect_);
    }
    unsynced_ = false;
  }
  if (directory_unsynced_) {
    if (auto failed = io::sync_directory(io::parent_of(path_))) throw sink_error(std::move(*failed));
    directory_unsynced_ = false;
  }
}

void file_sink::reopen() {
  if (file_.is_open()) retire(nullptr);
}

annals::position file_sink::position() {
  const std::uint64_t number = or_throw(segment::live_number(path_));
  if (file_.is_open()) return {number, or_throw(file_.status()).bytes};
  const auto status = or_throw(io::status_at(path_));
  return {number, status ? status->bytes : 0};
}

}  // namespace annals
