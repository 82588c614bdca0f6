// SPDX-License-Identifier: Apache-2.0
//
// The way from segment to segment. Included by the implementations of annals.reader behind the imports of annals.content, so it
// includes nothing itself.
#pragma once

namespace annals {

// Opens the segments of a log one after the other, in either direction, and reports the numbers that are missing between them,
// and before the first one, since a log begins with number 1; and the closed segments that cannot be opened. A segment that is
// deleted after the look at the log is missing, too. Throws annals::failure.
class walk {
 public:
  struct stop {
    content::segment_reader file;
    std::uint64_t number = 0;
    bool is_live = false;
  };
  using reporter = std::function<void(std::uint64_t first, std::uint64_t last)>;

  using failure_reporter = std::function<void(std::uint64_t number, const std::string& path, const error& cause)>;
  using double_reporter = std::function<void(std::uint64_t number, const std::string& path)>;

  // `missing` gets the first and the last number of each gap (the first is 1: before the log's first segment), `unreadable` the
  // number and the path of each closed segment that cannot be opened, and why, `doubled` the number and the path of each one
  // that has the number of another.
  inline walk(std::string path, content::view log, reporter missing, failure_reporter unreadable, double_reporter doubled)
      : path_(std::move(path)),
        log_(std::move(log)),
        missing_(std::move(missing)),
        unreadable_(std::move(unreadable)),
        doubled_(std::move(doubled)),
        before_(log_.closed.size()) {}

  // Goes on at the segment with this number: a gap before the next one that is there is reported.
  void begin_at(std::uint64_t number);

  // The next segment towards the live one, which is the last. Nothing where none is left.
  std::optional<stop> next(const content::segment_reader::chooser& by_facts = {});

  // The closed segments before the live one, the last one first.
  std::optional<stop> previous();

 private:
  std::string path_;
  content::view log_;
  reporter missing_;
  failure_reporter unreadable_;
  double_reporter doubled_;
  std::size_t at_ = 0;                     // of next(), in the closed segments; behind them: the live one
  std::optional<std::uint64_t> expected_;  // the number of the next segment; nothing: any
  std::size_t before_;                     // of previous()
  std::uint64_t expected_before_ = log_.live_number - 1;
};

}  // namespace annals
