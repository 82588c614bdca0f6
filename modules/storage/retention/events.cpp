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
  fields.push_back({"by", user});
  fields.push_back({"program", program});
  fields.push_back({"pid", io::calls().process()});
  const std::string ts = to_string(timestamp{io::calls().now(), precision::seconds});
  const event_details details = {.dest = dest, .detail = detail, .fields = fields};
  const json::line_parts parts = {ts, "annals", action, details};
  std::string line(json::line_bytes_bound(parts), '\0');
  const auto bytes = json::encode_line(parts, line.data());
  line.resize(bytes ? *bytes : 0);  // our own fields have names that differ and values that can be written
  return line;
}

std::optional<error> append_durably(const std::string& path, const std::string& lines) try {
  rotation::segment_writer live(path, file_mode, {}, [](const notice&) {});
  {
    const auto held = live.lock().lock();
    if (!held) return held.error();
    live.append(*held, lines, static_cast<std::size_t>(std::count(lines.begin(), lines.end(), '\n')));
  }
  live.sync();
  return std::nullopt;
} catch (const failure& failed) {
  return failed.cause();
}

result<turn> turn::take(const std::string& path, bool wait) {
  using std::chrono::nanoseconds;
  if (auto refused = segment::refuse_as_log(path)) return std::move(*refused);
  auto taken = rotation::claim::of_retention(path, wait ? nanoseconds(turn_wait_max) : nanoseconds(0));
  if (!taken) return std::move(taken.error());
  if (*taken) return turn(std::move(**taken));
  return error{errc::io, EWOULDBLOCK,
               "cannot change what is kept of '" + path + "': another process is deleting, holding or adopting segments of it"};
}

bool is_busy(const error& cause) {
  return cause.code == errc::io && cause.system_code == EWOULDBLOCK;
}

}  // namespace annals::retention
