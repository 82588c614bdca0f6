// SPDX-License-Identifier: Apache-2.0
//
// What the queues are loaded with: a cycle of events, made before any clock starts. Event i of a run is item i modulo their
// number, whoever writes it, so that what has to be in the file is known.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

// One event, as a program has it and, for writers of text that know no JSON, in pieces of the finished line.
struct item {
  std::string container = {};
  std::string action = {};
  std::optional<std::string> dest = {};
  std::optional<std::string> detail = {};
  std::optional<std::uint64_t> rule = {};
  std::optional<std::string> user = {};
  std::optional<std::uint64_t> bytes = {};
  bool dry_run = false;

  std::string container_text = {};  // escaped, without quotes
  std::string action_text = {};
  std::string dest_text = {};
  std::string detail_text = {};
  std::string rest_text = {};  // the extra fields: ,"rule":17,"user":"root" or nothing
  std::string line = {};       // all of it, with sample::timestamp and the newline
};

using workload = std::vector<item>;

// `fixed`: the 133-byte line. `mix`: the generator's events. `escapes`: details in which every second byte is escaped.
// `4k`: lines of 4,096 bytes. Throws std::invalid_argument for another name.
workload make_workload(std::string_view name);

// How many of `events` events are of item `index` of `items`.
inline std::uint64_t share(std::uint64_t events, std::size_t index, std::size_t items) {
  return events / items + (index < events % items ? 1 : 0);
}

// Bytes of the longest line.
std::size_t line_bytes_max(const workload& of);

}  // namespace bench
