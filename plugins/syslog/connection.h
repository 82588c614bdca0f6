// SPDX-License-Identifier: Apache-2.0
//
// The connection to the receiver: one socket, opened with the first message and again after each failure.
#pragma once
#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "address.h"

namespace syslog_sink {

// What send() throws: the message, and the errno.
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

  // Gives `bytes` to the kernel within the timeout: a datagram, or complete frames of a stream. Throws send_failure. A stream
  // is then closed, so that nothing is appended to a partial message.
  //
  // After a failure that took the time t, 10 ms or more, sends fail at once for a pause of ten times t, up to pause_max. So an
  // unreachable receiver takes only a fraction of the time of the threads that log.
  void send(std::string_view bytes);

  // Checks whether the receiver has closed the connection, then closes the socket and ends a pause.
  void close();

  // Called when messages that the kernel accepted earlier may be lost.
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
  void use(int fd) noexcept;

  const transport kind_;
  const address to_;
  const std::chrono::microseconds timeout_;
  const std::chrono::microseconds pause_max_;
  std::function<void(const std::string&, int)> on_loss_;
  int fd_ = -1;
  std::uint64_t inode_ = 0;           // of the socket
  clock::time_point looked_at_ = {};  // when the descriptor was seen to be that of the socket
  ::pid_t owner_ = 0;                 // who opened it: a forked child must not share a stream
  clock::time_point retry_at_ = {};   // not before
  std::string last_failure_;
};

}  // namespace syslog_sink
