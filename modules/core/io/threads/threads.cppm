// SPDX-License-Identifier: Apache-2.0
//
// annals.io.threads: threads without signals, and futex(2).
module;
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <thread>
export module annals.io.threads;

export namespace annals::io {

// Starts a thread that gets no signals: those of the process go to its other threads. Throws what std::thread throws.
std::thread start_thread(std::function<void()> body);

std::uint32_t thread_id() noexcept;                   // of the calling thread, gettid(2); never 0
bool is_thread_alive(std::uint32_t thread) noexcept;  // whether this process has the thread; asks the system calls

// Blocks while `word` is `expected`, until wake_all(word), for `timeout` at most. Can return early. futex(2), private to the
// process.
void wait_while(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                std::optional<std::chrono::nanoseconds> timeout = std::nullopt) noexcept;
void wake_all(const std::atomic<std::uint32_t>& word) noexcept;

}  // namespace annals::io
