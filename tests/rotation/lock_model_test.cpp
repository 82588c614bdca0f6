// SPDX-License-Identifier: Apache-2.0
//
// The protocol of a log's lock (modules/storage/rotation/lock/lock.cpp), as steps of a few processes each of which the
// scheduler may run next, or kill: all interleavings are tried. Nobody appends while somebody holds the lock exclusively,
// nobody appends to a segment that is closed, and whoever is left gets done. That the model can tell is shown by protocols with
// one thing wrong.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <string>
#include <unordered_set>
#include <vector>

namespace {

enum class flaw : std::uint8_t {
  none,
  writer_looks_before_it_says_so,  // epoch first, then busy
  holder_does_not_wait,            // for slots
  holder_trusts_the_dead,          // waits for a busy slot whatever became of its process
  epoch_is_even_before_the_end,    // and others go on while the files are still being changed
  nobody_repairs,                  // an odd epoch whose holder died stays odd
};

constexpr std::size_t processes_count = 3;  // the last is whoever rotates; the others write
constexpr std::int8_t nobody = -1;

enum : std::int8_t {  // where a process is
  w_idle,
  w_epoch_first,
  w_epoch,
  w_find,
  w_append,
  w_appending,
  w_leave,
  w_give_up,
  w_catch_up,
  w_try_flock,
  w_repair,
  w_unlock,
  w_claim,
  w_clear,
  w_plain_flock,
  w_plain_epoch,
  w_plain_find,
  w_plain_append,
  w_plain_appending,
  w_plain_unlock,
  w_plain_give_up,
  w_done,
  r_flock,
  r_epoch,
  r_odd,
  r_slot,
  r_ask,
  r_clear,
  r_rename,
  r_create,
  r_even,
  r_unlock,
  r_done,
};

struct process {
  std::int8_t at = 0;
  std::int8_t known = -1;  // epoch
  std::int8_t file = 0;    // that it has open; 0: none
  std::int8_t left = 0;    // appends or rotations to do
  std::int8_t slot = 0;    // that a rotation looks at
  bool settled = false;
};

struct state {
  std::array<process, processes_count> all{};
  std::int8_t epoch = 0;
  std::int8_t holder = nobody;  // of flock(2)
  std::array<std::int8_t, 2> busy{};
  std::array<bool, 2> alive{};  // is the slot's byte locked?
  std::int8_t live = 1;         // the live segment's number; 0: there is none at the moment
  std::int8_t last = 1;         // the highest number there is
  std::int8_t crashes_left = 0;
};

class model {
 public:
  model(flaw wrong, bool second_has_slot) : wrong_(wrong), second_has_slot_(second_has_slot) {}

  // What is wrong, or nothing; `states` is how many there were.
  std::string explore(std::int8_t appends, std::int8_t rotations, std::int8_t crashes) {
    state first;
    for (std::size_t i = 0; i < 2; ++i) {
      first.all[i].at = has_slot(i) ? w_claim : w_catch_up;
      first.all[i].left = appends;
    }
    first.all[2].at = r_flock;
    first.all[2].left = rotations;
    first.crashes_left = crashes;
    add(first);
    while (!open_.empty() && broken_.empty()) {
      const state from = open_.front();
      open_.pop_front();
      bool moved = false;
      bool done = true;
      for (std::size_t i = 0; i < processes_count; ++i) {
        if (from.all[i].at == w_done || from.all[i].at == r_done) continue;
        done = false;
        state to = from;
        step(to, i);
        moved = add(to) || moved || std::memcmp(&to, &from, sizeof to) != 0;
        if (from.crashes_left > 0) {
          for (const bool has_successor : {true, false}) {
            state killed = from;
            crash(killed, i, has_successor);
            add(killed);
          }
        }
      }
      if (!done && !moved) broken_ = "nobody can go on";
    }
    if (broken_.empty() && !all_get_done()) broken_ = "somebody may wait for ever";
    return broken_;
  }
  std::size_t states() const { return seen_.size(); }

 private:
  bool has_slot(std::size_t i) const { return i == 0 || second_has_slot_; }

  static std::string key(const state& s) { return {reinterpret_cast<const char*>(&s), sizeof s}; }

  bool add(const state& s) {
    if (!seen_.insert(key(s)).second) return false;
    open_.push_back(s);
    order_.push_back(s);
    return true;
  }

