// SPDX-License-Identifier: Apache-2.0
//
// random_events SEED COUNT DIRECTORY: logs COUNT random events, any bytes in any string, to DIRECTORY/audit.jsonl; writes what
// went in to DIRECTORY/inputs and what the reader makes of the log to DIRECTORY/outputs (event_words.h). compare_with_python.py
// is the judge.
#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>
import annals;
#include "../support/events.h"
#include "event_words.h"

namespace {

class generator {
 public:
  explicit generator(std::uint64_t seed) : random_(seed) {}

  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  bool chance(unsigned percent) { return below(100) < percent; }

  // Pure ASCII, pure noise, valid characters of every length, and all of them cut and glued.
  std::string text(std::size_t pieces_max = 12) {
    std::string out;
    for (std::uint64_t pieces = below(pieces_max + 1); pieces > 0; --pieces) {
      switch (below(6)) {
        case 0: out += std::string(below(20), static_cast<char>(' ' + below(95))); break;
        case 1: out += static_cast<char>(below(256)); break;
        case 2: append_character(out, below(0x110000)); break;
        case 3: {
          std::string cut;
          append_character(cut, 0x80 + below(0x110000 - 0x80));
          out += cut.substr(0, below(cut.size() + 1));
          break;
        }
        case 4: out += std::string_view("\"\\/\b\f\n\r\t\x7f\0\x1b", 11)[below(11)]; break;
        default: out += "plain words"; break;
      }
    }
    return out;
  }

  double number() {
    switch (below(4)) {
      case 0: return static_cast<double>(static_cast<std::int64_t>(below(2'000'001)) - 1'000'000);
      case 1: return static_cast<double>(below(1'000'000'000)) / 1000.0;
      case 2: return std::ldexp(static_cast<double>(below(1ULL << 53)), static_cast<int>(below(120)) - 80);
      default:
        for (;;) {
          const double any = std::bit_cast<double>(random_());
          if (std::isfinite(any)) return any;
        }
    }
  }

  std::string json(int depth = 3) {
    const std::string space(below(3), ' ');
    switch (below(depth > 0 ? 7 : 5)) {
      case 0: return space + "null";
      case 1: return space + (chance(50) ? "true" : "false");
      case 2: return space + std::to_string(static_cast<std::int64_t>(random_()));
      case 3: return space + "\"\\u00e9\\n" + (chance(50) ? "\xc3\xa9" : "\\ud83d\\udd12") + "\xf0\x9f\x94\x92/\x7f\"" + space;
      case 4: return space + "\"text\"";
      case 5: {
        std::string out = space + "[";
        for (std::uint64_t i = 0, n = below(4); i < n; ++i) out += (i != 0 ? "," : "") + json(depth - 1);
        return out + space + "]";
      }
      default: {
        std::string out = space + "{";
        for (std::uint64_t i = 0, n = below(4); i < n; ++i) {
          out += (i != 0 ? ",\"k" : "\"k") + std::to_string(i) + "\"" + space + ":" + json(depth - 1);
        }
        return out + space + "}";
      }
    }
  }

 private:
  static void append_character(std::string& out, std::uint64_t c) {
    const auto byte = [&out](std::uint64_t b) { out += static_cast<char>(b); };
    if (c < 0x80) {
      byte(c);
    } else if (c < 0x800) {
      byte(0xc0 | c >> 6), byte(0x80 | (c & 63));
    } else if (c < 0x10000) {
      byte(0xe0 | c >> 12), byte(0x80 | (c >> 6 & 63)), byte(0x80 | (c & 63));
    } else {
      byte(0xf0 | c >> 18), byte(0x80 | (c >> 12 & 63)), byte(0x80 | (c >> 6 & 63)), byte(0x80 | (c & 63));
    }
  }

  std::mt19937_64 random_;
};

struct input {
  annals::timestamp ts;
  std::string container, action;
  std::optional<std::string> dest, detail;
  std::vector<annals::stored_field> fields;
};

input random_input(generator& from) {
  input in;
  in.ts.time = annals::time_point(std::chrono::microseconds(static_cast<std::int64_t>(from.below(253'402'300'800'000'000))));
  in.ts.precision = static_cast<annals::precision>(from.below(3));
  in.container = from.text();
  in.action = from.text();
  if (from.chance(60)) in.dest = from.text();
  if (from.chance(60)) in.detail = from.text(from.chance(5) ? 2000 : 12);
  const std::uint64_t fields = from.chance(50) ? 0 : from.below(8);
  for (std::uint64_t i = 0; i < fields; ++i) {
    annals::stored_value value;
    switch (from.below(7)) {
      case 0: value = nullptr; break;
      case 1: value = from.chance(50); break;
      case 2: value = static_cast<std::int64_t>(from.below(UINT64_MAX)) >> from.below(64); break;
      case 3: value = from.below(UINT64_MAX) >> from.below(64); break;
      case 4: value = from.number(); break;
      case 5: value = from.text(); break;
      default: value = annals::stored_json{from.json()}; break;
    }
    in.fields.push_back({from.text(3) + std::to_string(i), std::move(value)});  // the number makes names unique
  }
  return in;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  generator random(std::strtoull(argv[1], nullptr, 10));
  const int count = std::atoi(argv[2]);
  const std::string directory = argv[3];
  std::ofstream inputs(directory + "/inputs");
  std::ofstream outputs(directory + "/outputs");
  annals::audit_logger log({.path = directory + "/audit.jsonl"});
  for (int i = 0; i < count; ++i) {
    const input in = random_input(random);
    words::write(inputs, in, words::of(in.ts));
    std::vector<annals::field> fields;
    for (const annals::stored_field& f : in.fields) fields.emplace_back(f.name, support::view_of(f.value));
    annals::event_details details;
    details.dest = in.dest;
    details.detail = in.detail;
    details.fields = fields;
    details.ts = in.ts;
    if (const annals::receipt made = log.log_event(in.container, in.action, details); !made) {
      std::cerr << "event " << i << ": " << made.message() << '\n';
      return 1;
    }
  }
  for (const annals::event& e : log.tail_log(count + 1)) words::write(outputs, e, words::hex(e.ts));
  return outputs.flush() && inputs.flush() ? 0 : 1;
}
