// SPDX-License-Identifier: Apache-2.0
//
// annals archive: gives the closed segments of a log to an archiver, one after the other.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "complain.h"
#include "exit_code.h"
import annals;
#include "exit_code_of.h"
#include "keeping/commands.h"

namespace cli {

namespace {

constexpr std::chrono::seconds age_min{1};  // writers that keep no lock notice within 100 ms that their segment was closed

std::uint64_t size_of(const std::string& path) {
  struct ::stat found = {};
  return ::stat(path.c_str(), &found) == 0 ? static_cast<std::uint64_t>(found.st_size) : 0;
}

// A segment that has just been closed may still be written to for a moment.
void wait_for_age(const std::string& path) {
  struct ::stat found = {};
  if (::stat(path.c_str(), &found) != 0) return;
  const auto changed = std::chrono::system_clock::time_point(std::chrono::seconds(found.st_ctim.tv_sec) +
                                                             std::chrono::microseconds(found.st_ctim.tv_nsec / 1000));
  const auto age = std::chrono::system_clock::now() - changed;
  if (age < age_min) std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(age_min - age, age_min));
}

// A bar on a terminal, drawn on standard error; nothing elsewhere.
class progress_bar {
 public:
  progress_bar(std::size_t segments, std::uint64_t bytes)
      : segments_(segments), bytes_(bytes), shown_(::isatty(STDERR_FILENO) != 0) {}
  ~progress_bar() { clear(); }
  progress_bar(const progress_bar&) = delete;
  progress_bar& operator=(const progress_bar&) = delete;

  void show(std::size_t segment, std::uint64_t done) const {
    constexpr std::size_t width = 30;
    if (!shown_) return;
    const std::uint64_t full = bytes_ == 0 ? width : std::min<std::uint64_t>(width, done * width / bytes_);
    const std::string bar = std::string(full, '#') + std::string(width - full, '.');
    std::fprintf(stderr, "\r\x1b[K[%s] %llu %%, segment %zu of %zu", bar.c_str(),
                 static_cast<unsigned long long>(bytes_ == 0 ? 100 : std::min<std::uint64_t>(100, done * 100 / bytes_)),
                 segment, segments_);
    std::fflush(stderr);
  }
  void clear() const {
    if (shown_) std::fprintf(stderr, "\r\x1b[K");
  }

 private:
  std::size_t segments_;
  std::uint64_t bytes_;
  bool shown_;
};

struct totals {
  std::size_t segments = 0;
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
  int code = ok;
};

std::unique_ptr<annals::archiver> make_archiver(const archive_arguments& arguments) {
  std::vector<annals::option> options;
  if (arguments.level) options.push_back({"level", annals::option_kind::integer, std::to_string(*arguments.level)});
  const annals::plugin loaded = annals::plugin_registry().load(arguments.plugin).value();
  auto made = loaded.make_archiver({options, arguments.file, 0600});
  made->set_notice_handler([](const annals::notice& what) { complain(what.message); });
  return made;
}

// Archives one segment. Reports a failure, so that the others can be archived.
void archive_one(annals::archiver& archiver, const std::string& log, const annals::segment_info& segment,
                 const progress_bar& bar, totals& all) {
  wait_for_age(segment.path);
  const std::uint64_t before = size_of(segment.path);
  if (const auto failed = annals::archive_segment(log, {segment.path, segment.number}, archiver)) {
    bar.clear();
    complain_lines(failed->message);
    all.code = std::max(all.code, failed->system_code == EWOULDBLOCK ? static_cast<int>(refused) : exit_code_of(*failed));
    return;
  }
  ++all.segments;
  all.bytes_in += before;
  all.bytes_out += size_of(segment.path + ".zst");
}

int summarize(const totals& all, std::size_t waiting) {
  if (waiting == 0) {
    std::printf("nothing to archive: there is no closed segment that is not compressed\n");
  } else {
    std::printf("%zu of %zu segments archived", all.segments, waiting);
    if (all.segments != 0) {
      std::printf(": %s in %s", annals::rounded_size_text(all.bytes_in).c_str(),
                  annals::rounded_size_text(all.bytes_out).c_str());
      if (all.bytes_out != 0)
        std::printf(", %.1f to 1", static_cast<double>(all.bytes_in) / static_cast<double>(all.bytes_out));
    }
    std::printf("\n");
  }
  return end_output(all.code);
}

}  // namespace

int run_archive(const archive_arguments& arguments) try {
  std::vector<annals::segment_info> segments = annals::list_segments(arguments.file).value();
  std::erase_if(segments, [](const annals::segment_info& one) {
    return one.state == annals::segment_state::live || !one.path.ends_with(".jsonl");
  });
  const auto archiver = make_archiver(arguments);
  std::uint64_t bytes = 0;
  for (const annals::segment_info& one : segments) bytes += size_of(one.path);
  totals all;
  {
    const progress_bar bar(segments.size(), bytes);
    std::uint64_t done = 0;
    for (std::size_t i = 0; i < segments.size(); ++i) {
      bar.show(i + 1, done);
      const std::uint64_t of_this = size_of(segments[i].path);
      archive_one(*archiver, arguments.file, segments[i], bar, all);
      done += of_this;
    }
  }
  return summarize(all, segments.size());
} catch (const annals::failure& failed) {
  complain_lines(failed.what());
  return exit_code_of(failed.cause());
}

}  // namespace cli
