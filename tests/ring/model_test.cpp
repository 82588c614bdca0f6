// SPDX-License-Identifier: Apache-2.0
//
// A model of the ring's protocol, small enough to try everything: two producers of two lines each, a drain that writes line by
// line and is killed at any step, recovery that is killed at any step, too, and goes on. Every interleaving of the steps is
// tried (states seen before are not tried again). A step is a store that others, or a later owner, may see: what the real code
// in modules/ring does with one instruction, or what the kernel does with one byte range of a write. Checked in every state in
// which all is done: each acknowledged line is in the log exactly once, and no line twice.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <set>
#include <string>
#include <vector>

namespace {

constexpr int producers = 2;
constexpr int lines_each = 2;
constexpr int slots = producers * lines_each;

enum mark : std::uint8_t { free_slot, reserved, committed, taken, released };
enum phase : std::uint8_t { idle, writing, done };

// Lines of one producer are equal to the byte (a log with timestamps of seconds has such): only their number tells.
struct state {
  // The file: it survives.
  std::array<std::uint8_t, slots> marks{};  // of the records, in the order of their places
  std::array<std::uint8_t, slots> text{};   // whose line: producer + 1
  std::uint8_t ring_phase = idle;
  std::uint8_t place = 0;                     // the length of the log when the batch began
  std::array<std::uint8_t, 2 * slots> log{};  // lines of the log: producer + 1, or the half of one: 10 + producer
  std::uint8_t log_size = 0;
  // The process: it does not.
  bool alive = true;
  std::uint8_t head = 0;                       // places given
  std::array<std::uint8_t, producers> at{};    // the next step of each producer: 4 for each line
  std::array<std::uint8_t, producers> mine{};  // the place it was given
  std::uint8_t step = 0;                       // of the drain or of recovery; 0: at the beginning
  std::uint8_t next = 0;                       // where it is in a walk over the slots
  std::uint8_t end = 0;                        // of the drain's walk; 0: not begun
  bool recovering = false;
  std::uint8_t deaths = 0;
  // The tester's.
  std::array<std::uint8_t, producers> acknowledged{};
  std::array<std::uint8_t, producers> written{};  // the place of the last line of each that was written, while nobody died

  auto operator<=>(const state&) const = default;
};

constexpr std::uint8_t deaths_max = 3;  // of the writer, and of two recoveries

class explorer {
 public:
  void explore(const state& from) {
    std::vector<state> open = {from};
    while (!open.empty()) {
      const state now = open.back();
      open.pop_back();
      if (!seen_.insert(now).second) continue;
      const std::size_t before = open.size();
      if (now.alive && !now.recovering) {
        for (int p = 0; p < producers; ++p) produce(now, p, open);
      }
      if (now.alive) {
        if (now.recovering) {
          recover(now, open);
        } else {
          drain(now, open);
        }
        if (now.deaths < deaths_max) open.push_back(dead(now));
      } else {
        open.push_back(reopened(now));
      }
      if (open.size() == before + (now.alive && now.deaths < deaths_max ? 1U : 0U)) finished(now);
    }
  }
  std::size_t states() const { return seen_.size(); }
  std::size_t ends() const { return ends_; }

 private:
  // One line is four steps: the place, the header `reserved`, the text, the header `committed`. The receipt comes with the
  // fourth.
  void produce(const state& now, int p, std::vector<state>& open) {
    const auto i = static_cast<std::size_t>(p);
    if (now.at[i] >= 4 * lines_each) return;
    state then = now;
    const std::uint8_t slot = now.mine[i];
    switch (now.at[i] % 4) {
      case 0: then.mine[i] = then.head++; break;
      case 1: then.marks[slot] = reserved; break;
      case 2: then.text[slot] = static_cast<std::uint8_t>(p + 1); break;
      default: then.marks[slot] = committed; ++then.acknowledged[i];
    }
    ++then.at[i];
    open.push_back(then);
  }

  // take (a walk that marks what is committed), writing, one half line after the other, done, release (a walk), idle.
  void drain(const state& now, std::vector<state>& open) {
    state then = now;
    switch (now.step) {
      case 0:
        if (now.end == 0) {
          if (now.head == 0) return;
          then.end = now.head;  // first: what is put later may be behind a line that was not committed when looked at
        } else if (now.next < now.end) {
          if (now.marks[now.next] == committed) then.marks[now.next] = taken;  // others are passed over, and looked at again
          ++then.next;
        } else {
          then.next = 0;
          then.end = 0;
          const auto has = [&now](mark one) { return std::count(now.marks.begin(), now.marks.end(), one) != 0; };
          if (!has(taken) && !has(committed) && now.head == now.end) return;  // nothing to do
          if (has(taken)) then.step = 1;
        }
        break;
      case 1:
        then.place = now.log_size;
        then.ring_phase = writing;
        then.step = 2;
        break;
      case 2: write_next(then); break;
      case 3:
        then.ring_phase = done;
        then.step = 4;
        break;
      default: release_next(then);
    }
    open.push_back(then);
  }