  // From every state a state is reached in which all are done (without further crashes): nobody waits for what cannot come.
  bool all_get_done() {
    std::unordered_set<std::string> good;
    for (bool more = true; more;) {
      more = false;
      for (auto s = order_.rbegin(); s != order_.rend(); ++s) {
        if (good.contains(key(*s))) continue;
        bool reaches = true;
        for (const process& p : s->all) reaches = reaches && (p.at == w_done || p.at == r_done);
        for (std::size_t i = 0; i < processes_count && !reaches; ++i) {
          if (s->all[i].at == w_done || s->all[i].at == r_done) continue;
          state to = *s;
          step(to, i);
          reaches = good.contains(key(to));
        }
        if (reaches) more = good.insert(key(*s)).second || more;
      }
    }
    return good.size() == order_.size();
  }

  void check_append(const state& s, const process& p) {
    if (s.all[2].at == r_rename || s.all[2].at == r_create) broken_ = "an append while the lock is held exclusively";
    if (p.file != s.live) broken_ = "an append to a segment that is closed";
  }
  void check_section(const state& s) {
    for (std::size_t i = 0; i < 2; ++i) {
      const auto at = s.all[i].at;
      if (at == w_append || at == w_appending || at == w_plain_append || at == w_plain_appending || at == w_find) {
        broken_ = "the lock is held exclusively while somebody is inside an append";
      }
    }
  }

  // A killed process leaves what it wrote to the page; its locks are gone. Another begins in its place, or not.
  void crash(state& s, std::size_t i, bool has_successor) const {
    process& p = s.all[i];
    --s.crashes_left;
    if (s.holder == static_cast<std::int8_t>(i)) s.holder = nobody;
    if (i == 2) {
      p = {r_flock, -1, 0, p.left, 0, false};
    } else {
      s.alive[i] = false;
      p = {has_slot(i) ? w_claim : w_catch_up, -1, 0, p.left, 0, false};
    }
    if (!has_successor) p = {i == 2 ? r_done : w_done, -1, 0, 0, 0, false};
  }

  static void find(state& s, process& p) {  // opens the file at the path, creates it where there is none
    if (s.live == 0) s.live = ++s.last;
    p.file = s.live;
    p.settled = true;
  }

  void step(state& s, std::size_t i) {
    if (i == 2) return rotate(s);
    process& p = s.all[i];
    switch (p.at) {
      case w_claim:
        s.alive[i] = true;
        p.at = w_clear;
        break;
      case w_clear:
        s.busy[i] = 0;
        p.at = w_catch_up;
        break;
      case w_idle:
        if (p.left == 0) {
          p.at = w_done;
          s.alive[i] = false;
        } else if (!has_slot(i)) {
          p.at = w_plain_flock;
        } else if (wrong_ == flaw::writer_looks_before_it_says_so) {
          p.at = w_epoch_first;
        } else {
          s.busy[i] = 1;
          p.at = w_epoch;
        }
        break;
      case w_epoch_first:
        if (s.epoch != p.known) {
          p.at = w_give_up;
        } else {
          p.at = w_find;
          s.busy[i] = 0;  // said one step later
        }
        break;
      case w_epoch: p.at = s.epoch == p.known ? w_find : w_give_up; break;
      case w_find:
        if (wrong_ == flaw::writer_looks_before_it_says_so) s.busy[i] = 1;
        if (!p.settled) find(s, p);
        p.at = w_append;
        break;
      case w_append:
        check_append(s, p);
        p.at = w_appending;
        break;
      case w_appending:
        check_append(s, p);
        --p.left;
        p.at = w_leave;
        break;
      case w_leave:
        s.busy[i] = 0;
        p.at = w_idle;
        break;
      case w_give_up:
        s.busy[i] = 0;
        p.at = w_catch_up;
        break;
      case w_catch_up:
        p.settled = false;
        if (s.epoch % 2 == 0) {
          p.known = s.epoch;
          p.at = w_idle;
        } else {
          p.at = w_try_flock;
        }
        break;
      case w_try_flock:
        if (s.holder != nobody) {
          p.at = w_catch_up;
        } else {
          s.holder = static_cast<std::int8_t>(i);
          p.at = w_repair;
        }
        break;
      case w_repair:
        if (s.epoch % 2 != 0 && wrong_ != flaw::nobody_repairs) ++s.epoch;
        p.at = w_unlock;
        break;
      case w_unlock:
        s.holder = nobody;
        p.at = w_catch_up;
        break;
      case w_plain_flock:
        if (s.holder != nobody) break;
        s.holder = static_cast<std::int8_t>(i);
        p.at = w_plain_epoch;
        break;
      case w_plain_epoch: p.at = s.epoch == p.known ? w_plain_find : w_plain_give_up; break;
      case w_plain_find:
        if (!p.settled) find(s, p);
        p.at = w_plain_append;
        break;
      case w_plain_append:
        check_append(s, p);
        p.at = w_plain_appending;
        break;
      case w_plain_appending:
        check_append(s, p);
        --p.left;
        p.at = w_plain_unlock;
        break;
      case w_plain_unlock:
        s.holder = nobody;
        p.at = w_idle;
        break;
      case w_plain_give_up:
        s.holder = nobody;
        p.at = w_catch_up;
        break;
      default: break;
    }
  }

