// SPDX-License-Identifier: Apache-2.0
//
// What recovery makes of a log: for the targets whose files hold lines that a log may lack.
#pragma once
#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz.h"

namespace fuzz {

// As its first bytes say: no live segment is, and readers refuse the one (gzip) and decode the other.
inline bool is_compressed(std::string_view text) {
  return text.starts_with("\x28\xB5\x2F\xFD") || (text.size() >= 4 && text.substr(1, 3) == "\x2A\x4D\x18") ||
         text.starts_with("\x1F\x8B");
}

// The lines of a part of a log, as they are looked for: each one can be found once.
class written_lines {
 public:
  explicit written_lines(std::string_view log) {
    while (!log.empty()) {
      const std::size_t newline = log.find('\n');
      if (newline == std::string_view::npos) {
        torn_ = log;
        return;
      }
      ++lines_[std::string(log.substr(0, newline + 1))];
      log.remove_prefix(newline + 1);
    }
  }

  // Is the line there? One that lacks but its newline is; and no other is the one that the log ends in the middle of.
  bool take(const std::string& line) {
    if (lines_[line] > 0) return lines_[line]-- > 0;
    if (torn_.empty() || !line.starts_with(torn_)) return false;
    const bool is_whole = torn_.size() + 1 == line.size();
    torn_.clear();
    return is_whole;
  }

 private:
  std::map<std::string, int> lines_;
  std::string torn_;
};

inline std::string joined(const std::vector<std::string>& lines, std::size_t without = static_cast<std::size_t>(-1)) {
  std::string all;
  for (std::size_t i = 0; i < lines.size(); ++i) all += i == without ? "" : lines[i];
  return all;
}

// What was appended are the lines that were left; behind a torn line, which is ended, or finished where it is one of them.
inline bool is_expected(const std::string& before, const std::string& appended, const std::vector<std::string>& left) {
  if (appended == joined(left)) return before.empty() || before.ends_with('\n') || appended.empty();
  if (before.empty() || before.ends_with('\n')) return false;
  if (appended == "\n" + joined(left)) return true;
  for (std::size_t i = 0; i < left.size(); ++i) {
    const std::string others = joined(left, i);
    if (!appended.ends_with(others)) continue;
    const std::string end = appended.substr(0, appended.size() - others.size());
    if (left[i].ends_with(end) && before.ends_with(left[i].substr(0, left[i].size() - end.size()))) return true;
  }
  return false;
}

// A file whose name has this in it, and these bytes.
inline void check_set_aside(const work_directory& directory, std::string_view name, const std::string& bytes) {
  for (const auto& entry : std::filesystem::directory_iterator(directory.path())) {
    if (entry.path().string().find(name) == std::string::npos) continue;
    require(content_of(entry.path()) == bytes, "what is no ring is set aside as it is");
    return;
  }
  require(false, "what is no ring is set aside");
}

}  // namespace fuzz
