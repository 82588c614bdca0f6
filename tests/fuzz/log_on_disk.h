// SPDX-License-Identifier: Apache-2.0
//
// A small log, and what is there of it after something was done to it. Included after the imports of annals and annals.segment.
#pragma once

namespace fuzz {

// Three closed segments of days in January 2020, and a live one.
class log_on_disk {
 public:
  explicit log_on_disk(const work_directory& directory) : path_(directory / "audit.jsonl") {
    directory.clear();
    for (std::uint64_t number = 1; number <= segments; ++number) {
      write_file(path_of(number), lines_of(number));
    }
    write_file(path_, lines_of(segments + 1));
  }

  static constexpr std::uint64_t segments = 3;

  const std::string& path() const { return path_; }
  static annals::time_point day(std::uint64_t number) {
    return annals::parse_timestamp("2020-01-01T00:00:00Z")->time + std::chrono::hours(24 * number);
  }
  std::string path_of(std::uint64_t number) const { return annals::segment::closed_path(path_, number, day(number), false); }
  static std::string lines_of(std::uint64_t number) {
    std::string lines;
    for (std::uint64_t second = 0; second < 2 + number; ++second) {
      lines += R"({"ts":")" + annals::to_string({day(number) + std::chrono::seconds(second), annals::precision::seconds}) +
               R"(","container":"web","action":"denied","n":)" + std::to_string(number) + "}\n";
    }
    return lines;
  }

  // The closed segments that are gone. Those that are there hold what they held, and the live one has lost nothing.
  std::vector<std::uint64_t> missing() const {
    std::vector<std::uint64_t> gone;
    for (std::uint64_t number = 1; number <= segments; ++number) {
      if (!std::filesystem::exists(path_of(number))) {
        gone.push_back(number);
      } else {
        require(content_of(path_of(number)) == lines_of(number), "a segment that stays holds what it held");
      }
    }
    require(content_of(path_).starts_with(lines_of(segments + 1)), "what is in the live segment stays there");
    return gone;
  }

 private:
  std::string path_;
};

}  // namespace fuzz
