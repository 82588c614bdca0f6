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

bool is_zero(const char* bytes, std::size_t count) noexcept {
  return std::all_of(bytes, bytes + count, [](char c) { return c == '\0'; });
}

notice ring_damaged(std::string message) {
  return {notice_code::ring_damaged, severity::error, 0, std::move(message)};
}

}  // namespace

result<owned_ring> owned_ring::open(const output& to, std::size_t bytes, std::vector<notice>& notices) {
  const std::string& log_path = to.options().log_path;
  const std::string path = log_path + ".ring";
  owned_ring made;
  for (bool is_used = false; !is_used;) {
    auto taken = io::owned_file::take(path, to.options().file_mode, open_wait, &made.grown_);
    if (!taken) return std::move(taken.error());
    if (!*taken) {
      return error{errc::ring_not_owned, 0,
                   "cannot log to '" + log_path + "' through its ring: another process owns '" + path +
                       "'. One process may use delivery::ring for a log; let the others use delivery::direct "
                       "(logger_options::ring_in_use)"};
    }
    made.file_ = std::move(**taken);
    const auto used = made.use(bytes, notices);
    if (!used) return used.error();
    is_used = *used;
  }
  if (!made.is_new_) {
    if (auto failed = made.recover(to, notices)) return std::move(*failed);
  }
  return made;
}

// Maps the file, after making it a ring where it is empty. False where it was not a ring and is no longer at the path.
result<bool> owned_ring::use(std::size_t bytes, std::vector<notice>& notices) {
  const auto status = file_.status();
  if (!status) return status.error();
  alignas(ring::file_header) char first[sizeof(ring::file_header)] = {};
  const auto got = file_.read_at(first, sizeof first, 0);
  if (!got) return got.error();
  is_new_ = is_zero(first, sizeof first);
  if (is_new_) {
    // Its maker died before it put anything into it; or a power loss cleared the first page, and old records stand behind it.
    if (status->bytes != 0) {
      if (auto removed = io::remove(path()); !removed) return std::move(removed.error());
      return false;
    }
    if (auto failed = make(bytes)) return std::move(*failed);
    return true;
  }
  const auto& read = *reinterpret_cast<const ring::file_header*>(first);
  const auto fault = *got == sizeof first ? ring::fault_of(read, status->bytes) : "it has " + std::to_string(*got) + " bytes";
  if (fault) {
    const auto aside = file_.set_aside();
    if (!aside) return aside.error();
    notices.push_back(ring_damaged("'" + path() + "' is no ring that can be used: " + *fault + ". It was set aside as '" +
                                   *aside + "', and a new one begun; events in it that are not in the log can be looked for " +
                                   "there with strings(1)"));
    return false;
  }
  if (auto failed = map(static_cast<std::size_t>(read.bytes), *status)) return std::move(*failed);
  return true;
}

// Allocates all blocks before the first event is put, so that a full disk cannot fail a later access.
std::optional<error> owned_ring::make(std::size_t bytes) {
  if (auto failed = file_.allocate(ring::page_bytes + bytes)) {
    (void)io::remove(path());
    return failed;
  }
  const auto status = file_.status();
  if (!status) return status.error();
  if (auto failed = map(bytes, *status)) return failed;
  ring::make_header(header(), bytes, io::calls().now(), static_cast<std::uint64_t>(io::calls().process()));
  return std::nullopt;
}

std::optional<error> owned_ring::map(std::size_t bytes, const io::file_status& expected) {
  auto mapped = io::wrapped_mapping::of(path(), ring::page_bytes, bytes, expected);
  if (!mapped) return std::move(mapped.error());
  mapping_ = std::move(*mapped);
  return std::nullopt;
}

// Marks the records that the last owner had taken as released or as committed, so that a queue can start on this ring.
std::optional<error> owned_ring::recover(const output& to, std::vector<notice>& notices) {
  const auto note_damage = [&](const ring::record& one, std::string_view why) {
    notices.push_back(
        ring_damaged("'" + path() + "': skipped a record at word " + std::to_string(one.at) + ": " + std::string(why)));
  };
  std::vector<std::uint64_t> taken;
  std::vector<std::string_view> lines;
  for (const ring::record& one : ring::whole_records(header(), records(), note_damage)) {
    if (one.state != ring::mark::taken) continue;
    taken.push_back(one.at);
    lines.push_back(one.line);
  }
  const auto phase = static_cast<ring::phase>(header().phase.load(std::memory_order_acquire));
  std::vector<bool> arrived(taken.size(), phase == ring::phase::done);
  if (phase == ring::phase::writing && !taken.empty()) {
    arrivals found;
    if (to.keeps_log()) {
      auto looked = settle_in_log(to.options().log_path, to.options().file_mode, header().batch, lines);
      if (!looked) return std::move(looked.error());
      found = std::move(*looked);
    } else {
      found.arrived.assign(taken.size(), false);
      found.uncertain = "its sink keeps no log that could be looked into";
    }
    if (!found.uncertain.empty()) {
      notices.push_back({notice_code::events_repeated, severity::warning, 0,
                         "the last owner of '" + path() + "' died while it wrote " + std::to_string(taken.size()) +
                             " events, and what became of them is unknown, since " + found.uncertain +
                             ": they are written again, and may be there twice"});
    }
    arrived = std::move(found.arrived);
  }
  ring::settle(header(), records(), taken, arrived);
  return std::nullopt;
}

}  // namespace annals
