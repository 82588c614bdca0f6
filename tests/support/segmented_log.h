// SPDX-License-Identifier: Apache-2.0
//
// A log of several segments, made step by step as rotation, compression and retention make it, and what it should hold.
// Included after `import annals;`, `import annals.io;`, `import annals.content.seekable;` and `import annals.segment;`.
#pragma once

namespace support {

class segmented_log {
 public:
  struct line {
    std::uint64_t segment;
    std::string text;  // without its newline
    bool is_event;
  };

  explicit segmented_log(std::string live_path) : path_(std::move(live_path)) { write_file(path_, ""); }

  const std::string& path() const noexcept { return path_; }
  std::uint64_t number() const noexcept { return number_; }
  std::vector<line> lines;  // of what is there, in order

  // An event of its own: its `action` is its number.
  std::string event_line(std::string_view more = {}) {
    char text[128];
    const unsigned long long n = next_++;
    std::snprintf(text, sizeof text,
                  "{\"ts\":\"2026-03-%02llu:%02llu:%02llu:%02llu+00:00\",\"container\":\"c%llu\",\"action\":\"%llu\"",
                  1 + n / 86400, n / 3600 % 24, n / 60 % 60, n % 60, n % 7, n);
    std::string event = text;
    event[17] = 'T';
    return event + std::string(more) + "}";
  }

  void append(std::string text, bool is_event = true) {
    append_to(path_, text + "\n");
    lines.push_back({number_, std::move(text), is_event});
  }
  void append_events(int count, std::string_view more = {}) {
    std::string all;
    for (int i = 0; i < count; ++i) {
      lines.push_back({number_, event_line(more), true});
      all += lines.back().text + "\n";
    }
    append_to(path_, all);
  }

  // Closes the live segment: rename, then a new one.
  std::string rotate() {
    const std::string closed = annals::segment::closed_path(path_, number_, annals::time_point{}, false);
    std::filesystem::rename(path_, closed);
    write_file(path_, "");
    ++number_;
    return closed;
  }

  std::string path_of(std::uint64_t number, bool compressed) const {
    return annals::segment::closed_path(path_, number, annals::time_point{}, compressed);
  }

  // Compresses a closed segment in the order of the archiver: the whole file beside it, rename, removal.
  void compress(std::uint64_t number, std::size_t frame_bytes = annals::seekable::frame_bytes_min) const {
    const std::string to = path_of(number, true);
    write_file(to + ".tmp", compressed(content_of(path_of(number, false)), frame_bytes));
    std::filesystem::rename(to + ".tmp", to);
    std::filesystem::remove(path_of(number, false));
  }

  static std::string compressed(std::string_view content, std::size_t frame_bytes = annals::seekable::frame_bytes_min) {
    std::string bytes;
    annals::seekable::writer writer({.level = 1, .frame_bytes = frame_bytes}, [&](std::string_view more) {
      bytes += more;
      return std::optional<annals::error>();
    });
    EXPECT_FALSE(writer.add(content));
    EXPECT_FALSE(writer.finish());
    return bytes;
  }

  // Deletes a closed segment as retention does: the record, then the file.
  void remove(std::uint64_t number) {
    const auto in_segment = [&](const line& l) { return l.segment == number; };
    annals::segment::deleted_segment record;
    record.number = number;
    record.events = 0;
    record.bytes = 0;
    for (const line& l : lines) {
      if (!in_segment(l)) continue;
      *record.events += l.is_event ? 1U : 0U;
      *record.bytes += l.text.size() + 1;
    }
    record.reason = "age";
    append_to(annals::segment::deletion_log_path(path_), annals::segment::record_of(record));
    std::filesystem::remove(path_of(number, true));
    std::filesystem::remove(path_of(number, false));
    std::erase_if(lines, in_segment);
  }

  std::vector<std::string> events() const {
    std::vector<std::string> all;
    for (const line& l : lines) {
      if (l.is_event) all.push_back(l.text);
    }
    return all;
  }

 private:
  std::string path_;
  std::uint64_t number_ = 1;
  std::uint64_t next_ = 0;
};

// All lines of a log, as read_lines gives them.
inline std::string all_lines(const std::string& path, const annals::read_options& options = {}) {
  std::string all;
  (void)annals::read_lines(
      path,
      [&](std::string_view piece) {
        all += piece;
        return true;
      },
      options);
  return all;
}

}  // namespace support
