// SPDX-License-Identifier: Apache-2.0
//
// The way to the receiver: one socket, made at the first message and again whenever it has failed.
#pragma once
#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "address.h"

namespace syslog_sink {

// What went wrong, and the errno; thrown.
struct send_failure {
  std::string message;
  int system_code = 0;
};

class connection {
 public:
  using clock = std::chrono::steady_clock;

  connection(transport kind, address to, std::chrono::microseconds timeout, std::chrono::microseconds pause_max);
  ~connection();
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;

  // Hands `bytes` to the kernel (datagrams: as one; streams: frames, whole), within the timeout. Throws send_failure; then a
  // stream is closed, so nothing can be glued to what got through.
  //
  // A failure that took the time t, 10 ms or more, is followed by a pause of ten times t, up to pause_max, in which sends fail
  // at once: so a dead receiver takes little of the time of those who log.
  void send(std::string_view bytes);

  // Lets go of the socket, and of the pause.
  void close();

  // Hears of what may have been lost earlier, though it was handed to the kernel.
  void set_loss_handler(std::function<void(const std::string&, int)> handler) { on_loss_ = std::move(handler); }

  std::string name() const;  // for messages: "udp 127.0.0.1:514"

 private:
  bool is_stream() const { return kind_ == transport::unix_stream || kind_ == transport::tcp; }
  bool is_unix() const { return kind_ == transport::unix_datagram || kind_ == transport::unix_stream; }
  void send_before(std::string_view bytes, clock::time_point deadline);
  bool send_datagram(std::string_view bytes, clock::time_point deadline, bool may_retry);
  bool send_stream(std::string_view bytes, clock::time_point deadline, bool may_retry);
  void notice_closed_peer();
  void open(clock::time_point deadline);
  void open_unix(clock::time_point deadline);
  void open_internet(clock::time_point deadline);
  int connect_within(int fd, const void* to, std::size_t to_bytes, clock::time_point deadline) const;
  [[noreturn]] void fail(const std::string& attempted, int error) const;
  void drop() noexcept;

  const transport kind_;
  const address to_;
  const std::chrono::microseconds timeout_;
  const std::chrono::microseconds pause_max_;
  std::function<void(const std::string&, int)> on_loss_;
  int fd_ = -1;
  ::pid_t owner_ = 0;                // who opened it: a forked child must not share a stream
  clock::time_point retry_at_ = {};  // not before
  std::string last_failure_;
};

}  // namespace syslog_sink
