// SPDX-License-Identifier: Apache-2.0
//
// A logger with delivery::ring, and a sink that does what a test tells it. Included after `import annals;`.
#pragma once

namespace support {

// Waits for what another thread brings about, with a deadline.
template <class Condition>
[[nodiscard]] bool eventually(Condition condition) {
  using namespace std::chrono_literals;
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

// A sink that stops at a gate, and fails when told to.
class gated_sink final : public annals::sink {
 public:
  struct control {
    std::mutex mutex;
    std::condition_variable changed;
    bool open = true;
    bool failing = false;
    std::string lines;
    std::size_t batches = 0;

    void set(bool now_open, bool now_failing = false) {
      const std::lock_guard lock(mutex);
      open = now_open;
      failing = now_failing;
      changed.notify_all();
    }
    std::string taken() {
      const std::lock_guard lock(mutex);
      return lines;
    }
  };

  explicit gated_sink(control& by) : by_(by) {}
  void write(const annals::batch& lines) override {
    std::unique_lock lock(by_.mutex);
    by_.changed.wait(lock, [this] { return by_.open; });
    ++by_.batches;
    if (by_.failing) throw annals::sink_error({annals::errc::io, 28, "the sink is told to fail"});
    by_.lines += lines.lines;
  }
  void sync() override {}
  void reopen() override {}
  annals::position position() override { return {1, by_.lines.size()}; }

 private:
  control& by_;
};

class a_ring : public testing::Test {
 protected:
  annals::logger_options options(annals::on_full full = annals::on_full::block) {
    annals::logger_options made;
    made.path = log_path;
    made.delivery = annals::delivery::ring;
    made.ring_bytes = annals::limits::ring_bytes_floor;
    made.on_full = full;
    made.on_error = [this](const annals::error& what) {
      const std::lock_guard lock(heard_mutex);
      heard.push_back(what);
    };
    made.on_notice = [this](const annals::notice& what) {
      const std::lock_guard lock(heard_mutex);
      notices.push_back(what);
    };
    return made;
  }
  bool has_heard(annals::errc code) { return !said(code).empty(); }
  std::string said(annals::errc code) { return message_in(heard, code); }
  std::string said(annals::notice_code code) { return message_in(notices, code); }

  const support::temp_directory directory;
  const std::string log_path = directory / "audit.jsonl";
  const std::string ring_path = log_path + ".ring";
  std::mutex heard_mutex;
  std::vector<annals::error> heard;
  std::vector<annals::notice> notices;

 private:
  template <class Report, class Code>
  std::string message_in(const std::vector<Report>& reports, Code code) {
    const std::lock_guard lock(heard_mutex);
    for (const Report& one : reports) {
      if (one.code == code) return one.message;
    }
    return "";
  }
};

}  // namespace support
