// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
module annals.durable;

namespace annals {

namespace {

// The longest time that a group stays open for callers whose receipts the last sync has just released. A sync takes a multiple.
constexpr std::chrono::microseconds gather_max{60};
constexpr std::chrono::seconds journal_interval{10};  // between attempts to open the journal again

void wait_for(const std::atomic<std::uint32_t>& word) noexcept {
  while (word.load(std::memory_order_acquire) == 0) io::wait_while(word, 0);
}

void set(std::atomic<std::uint32_t>& word) noexcept {
  word.store(1, std::memory_order_release);
  io::wake_all(word);
}

}  // namespace

durable_delivery::durable_delivery(output& to) : output_(to), hook_({&mutex_}, [this] { become_child(); }) {}

durable_delivery::~durable_delivery() {
  if (!journal_) return;
  (void)output_.use([this](sink& to) {
    journal_failed_ = true;  // so that it is removed
    try {
      sync_log(to, nullptr);
    } catch (const failure& thrown) {
      throw failure({thrown.cause().code, thrown.cause().system_code,
                     thrown.cause().message + ". What was acknowledged is in '" + journal::path_of(output_.options().log_path) +
                         "': it is brought into the log when that is next opened for writing with delivery::durable, or by "
                         "`annals recover`"});
    }
  });
}

receipt durable_delivery::append(std::string_view line, time_point now) noexcept try {
  std::shared_ptr<group> mine;
  std::size_t place = 0;
  bool is_my_turn = false;
  {
    const std::lock_guard lock(mutex_);
    if (!open_) open_ = std::make_shared<group>();
    mine = open_;
    mine->lines += line;
    place = mine->count.fetch_add(1, std::memory_order_relaxed);
    if (place == 0) is_my_turn = !std::exchange(committing_, true);
  }
  if (place != 0) {
    wait_for(mine->done);
  } else {
    if (!is_my_turn) wait_for(mine->turn);
    commit(*mine, now);
  }
  if (mine->failed == nullptr) return receipt(mine->first_sequence + place);
  output_.count_failed();
  return receipt(mine->failed);
} catch (const std::exception&) {
  return output_.refuse_without_memory();
}

// The leader's part. Groups are committed one after the other.
void durable_delivery::commit(group& mine, time_point now) noexcept {
  if (mine.count.load(std::memory_order_relaxed) < usual_count_) {
    const auto until = std::chrono::steady_clock::now() + gather_max;
    do {
      std::this_thread::yield();
    } while (mine.count.load(std::memory_order_relaxed) < usual_count_ && std::chrono::steady_clock::now() < until);
  }
  {
    const std::lock_guard lock(mutex_);
    open_.reset();  // the next caller begins another group
  }
  const std::size_t count = mine.count.load(std::memory_order_relaxed);
  mine.failed = output_.use([&](sink& to) {
    prepare_journal(to, mine.lines.size());
    const batch lines = {mine.lines, count, output_.accepted() + 1, now};
    to.write(lines);
    make_durable(to, lines);
    mine.first_sequence = lines.first_sequence;
    output_.took(count, mine.lines.size());
  });
  usual_count_ = count;
  std::shared_ptr<group> next;
  {
    const std::lock_guard lock(mutex_);
    next = open_;
    committing_ = next != nullptr;
  }
  if (next) set(next->turn);
  set(mine.done);
}

error_pointer durable_delivery::sync() noexcept {
  return output_.use([this](sink& to) { sync_log(to, nullptr); });
}

delivery_stats durable_delivery::stats() const noexcept {
  const std::uint64_t accepted = output_.accepted();
  return {accepted, accepted, 0, recovered_.load(std::memory_order_relaxed)};
}

// A child appends to the log as another process does: the journal is the parent's, and so are the callers of open groups.
void durable_delivery::become_child() noexcept {
  open_.reset();
  committing_ = false;
  journal_.reset();
  has_no_journal_ = true;
}

// --- the journal -----------------------------------------------------------------------------------------------------------

// Opens the journal where possible, and makes room for so many bytes in its lap.
void durable_delivery::prepare_journal(sink& to, std::size_t line_bytes) {
  open_journal(to);
  if (!journal_) return;
  if (journal_->is_begun() && !journal_->has_room_for(line_bytes)) sync_log(to, nullptr);
  if (journal_ && !journal_->is_begun()) begin_lap(to);
}

// Without a journal the log itself is synced each time: the same guarantee, but slower.
void durable_delivery::open_journal(sink& to) {
  if (journal_ || has_no_journal_) return;
  if (!output_.keeps_log()) {
    has_no_journal_ = true;
    return;
  }
  const auto now = io::calls().uptime();
  if (journal_refused_ && now - *journal_refused_ < journal_interval) return;
  journal_refused_ = now;
  const output_options& log = output_.options();
  const auto note = [this](const notice& what) { output_.note(what); };
  auto opened = journal::open(log.log_path, journal::bytes_default, note);
  if (!opened) {
    has_no_journal_ = opened.error().code == errc::ring_not_owned;
    if (!has_no_journal_) note(failure_notice(notice_code::journal_unavailable, opened.error()));
    return;
  }
  const auto write = [&](std::string_view lines, std::size_t count) {
    to.write({lines, count, output_.accepted() + 1, io::calls().now()});
    to.sync();
  };
  try {
    const journal_lap left = opened->read_lap().value();
    recovered_.fetch_add(recover(left, {log.log_path, log.file_mode, write, note}).value(), std::memory_order_relaxed);
    if (!left.damage.empty()) {
      if (const auto failed = opened->set_aside()) throw failure(*failed);
      return;  // the next attempt makes another
    }
    journal_ = std::move(*opened);
    journal_refused_.reset();
  } catch (const failure& thrown) {  // the file stays as it is; the next attempt reads it again
    note(failure_notice(notice_code::journal_unavailable, thrown.cause()));
  }
}

void durable_delivery::begin_lap(sink& to) {
  segment::log_place place = journal_->from();
  try {
    const position next = to.position();
    const auto live = io::status_at(output_.options().log_path).value();
    place = {next.segment, next.offset, live ? live->device : 0, live ? live->inode : 0};
  } catch (const failure& thrown) {
    // The process has dropped its privileges, and goes on with the open file: its lines come behind the place known last.
    if (thrown.cause().system_code != EACCES || !journal_->is_begun()) throw;
  }
  journal_->begin_lap(place);
  moves_ = output_.moves();
}

// Makes durable what was just written to the log. A lap ends where the sink begins another segment: retention may delete the
// segment before, and recovery could no longer find out which of the lap's lines it held.
void durable_delivery::make_durable(sink& to, const batch& written) {
  if (journal_ && output_.moves() == moves_ && journal_->has_room_for(written.lines.size())) {
    const auto failed = journal_->append(written.lines, written.count);
    if (!failed) return;
    abandon_journal(*failed);
  }
  sync_log(to, &written);
}

// The log itself is synced for a while.
void durable_delivery::abandon_journal(const error& cause) {
  output_.note({notice_code::journal_unavailable, severity::warning, cause.system_code,
                cause.message + ". The log itself is synced instead"});
  journal_failed_ = true;
}

// Makes the log durable without the journal. Where the sync fails, the file is not trusted again: what was acknowledged since
// the last sync (the journal has it) and what is about to be is written once more, into a new segment.
void durable_delivery::sync_log(sink& to, const batch* unacknowledged) {
  try {
    to.sync();
  } catch (const failure& thrown) {
    const bool has_lap = journal_ && journal_->is_begun();
    const bool is_suspect = thrown.cause().code == errc::sync_failed && output_.keeps_log();
    if (!has_lap && (!is_suspect || unacknowledged == nullptr)) throw;
    if (is_suspect) {
      begin_segment(to, thrown.cause());
    } else {
      to.reopen();  // clears the failure: all of it is written again
    }
    if (has_lap) write_lap_again(to);
    if (unacknowledged != nullptr) to.write(*unacknowledged);
    to.sync();
  }
  if (journal_) clear_journal(to);
}

// The log is durable, and has what the journal holds: marks the journal as empty, or removes it where it failed.
void durable_delivery::clear_journal(sink& to) {
  if (!journal_failed_) {
    begin_lap(to);
    const auto failed = journal_->append({}, 0);
    if (!failed) return;
    abandon_journal(*failed);
  }
  if (const auto failed = journal_->remove()) output_.note(failure_notice(notice_code::journal_unavailable, *failed));
  journal_.reset();
  journal_failed_ = false;
  journal_refused_ = io::calls().uptime();
}

void durable_delivery::write_lap_again(sink& to) {
  const journal_lap lap = journal_->read_lap().value();
  if (lap.count != 0) to.write({lap.lines, lap.count, output_.accepted() + 1 - lap.count, io::calls().now()});
}

void durable_delivery::begin_segment(sink& to, const error& suspect_for) {
  const auto closed = to.start_segment();
  to.reopen();  // later syncs do not cover the suspect segment
  if (!closed) return;
  output_.note({notice_code::segment_suspect, severity::error, 0,
                "'" + closed->path +
                    "' is suspect: a sync of it failed, and what it holds may not survive a power loss. It was closed, and "
                    "logging goes on in a fresh segment"});
  const std::string name = closed->path.substr(closed->path.rfind('/') + 1);
  const std::array<field, 1> fields = {field{"segment", closed->number}};
  event_details details;
  details.dest = name;
  details.detail = suspect_for.message;
  details.fields = std::span<const field>(fields);
  const std::string line = own_line("segment_suspect", details, output_.options().timestamps);
  to.write({line, 1, output_.accepted() + 1, io::calls().now()});
}

}  // namespace annals
