// SPDX-License-Identifier: Apache-2.0
//
// annals.archiver: gives the closed segments of a log to an archiver, one after the other, in the background. One thread of the
// lowest priority, started with the first segment that is closed; it sleeps while there is nothing to do.
module;
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>
export module annals.archiver;
import annals.event;
import annals.io;
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

// Archives every plain closed segment, the oldest first, once nothing has happened to it for a second: a writer that keeps no
// lock and had it open when it was closed notices within 100 ms. An archiver that fails is tried again after a second, two,
// four, up to ten minutes, and the other segments meanwhile. That another process archives the same segment is none
// (EWOULDBLOCK).
class background_archiver {
 public:
  static constexpr std::chrono::seconds age_min{1};
  static constexpr std::chrono::seconds first_delay{1};
  static constexpr std::chrono::seconds delay_max{600};

  // `report` is called on the thread, no lock held: archive_failed, and what the archiver reports.
  background_archiver(std::unique_ptr<archiver> with, std::string live_path, notice_handler report);

  // Waits for the segment that is being archived, if any: an archiver cannot be interrupted, but by a death.
  ~background_archiver();
  background_archiver(const background_archiver&) = delete;
  background_archiver& operator=(const background_archiver&) = delete;

  // A segment was closed: looks for what is to be done. Starts the thread when there is none. Any thread; takes no lock.
  void wake() noexcept;

  archive_progress progress() const noexcept;  // any thread

  // In a child of fork(2): the thread is the parent's. The next wake() starts one.
  void become_child() noexcept;

 private:
  struct attempts {  // at one segment, by io::system_calls::uptime
    std::chrono::nanoseconds due{0};
    std::chrono::nanoseconds delay{0};  // after the next failure; 0 before the first
  };
  enum class running : std::uint8_t { no, starting, yes };

  void run() noexcept;
  std::optional<std::chrono::nanoseconds> attempt_work();
  std::optional<std::chrono::nanoseconds> work();
  void look_at(const std::vector<segment::closed_segment>& waiting);
  void archive(const segment::closed_segment& one);
  std::optional<error> try_archive(const segment::closed_segment& one);
  void put_off(attempts& of_segment) const;
  void report(const notice& what) const noexcept;
  void report_failure(const error& cause) const noexcept;

  const std::unique_ptr<archiver> archiver_;
  const std::string live_path_;
  const notice_handler report_;

  std::atomic<running> running_ = running::no;
  std::atomic<std::uint32_t> signal_ = 0;  // changes when there is something to look at
  std::atomic<bool> stopping_ = false;
  std::thread thread_;

  std::map<std::uint64_t, attempts> attempts_;  // the thread's alone

  std::atomic<std::uint64_t> archived_ = 0;
  std::atomic<std::uint64_t> waiting_ = 0;
  std::atomic<std::uint64_t> failed_ = 0;
  std::atomic<std::uint64_t> bytes_in_ = 0;
  std::atomic<std::uint64_t> bytes_out_ = 0;
  std::atomic<std::uint64_t> in_work_ = 0;
};

}  // namespace annals
