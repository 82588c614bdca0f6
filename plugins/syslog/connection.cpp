// SPDX-License-Identifier: Apache-2.0
#include "connection.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace syslog_sink {

namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

constexpr auto free_of_charge = 10ms;  // no pause, in which events fail, after a failure that took less

std::string seconds_text(std::chrono::microseconds time) {
  return std::to_string(std::chrono::duration_cast<milliseconds>(time).count()) + " ms";
}

constexpr auto look_interval = 100ms;  // between looks whether the descriptor is still that of the socket

// A socket that exec closes. Its number is high where the limits allow it: not that of a standard descriptor that was closed,
// and not one that files get that are opened after a program has closed all its descriptors.
int new_socket(int family, int type) {
  const int fd = ::socket(family, type | SOCK_CLOEXEC, 0);
  if (fd < 0) return fd;
  int moved = -1;
  for (const int number : {960, 448, 192, 96}) {
    moved = moved < 0 ? ::fcntl(fd, F_DUPFD_CLOEXEC, number) : moved;
  }
  if (moved < 0 && fd > STDERR_FILENO) return fd;
  if (moved < 0) moved = ::fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  const int error = errno;
  ::close(fd);
  errno = error;
  return moved;
}

// The errors of a descriptor that another part of the process closed.
bool is_closed_here(int error) noexcept {
  return error == EBADF || error == ENOTSOCK;
}

std::uint64_t inode_of(int fd) noexcept {
  struct ::stat found;
  return ::fstat(fd, &found) == 0 && S_ISSOCK(found.st_mode) ? found.st_ino : 0;
}

int wait_for(int fd, short events, connection::clock::time_point deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - connection::clock::now());
    pollfd polled = {fd, events, 0};
    const int ready = ::poll(&polled, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
    if (ready > 0) return 0;
    if (ready < 0 && errno != EINTR) return errno;
    if (connection::clock::now() >= deadline) return ETIMEDOUT;
  }
}

int pending_error(int fd) {
  int error = 0;
  ::socklen_t size = sizeof error;
  return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

void set_option(int fd, int level, int name, int value) {  // optional: without it, only failures are noticed later
  ::setsockopt(fd, level, name, &value, sizeof value);
}

}  // namespace

connection::connection(transport kind, address to, std::chrono::microseconds timeout, std::chrono::microseconds pause_max)
    : kind_(kind), to_(std::move(to)), timeout_(timeout), pause_max_(pause_max) {}

connection::~connection() {
  drop();
}

std::string connection::name() const {
  switch (kind_) {
    case transport::unix_datagram: return "the Unix socket '" + to_.host + "'";
    case transport::unix_stream: return "the Unix stream socket '" + to_.host + "'";
    case transport::udp: break;
    case transport::tcp: break;
  }
  const bool is_v6 = to_.host.find(':') != std::string::npos;
  return (kind_ == transport::udp ? "udp " : "tcp ") + (is_v6 ? "[" + to_.host + "]" : to_.host) + ":" + to_.port;
}

void connection::fail(const std::string& attempted, int error) const {
  std::string message = "cannot " + attempted + " the syslog receiver at " + name() + ": ";
  message += error == ETIMEDOUT ? "nothing came of it in " + seconds_text(timeout_) : std::generic_category().message(error);
  throw send_failure{std::move(message), error};
}

// Another part of the process can have closed the descriptor, and another file can have its number, which stays open then.
void connection::drop() noexcept {
  const int fd = std::exchange(fd_, -1);
  if (fd >= 0 && inode_of(fd) == inode_) ::close(fd);
}

void connection::use(int fd) noexcept {
  fd_ = fd;
  inode_ = inode_of(fd);
  looked_at_ = clock::now();
}

void connection::close() {
  if (owner_ == ::getpid()) notice_closed_peer();
  drop();
  retry_at_ = {};
}

void connection::send(std::string_view bytes) {
  if (owner_ != ::getpid()) {
    drop();  // only this process's copy; the parent keeps its own
    owner_ = ::getpid();
  }
  const auto start = clock::now();
  if (fd_ >= 0 && start - looked_at_ >= look_interval) {
    looked_at_ = start;
    if (inode_of(fd_) != inode_) drop();
  }
  if (start < retry_at_) {
    throw send_failure{"not tried, for the next " + seconds_text(std::chrono::ceil<milliseconds>(retry_at_ - start)) +
                           ", since the last attempt failed: " + last_failure_,
                       EAGAIN};
  }
  try {
    send_before(bytes, start + timeout_);
  } catch (const send_failure& failed) {
    const auto end = clock::now();
    if (failed.system_code == EMSGSIZE || end - start < free_of_charge) throw;
    last_failure_ = failed.message;
    retry_at_ = end + std::min<clock::duration>(10 * (end - start), pause_max_);
    throw;
  }
}

// If no part of the message was sent, only the old connection may have failed: tries once more with a new one.
void connection::send_before(std::string_view bytes, clock::time_point deadline) {
  notice_closed_peer();
  const bool is_old = fd_ >= 0;
  if (!is_old) open(deadline);
  if (is_stream() ? send_stream(bytes, deadline, is_old) : send_datagram(bytes, deadline, is_old)) return;
  drop();
  open(deadline);
  if (is_stream()) {
    send_stream(bytes, deadline, false);
  } else {
    send_datagram(bytes, deadline, false);
  }
}

