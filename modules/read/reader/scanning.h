// SPDX-License-Identifier: Apache-2.0
//
// What a scan does with lines, and the threads that do it. Included by the implementations of annals.reader behind matcher.h
// and reading.h, so it includes nothing itself.
#pragma once

namespace annals {

// Looks at lines, and gives what it finds to `on_event`, what is damaged to `on_damage`.
struct looker {
  const matcher& filter;
  std::function<bool(event&)> on_event;
  std::function<void(std::uint64_t at, std::uint64_t bytes, std::string cause)> on_damage;
  bool is_live = false;  // an incomplete last line is none then
  std::uint64_t bytes = 0;
  std::uint64_t undated = 0;  // events that only a filter of times left out, since they have no readable time

  inline bool look(const content::line_cutter::lines& some) {
    if (!some.one) {
      bytes += some.text.size();
      return filter.candidates(some.offset, some.text, [&](const content::line& line) { return one(line); });
    }
    const content::line& line = *some.one;
    bytes += line.bytes + 1;
    if (line.is_too_long()) return one(line);
    return filter.candidates(line.offset, line.text, [&](content::line found) {
      found.terminated = line.terminated;
      found.is_cut = line.is_cut;
      return one(found);
    });
  }

  inline bool one(const content::line& line) {
    const bool may_be_written = is_live && !line.terminated && !line.is_cut;
    auto read = event_of(line, [&](std::uint64_t at, std::uint64_t count, std::string cause) {
      if (!may_be_written) on_damage(at, count, std::move(cause));
    });
    if (!read || !filter.meets_texts(*read)) return true;
    const auto when = filter.meets_times(*read);
    if (!when) ++undated;
    return !when.value_or(false) || on_event(*read);
  }
};

inline constexpr std::size_t unit_bytes = 1024 * 1024;               // of a plain file, looked at by one thread at once
inline constexpr std::size_t unit_frame_bytes_max = 2 * unit_bytes;  // frames of up to this are given to threads

// A part of a segment that can be looked at alone: a frame, which begins with a line, or the lines that begin in a part of a
// plain file.
struct unit {
  std::shared_ptr<content::segment_reader> file;
  std::optional<seekable::frame> frame;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t file_end = 0;
  bool is_live = false;

  std::vector<event> events;
  std::vector<damage> damages;
  std::uint64_t bytes = 0;
  std::uint64_t undated = 0;
  std::exception_ptr failed;
  bool done = false;
};

// Threads that look at units, which come out in the order in which they were put in. All calls on one thread.
class crew {
 public:
  crew(unsigned threads, const matcher& filter);
  ~crew();
  crew(const crew&) = delete;
  crew& operator=(const crew&) = delete;

  inline bool is_full() const { return units_.size() >= room_; }
  inline bool is_empty() const { return units_.empty(); }
  void put(std::unique_ptr<unit> work);
  std::unique_ptr<unit> take();  // the oldest unit, once it is done

 private:
  void work();

  const matcher& filter_;
  const std::size_t room_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::unique_ptr<unit>> units_;
  std::size_t begun_ = 0;  // of the units
  bool ended_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace annals
