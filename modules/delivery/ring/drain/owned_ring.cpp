// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
module annals.ring.drain;
import annals.recovery;

namespace annals {

namespace {

constexpr std::chrono::milliseconds open_wait{100};  // a reader may be looking at a ring that no process owns

constexpr int open_tries = 16;                  // somebody may put another file there each time
constexpr std::size_t damage_notices_max = 16;  // of one ring

bool is_owned(const io::owned_file& ring) {
  const auto locked = ring.is_byte_locked(ring::owner_byte);
  return locked && *locked;
}

notice ring_damaged(std::string message) {
  return {notice_code::ring_damaged, severity::error, 0, std::move(message)};
}

}  // namespace

result<owned_ring> owned_ring::open(const output& to, std::size_t bytes, std::vector<notice>& notices) {
  const std::string& log_path = to.options().log_path;
  const std::string path = log_path + ".ring";
  const auto in_use = [&] {
    return error{errc::ring_not_owned, 0,
                 "cannot log to '" + log_path + "' through its ring: another process owns '" + path +
                     "'. One process may use delivery::ring for a log; let the others use delivery::direct "
                     "(logger_options::ring_in_use)"};
  };
  owned_ring made;
  if (const auto there = io::owned_file::open_existing(path); there && is_owned(*there)) return in_use();
  for (int tries = 0; tries < open_tries; ++tries) {
    auto taken = io::owned_file::take(path, 0600, open_wait, &made.grown_);
    if (!taken) return std::move(taken.error());
    if (!*taken) return in_use();
    made.file_ = std::move(**taken);
    (void)made.file_.lock_byte(ring::owner_byte);  // without it, readers and others take a moment longer to see the owner
    const auto used = made.use(bytes, notices);
    if (!used) return used.error();
    if (!*used) continue;
    if (!made.is_new_) {
      if (auto failed = made.recover(to, notices)) return std::move(*failed);
    }
    return made;
  }
  return error{errc::io, 0,
               "cannot log to '" + log_path + "' through its ring: another file was put at '" + path +
                   "' each time; expected a directory in which only the log's user can write"};
}

bool owned_ring::is_released_to(std::uint64_t end) const {
  const auto there = file_.status_in_place();
  if (there && !*there) return true;  // an owner removed it, or set it aside
  const auto opened = io::owned_file::open_existing(path());
  ring::page_copy first;
  if (!opened) return false;
  const auto got = opened->read_at(first.data(), ring::page_copy::size, 0);
  return got && *got == ring::page_copy::size && first.facts().tail >= end;
}

// Maps the file, after making it a ring where it is empty. False where it was not a ring and is no longer at the path.
result<bool> owned_ring::use(std::size_t bytes, std::vector<notice>& notices) {
  const auto status = file_.status();
  if (!status) return status.error();
  auto fault = io::fault_of_owner(*status);
  ring::page_copy first;
  std::size_t got = 0;
  if (!fault) {
    if (auto failed = file_.make_private()) return std::move(*failed);
    const auto read = file_.read_at(first.data(), ring::page_copy::size, 0);
    if (!read) return read.error();
    got = *read;
  }
  is_new_ = !fault && first.is_zero();
  if (is_new_) {
    // Its maker died before it put anything into it; or a power loss cleared the first page, and old records stand behind it.
    if (status->bytes != 0) {
      if (auto failed = remove()) return std::move(*failed);
      return false;
    }
    if (auto failed = make(bytes)) return std::move(*failed);
    return true;
  }
  if (!fault) {
    fault = got == ring::page_copy::size ? first.fault(status->bytes) : "it has " + std::to_string(got) + " bytes";
  }
  if (fault) {
    if (auto failed = set_aside(*fault, notices)) return std::move(*failed);
    return false;
  }
  facts_ = first.facts();
  if (auto failed = map(static_cast<std::size_t>(facts_.bytes), *status)) return std::move(*failed);
  return true;
}

std::optional<error> owned_ring::set_aside(const std::string& fault, std::vector<notice>& notices) {
  const auto aside = file_.set_aside();
  if (!aside) return aside.error();
  if (!*aside) return std::nullopt;  // it is gone already
  notices.push_back(ring_damaged("'" + path() + "' is no ring that can be used: " + fault + ". It was set aside as '" +
                                 **aside +
                                 "', and a new one begun; events in it that are not in the log can be looked for there with "
                                 "strings(1)"));
  return std::nullopt;
}

// Allocates all blocks before the first event is put, so that a full disk cannot fail a later access.
std::optional<error> owned_ring::make(std::size_t bytes) {
  if (auto failed = file_.allocate(ring::page_bytes + bytes)) {
    (void)remove();
    return failed;
  }
  const auto status = file_.status();
  if (!status) return status.error();
  if (auto failed = map(bytes, *status)) return failed;
  start_ = {.bytes = bytes};
  ring::make_header(header(), bytes, io::calls().now(), static_cast<std::uint64_t>(io::calls().process()));
  return std::nullopt;
}

std::optional<error> owned_ring::map(std::size_t bytes, const io::file_status& expected) {
  auto mapped = io::guarded_mapping::of(path(), ring::page_bytes + bytes, expected);
  if (!mapped) return std::move(mapped.error());
  mapping_ = std::move(*mapped);
  return std::nullopt;
}

// Reads from the file and not from the mapping: an error of the device is an error here, and no signal.
ring::record_source owned_ring::source() const {
  return [this](std::uint64_t offset, char* to, std::size_t count) {
    const auto got = file_.read_at(to, count, ring::page_bytes + offset);
    return got && *got == count;
  };
}

error owned_ring::unreadable() const {
  return {errc::io, 0, "cannot read all of '" + path() + "': expected a file that nobody else changes, on a device that works"};
}

// Makes the records of the last owner ready for a queue.
std::optional<error> owned_ring::recover(const output& to, std::vector<notice>& notices) {
  if (facts_.phase == ring::phase::writing) {
    if (auto failed = settle(to, notices)) return failed;
  }
  std::uint64_t skipped = 0;
  ring::record_walk walk(facts_, source());
  while (const auto one = walk.next()) {
    if (one->damage.empty() || ++skipped > damage_notices_max) continue;
    notices.push_back(ring_damaged("'" + path() + "': skipped a record at word " + std::to_string(one->at) + ": " +
                                   std::string(one->damage)));
  }
  if (skipped > damage_notices_max) {
    notices.push_back(ring_damaged("'" + path() + "': skipped " + std::to_string(skipped - damage_notices_max) +
                                   " more records that are damaged"));
  }
  auto made = walk.failed() ? std::nullopt : ring::put_in_order(header(), records(), facts_, source());
  if (!made) return unreadable();
  start_ = *made;
  return std::nullopt;
}

// The last owner died in the middle of a batch: finds out which of its lines are in the log.
std::optional<error> owned_ring::settle(const output& to, std::vector<notice>& notices) {
  const ring::taken_lines taken = ring::taken_of(facts_, source());
  if (taken.failed) return unreadable();
  arrivals found;
  if (taken.count != taken.records.size()) {
    found.uncertain = "more are marked than a batch has";  // and all of them are taken again
  } else if (!to.keeps_log()) {
    found.arrived.assign(taken.records.size(), false);
    found.uncertain = "its sink keeps no log that could be looked into";
  } else if (taken.count != 0) {
    const std::vector<std::string_view> lines(taken.lines.begin(), taken.lines.end());
    auto looked = settle_in_log(to.options().log_path, to.options().file_mode, facts_.batch, lines);
    if (!looked) return std::move(looked.error());
    found = std::move(*looked);
  }
  if (taken.count != 0 && !found.uncertain.empty()) {
    notices.push_back({notice_code::events_repeated, severity::warning, 0,
                       "the last owner of '" + path() + "' died while it wrote " +
                           std::to_string(taken.count - static_cast<std::size_t>(
                                                            std::count(found.arrived.begin(), found.arrived.end(), true))) +
                           " events, and what became of them is unknown, since " + found.uncertain +
                           ": they are written again, and may be there twice"});
  }
  ring::settle(header(), ring::shared_words(records(), facts_.bytes, facts_.chunks), taken.records, found.arrived);
  facts_.phase = ring::phase::idle;
  return std::nullopt;
}

}  // namespace annals
