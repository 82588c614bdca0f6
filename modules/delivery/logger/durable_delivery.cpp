// SPDX-License-Identifier: Apache-2.0
//
// delivery::durable: an event is written and made durable before its receipt is given, together with those that come at the
// same time. Made durable is what the journal (annals.durable) has; the log itself is synced when that is full, when it cannot
// be used, and at the end.
module;
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>
#include <vector>
module annals.logger;
import annals.archiver;
import annals.drain;
import annals.io;
import annals.durable;
import annals.json;
import annals.reader;
import annals.recovery;
import annals.ring;
import annals.rotation;
import annals.segment;
import annals.sinks.file;
#include "own_lines.h"
#include "state.h"

namespace annals {

namespace {

// How long a group stays open for callers that the last sync has just let go, at most: a sync takes a multiple of it.
constexpr std::chrono::microseconds gather_max{60};
constexpr std::chrono::seconds journal_interval{10};  // between tries to have a journal again

void wait_for(const std::atomic<std::uint32_t>& word) noexcept {
  while (word.load(std::memory_order_acquire) == 0) io::wait_while(word, 0);
}

void set(std::atomic<std::uint32_t>& word) noexcept {
  word.store(1, std::memory_order_release);
  io::wake_all(word);
}

}  // namespace

receipt audit_logger::state::append_durably(std::string_view line, time_point now) noexcept try {
  std::shared_ptr<commit_group> mine;
  std::size_t place = 0;
  bool is_my_turn = false;
  {
    const std::lock_guard lock(groups.mutex);
    if (!groups.open) groups.open = std::make_shared<commit_group>();
    mine = groups.open;
    mine->lines += line;
    place = mine->count.fetch_add(1, std::memory_order_relaxed);
    if (place == 0) is_my_turn = !std::exchange(groups.committing, true);
  }
  if (place != 0) {
    wait_for(mine->done);
  } else {
    if (!is_my_turn) wait_for(mine->turn);
    commit(*mine, now);
  }
  if (mine->failed == nullptr) return receipt(mine->first_sequence + place);
  failed.fetch_add(1, std::memory_order_relaxed);
  return receipt(mine->failed);
} catch (const std::exception&) {
  return refuse_without_memory();
}

// The leader's part. Every group is committed alone, and in turn.
void audit_logger::state::commit(commit_group& group, time_point now) noexcept {
  if (group.count.load(std::memory_order_relaxed) < groups.usual_count) {
    const auto until = std::chrono::steady_clock::now() + gather_max;
    do {
      std::this_thread::yield();
    } while (group.count.load(std::memory_order_relaxed) < groups.usual_count && std::chrono::steady_clock::now() < until);
  }
  {
    const std::lock_guard lock(groups.mutex);
    groups.open.reset();  // closed: whoever comes now begins another one
  }
  const std::size_t count = group.count.load(std::memory_order_relaxed);
  group.failed = with_sink(call_kind::other, [&] {
    prepare_journal(group.lines.size());
    const batch lines = {group.lines, count, accepted.get() + 1, now};
    sink->write(lines);
    make_durable(lines);
    group.first_sequence = lines.first_sequence;
    accepted.add(count);
    bytes.add(group.lines.size());
  });
  groups.usual_count = count;
  std::shared_ptr<commit_group> next;
  {
    const std::lock_guard lock(groups.mutex);
    next = groups.open;
    groups.committing = next != nullptr;
  }
  if (next) set(next->turn);
  set(group.done);
}

// --- the journal ------------------------------------------------------------------------------------------------------------

// Sees to it that the journal, if there is one, has a lap with room for so many bytes.
void audit_logger::state::prepare_journal(std::size_t line_bytes) {
  open_journal();
  if (!own_journal) return;
  if (own_journal->is_begun() && !own_journal->has_room_for(line_bytes)) sync_log_itself(nullptr);
  if (own_journal && !own_journal->is_begun()) own_journal->begin_lap(place());
}

// Without a journal the log itself is synced each time, which is slower and promises the same.
void audit_logger::state::open_journal() {
  if (own_journal || has_journal_elsewhere) return;
  if (!sink->keeps_log() || options.path.empty()) {
    has_journal_elsewhere = true;
    return;
  }
  const auto now = io::calls().uptime();
  if (journal_refused && now - *journal_refused < journal_interval) return;
  journal_refused = now;
  const auto note = [this](const notice& what) { pending_notices.push_back(what); };
  auto opened = journal::open(options.path, journal::bytes_default, options.file_mode, note);
  if (!opened) {
    has_journal_elsewhere = opened.error().code == errc::ring_not_owned;
    if (!has_journal_elsewhere) note(failure_notice(notice_code::journal_unavailable, opened.error()));
    return;
  }
  const auto write = [this, now = io::calls().now()](std::string_view lines, std::size_t count) {
    sink->write({lines, count, accepted.get() + 1, now});
    sink->sync();
  };
  try {
    const journal_lap left = opened->read_lap().value();
    recovered.fetch_add(recover(left, {options.path, options.file_mode, write, note}).value(), std::memory_order_relaxed);
    own_journal = std::move(*opened);
    journal_refused.reset();
    log_moved = false;
  } catch (const failure& thrown) {  // it stays as it is, and is tried again
    note(failure_notice(notice_code::journal_unavailable, thrown.cause()));
  }
}

// What was written last is in no lap yet, but in the log.
// Where the write has begun another segment, the lap ends with the one before: retention may delete that, and then nobody could
// tell any more what of the lap it held.
void audit_logger::state::make_durable(const batch& written) {
  if (!own_journal || log_moved || !own_journal->has_room_for(written.lines.size())) return sync_log_itself(&written);
  const auto cause = own_journal->append(written.lines, written.count);
  if (!cause) return;
  tell_of_journal(*cause);
  sync_log_itself(&written);
}

// The log itself is synced from now on, for a while.
void audit_logger::state::tell_of_journal(const error& cause) {
  pending_notices.push_back({notice_code::journal_unavailable, severity::warning, cause.system_code,
                             cause.message + ". The log itself is synced instead"});
  journal_failed = true;
}

// Makes the log durable without a journal. Where the sync fails, the file is not trusted again: a fresh segment is begun, and
// what was acknowledged since the last sync (the journal has it) and what is about to be is written there once more.
void audit_logger::state::sync_log_itself(const batch* unacknowledged) {
  try {
    sink->sync();
  } catch (const failure& thrown) {
    const bool has_lap = own_journal && own_journal->is_begun();
    const bool is_suspect = thrown.cause().code == errc::sync_failed && sink->keeps_log() && !options.path.empty();
    if (!has_lap && (!is_suspect || unacknowledged == nullptr)) throw;
    if (is_suspect) {
      begin_fresh_segment(thrown.cause());
    } else {
      sink->reopen();  // forgets what could not be made durable: all of it is written again
    }
    if (has_lap) write_lap_again();
    if (unacknowledged != nullptr) sink->write(*unacknowledged);
    sink->sync();
  }
  if (own_journal) clear_journal();
}

// What the journal has is in the log, which was synced. Says so in the file, or removes it.
void audit_logger::state::clear_journal() {
  log_moved = false;
  if (!journal_failed) {
    own_journal->begin_lap(place());
    const auto cause = own_journal->append({}, 0);
    if (!cause) return;
    tell_of_journal(*cause);
  }
  remove_journal();
  journal_failed = false;
  journal_refused = io::calls().uptime();
}

void audit_logger::state::write_lap_again() {
  auto lap = own_journal->read_lap();
  if (!lap) throw failure(std::move(lap.error()));
  if (lap->count != 0) sink->write({lap->lines, lap->count, accepted.get() + 1 - lap->count, io::calls().now()});
}

void audit_logger::state::begin_fresh_segment(const error& suspect_for) {
  auto closed = rotation::rotate(options.path);
  if (!closed) throw failure(std::move(closed.error()));
  sink->reopen();  // lets go of the file
  sink->reopen();  // and forgets what of it could not be made durable
  if (!*closed) return;
  pending_notices.push_back({notice_code::segment_suspect, severity::error, 0,
                             "'" + (*closed)->path +
                                 "' is suspect: a sync of it failed, and what it holds may not survive a power loss. "
                                 "It was closed, and logging goes on in a fresh segment"});
  const std::string name = (*closed)->path.substr((*closed)->path.rfind('/') + 1);
  const std::array<field, 1> fields = {field{"segment", (*closed)->number}};
  event_details details;
  details.dest = name;
  details.detail = suspect_for.message;
  details.fields = std::span<const field>(fields);
  const std::string line = own_line("segment_suspect", details, options.timestamps);
  sink->write({line, 1, accepted.get() + 1, io::calls().now()});
}

// Where the next line goes.
segment::log_place audit_logger::state::place() {
  const position next = sink->position();
  const auto live = io::status_at(options.path);
  if (!live) throw failure(live.error());
  if (!*live) return {next.segment, next.offset, 0, 0};
  return {next.segment, next.offset, (*live)->device, (*live)->inode};
}

// What it holds is durable in the log.
void audit_logger::state::remove_journal() noexcept {
  if (const auto cause = own_journal->remove()) {
    pending_notices.push_back(failure_notice(notice_code::journal_unavailable, *cause));
  }
  own_journal.reset();
}

// At the end: nobody else is here. Where the log cannot be synced, the journal is left to the next logger.
void audit_logger::state::close_journal() noexcept {
  if (!own_journal) return;
  try {
    journal_failed = true;  // is not needed any more
    sync_log_itself(nullptr);
  } catch (const failure& thrown) {
    reports.report(error{thrown.cause().code, thrown.cause().system_code,
                         thrown.cause().message + ". What was acknowledged is in '" + journal::path_of(options.path) +
                             "': it is brought into the log when that is next opened for writing with "
                             "delivery::durable, or by `annals recover`"});
  } catch (const std::exception&) {  // no memory: it is left, too
  }
  own_journal.reset();
}

}  // namespace annals
