// SPDX-License-Identifier: Apache-2.0
//
// A ring file of a test's own, mapped as the drain maps it. Included after `import annals.io;` and `import annals.ring;`.
#pragma once

namespace support {

class ring_file {
 public:
  explicit ring_file(const std::string& path, std::size_t bytes = annals::ring::bytes_min) : path_(path), bytes_(bytes) {
    auto opened = annals::io::owned_file::open(path, 0600).value();
    const bool is_new = opened.status().value().bytes == 0;
    EXPECT_FALSE(opened.allocate(annals::ring::page_bytes + bytes));
    mapping_ = annals::io::guarded_mapping::of(path, annals::ring::page_bytes + bytes, opened.status().value()).value();
    if (is_new) annals::ring::make_header(header(), bytes, {}, 1);
  }

  annals::ring::file_header& header() { return *reinterpret_cast<annals::ring::file_header*>(mapping_.memory()); }
  char* records() { return mapping_.memory() + annals::ring::page_bytes; }
  // Those of the chunks that producers have, and of the next one.
  annals::ring::shared_words words() { return {records(), bytes_, facts().chunks}; }
  std::uint64_t& word(std::uint64_t at) { return *reinterpret_cast<std::uint64_t*>(words().at(at)); }
  // What the first page says now.
  annals::ring::facts facts() {
    annals::ring::page_copy page;
    std::memcpy(page.data(), mapping_.memory(), annals::ring::page_copy::size);
    return page.facts();
  }
  annals::ring::record_source source() {
    return [this](std::uint64_t offset, char* to, std::size_t count) {
      std::memcpy(to, records() + offset, count);
      return true;
    };
  }
  annals::ring::queue queue(bool is_new = true) {
    const annals::ring::start from = is_new ? annals::ring::start{.bytes = bytes_, .tail = header().tail, .end = header().tail}
                                            : annals::ring::put_in_order(header(), records(), facts(), source()).value();
    return annals::ring::queue(header(), records(), from);
  }

  // Calls `take` with each record that a later owner would find, damaged ones too.
  template <class Take>
  void each_record(Take take) {
    annals::ring::record_walk walk(facts(), source());
    while (const auto one = walk.next()) take(*one);
  }
  // The lines that a later owner would find.
  std::vector<std::string> lines() {
    std::vector<std::string> found;
    each_record([&](const annals::ring::record& one) {
      if (one.damage.empty()) found.emplace_back(one.line);
    });
    return found;
  }

 private:
  std::string path_;
  std::size_t bytes_;
  annals::io::guarded_mapping mapping_;
};

inline std::uint64_t put(annals::ring::queue& queue, std::string_view line) {
  bool more_than_half = false;
  return queue.put(line, more_than_half);
}

// Takes one batch without any patience, and releases it.
inline std::string drain(annals::ring::queue& queue, std::size_t bytes_max = 1 << 20) {
  using namespace std::chrono_literals;
  const std::string lines(queue.take(bytes_max, 0ns, 0ns).lines);
  queue.begin_writing({});
  queue.release();
  return lines;
}

inline std::string line_of(std::size_t number, std::size_t bytes = 20) {
  std::string line = std::to_string(number);
  line.resize(std::max(bytes, line.size() + 1), '.');
  line.back() = '\n';
  return line;
}

// Makes the record at `word` (since the ring was made) look as if its producer were in the middle of it, or done with it.
inline void set_mark(ring_file& file, std::uint64_t word, annals::ring::mark state, std::uint32_t thread = 0) {
  const std::size_t bytes = annals::ring::line_bytes_of(file.word(word));
  if (state != annals::ring::mark::committed) {
    file.word(word) = annals::ring::header_of(state, bytes, thread);
    return;
  }
  const char* const line = reinterpret_cast<const char*>(&file.word(word) + 1);
  file.word(word) = annals::ring::committed_header(bytes, annals::ring::sum_of({line, bytes}), word);
}

inline std::uint32_t id_of_ended_thread() {
  std::uint32_t id = 0;
  std::thread([&id] { id = annals::io::thread_id(); }).join();
  return id;
}

class a_queue : public testing::Test {
 protected:
  const support::temp_directory directory;
  ring_file file{directory / "ring"};
};

// A ring with events whose owner died. Returns their lines.
inline std::string as_dead_owner_leaves_it(const std::string& ring_path, std::size_t count, std::size_t line_bytes) {
  ring_file made(ring_path);
  auto queue = made.queue();
  std::string lines;
  for (std::size_t i = 0; i < count; ++i) {
    std::string line = R"({"ts":"2026-01-31T23:59:59+00:00","container":"web","action":")" + std::to_string(i) + '"';
    line.resize(std::max(line.size(), line_bytes), ' ');
    line += "}\n";
    put(queue, line);
    lines += line;
  }
  return lines;
}

}  // namespace support