  void rotate(state& s) {
    process& p = s.all[2];
    const auto slot = static_cast<std::size_t>(int{p.slot});
    switch (p.at) {
      case r_flock:
        if (p.left == 0) {
          p.at = r_done;
        } else if (s.holder == nobody) {
          s.holder = 2;
          p.at = r_epoch;
        }
        break;
      case r_epoch:
        p.at = s.epoch % 2 == 0 ? r_odd : r_slot;
        p.slot = 0;
        break;
      case r_odd:
        ++s.epoch;
        p.at = r_slot;
        break;
      case r_slot:
        if (p.slot == 2 || wrong_ == flaw::holder_does_not_wait) {
          p.at = r_rename;
          if (wrong_ == flaw::epoch_is_even_before_the_end) ++s.epoch;
          check_section(s);
        } else if (s.busy[slot] == 0) {
          ++p.slot;
        } else if (wrong_ != flaw::holder_trusts_the_dead) {
          p.at = r_ask;
        }
        break;
      case r_ask: p.at = s.alive[slot] ? r_slot : r_clear; break;
      case r_clear:
        s.busy[slot] = 0;
        p.at = r_slot;
        break;
      case r_rename:
        check_section(s);
        s.live = 0;
        p.at = r_create;
        break;
      case r_create:
        check_section(s);
        if (s.live == 0) s.live = ++s.last;
        p.at = r_even;
        break;
      case r_even:
        if (wrong_ != flaw::epoch_is_even_before_the_end) ++s.epoch;
        p.at = r_unlock;
        break;
      case r_unlock:
        s.holder = nobody;
        --p.left;
        p.at = r_flock;
        break;
      default: break;
    }
  }

  flaw wrong_;
  bool second_has_slot_;
  std::unordered_set<std::string> seen_;
  std::deque<state> open_;
  std::vector<state> order_;
  std::string broken_;
};

static_assert(sizeof(process) == 6 && sizeof(state) == 27, "no padding: states are compared as bytes");

TEST(lock_protocol, of_two_writers_and_a_rotation_holds_in_all_interleavings_and_crashes) {
  model checked(flaw::none, true);
  EXPECT_EQ(checked.explore(1, 2, 1), "");
  EXPECT_GT(checked.states(), 10'000U);
}

TEST(lock_protocol, holds_when_two_die) {
  model checked(flaw::none, true);
  EXPECT_EQ(checked.explore(1, 1, 2), "");
  EXPECT_GT(checked.states(), 10'000U);
}

TEST(lock_protocol, of_a_writer_that_found_no_slot_holds_too) {
  model checked(flaw::none, false);
  EXPECT_EQ(checked.explore(1, 2, 1), "");
  EXPECT_GT(checked.states(), 10'000U);
}

TEST(lock_protocol, with_one_thing_wrong_is_found_wrong) {
  for (const flaw wrong : {flaw::writer_looks_before_it_says_so, flaw::holder_does_not_wait, flaw::holder_trusts_the_dead,
                           flaw::epoch_is_even_before_the_end, flaw::nobody_repairs}) {
    model checked(wrong, true);
    EXPECT_NE(checked.explore(1, 1, 1), "") << static_cast<int>(wrong);
  }
}

}  // namespace
