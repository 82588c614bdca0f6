// SPDX-License-Identifier: Apache-2.0
//
// The page of a log's lock: any bytes, at any time, and a file that is cut while it is mapped. A log that rotates goes on: an
// event is refused with a reason, or it is in the log once, in order, in a segment that readers know.
//
// An input makes a page. Then come steps: an event, a change of the page, a cut of the file, a rotation by another process.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "fuzz.h"
import annals;
import annals.io;
import annals.rotation;
import annals.rotation.zone;
import annals.segment;

namespace {

using fuzz::require;
using namespace std::chrono_literals;

constexpr std::size_t page_bytes = sizeof(annals::rotation::lock_page);

class rotating_sink final : public annals::sink {
 public:
  rotating_sink(const std::string& path, annals::rotation::triggers when, unsigned mode)
      : writer_(path, mode, std::move(when), [this](const annals::notice& what) { notify(what); }) {}
  void write(const annals::batch& lines) override { writer_.write(lines); }
  void sync() override { writer_.sync(); }
  void reopen() override { writer_.reopen(); }
  annals::position position() override { return writer_.position(); }
  bool keeps_log() const noexcept override { return true; }

 private:
  annals::rotation::segment_writer writer_;
};

void change(const std::string& lock_path, fuzz::input& in) {
  const auto offset = static_cast<off_t>(in.chance() ? 8 * in.below(8) : in.below(page_bytes));
  const std::string_view bytes = in.take(1 + in.below(16));
  const int fd = ::open(lock_path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  (void)!::pwrite(fd, bytes.data(), bytes.size(), offset);
  ::close(fd);
}

void expect_all(const std::string& path, const std::vector<std::int64_t>& accepted) {
  std::vector<std::int64_t> seen;
  const auto done = annals::scan(path, {}, [&](const annals::event& one) {
    const auto* const number = one.find("n");
    require(number != nullptr, "a log has the events that were logged");
    seen.push_back(std::get<std::int64_t>(*number));
    return true;
  });
  require(done.damaged == 0, "a log that rotates has no damage");
  require(seen == accepted, "every accepted event is in the log, once, in order");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::work_directory directory;
  directory.clear();
  const std::string path = directory / "audit.jsonl";
  const std::string lock_path = annals::rotation::lock_path(path);
  fuzz::input in(fuzz::text_of(data, size));
  const unsigned how = in.byte();
  const unsigned mode = (how & 16) != 0 ? 0660 : 0600;  // a page that others can cut is not mapped
  (void)::umask(0);
  if ((how & 1) != 0) fuzz::write_file(lock_path, in.text());

  annals::rotation::triggers when;
  when.bytes_max = 300;
  if ((how & 2) != 0) when.interval = 1h;
  if ((how & 4) != 0) when.age = 2h;
  if ((how & 8) != 0) when.align = annals::wall_unit::day;
  std::vector<std::int64_t> accepted;
  {
    annals::audit_logger log(annals::logger_options{
        .path = path, .on_error = [](const annals::error&) {}, .sink = std::make_unique<rotating_sink>(path, when, mode)});
    for (std::int64_t step = 0; step < 40 && !in.is_empty(); ++step) {
      switch (in.below(6)) {
        case 0: change(lock_path, in); break;
        case 1:
          if (mode == 0600) break;  // its user's own doing
          (void)!::truncate(lock_path.c_str(), static_cast<off_t>(in.below(page_bytes + 1)));
          break;
        case 2: (void)annals::rotate_log(path); break;
        default:
          if (log.log_event("fuzz", "x", {.fields = {{"n", step}}}).accepted()) accepted.push_back(step);
      }
    }
  }
  expect_all(path, accepted);
  const auto closed = annals::segment::closed_segments(path);
  require(static_cast<bool>(closed), "the segments can be listed");
  for (const auto& one : *closed)
    require(one.number <= annals::segment::number_max, "a number is one that readers know", one.path);
  return 0;
}
