// SPDX-License-Identifier: Apache-2.0
//
// The queue on its file: order, room, and producers that are held up or end.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <future>
#include <iterator>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "support/temp_directory.h"
import annals.event;
import annals.io;
import annals.io.owned_file;
import annals.ring;
#include "ring_file.h"
#include "support/hooked_calls.h"

namespace {

using namespace std::chrono_literals;
using annals::ring::mark;
using support::a_queue;
using support::drain;
using support::id_of_ended_thread;
using support::line_of;
using support::put;
using support::ring_file;
using support::set_mark;

constexpr std::uint64_t chunk_bytes = annals::ring::chunk_bytes_of(annals::ring::bytes_min);

TEST_F(a_queue, gives_lines_back_in_the_order_in_which_they_were_put) {
  auto queue = file.queue();
  EXPECT_EQ(put(queue, "one\n"), 1U);
  EXPECT_EQ(put(queue, "two, which is longer\n"), 2U);
  EXPECT_EQ(drain(queue), "one\ntwo, which is longer\n");
  EXPECT_EQ(drain(queue), "");
  EXPECT_EQ(put(queue, "three\n"), 3U);
  EXPECT_EQ(queue.last_sequence(), 3U);
  EXPECT_EQ(drain(queue), "three\n");
}

TEST_F(a_queue, goes_round_for_ever_with_lines_of_every_length) {
  auto queue = file.queue();
  std::mt19937 random(7);
  std::string expected;
  std::string got;
  for (std::size_t i = 1; i <= 20'000; ++i) {
    const std::string line = line_of(i, random() % 300 + 1);
    ASSERT_EQ(put(queue, line), i);
    expected += line;
    if (random() % 16 == 0) got += drain(queue, 4096);
    while (queue.used_bytes() > queue.capacity_bytes() / 2) got += drain(queue, 4096);
  }
  while (queue.used_bytes() != 0) got += drain(queue, 4096);
  EXPECT_TRUE(got == expected);
}

TEST_F(a_queue, has_no_room_when_full_and_has_it_again_once_a_chunk_is_released) {
  auto queue = file.queue();
  std::size_t count = 0;
  while (put(queue, line_of(count)) != 0) ++count;
  EXPECT_EQ(count, annals::ring::bytes_min / 32);  // a line of 20 bytes takes four words with its header
  EXPECT_EQ(put(queue, "x\n"), 0U);
  EXPECT_NE(drain(queue, 100), "");
  EXPECT_EQ(put(queue, "x\n"), 0U);
  while (queue.used_bytes() > annals::ring::bytes_min - chunk_bytes) EXPECT_NE(drain(queue, 1000), "");
  EXPECT_NE(put(queue, "x\n"), 0U);
}

TEST_F(a_queue, uses_the_same_two_chunks_while_the_drain_keeps_up) {
  ring_file large(directory / "large", 64 * 1024 * 1024);
  auto queue = large.queue();
  std::uint64_t put_bytes = 0;
  for (std::size_t i = 0; put_bytes < 80 * 1024 * 1024; ++i) {
    const std::string line = line_of(i, 100'000);
    ASSERT_NE(put(queue, line), 0U);
    put_bytes += line.size();
    ASSERT_EQ(drain(queue), line);
  }
  EXPECT_LE(queue.touched_bytes(), 2 * annals::ring::chunk_bytes_of(64 * 1024 * 1024));
}

TEST_F(a_queue, keeps_the_order_whichever_chunks_of_the_file_its_lines_are_in) {
  std::mt19937 random(1);
  for (int round = 0; round < 40; ++round) {
    ring_file fresh(directory / ("ring" + std::to_string(round)));
    std::deque<std::string> left;
    std::size_t number = 0;
    for (int life = 0; life < 4; ++life) {
      auto queue = fresh.queue(life == 0);
      for (int step = 0; step < 60; ++step) {
        for (auto lines = random() % 200; lines != 0; --lines) {
          const std::string line = line_of(number, 5 + random() % (random() % 20 == 0 ? 5000 : 200));
          if (put(queue, line) == 0) break;
          ++number;
          left.push_back(line);
        }
        for (auto batches = random() % 4; batches != 0; --batches) {
          std::string drained = drain(queue, random() % 20'000);
          while (!drained.empty()) {
            ASSERT_FALSE(left.empty());
            ASSERT_TRUE(drained.starts_with(left.front()));
            drained.erase(0, left.front().size());
            left.pop_front();
          }
        }
      }
    }
    const std::vector<std::string> found = fresh.lines();
    ASSERT_TRUE(std::equal(left.begin(), left.end(), found.begin(), found.end())) << "round " << round;
  }
}

TEST_F(a_queue, tells_when_it_is_more_than_half_full) {
  auto queue = file.queue();
  bool more_than_half = true;
  queue.put(line_of(0), more_than_half);
  EXPECT_FALSE(more_than_half);
  for (int i = 0; i < 1200; ++i) queue.put(line_of(0), more_than_half);
  EXPECT_TRUE(more_than_half);
}

TEST_F(a_queue, passes_over_a_producer_that_is_held_up_and_takes_its_line_later) {
  auto queue = file.queue();
  for (std::size_t i = 0; i < 5; ++i) put(queue, line_of(i));
  set_mark(file, 4, mark::reserved, annals::io::thread_id());
  EXPECT_EQ(queue.take(1 << 20, 0ns, 1ms).lines, line_of(0));  // waits for the second one
  queue.release();
  EXPECT_TRUE(queue.is_held_up());
  EXPECT_EQ(queue.take(1 << 20, 100us, 1ms).count, 0U);
  EXPECT_EQ(queue.take(1 << 20, 2ms, 1ms).lines, line_of(2) + line_of(3) + line_of(4));
  queue.release();
  EXPECT_EQ(queue.used_bytes(), 4 * 32U) << "the room of the held-up line and of what is behind it is not given back";
  set_mark(file, 4, mark::committed);
  EXPECT_EQ(drain(queue), line_of(1));
  EXPECT_EQ(queue.used_bytes(), 0U);
}

TEST_F(a_queue, keeps_the_order_where_a_batch_has_no_room_for_a_line_that_was_passed_over) {
  auto queue = file.queue();
  put(queue, line_of(0));
  put(queue, line_of(1, 200));
  put(queue, line_of(2));
  set_mark(file, 0, mark::reserved, annals::io::thread_id());
  set_mark(file, 4, mark::reserved, annals::io::thread_id());
  EXPECT_EQ(queue.take(100, 0ns, 0ns).lines, line_of(2));
  queue.release();
  put(queue, line_of(3));
  set_mark(file, 0, mark::committed);
  set_mark(file, 4, mark::committed);
  EXPECT_EQ(queue.take(100, 0ns, 0ns).lines, line_of(0));  // not the third one, which would fit
  queue.release();
  EXPECT_EQ(drain(queue), line_of(1, 200) + line_of(3));
  EXPECT_EQ(queue.used_bytes(), 0U);
}

TEST_F(a_queue, passes_over_a_producer_that_has_not_even_written_its_header) {
  auto queue = file.queue();
  for (std::size_t i = 0; i < 3; ++i) put(queue, line_of(i));
  const std::uint64_t header = std::exchange(file.word(4), 0);
  EXPECT_EQ(queue.take(1 << 20, 0ns, 0ns).lines, line_of(0) + line_of(2));
  queue.release();
  EXPECT_EQ(queue.take(1 << 20, 0ns, 0ns).count, 0U);
  file.word(4) = header;
  EXPECT_EQ(drain(queue), line_of(1));
  EXPECT_EQ(queue.used_bytes(), 0U);
}

TEST_F(a_queue, gives_up_the_record_of_a_thread_that_ended_in_the_middle_of_it) {
  auto queue = file.queue();
  for (std::size_t i = 0; i < 3; ++i) put(queue, line_of(i));
  set_mark(file, 4, mark::reserved, id_of_ended_thread());
  EXPECT_EQ(queue.take(1 << 20, 0ns, 0ns).lines, line_of(0) + line_of(2));
  queue.release();
  EXPECT_EQ(queue.used_bytes(), 0U);
}

TEST_F(a_queue, gives_back_the_room_of_a_thread_that_ended_where_nothing_else_is_left) {
  auto queue = file.queue();
  put(queue, line_of(0));
  set_mark(file, 0, mark::reserved, id_of_ended_thread());
  EXPECT_FALSE(queue.release_abandoned());
  EXPECT_EQ(queue.take(1 << 20, 0ns, 0ns).count, 0U);
  EXPECT_TRUE(queue.release_abandoned());
  EXPECT_EQ(queue.used_bytes(), 0U);
  EXPECT_FALSE(queue.release_abandoned());
}

// What it has passed over may be committed at any moment, and nothing tells of that.
TEST_F(a_queue, is_held_up_while_a_record_that_was_passed_over_is_not_committed) {
  auto queue = file.queue();
  for (std::size_t i = 0; i < 2; ++i) put(queue, line_of(i));
  set_mark(file, 0, mark::reserved, annals::io::thread_id());
  EXPECT_EQ(drain(queue), line_of(1));
  EXPECT_TRUE(queue.is_held_up());
  set_mark(file, 0, mark::committed);
  EXPECT_EQ(drain(queue), line_of(0));
  EXPECT_FALSE(queue.is_held_up());
}

// Commits the record at `word` at the moment when its thread is looked for, and says that it has ended.
support::hooked_calls::hook thread_that_ends(ring_file& file, std::uint64_t word) {
  return [&file, word](support::system_call& one) -> std::int64_t {
    if (one.which != support::call::find_thread) return one.run();
    set_mark(file, word, mark::committed);
    return -ESRCH;
  };
}

TEST_F(a_queue, loses_no_line_of_a_thread_that_commits_it_and_ends_while_it_is_looked_at) {
  auto queue = file.queue();
  for (std::size_t i = 0; i < 2; ++i) put(queue, line_of(i));
  set_mark(file, 0, mark::reserved, annals::io::thread_id());
  std::string got;
  {
    const support::hooked_calls while_passing_over(thread_that_ends(file, 0));
    got = drain(queue);
  }
  got += drain(queue);
  EXPECT_EQ(got, line_of(1) + line_of(0));
  EXPECT_EQ(queue.used_bytes(), 0U);

  for (std::size_t i = 2; i < 4; ++i) put(queue, line_of(i));
  set_mark(file, 8, mark::reserved, annals::io::thread_id());
  got = drain(queue);
  {
    const support::hooked_calls while_looking_again(thread_that_ends(file, 8));
    got += drain(queue);
  }
  got += drain(queue);
  EXPECT_EQ(got, line_of(3) + line_of(2));
  EXPECT_EQ(queue.used_bytes(), 0U);
}

// A header may come between two looks at its words.
TEST_F(a_queue, gives_back_all_room_where_a_header_came_while_it_was_looked_at) {
  auto queue = file.queue();
  enum { consumers, producers, nobodys };
  std::atomic<int> turn = consumers;
  std::thread producer([&] {
    for (;;) {
      while (turn == consumers) std::this_thread::yield();
      if (turn == nobodys) return;
      const std::uint64_t tail = file.header().tail;
      const std::atomic_ref<std::uint64_t> header(file.word(tail));
      header.store(annals::ring::committed_header(line_of(0).size(), annals::ring::sum_of(line_of(0)), tail),
                   std::memory_order_release);
      turn = consumers;
    }
  });
  for (int round = 0; round < 2'000 && queue.used_bytes() == 0; ++round) {
    put(queue, line_of(0));
    file.word(file.header().tail) = 0;  // reserved, and its header not written yet
    turn = producers;
    while (queue.take(1 << 20, 0ns, 0ns).count == 0) continue;
    queue.begin_writing({});
    queue.release();
    while (turn == producers) std::this_thread::yield();
  }
  EXPECT_EQ(queue.used_bytes(), 0U);
  turn = nobodys;
  producer.join();
}

TEST_F(a_queue, gives_up_a_line_that_it_passed_over_once_its_thread_has_ended) {
  auto queue = file.queue();
  for (std::size_t i = 0; i < 6; ++i) put(queue, line_of(i));
  std::promise<void> may_end;
  std::promise<std::uint32_t> id;
  std::thread producer([&] {
    id.set_value(annals::io::thread_id());
    may_end.get_future().wait();
  });
  const std::uint32_t lives = id.get_future().get();
  for (const std::uint64_t word : {4U, 8U, 16U}) set_mark(file, word, mark::reserved, lives);  // two that touch, and one
  EXPECT_EQ(drain(queue), line_of(0) + line_of(3) + line_of(5));
  for (int look = 0; look < 3; ++look) {
    EXPECT_EQ(drain(queue), "");
    EXPECT_EQ(queue.used_bytes(), 5 * 32U);
  }
  set_mark(file, 8, mark::committed);
  EXPECT_EQ(drain(queue), line_of(2)) << "the others are waited for still";
  may_end.set_value();
  producer.join();  // the kernel may take a moment longer
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (queue.used_bytes() != 0 && std::chrono::steady_clock::now() < deadline) EXPECT_EQ(drain(queue), "");
  EXPECT_EQ(queue.used_bytes(), 0U) << "their room is given back";
  EXPECT_EQ(put(queue, line_of(6)), 7U);
  EXPECT_EQ(drain(queue), line_of(6));
}

TEST_F(a_queue, takes_lines_that_it_passed_over_in_their_order_however_small_a_batch_is) {
  auto queue = file.queue();
  for (std::size_t i = 0; i < 5; ++i) put(queue, line_of(i));
  for (const std::uint64_t word : {0U, 4U, 8U}) set_mark(file, word, mark::reserved, annals::io::thread_id());
  EXPECT_EQ(drain(queue), line_of(3) + line_of(4));
  put(queue, line_of(5));
  for (const std::uint64_t word : {0U, 4U, 8U}) set_mark(file, word, mark::committed);
  for (const std::size_t number : {0U, 1U, 2U, 5U}) EXPECT_EQ(drain(queue, 1), line_of(number));
  EXPECT_EQ(queue.used_bytes(), 0U);
}

// Nobody does that today. Should anything else give a record up, the queue must neither wait for it nor log it.
TEST_F(a_queue, steps_over_a_record_that_another_hand_has_given_up) {
  auto queue = file.queue();
  for (std::size_t i = 0; i < 5; ++i) put(queue, line_of(i));
  for (const std::uint64_t word : {4U, 8U}) set_mark(file, word, mark::reserved, annals::io::thread_id());
  EXPECT_EQ(queue.take(1 << 20, 0ns, 1ms).lines, line_of(0));
  queue.release();
  set_mark(file, 4, mark::released);  // while it is waited for
  EXPECT_EQ(queue.take(1 << 20, 5ms, 1ms).count, 0U) << "the patience for the next one begins anew";
  EXPECT_EQ(queue.take(1 << 20, 7ms, 1ms).lines, line_of(3) + line_of(4));
  queue.release();
  set_mark(file, 8, mark::released);  // once it was passed over
  EXPECT_EQ(drain(queue), "");
  EXPECT_EQ(queue.used_bytes(), 0U);
}

TEST_F(a_queue, takes_all_of_a_batch_again_of_which_nothing_was_written) {
  auto queue = file.queue();
  for (std::size_t i = 0; i < 4; ++i) put(queue, line_of(i));
  set_mark(file, 4, mark::reserved, annals::io::thread_id());
  for (int attempt = 0; attempt < 3; ++attempt) {
    EXPECT_EQ(queue.take(1 << 20, 0ns, 0ns).lines, line_of(0) + line_of(2) + line_of(3));
    queue.begin_writing({});
    queue.take_back();
    EXPECT_FALSE(queue.is_writing());
    EXPECT_EQ(queue.unsettled().count, 0U);
  }
  set_mark(file, 4, mark::committed);
  EXPECT_EQ(drain(queue), line_of(0) + line_of(1) + line_of(2) + line_of(3));
  EXPECT_EQ(queue.used_bytes(), 0U);
}

TEST_F(a_queue, takes_again_what_did_not_arrive_and_only_that) {
  auto queue = file.queue();
  for (std::size_t i = 0; i < 6; ++i) put(queue, line_of(i));
  ASSERT_EQ(queue.take(1 << 20, 0ns, 0ns).count, 6U);
  queue.begin_writing({});
  queue.settle({true, false, true, true, false, false});
  EXPECT_EQ(drain(queue), line_of(1) + line_of(4) + line_of(5));
  EXPECT_EQ(queue.used_bytes(), 0U);
  EXPECT_EQ(drain(queue), "");
}

TEST_F(a_queue, has_the_room_of_the_lines_that_arrived_before_their_batch_failed) {
  auto queue = file.queue();
  std::size_t count = 0;
  while (put(queue, line_of(count)) != 0) ++count;
  const std::size_t all = queue.take(1 << 20, 0ns, 0ns).count;
  ASSERT_EQ(all, count);
  queue.begin_writing({});
  constexpr std::size_t of_a_chunk = chunk_bytes / 32;
  std::vector<bool> arrived(all, false);
  std::fill_n(arrived.begin(), of_a_chunk, true);
  arrived[of_a_chunk + 2] = true;
  queue.settle(arrived);
  std::string expected = line_of(of_a_chunk) + line_of(of_a_chunk + 1);
  for (std::size_t i = of_a_chunk + 3; i < count; ++i) expected += line_of(i);
  for (std::size_t i = 0; i < of_a_chunk; ++i) {
    ASSERT_NE(put(queue, line_of(i)), 0U) << "the room of the first chunk is free";
    expected += line_of(i);
  }
  EXPECT_EQ(put(queue, line_of(0)), 0U);
  EXPECT_TRUE(drain(queue) == expected);
  EXPECT_EQ(queue.used_bytes(), 0U);
  for (std::uint64_t word = 0; word < annals::ring::bytes_min / 8; ++word)
    ASSERT_EQ(annals::ring::mark_of(file.word(word)), mark::none);
}

TEST_F(a_queue, leaves_no_header_in_free_room) {
  auto queue = file.queue();
  for (int round = 0; round < 50; ++round) {
    for (std::size_t i = 0; i < 40; ++i) put(queue, line_of(i, 10 + 7 * i));
    const bool holes = round % 3 == 0;
    const std::uint64_t tail = file.header().tail;
    if (holes) set_mark(file, tail, mark::reserved, annals::io::thread_id());
    drain(queue);
    if (holes) set_mark(file, tail, mark::committed);
    drain(queue);
    ASSERT_EQ(queue.used_bytes(), 0U);
    for (std::uint64_t word = 0; word < annals::ring::bytes_min / 8; ++word)
      ASSERT_EQ(annals::ring::mark_of(file.word(word)), mark::none);
  }
}

TEST_F(a_queue, keeps_the_order_of_each_of_many_threads) {
  constexpr std::size_t threads = 4;
  constexpr std::size_t lines_each = 20'000;
  auto queue = file.queue();
  std::atomic<std::size_t> running = threads;
  std::vector<std::thread> producers;
  for (std::size_t t = 0; t < threads; ++t) {
    producers.emplace_back([&, t] {
      for (std::size_t i = 0; i < lines_each; ++i) {
        const std::string line = std::to_string(t) + " " + line_of(i, 5 + i % 60);
        while (put(queue, line) == 0) std::this_thread::yield();
      }
      --running;
    });
  }
  std::array<std::size_t, threads> next{};
  std::size_t out_of_order = 0;
  std::chrono::nanoseconds patience = 0ns;  // every second time, nobody is waited for
  for (bool last = false; !last;) {
    last = running == 0;
    for (;; patience = 1ms - patience) {
      const auto batch = queue.take(16 * 1024, annals::io::calls().uptime(), patience);
      if (batch.count == 0) break;
      std::string_view rest = batch.lines;
      while (!rest.empty()) {
        const std::size_t thread = static_cast<std::size_t>(rest.front() - '0');
        const std::string number = std::to_string(next[thread]++);
        if (rest.substr(2, number.size()) != number) ++out_of_order;
        rest.remove_prefix(rest.find('\n') + 1);
      }
      queue.begin_writing({});
      queue.release();
    }
  }
  for (std::thread& producer : producers) producer.join();
  EXPECT_EQ(out_of_order, 0U);
  for (const std::size_t count : next) EXPECT_EQ(count, lines_each);
  EXPECT_EQ(queue.used_bytes(), 0U);
}

}  // namespace