bool connection::send_datagram(std::string_view bytes, clock::time_point deadline, bool may_retry) {
  for (;;) {
    const ::ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    int error = sent < 0 ? errno : 0;
    // If nobody listens on this machine, the kernel reports it at once.
    if (error == 0 && kind_ == transport::udp) error = pending_error(fd_);
    if (error == 0) return true;
    if (error == EINTR) continue;
    if (error == EAGAIN || error == EWOULDBLOCK) {
      error = wait_for(fd_, POLLOUT, deadline);
      if (error == 0) continue;
      fail("send to", error);
    }
    if (error == EMSGSIZE) {
      fail("send a message of " + std::to_string(bytes.size()) + " bytes in one datagram to", error);
    }
    if (error == ENOBUFS && clock::now() < deadline) {
      wait_for(-1, 0, std::min(deadline, clock::now() + 10ms));
      continue;
    }
    // Of the path of a socket: the receiver has created it again.
    if (may_retry && (kind_ == transport::unix_datagram || is_closed_here(error))) return false;
    drop();
    fail("send to", error);
  }
}

bool connection::send_stream(std::string_view bytes, clock::time_point deadline, bool may_retry) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ::ssize_t sent = ::send(fd_, bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      done += static_cast<std::size_t>(sent);
      continue;
    }
    int error = errno;
    if (error == EINTR) continue;
    if (error == EAGAIN || error == EWOULDBLOCK) {
      error = wait_for(fd_, POLLOUT, deadline);
      if (error == 0) continue;
    }
    drop();
    if (done == 0 && may_retry && error != ETIMEDOUT) {
      on_loss_("the connection to the syslog receiver at " + name() + " broke; what was sent shortly before may be lost",
               error);
      return false;
    }
    fail(done == 0 ? "send to"
                   : "send all to (" + std::to_string(done) + " of " + std::to_string(bytes.size()) +
                         " bytes were sent, and the connection was closed)",
         error);
  }
  return true;
}

// Checks before a message is sent whether the receiver has closed the connection. Otherwise the kernel would accept the message
// and discard it (syslog over plain TCP, RFC 6587, has no acknowledgement).
void connection::notice_closed_peer() {
  if (fd_ < 0) return;
  if (kind_ == transport::udp) {
    const int error = pending_error(fd_);
    if (is_closed_here(error)) return drop();
    if (error != 0) on_loss_("an earlier message to the syslog receiver at " + name() + " was refused and is lost", error);
    return;
  }
  if (!is_stream()) return;
  char answer[512];
  for (;;) {
    const ::ssize_t got = ::recv(fd_, answer, sizeof answer, MSG_DONTWAIT);
    if (got > 0)
      continue;  // receivers send nothing of interest; unread data would make close() discard messages that are under way
    const int error = got < 0 ? errno : 0;
    if (error == EINTR) continue;
    if (error == EAGAIN || error == EWOULDBLOCK) return;
    drop();
    if (is_closed_here(error)) return;
    on_loss_("the syslog receiver at " + name() + " closed the connection; what was sent shortly before may be lost", error);
    return;
  }
}

void connection::open(clock::time_point deadline) {
  if (is_unix()) {
    open_unix(deadline);
  } else {
    open_internet(deadline);
  }
}

void connection::open_unix(clock::time_point deadline) {
  sockaddr_un to = {};
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path, to_.host.data(), to_.host.size());  // it fits: parse_address
  const int fd = new_socket(AF_UNIX, is_stream() ? SOCK_STREAM : SOCK_DGRAM);
  if (fd < 0) fail("make a socket for", errno);
  // A full backlog cannot be polled for; connect itself waits as long as a send may.
  const auto left = std::max(std::chrono::duration_cast<std::chrono::microseconds>(deadline - clock::now()), 1us);
  timeval wait = {};
  wait.tv_sec = static_cast<decltype(wait.tv_sec)>(left.count() / 1'000'000);
  wait.tv_usec = static_cast<decltype(wait.tv_usec)>(left.count() % 1'000'000);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
  int error = 0;
  do {
    error = ::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0 ? 0 : errno;
  } while (error == EINTR && clock::now() < deadline);
  if (error != 0) {
    ::close(fd);
    fail("connect to", error == EAGAIN || error == EINTR ? ETIMEDOUT : error);
  }
  use(fd);
}

void connection::open_internet(clock::time_point deadline) {
  addrinfo wanted = {};
  wanted.ai_socktype = kind_ == transport::udp ? SOCK_DGRAM : SOCK_STREAM;
  addrinfo* list = nullptr;
  const int status = ::getaddrinfo(to_.host.c_str(), to_.port.c_str(), &wanted, &list);
  if (status != 0) {
    const int error = status == EAI_SYSTEM ? errno : 0;
    throw send_failure{"cannot find the address of the syslog receiver at " + name() + ": " + ::gai_strerror(status), error};
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> found(list, ::freeaddrinfo);
  int error = EADDRNOTAVAIL;
  for (const addrinfo* at = list; at != nullptr; at = at->ai_next) {
    const int fd = new_socket(at->ai_family, wanted.ai_socktype | SOCK_NONBLOCK);
    error = fd < 0 ? errno : connect_within(fd, at->ai_addr, at->ai_addrlen, deadline);
    if (error == 0) {
      use(fd);
      return;
    }
    if (fd >= 0) ::close(fd);
  }
  fail("connect to", error);
}

// 0, or the errno.
int connection::connect_within(int fd, const void* to, std::size_t to_bytes, clock::time_point deadline) const {
  if (::connect(fd, static_cast<const sockaddr*>(to), static_cast<::socklen_t>(to_bytes)) != 0) {
    if (errno != EINPROGRESS && errno != EINTR) return errno;
    if (const int error = wait_for(fd, POLLOUT, deadline); error != 0) return error;
    if (const int error = pending_error(fd); error != 0) return error;
  }
  if (kind_ == transport::tcp) {
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 30'000);  // ms: a peer that acknowledges nothing for this long is unreachable
  }
  return 0;
}

}  // namespace syslog_sink