  // Half of the next taken line, or the other half: a write may be killed between any two bytes.
  static void write_next(state& then) {
    while (then.next < slots && then.marks[then.next] != taken) ++then.next;
    if (then.next == slots) {
      then.next = 0;
      then.step = 3;
      return;
    }
    put_half(then, then.text[then.next]);
    if (then.log[static_cast<std::size_t>(then.log_size - 1)] >= 10) return;
    if (then.deaths == 0) {
      std::uint8_t& last = then.written[static_cast<std::size_t>(then.text[then.next] - 1)];
      EXPECT_LE(last, then.next) << "a later line of the same thread was written before it";
      last = then.next;
    }
    ++then.next;
  }
  static void put_half(state& then, std::uint8_t text) {
    if (then.log_size > 0 && then.log[static_cast<std::size_t>(then.log_size - 1)] >= 10) {
      then.log[static_cast<std::size_t>(then.log_size - 1)] = text;  // finished
    } else {
      then.log[then.log_size++] = static_cast<std::uint8_t>(10 + text);
    }
  }

  static void release_next(state& then) {
    while (then.next < slots && then.marks[then.next] != taken) ++then.next;
    if (then.next < slots) {
      then.marks[then.next] = released;
      return;
    }
    then.next = 0;
    then.step = 0;
    then.ring_phase = idle;
    if (then.recovering) then.recovering = false;
  }

  static state dead(const state& now) {
    state then = now;
    then.alive = false;
    then.at.fill(4 * lines_each);
    then.mine.fill(0);
    then.written.fill(0);
    then.step = 0;
    then.next = 0;
    then.end = 0;
    then.recovering = false;
    ++then.deaths;
    return then;
  }
  static state reopened(const state& now) {
    state then = now;
    then.alive = true;
    then.recovering = true;
    then.head = slots;
    return then;
  }

  // Which taken records are in the log behind the place: by the number of equal lines.
  static std::array<bool, slots> arrived(const state& now) {
    std::array<bool, slots> found{};
    if (now.ring_phase != writing) {
      for (std::size_t i = 0; i < slots; ++i) found[i] = now.ring_phase == done && now.marks[i] == taken;
      return found;
    }
    std::array<int, producers + 1> there{};
    for (std::size_t i = now.place; i < now.log_size; ++i) {
      if (now.log[i] < 10) ++there[now.log[i]];
    }
    for (std::size_t i = 0; i < slots; ++i) {
      if (now.marks[i] == taken && there[now.text[i]] > 0) {
        --there[now.text[i]];
        found[i] = true;
      }
    }
    return found;
  }

  // A torn line is finished; what did not arrive becomes committed, one after the other; done; what arrived is released, one
  // after the other; idle. Then the drain goes on. What was only reserved is nobody's.
  void recover(const state& now, std::vector<state>& open) {
    state then = now;
    const auto found = arrived(now);
    const bool torn = now.log_size > 0 && now.log[static_cast<std::size_t>(now.log_size - 1)] >= 10;
    if (now.step == 0 && torn && now.ring_phase == writing) {
      put_half(then, static_cast<std::uint8_t>(now.log[static_cast<std::size_t>(now.log_size - 1)] - 10));
    } else if (now.step == 0) {
      std::size_t i = 0;
      while (i < slots && !(now.marks[i] == taken && !found[i])) ++i;
      if (i < slots) {
        then.marks[i] = committed;
      } else {
        then.ring_phase = done;
        then.step = 4;
      }
    } else {
      release_next(then);
    }
    open.push_back(then);
  }

  void finished(const state& now) {
    ++ends_;
    for (int p = 0; p < producers; ++p) {
      int there = 0;
      for (std::size_t i = 0; i < now.log_size; ++i) {
        ASSERT_LT(now.log[i], 10) << "a torn line";
        if (now.log[i] == p + 1) ++there;
      }
      const int acknowledged = now.acknowledged[static_cast<std::size_t>(p)];
      ASSERT_GE(there, acknowledged) << "lost";
      const int begun = static_cast<int>(std::count(now.text.begin(), now.text.end(), static_cast<std::uint8_t>(p + 1)));
      ASSERT_LE(there, begun) << "doubled";
      ASSERT_LE(there, lines_each) << "doubled";
    }
  }

  std::set<state> seen_;
  std::size_t ends_ = 0;
};

TEST(model_of_the_ring, loses_and_doubles_nothing_in_any_order_of_steps_and_deaths) {
  explorer all;
  all.explore(state{});
  EXPECT_GT(all.states(), 100'000U);
  EXPECT_GT(all.ends(), 100U);
  RecordProperty("states", static_cast<int>(all.states()));
  std::printf("%zu states, %zu ends\n", all.states(), all.ends());
}

}  // namespace
