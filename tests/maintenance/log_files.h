// SPDX-License-Identifier: Apache-2.0
//
// Logs made by hand, for the tests of what is done to them. Included after the imports of annals, annals.io,
// annals.content.seekable and annals.segment.
#pragma once

namespace support {

// A log with segments of events that are all different, in a directory of its own.
class log_files {
 public:
  explicit log_files(const std::string& path) : path_(path) {}

  const std::string& path() const { return path_; }

  // `events` lines, a second apart, from `first` on.
  std::string lines(int events, annals::time_point first) {
    std::string text;
    for (int i = 0; i < events; ++i) {
      const auto ts = annals::to_string(annals::timestamp{first + std::chrono::seconds(i), annals::precision::seconds});
      const std::string line =
          "{\"ts\":\"" + ts + "\",\"container\":\"web\",\"action\":\"denied\",\"n\":" + std::to_string(++count_) + "}";
      written_.push_back(line);
      text += line + "\n";
    }
    return text;
  }

  std::string closed_name(std::uint64_t number, annals::time_point first, bool compressed) const {
    return annals::segment::closed_path(path_, number, first, compressed);
  }
  // Writes a segment's file, as it was last written at `first`; returns its path.
  std::string add_plain(std::uint64_t number, annals::time_point first, std::string_view content) const {
    const std::string path = closed_name(number, first, false);
    write_file(path, content);
    set_written(path, first);
    return path;
  }
  std::string add_compressed(std::uint64_t number, annals::time_point first, std::string_view content,
                             std::size_t frame_bytes = 16 * 1024) const {
    const std::string path = closed_name(number, first, true);
    write_file(path, compressed(content, frame_bytes));
    set_written(path, first);
    return path;
  }
  static void set_written(const std::string& path, annals::time_point at) {
    const auto file = annals::io::file::open(path, annals::io::open_for::reading);
    ASSERT_TRUE(file);
    EXPECT_FALSE(file->set_modified(at));
  }
  void write_live(std::string_view content) const { write_file(path_, content); }

  static std::string compressed(std::string_view content, std::size_t frame_bytes) {
    std::string bytes;
    annals::seekable::writer writer({.level = 3, .frame_bytes = frame_bytes}, [&bytes](std::string_view part) {
      bytes += part;
      return std::optional<annals::error>();
    });
    EXPECT_FALSE(writer.add(content));
    EXPECT_FALSE(writer.finish());
    return bytes;
  }
  static std::string decompressed(const std::string& path) {
    auto file = annals::io::file::open(path, annals::io::open_for::reading);
    if (!file) return "cannot open";
    const auto table = annals::seekable::read_table(*file, path);
    std::string text;
    annals::seekable::decoder decoder(*file, path);
    for (const annals::seekable::frame& frame : table->frames) {
      decoder.decode(frame, [&text](std::string_view part) {
        text += part;
        return true;
      });
    }
    return text;
  }

  // All lines of the log as they lie on the disk now, segment by segment.
  std::map<std::uint64_t, std::vector<std::string>> lines_on_disk() const {
    std::map<std::uint64_t, std::vector<std::string>> found;
    const auto closed = annals::segment::closed_segments(path_);
    std::uint64_t last = 0;
    for (const annals::segment::closed_segment& one : *closed) {
      const std::string text = one.compressed ? decompressed(one.path) : content_of(one.path);
      last = one.number;
      found[last] = split(text);
    }
    found[last + 1] = split(content_of(path_));
    return found;
  }
  static std::vector<std::string> split(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }

  // The events of this action in the log, decoded.
  std::vector<annals::event> events_of(std::string_view action) const {
    std::vector<annals::event> found;
    for (const auto& [number, lines] : lines_on_disk()) {
      for (const std::string& line : lines) {
        auto read = annals::json::decode_line(line);
        EXPECT_TRUE(read) << "segment " << number << ": " << line;
        if (read && read->action == action) found.push_back(std::move(*read));
      }
    }
    return found;
  }

  std::set<std::uint64_t> numbers_on_disk() const {
    std::set<std::uint64_t> numbers;
    const auto closed = annals::segment::closed_segments(path_);
    for (const annals::segment::closed_segment& one : *closed) numbers.insert(one.number);
    return numbers;
  }

 private:
  std::string path_;
  int count_ = 0;
  std::vector<std::string> written_;
};

inline std::uint64_t number_of(const annals::event& event, std::string_view name) {
  const annals::stored_value* const value = event.find(name);
  const auto* const number = value != nullptr ? std::get_if<std::int64_t>(value) : nullptr;
  return number != nullptr ? static_cast<std::uint64_t>(*number) : UINT64_MAX;
}

inline std::string text_of(const annals::event& event, std::string_view name) {
  const annals::stored_value* const value = event.find(name);
  const auto* const text = value != nullptr ? std::get_if<std::string>(value) : nullptr;
  return text != nullptr ? *text : "";
}

}  // namespace support
