// SPDX-License-Identifier: Apache-2.0
//
// Whether a file holds what a load wrote: as many lines as there were events and, with `exact`, each event's own line as often
// as it was logged, in any order, whatever its time. With `count`, for writers of another format, the number of lines with a
// container is all that is looked at.
//
//   check exact|count WORKLOAD EVENTS PATH...
//
// Several paths are one stream. Prints the numbers of lines and bytes as JSON.
#include <cstdint>
#include <cstring>
#include <exception>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "sample.h"
#include "workload.h"

namespace {

// What stands before `"container"` is the time, and always as long.
constexpr std::size_t time_bytes = std::string_view(R"({"ts":"",)").size() + sample::timestamp.size();

struct found {
  std::uint64_t lines = 0;
  std::uint64_t bytes = 0;
  std::uint64_t sum = 0;  // of the lines' hashes: the same for the same lines in another order
};

std::uint64_t hash(std::string_view bytes) {
  std::uint64_t state = 0x9e3779b97f4a7c15U ^ bytes.size();
  for (; !bytes.empty(); bytes.remove_prefix(bytes.size() < 8 ? bytes.size() : 8)) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data(), bytes.size() < 8 ? bytes.size() : 8);
    state = (state ^ word) * 0xff51afd7ed558ccdU;
    state ^= state >> 32;
  }
  return state;
}

void add(found& to, std::string_view line, std::uint64_t times) {
  if (line.size() < time_bytes) throw std::runtime_error("a line is too short to be an event: " + std::string(line));
  to.lines += times;
  to.bytes += (line.size() + 1) * times;
  to.sum += hash(line.substr(time_bytes)) * times;
}

found expected(const bench::workload& items, std::uint64_t events) {
  found made;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::string_view line = items[i].line;
    add(made, line.substr(0, line.size() - 1), bench::share(events, i, items.size()));
  }
  return made;
}

void read(found& to, const std::string& path, bool exact) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot open " + path);
  std::vector<char> room(8 * 1024 * 1024);
  std::size_t held = 0;
  while (file) {
    file.read(room.data() + held, static_cast<std::streamsize>(room.size() - held));
    std::string_view rest(room.data(), held + static_cast<std::size_t>(file.gcount()));
    for (std::size_t end = rest.find('\n'); end != rest.npos; end = rest.find('\n')) {
      const std::string_view line = rest.substr(0, end);
      if (exact || line.find(R"("container":")") != line.npos) add(to, line, 1);
      rest.remove_prefix(end + 1);
    }
    held = rest.size();
    std::memmove(room.data(), rest.data(), held);
  }
  if (held != 0) throw std::runtime_error(path + " ends in a torn line");
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 5) throw std::invalid_argument("usage: check exact|count WORKLOAD EVENTS PATH...");
  const std::uint64_t events = std::stoull(argv[3]);
  const found wanted = expected(bench::make_workload(argv[2]), events);
  const bool exact = std::string_view(argv[1]) == "exact";
  found present;
  for (int i = 4; i < argc; ++i) read(present, argv[i], exact);
  if (present.lines != wanted.lines) {
    throw std::runtime_error(std::to_string(events) + " events were logged, " + std::to_string(present.lines) +
                             " lines are there");
  }
  if (exact && (present.bytes != wanted.bytes || present.sum != wanted.sum)) {
    throw std::runtime_error("the lines are not those that were logged");
  }
  std::cout << R"({"lines":)" << present.lines << R"(,"bytes":)" << present.bytes << "}\n";
} catch (const std::exception& thrown) {
  std::cerr << "check: " << thrown.what() << '\n';
  return 1;
}
