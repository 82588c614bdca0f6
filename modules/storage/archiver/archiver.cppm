// SPDX-License-Identifier: Apache-2.0
//
// annals.archiver: gives the closed segments of a log to an archiver, one after the other, in the background. One thread, of
// the lowest priority where that is allowed, started when the first segment is closed.
module;
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>
export module annals.archiver;
import annals.event;
import annals.io.worker;
import annals.segment;
import annals.sink;

export namespace annals {

struct archive_progress {
  std::uint64_t archived = 0;   // segments
  std::uint64_t waiting = 0;    // segments, as seen last
  std::uint64_t failed = 0;     // attempts
  std::uint64_t bytes_in = 0;   // of the archived segments
  std::uint64_t bytes_out = 0;  // of what they became
  std::uint64_t in_work = 0;    // the number of the segment; 0: none
};

// Archives every plain closed segment, the oldest first, one second after its last change: a writer without a lock that still
// has the segment open notices within 100 ms that it was closed. After a failure, tries the segment again after 1, 2, 4 ...
// seconds, up to ten minutes, and archives other segments meanwhile. A segment that another process archives (EWOULDBLOCK) is
// not a failure.
class background_archiver {
 public:
  static constexpr std::chrono::seconds age_min{1};
  static constexpr std::chrono::seconds first_delay{1};
  static constexpr std::chrono::seconds delay_max{600};

  // `report` is called on the thread, no lock held: archive_failed, and what the archiver reports.
  background_archiver(std::unique_ptr<archiver> with, std::string live_path, notice_handler report,
                      archive_priority priority = archive_priority::automatic);

  // Blocks until the current segment is archived. Cannot be cancelled.
  ~background_archiver() = default;
  background_archiver(const background_archiver&) = delete;
  background_archiver& operator=(const background_archiver&) = delete;

  // Looks for segments to archive; to be called when one was closed. Starts the thread if necessary. Any thread; takes no lock.
  void wake() noexcept;

  archive_progress progress() const noexcept;  // any thread

  // Waits until every segment that was closed before is archived, an attempt fails, or `patience` is over. Returns how many
  // segments wait. Any thread.
  std::uint64_t finish(std::chrono::nanoseconds patience) noexcept;

  // To be called in a child of fork(2). The thread is the parent's; the next wake() starts another one.
  void become_child() noexcept;

 private:
  struct attempts {  // at one segment, by io::system_calls::uptime
    std::chrono::nanoseconds due{0};
    std::chrono::nanoseconds delay{0};  // after the next failure; 0 before the first
  };

  io::worker::rest step();
  std::optional<std::chrono::nanoseconds> work();
  void end_look(std::uint32_t look) noexcept;
  void look_at(const std::vector<segment::closed_segment>& waiting);
  void archive(const segment::closed_segment& one);
  void put_off(attempts& of_segment) const;
  void report(const notice& what) const noexcept;
  void report_failure(const error& cause) const noexcept;

  const std::unique_ptr<archiver> archiver_;
  const std::string live_path_;
  const notice_handler report_;

  std::map<std::uint64_t, attempts> attempts_;  // the thread's alone

  std::atomic<std::uint64_t> archived_ = 0;
  std::atomic<std::uint64_t> waiting_ = 0;
  std::atomic<std::uint64_t> failed_ = 0;
  std::atomic<std::uint64_t> bytes_in_ = 0;
  std::atomic<std::uint64_t> bytes_out_ = 0;
  std::atomic<std::uint64_t> in_work_ = 0;
  std::atomic<std::uint32_t> begun_ = 0;  // looks at the log
  std::atomic<std::uint32_t> ended_ = 0;  // the number of the last look whose result is in waiting_
  io::worker thread_;                     // last: it uses the members above
};

}  // namespace annals
