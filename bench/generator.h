// SPDX-License-Identifier: Apache-2.0
//
// Audit events as they come in life, made up: a few containers and destinations make most of the noise (Zipf), most events are
// of two actions, some have no destination, some no detail; details hold what people and programs write into them, quotes,
// backslashes, line ends and all of Unicode. The same seed gives the same events, on every machine: nothing here depends on a
// library's own idea of a distribution, nor on floating point.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

// splitmix64.
class random_numbers {
 public:
  explicit random_numbers(std::uint64_t seed) noexcept : state_(seed) {}

  std::uint64_t next() noexcept {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
  }
  // 0 <= below(n) < n, for n < 2^32.
  std::uint64_t below(std::uint64_t n) noexcept { return ((next() >> 32) * n) >> 32; }
  bool percent(std::uint64_t n) noexcept { return below(100) < n; }

 private:
  std::uint64_t state_;
};

// Draws an index with given weights.
class weighted {
 public:
  explicit weighted(std::vector<std::uint64_t> weights);
  static weighted zipf(std::size_t count);  // the i-th of `count` with a weight of 1/i
  std::size_t draw(random_numbers& random) const noexcept;

 private:
  std::vector<std::uint64_t> up_to_;  // sums of the weights
};

// An event of the generator's. The views are valid until its next one.
struct generated_event {
  std::int64_t seconds = 0;  // since 1970
  std::string_view container = {};
  std::string_view action = {};
  std::optional<std::string_view> dest = {};
  std::optional<std::string_view> detail = {};
  std::optional<std::uint64_t> rule = {};
  std::optional<std::string_view> user = {};
  std::optional<std::uint64_t> bytes = {};
  bool dry_run = false;
};

class generator {
 public:
  explicit generator(std::uint64_t seed);

  // The next event, some time in the `spread` seconds from `earliest` on, and never before the one before it.
  const generated_event& next(std::int64_t earliest, std::int64_t spread);

 private:
  std::string made_up_dest(std::size_t rank);
  std::string_view made_up_detail();
  void number(std::uint64_t value);
  void hexadecimal(std::uint64_t value);

  random_numbers random_;
  std::vector<std::string> containers_;
  std::vector<std::string> dests_;
  weighted which_container_;
  weighted which_dest_;
  weighted which_action_;
  std::string detail_;
  generated_event event_;
};

}  // namespace bench
