// SPDX-License-Identifier: Apache-2.0
//
// A sink that rotates, without the plugin around it; and a log read whole. Included behind the imports of annals,
// annals.rotation and annals.segment.
#pragma once

namespace support {

class rotating_sink final : public annals::sink {
 public:
  rotating_sink(const std::string& path, annals::rotation::triggers when, unsigned mode = 0600)
      : writer(path, mode, std::move(when), [this](const annals::notice& what) { notify(what); }) {}

  void write(const annals::batch& lines) override { writer.write(lines); }
  void sync() override { writer.sync(); }
  void reopen() override { writer.reopen(); }
  annals::position position() override { return writer.position(); }
  bool keeps_log() const noexcept override { return true; }
  std::optional<annals::closed_segment> start_segment() override {
    const auto closed = writer.rotate();
    if (!closed) return std::nullopt;
    return annals::closed_segment{closed->path, closed->number};
  }

  annals::rotation::segment_writer writer;
};

inline annals::rotation::triggers of_size(std::uint64_t bytes) {
  annals::rotation::triggers when;
  when.bytes_max = bytes;
  return when;
}

// A log as it stands on the disk.
struct whole_log {
  std::vector<annals::segment::closed_segment> closed;
  std::vector<std::string> lines;  // of all segments, in order; what is no whole line is a failure of the test

  explicit whole_log(const std::string& path) {
    auto found = annals::segment::closed_segments(path);
    EXPECT_TRUE(found);
    if (found) closed = std::move(*found);
    for (std::size_t i = 0; i < closed.size(); ++i) {
      EXPECT_EQ(closed[i].number, i + 1) << "a hole in the numbers";
      add(closed[i].path);
    }
    add(path);
  }

  // Every segment but the live one has something in it, and none is larger.
  void expect_sizes(std::uint64_t bytes_max) const {
    for (const auto& segment : closed) {
      EXPECT_GT(std::filesystem::file_size(segment.path), 0U) << segment.path;
      EXPECT_LE(std::filesystem::file_size(segment.path), bytes_max) << segment.path;
    }
  }

 private:
  void add(const std::string& path) {
    const std::string content = content_of(path);
    if (!content.empty()) {
      EXPECT_EQ(content.back(), '\n') << path;
    }
    for (std::string& line : lines_of(path)) lines.push_back(std::move(line));
  }
};

// The number that a line of ours bears in its field of this name.
inline std::int64_t number_in(const std::string& line, const char* name) {
  const auto event = annals::json::decode_line(line);
  EXPECT_TRUE(event) << line;
  const auto* const value = event ? event->find(name) : nullptr;
  const auto* const number = value != nullptr ? std::get_if<std::int64_t>(value) : nullptr;
  EXPECT_NE(number, nullptr) << line;
  return number != nullptr ? *number : -1;
}

// Every writer's events are there, each once, and each writer's in its order.
inline void expect_all(const whole_log& log, int writers, std::int64_t events_of_each) {
  std::vector<std::int64_t> next(static_cast<std::size_t>(writers), 0);
  for (const std::string& line : log.lines) {
    const auto writer = static_cast<std::size_t>(number_in(line, "writer"));
    ASSERT_LT(writer, next.size());
    ASSERT_EQ(number_in(line, "number"), next[writer]++) << "of writer " << writer;
  }
  for (const std::int64_t count : next) EXPECT_EQ(count, events_of_each);
}

}  // namespace support
