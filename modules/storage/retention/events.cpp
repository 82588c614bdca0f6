// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
module annals.retention;
import annals.io;
import annals.json;
import annals.rotation;
import annals.segment;
#include "internal.h"

namespace annals::retention {

namespace {

constexpr unsigned file_mode = 0600;
constexpr std::chrono::seconds turn_wait_max{10};

}  // namespace

std::string event_line(std::string_view action, std::string_view dest, std::string_view detail, std::vector<field> fields) {
  const std::string user = io::user_name();
  const std::string program = io::program_name();
  fields.emplace_back("by", user);
  fields.emplace_back("program", program);
  fields.emplace_back("pid", io::calls().process());
  const std::string ts = to_string(timestamp{io::calls().now(), precision::seconds});
  const event_details details = {.dest = dest, .detail = detail, .fields = fields};
  const json::line_parts parts = {ts, "annals", action, details};
  std::string line(json::line_bytes_bound(parts), '\0');
  const auto bytes = json::encode_line(parts, line.data());
  line.resize(bytes ? *bytes : 0);  // our own fields have names that differ and values that can be written
  return line;
}

result<std::optional<io::file_status>> like_log(const std::string& path) {
  auto found = io::status_at(path);
  if (!found) return found;
  if (!*found || (*found)->kind != io::file_kind::regular) {
    const auto closed = segment::closed_segments(path);
    if (!closed) return closed.error();
    found = io::status_at(closed->empty() ? io::parent_of(path) + "/." : closed->back().path);
    if (!found || !*found) return found;
    if (closed->empty()) (*found)->mode = file_mode;  // it was that of a directory
  }
  io::file_status& like = **found;
  const std::uint32_t user = io::calls().effective_user();
  const bool is_shared = (like.mode & 0022U) != 0;
  if (user != 0 && user != like.owner && !is_shared) {
    return error{errc::io, EACCES,
                 "cannot change what is kept of '" + path + "': the log belongs to user " + std::to_string(like.owner) +
                     ", who could not open a file of ours beside it; expected to be that user, or root"};
  }
  if (user != 0) like.owner = user;
  like.mode = file_mode | (like.mode & 0666U);
  return found;
}

std::optional<error> make_missing(const std::string& path, const std::string& file, made what) {
  const auto there = io::status_at(file);
  if (!there) return there.error();
  if (*there) return std::nullopt;
  const auto like = like_log(path);
  if (!like) return like.error();
  if (!*like) return std::nullopt;
  if (auto failed = io::create_like(file, **like)) return failed;
  return what == made::live_segment ? io::sync_directory(io::parent_of(file)) : std::nullopt;
}

std::optional<error> append_durably(const std::string& path, const std::string& lines, bool* appended) try {
  const auto like = like_log(path);
  if (!like) return like.error();
  rotation::segment_writer live(path, *like ? (*like)->mode : file_mode, {}, [](const notice&) {});
  {
    const auto held = live.lock().lock();
    if (!held) return held.error();
    live.append(*held, lines, static_cast<std::size_t>(std::count(lines.begin(), lines.end(), '\n')));
  }
  if (appended != nullptr) *appended = true;
  live.sync();
  return std::nullopt;
} catch (const failure& failed) {
  return failed.cause();
}

result<turn> turn::take(const std::string& path, bool wait) {
  using std::chrono::nanoseconds;
  if (auto refused = segment::refuse_as_log(path)) return std::move(*refused);
  if (auto failed = make_missing(path, path, made::live_segment))
    return std::move(*failed);  // before its lock, which is like it
  auto taken = rotation::claim::of_retention(path, wait ? nanoseconds(turn_wait_max) : nanoseconds(0));
  if (!taken) return std::move(taken.error());
  if (*taken) return turn(std::move(**taken));
  return error{errc::io, EWOULDBLOCK,
               "cannot change what is kept of '" + path + "': another process is deleting, holding or adopting segments of it"};
}

}  // namespace annals::retention

namespace annals {

std::optional<error> retention_fault(const std::string& path) {
  if (auto refused = segment::refuse_as_log(path)) return refused;
  const auto like = retention::like_log(path);
  if (!like || !*like) return std::nullopt;  // not ours to change; or no log
  std::optional<error> failed;
  if (auto holds = list_holds(path); !holds) failed = std::move(holds.error());
  const std::string records = segment::deletion_log_path(path);
  const auto status = io::status_at(records);
  if (!failed && !status) failed = status.error();
  if (!failed && *status) {
    // A second name is no fault: the next deletion makes a copy.
    const auto purpose = (*status)->links > 1 ? io::open_for::reading : io::open_for::appending;
    if (auto opened = io::file::open(records, purpose); !opened) failed = std::move(opened.error());
  }
  if (failed) failed->message = "no segment of '" + path + "' can be deleted: " + failed->message;
  return failed;
}

}  // namespace annals

namespace annals::retention {

bool is_busy(const error& cause) {
  return cause.code == errc::io && cause.system_code == EWOULDBLOCK;
}

}  // namespace annals::retention
