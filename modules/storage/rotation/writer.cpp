// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
module annals.rotation;
import annals.content;
import annals.segment;

namespace annals::rotation {

namespace {

constexpr std::chrono::minutes clock_slack{1};  // a clock that is put back by less is taken for one that is corrected
constexpr std::chrono::minutes age_floor{1};    // see triggers::age
constexpr std::chrono::seconds retry_interval{1};
constexpr std::uint64_t spare_bytes_max = 64 * 1024;
constexpr int vain_rotations_max = 1000;                        // in one batch; see write_in_parts
constexpr std::int64_t begun_max_us = 253'402'300'799'999'999;  // the end of the year 9999

std::size_t lines_in(std::string_view text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

// When the live segment began, as the lock's page says; 0 where it does not, or says what is not a time.
std::int64_t begun_of(const lock_page& page) noexcept {
  const std::int64_t begun = page.begun.load();
  return begun > 0 && begun <= begun_max_us ? begun : 0;
}

error never_settles(const std::string& path) {
  return {errc::io, ETIMEDOUT,
          "cannot use the lock of '" + path + "': it has changed all the time for " +
              std::to_string(log_lock::wait_max.count()) + " s; expected only programs that write the log to write to it"};
}

// The time of the first line of a file, if it can be read.
std::optional<time_point> first_time(const io::file& file, const std::string& path) {
  auto opened = content::segment_reader::of(file, path);
  auto time = opened ? content::first_time(*opened, 1) : std::move(opened.error());
  return time ? *time : std::nullopt;
}

}  // namespace

segment_writer::segment_writer(std::string path, unsigned mode, triggers when, notice_handler notice,
                               std::function<void(const closed_segment&)> closed)
    : lock_(path, mode),
      appender_(std::move(path), mode, notice),
      when_(std::move(when)),
      notice_(std::move(notice)),
      closed_(std::move(closed)) {}

// --- appending ------------------------------------------------------------------------------------------------------------

// A page that says again and again that the segment is full, although it is not, is written to by another program: then the
// segment goes on as it is for a while.
void segment_writer::write_in_parts(const batch& lines) {
  int vain_rotations = 0;
  std::string_view rest = lines.lines;
  while (!rest.empty()) {
    settle(lines.now);
    const std::size_t first_bytes = rest.find('\n') + 1;
    if (due_ != time_point::min() && lines.now >= due_ && !is_suspended()) {
      rotate_or_suspend(due_cause_, lines.now, first_bytes);
      continue;
    }
    bool is_full = false;
    if (lock_.enter()) {
      const leaving left{lock_};
      std::string_view part = reserve_part(rest);
      if (part.empty() && is_suspended()) {
        part = rest;
        lock_.page().bytes.fetch_add(part.size());
      }
      is_full = part.empty();
      if (!is_full) {
        appender_.append(part, lines_in(part));
        rest.remove_prefix(part.size());
        if (begun_of(lock_.page()) == 0) begin_segment(lines.now);
      }
    } else {
      forget();
    }
    if (is_full) rotate_or_suspend(cause::size, lines.now, first_bytes);
    if (is_full && ++vain_rotations > vain_rotations_max) suspended_until_ = io::calls().uptime() + retry_interval;
  }
}

// As many whole lines as there is room for, or one if the segment is empty. Bytes are counted in before they are appended, so
// that all writers together keep to the limit; and some more than are needed now, so that not each append has to touch a line
// of memory that all share. Counting too much is harmless: who finds no room looks at the true size, under the exclusive lock,
// and then what others have counted in and not used is void (they forget it).
std::string_view segment_writer::reserve_part(std::string_view lines) noexcept {
  std::atomic<std::uint64_t>& bytes = lock_.page().bytes;
  std::uint64_t before = bytes.load();
  for (;;) {
    const std::uint64_t room = when_.bytes_max > before ? when_.bytes_max - before : 0;
    const std::uint64_t ours = allowance_ + std::min(room, triggers::no_limit - allowance_);
    std::size_t count = lines.size();
    if (ours < count) count = ours == 0 ? 0 : lines.rfind('\n', static_cast<std::size_t>(ours) - 1) + 1;  // npos + 1 is 0
    if (count == 0 && before == 0) count = std::min(lines.find('\n'), lines.size() - 1) + 1;
    if (count == 0) return {};
    const std::uint64_t needed = count - std::min<std::uint64_t>(count, allowance_);
    const std::uint64_t spare = room > needed ? std::min((room - needed) / 8, spare_bytes_max) : 0;
    if (!bytes.compare_exchange_weak(before, before + needed + spare)) continue;
    allowance_ = allowance_ + needed + spare - count;
    return lines.substr(0, count);
  }
}

void segment_writer::begin_segment(time_point now) {
  std::int64_t before = lock_.page().begun.load();
  const std::int64_t begun = std::clamp<std::int64_t>(now.time_since_epoch().count(), 1, begun_max_us);
  if (before <= 0 || before > begun_max_us) lock_.page().begun.compare_exchange_strong(before, begun);
  oldest_.reset();
  learn_due(now);
}

void segment_writer::append(const log_lock::exclusive& held, std::string_view lines, std::size_t count) {
  const time_point now = io::calls().now();
  adopt(held, now);
  appender_.append(lines, count);
  lock_.page().bytes.fetch_add(lines.size());
  if (begun_of(lock_.page()) == 0) begin_segment(now);
}

// --- knowing the files -----------------------------------------------------------------------------------------------------

// What we know about the files is to be looked at again.
void segment_writer::forget() noexcept {
  settled_ = false;
  due_ = time_point::min();
  oldest_.reset();
  allowance_ = 0;
}

// Sees to it that the open file is the live segment, that the lock's page tells the facts about it, and what is due when.
void segment_writer::settle(time_point now) {
  for (const auto begun = io::calls().uptime();;) {
    if (io::calls().uptime() - begun > log_lock::wait_max) throw sink_error(never_settles(appender_.path()));
    if (!settled_ || appender_.is_due(now)) lock_.look();
    if (!lock_.enter()) {
      forget();
      if (auto failed = lock_.catch_up()) throw sink_error(std::move(*failed));
      if (!lock_.enter()) continue;
    }
    {
      const leaving left{lock_};
      if (is_settled(now)) break;
    }
    adopt(now);
  }
  appender_.sync_surplus();
}

// Within an append, so that no rotation comes between. False: the page is about another file.
bool segment_writer::is_settled(time_point now) {
  const bool due = appender_.is_due(now);
  if (!settled_ || due) follow(now);
  if (!appender_.is_open()) appender_.look(now);
  lock_page& page = lock_.page();
  const io::file_status& identity = appender_.identity();
  if (page.device.load() != identity.device || page.inode.load() != identity.inode) return false;
  if (due || !settled_) {  // somebody may have written who does not count: what we counted in beforehand hid that
    if (settled_) page.bytes.fetch_sub(std::exchange(allowance_, 0));
    const std::uint64_t real = appender_.bytes();
    std::uint64_t known = page.bytes.load();
    while (known < real && !page.bytes.compare_exchange_weak(known, real)) continue;
    if (real != 0 && begun_of(page) == 0) begin_segment(now);
  }
  if (!settled_ || due || due_ == time_point::min() || now < floor_) learn_due(now);
  settled_ = true;
  return true;
}

// Lets go of the open file where it is not the live segment any more. That is as planned if the page knows of another one:
// then a writer with the lock has closed it; else somebody without did something to it.
void segment_writer::follow(time_point now) {
  if (!appender_.is_open()) return;
  const lock_page& page = lock_.page();
  const io::file_status& identity = appender_.identity();
  if (page.device.load() == identity.device && page.inode.load() == identity.inode) {
    (void)appender_.is_in_place(now);
    return;
  }
  const auto at_path = or_throw(io::status_at(appender_.path()));
  if (!at_path || !io::same_file(*at_path, identity)) appender_.close_as_planned();
}

void segment_writer::adopt(time_point now) {
  auto held = or_throw(lock_.lock());
  adopt(held, now);
}

// Makes the page tell about the file at the path.
void segment_writer::adopt(const log_lock::exclusive&, time_point now) {
  forget();
  follow(now);
  if (!appender_.is_open()) appender_.look(now);
  note_facts(now);
}

void segment_writer::note_facts(time_point now) {
  lock_page& page = lock_.page();
  const io::file_status status = or_throw(appender_.file().status());
  if (page.device.load() == status.device && page.inode.load() == status.inode) return;
  std::int64_t begun = 0;
  if (status.bytes != 0) {
    const time_point time = std::min({first_time(appender_.file(), appender_.path()).value_or(now), status.modified, now});
    begun = std::max<std::int64_t>(time.time_since_epoch().count(), 1);
  }
  page.bytes.store(status.bytes);
  page.begun.store(begun);
  page.device.store(status.device);
  page.inode.store(status.inode);
}

// --- when --------------------------------------------------------------------------------------------------------------------

void segment_writer::learn_due(time_point now) {
  due_ = when_.has_time() ? time_point::min() : time_point::max();
  floor_ = time_point::min();
  std::int64_t begun_us = begun_of(lock_.page());
  if (!when_.has_time() || begun_us == 0) return;  // an empty segment: the first event will tell
  if (now < time_point(std::chrono::microseconds(begun_us)) - clock_slack) {
    const std::int64_t anew = std::max<std::int64_t>(now.time_since_epoch().count(), 1);
    if (lock_.page().begun.compare_exchange_strong(begun_us, anew)) begun_us = anew;
    oldest_.reset();
  }
  const time_point begun{std::chrono::microseconds(begun_us)};
  floor_ = begun - clock_slack;
  due_ = time_point::max();
  const auto at_the_latest = [this](time_point time, cause why) {
    if (time < due_) {
      due_ = time;
      due_cause_ = why;
    }
  };
  if (when_.interval.count() != 0) at_the_latest(begun + when_.interval, cause::interval);
  if (when_.align) at_the_latest(when_.zone.next(begun, *when_.align), cause::aligned);
  if (when_.age.count() != 0) {
    if (!oldest_) oldest_ = std::min(first_time(appender_.file(), appender_.path()).value_or(begun), begun);
    at_the_latest(std::max(*oldest_ + when_.age, begun + std::min<std::chrono::microseconds>(when_.age, age_floor)),
                  cause::age);
  }
}

// --- rotating --------------------------------------------------------------------------------------------------------------

bool segment_writer::is_suspended() {
  return suspended_until_.count() != 0 && io::calls().uptime() < suspended_until_;
}

// A rotation that fails costs no event: the segment grows, and it is tried again a second later.
void segment_writer::rotate_or_suspend(cause why, time_point now, std::size_t next_bytes) {
  std::optional<closed_segment> closed;
  try {
    auto held = or_throw(lock_.lock());
    adopt(held, now);
    if (!is_wanted(why, now, next_bytes)) return;
    closed = close_live(held, now);
  } catch (const sink_error& failed) {
    suspended_until_ = io::calls().uptime() + retry_interval;
    notice cause = failure_notice(notice_code::rotation_failed, failed.cause());
    cause.message =
        "cannot rotate '" + appender_.path() + "', which goes on as it is, to try again in a second: " + cause.message;
    notice_(cause);
    return;
  }
  suspended_until_ = {};
  tell(*closed, why);
}

// Another process may have rotated meanwhile. Under the exclusive lock, so the true size is the one that counts.
bool segment_writer::is_wanted(cause why, time_point now, std::size_t next_bytes) {
  lock_page& page = lock_.page();
  const std::uint64_t bytes = appender_.bytes();
  page.bytes.store(bytes);
  if (bytes == 0) {
    page.begun.store(0);
    return false;
  }
  if (why == cause::size) return bytes + next_bytes > when_.bytes_max;
  learn_due(now);
  return why == cause::asked || now >= due_;
}

// Closes the live segment, which is open and not empty: rename, and create. Killed anywhere in here, there is a whole log: at
// worst one without a live segment, which the next writer creates.
closed_segment segment_writer::close_live(const log_lock::exclusive& held, time_point now) {
  appender_.end_partial_line();  // nobody ends it later
  const io::file_status old = or_throw(appender_.file().status());
  const time_point time = first_time(appender_.file(), appender_.path()).value_or(old.modified);
  closed_segment closed;
  closed.bytes = old.bytes;
  closed.number = or_throw(held.live_number());
  if (closed.number > segment::number_max) {
    throw sink_error({errc::io, 0,
                      "cannot close '" + appender_.path() + "': the numbers of segments are used up; expected none above " +
                          std::to_string(segment::number_max) + ". Was a file with such a name put into the directory?"});
  }
  closed.path = segment::closed_path(appender_.path(), closed.number, time, false);
  // May this process make files of the segment's owner? Giving the segment to the owner that it has changes nothing, and fails
  // without that right.
  const bool may_give = old.owner == io::calls().effective_user() ||
                        io::calls().set_owner(appender_.file().descriptor(), old.owner, old.group) == 0;
  appender_.directory_changed();  // before: where there is no memory for that, nothing is renamed
  if (auto failed = io::rename_new(appender_.path(), closed.path, old)) throw sink_error(std::move(*failed));
  lock_.page().inode.store(0);
  forget();
  appender_.close_as_planned();
  try {
    create_like(old, may_give, now);
  } catch (const sink_error& failed) {  // it is closed all the same, and the next event tries again
    notice_(failure_notice(notice_code::rotation_failed, failed.cause()));
  }
  return closed;
}

// Creates the live segment with mode, owner and group of the last one. Where they cannot be had, none is created that its
// writers could not write: the next of them will.
void segment_writer::create_like(const io::file_status& old, bool may_give, time_point now) {
  if (!may_give && (old.mode & 0022U) == 0) return;
  appender_.look(now);
  if (auto failed = appender_.file().make_like(old)) notice_(failure_notice(notice_code::rotation_failed, *failed));
  note_facts(now);
}

void segment_writer::tell(const closed_segment& closed, cause why) {
  appender_.sync_surplus();
  if (auto failed = appender_.sync_directories()) {
    notice_(failure_notice(notice_code::rotation_failed, *failed));  // sync() tries again
  } else {
    lock_.closed(closed.number);
  }
  notice_({notice_code::segment_closed, severity::info, 0,
           "'" + appender_.path() + "' was closed as '" + closed.path + "' (" + std::to_string(closed.bytes) +
               " bytes): " + std::string(words_for(why))});
  if (closed_) closed_(closed);
}

std::optional<closed_segment> segment_writer::rotate() {
  const time_point now = io::calls().now();
  if (!appender_.is_open() && !or_throw(io::status_at(appender_.path()))) return std::nullopt;
  std::optional<closed_segment> closed;
  {
    auto held = or_throw(lock_.lock());
    adopt(held, now);
    if (!is_wanted(cause::asked, now, 0)) return std::nullopt;
    closed = close_live(held, now);
  }
  tell(*closed, cause::asked);
  return closed;
}

// --- the rest --------------------------------------------------------------------------------------------------------------

void segment_writer::sync() {
  if (appender_.is_open()) {
    const time_point now = io::calls().now();
    if (!lock_.enter()) {
      forget();
      if (auto failed = lock_.catch_up()) throw sink_error(std::move(*failed));
    } else {
      lock_.leave();
    }
    if (lock_.enter()) {
      const leaving left{lock_};
      follow(now);
    }
  }
  appender_.sync_without_look();
  if (auto failed = lock_.sync_directories()) throw sink_error(std::move(*failed));
}

void segment_writer::reopen() {
  forget();
  appender_.reopen();
}

annals::position segment_writer::position() {
  const auto at_path = [this](std::uint64_t number) {
    const auto status = or_throw(io::status_at(appender_.path()));
    return annals::position{number, status ? status->bytes : 0};
  };
  if (!lock_.is_open()) return at_path(or_throw(segment::live_number(appender_.path())));
  for (const auto begun = io::calls().uptime();;) {  // within an append, so that number and offset are those of one segment
    if (io::calls().uptime() - begun > log_lock::wait_max) throw sink_error(never_settles(appender_.path()));
    if (lock_.enter()) {
      const leaving left{lock_};
      return at_path(std::max(or_throw(segment::live_number(appender_.path())), lock_.next_number()));
    }
    forget();
    if (auto failed = lock_.catch_up()) throw sink_error(std::move(*failed));
  }
}

result<std::optional<closed_segment>> rotate(const std::string& path) {
  if (auto refused = segment::refuse_as_log(path)) return std::move(*refused);
  try {
    const auto status = or_throw(io::status_at(path));
    if (!status) return std::optional<closed_segment>();
    segment_writer writer(path, status->mode, {}, [](const notice&) {});
    return writer.rotate();
  } catch (const sink_error& failed) {
    return failed.cause();
  }
}

}  // namespace annals::rotation
