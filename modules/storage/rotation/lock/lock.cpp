// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
module annals.rotation.lock;
import annals.segment;

namespace annals::rotation {

namespace {

constexpr int open_tries = 16;  // the file can be replaced while it is opened

std::uint64_t offset_of(std::size_t slot) noexcept {
  return (slot + 1) * sizeof(lock_page::slot);
}

error timed_out(const std::string& path, const std::string& who) {
  return {errc::io, ETIMEDOUT,
          "cannot lock '" + path + "': " + who + " for " + std::to_string(log_lock::wait_max.count()) +
              " s; expected it to be done within microseconds, is it stopped?"};
}

}  // namespace

std::string lock_path(const std::string& live_path) {
  return live_path + ".lock";
}

static_assert(alignof(std::vector<std::string>) != 0);  // of a member; GCC 15 crashes where the constructor asks first
log_lock::log_lock(const std::string& live_path, unsigned mode)
    : live_path_(io::absolute(live_path).value()), path_(lock_path(live_path_)) {
  // Who may only read the log must not be able to hold its lock.
  mode_ = 0600 | ((mode & 0020U) != 0 ? 0060U : 0U) | ((mode & 0002U) != 0 ? 0006U : 0U);
}

log_lock::~log_lock() {
  let_go();
}

void log_lock::let_go() noexcept {
  page_ = nullptr;
  copy_.reset();
  slot_ = nullptr;
  is_inside_ = false;
  file_ = {};
  mapping_ = {};
}

// --- opening --------------------------------------------------------------------------------------------------------------

std::optional<error> log_lock::open() {
  if (page_ != nullptr && !file_.is_inherited() && file_.is_held()) return std::nullopt;
  let_go();
  std::optional<error> failed;
  for (int tries = 0; tries < open_tries; ++tries) {
    bool again = false;
    failed = open_once(again);
    if (!failed) return std::nullopt;
    let_go();
    if (!again) break;
  }
  return failed;
}

// The file, with a page.
std::optional<error> log_lock::open_file() {
  if (auto refused = may_create()) return refused;
  auto opened = io::owned_file::open(path_, mode_, &grown_);
  if (!opened) return std::move(opened.error());
  file_ = std::move(*opened);
  const auto status = file_.status();
  if (!status) return status.error();
  if (auto refused = refuse_foreign(*status)) return refused;
  return status->bytes < sizeof(lock_page) ? set_up_page() : std::nullopt;
}

// Sets `again` when the failure can come from a file that was replaced or cut at this moment.
std::optional<error> log_lock::open_once(bool& again) {
  if (auto failed = open_file()) return failed;
  auto status = file_.status();
  if (!status) return std::move(status.error());
  if (auto failed = get_page(*status, again)) return failed;
  const std::uint64_t magic = page_->magic.load();
  if (magic != lock_page::magic_value) {
    // All zeros: a new page whose content was lost with the power.
    if (magic != 0 || page_->epoch.load() != 0) {
      return error{errc::io, 0,
                   "cannot use '" + path_ +
                       "': it is no lock of a log, or that of another version; expected to find nothing there, or our own"};
    }
    page_->magic.store(lock_page::magic_value);
    if (copy_) (void)write_copy(offsetof(lock_page, magic));
  }
  if (!is_in_place()) {
    again = true;
    return error{errc::io, 0, "cannot lock '" + path_ + "': it is replaced again and again"};
  }
  claim_slot();
  return std::nullopt;
}

// A page that another user can cut is not mapped: an access to it would end the process.
std::optional<error> log_lock::get_page(const io::file_status& status, bool& again) {
  if (io::fault_of_owner(status)) {
    copy_ = std::make_unique<lock_page>();
    page_ = copy_.get();
    again = !read_copy();
    if (again) return error{errc::io, 0, "cannot read '" + path_ + "': it was cut at this moment"};
    return std::nullopt;
  }
  auto mapped = io::mapping::of(path_, sizeof(lock_page), status);
  if (!mapped) {
    again = mapped.error().system_code == 0 || mapped.error().system_code == ENOENT;
    return std::move(mapped.error());
  }
  mapping_ = std::move(*mapped);
  page_ = static_cast<lock_page*>(mapping_.memory());
  return std::nullopt;
}

// The log's owner could not open a lock that another user creates.
std::optional<error> log_lock::may_create() const {
  const std::uint32_t user = io::calls().effective_user();
  if (user == 0) return std::nullopt;
  const auto live = io::status_at(live_path_);
  if (!live || !*live || (*live)->owner == user || (mode_ & 0066U) != 0) return std::nullopt;
  const auto lock = io::status_at(path_);
  if (!lock || *lock) return std::nullopt;
  return error{errc::io, EACCES,
               "cannot create '" + path_ + "': the log belongs to user " + std::to_string((*live)->owner) +
                   ", who could not open a lock of ours; expected to be that user, or root"};
}

// The owner of a lock can hold it for ever.
std::optional<error> log_lock::refuse_foreign(const io::file_status& lock) const {
  const auto live = io::status_at(live_path_);
  const auto directory = io::status_at(io::parent_of(live_path_));
  const auto is_owned_like = [&](const auto& file) { return file && *file && (*file)->owner == lock.owner; };
  const std::string what = "cannot use '" + path_ + "': ";
  if (lock.owner != 0 && lock.owner != io::calls().effective_user() && !is_owned_like(live) && !is_owned_like(directory)) {
    return error{
        errc::io, EACCES,
        what + "it belongs to user " + std::to_string(lock.owner) +
            "; expected the log's owner, this process's user, or root. Remove it if that user does not write this log"};
  }
  const unsigned log_mode = mode_ | (live && *live ? (*live)->mode : 0U);
  if ((lock.mode & ~log_mode & 0002U) == 0) return std::nullopt;
  return error{errc::io, EACCES,
               what + "every user can write to it, but not to the log; expected mode 0600 or that of the log"};
}

// Root can rotate the log of another user, who has to be able to lock it. Without the right to give files away (CAP_CHOWN) no
// lock stays that locks that user out.
std::optional<error> log_lock::give_to_owner(const io::file_status& made) {
  const auto live = io::status_at(live_path_);
  if (!live || !*live) return std::nullopt;
  if ((*live)->owner == made.owner || (*live)->owner == io::calls().effective_user()) return std::nullopt;
  auto failed = file_.give_to((*live)->owner, (*live)->group);
  if (!failed || (mode_ & 0066U) != 0) return std::nullopt;
  if (made.bytes == 0) (void)io::remove(path_, made);
  failed->message += "; expected to be the log's owner, or root with the right to change owners (CAP_CHOWN)";
  return failed;
}

// Gives the file its page. The page is written, not only allocated, so that a full disk fails here.
std::optional<error> log_lock::set_up_page() {
  if (auto failed = wait_for_file()) return failed;
  std::optional<error> failed;
  const auto status = file_.status();
  if (!status) {
    failed = status.error();
  } else if (status->bytes < sizeof(lock_page)) {
    std::array<char, sizeof(lock_page)> page{};
    for (int i = 0; i < 8; ++i) page[static_cast<std::size_t>(i)] = reinterpret_cast<const char*>(&lock_page::magic_value)[i];
    // A page that another process began to write starts with the same bytes, or with zeros.
    std::array<char, 8> begun{};
    const auto got = file_.read_at(begun.data(), begun.size(), 0);
    const std::size_t known = got ? *got : 0;
    const bool is_ours = std::equal(begun.begin(), begun.begin() + static_cast<std::ptrdiff_t>(known), page.begin()) ||
                         std::all_of(begun.begin(), begun.end(), [](char c) { return c == '\0'; });
    if (!is_ours) {
      failed =
          error{errc::io, 0, "cannot use '" + path_ + "': it is no lock of a log; expected to find nothing there, or our own"};
    }
    if (!failed) failed = give_to_owner(*status);
    if (!failed) failed = file_.write_at({page.data(), page.size()}, 0);
  }
  file_.unlock();
  return failed;
}

// Whether the path names the open file, and the file is long enough.
bool log_lock::is_in_place() const {
  const auto there = file_.status_in_place();
  if (there && !*there && root_.has_changed()) return true;           // no path leads to it any more
  return !there || (*there && (*there)->bytes >= sizeof(lock_page));  // an error does not mean that it was replaced
}

// Without a mapping: reads the page. False when it cannot be read, or the file was cut.
bool log_lock::read_copy() {
  if (!copy_) return true;
  std::array<char, sizeof(lock_page)> bytes{};
  const auto got = file_.read_at(bytes.data(), bytes.size(), 0);
  if (!got || *got != bytes.size()) return false;
  std::memcpy(static_cast<void*>(copy_.get()), bytes.data(), bytes.size());
  return true;
}

// Without a mapping: writes the page from `offset` up to the slots. What others count in meanwhile can be lost: the next look
// at the file corrects it.
std::optional<error> log_lock::write_copy(std::size_t offset) {
  if (!copy_) return std::nullopt;
  std::array<char, offsetof(lock_page, slots)> bytes{};
  std::memcpy(bytes.data(), static_cast<const void*>(copy_.get()), bytes.size());
  return file_.write_at(std::string_view(bytes.data(), bytes.size()).substr(offset), offset);
}

void log_lock::claim_slot() {
  if (copy_) return;
  for (std::size_t i = 0; i < lock_page::slots_count; ++i) {
    if (file_.lock_byte(offset_of(i)) != 0) continue;
    slot_ = &page_->slots[i];
    slot_->busy.store(0);  // the last owner of the slot may have died inside an append
    slot_->process.store(io::calls().process());
    return;
  }
}

void log_lock::look() {
  if (page_ == nullptr || file_.is_inherited()) return;
  if (file_.is_doubtful() || !file_.is_held() || !is_in_place()) {
    let_go();
  } else if (slot_ == nullptr) {
    claim_slot();
  }
}

// --- for writers ------------------------------------------------------------------------------------------------------------

std::optional<error> log_lock::catch_up() {
  for (io::patience others(wait_max);;) {
    if (auto failed = open()) return failed;
    if (!read_copy()) {  // it was cut
      let_go();
      if (!others.wait()) return timed_out(path_, "another process has cut it");
      continue;
    }
    const std::uint64_t epoch = page_->epoch.load();
    if (epoch % 2 == 0) {
      epoch_ = epoch;
      if (slot_ != nullptr) return std::nullopt;
      auto failed_without_slot = wait_for_file();  // report here what enter_without_slot() cannot report
      if (!failed_without_slot) file_.unlock();
      return failed_without_slot;
    }
    const auto locked = file_.try_lock();
    if (!locked) return locked.error();
    if (*locked) {  // the owner that made it odd died, or has just finished
      const bool is_odd = read_copy() && page_->epoch.load() % 2 != 0;
      if (is_odd) page_->epoch.fetch_add(1);
      if (is_odd) (void)write_copy(offsetof(lock_page, epoch));
      file_.unlock();
      if (!others.wait()) return timed_out(path_, "its epoch has been odd");
      continue;
    }
    if (!others.wait()) return timed_out(path_, "another process has held it");
  }
}

bool log_lock::enter_without_slot() noexcept {
  if (wait_for_file()) return false;
  if (read_copy() && page_->epoch.load() == epoch_) return true;
  file_.unlock();
  return false;
}

void log_lock::leave_without_slot() noexcept {
  (void)write_copy(offsetof(lock_page, next_number));
  file_.unlock();
}

// --- the exclusive lock ----------------------------------------------------------------------------------------------------

std::optional<error> log_lock::wait_for_file() {
  const auto locked = file_.try_lock(wait_max);
  if (!locked) return locked.error();
  if (!*locked) return timed_out(path_, "another process has held it");
  return std::nullopt;
}

// Waits until no writer is inside an append. A busy slot whose byte is unlocked belongs to a dead process.
std::optional<error> log_lock::wait_for_slots() {
  for (std::size_t i = 0; i < lock_page::slots_count; ++i) {
    lock_page::slot& slot = page_->slots[i];
    for (io::patience owner(wait_max); slot.busy.load() != 0;) {
      if (owner.is_long()) {
        const auto locked = file_.is_byte_locked(offset_of(i));
        if (!locked) return locked.error();
        if (!*locked) {
          slot.busy.store(0);
          break;
        }
      }
      if (!read_copy()) return error{errc::io, 0, "cannot lock '" + path_ + "': another process has cut it"};
      if (!owner.wait()) {
        return timed_out(path_, "process " + std::to_string(slot.process.load()) + " has been in the middle of an append");
      }
    }
  }
  return std::nullopt;
}

result<log_lock::exclusive> log_lock::lock() {
  for (int tries = 0; tries < open_tries; ++tries) {
    if (auto failed = open()) return std::move(*failed);
    if (auto failed = wait_for_file()) return std::move(*failed);
    if (!is_in_place() || !read_copy()) {
      let_go();
      continue;
    }
    // Odd already: the last holder died, and the writers wait for the next one.
    if (page_->epoch.load() % 2 == 0) page_->epoch.fetch_add(1);
    auto failed = write_copy(offsetof(lock_page, epoch));
    std::atomic_thread_fence(std::memory_order_seq_cst);  // without a mapping, the epoch is written before the slots are read
    if (!failed && !read_copy()) failed = error{errc::io, 0, "cannot lock '" + path_ + "': another process has cut it"};
    if (!failed) failed = wait_for_slots();
    if (failed) {
      unlock();
      return std::move(*failed);
    }
    return exclusive(*this);
  }
  return error{errc::io, 0, "cannot lock '" + path_ + "': it is replaced again and again"};
}

void log_lock::unlock() noexcept {
  // Odd, unless another process wrote into the page. Even and a new one afterwards.
  const std::uint64_t epoch = page_->epoch.load();
  page_->epoch.fetch_add(epoch % 2 == 1 ? 1 : 2);
  (void)write_copy(offsetof(lock_page, epoch));  // where it fails, it stays odd, and the next process makes it even
  file_.unlock();
}

log_lock::exclusive::exclusive(exclusive&& other) noexcept : lock_(std::exchange(other.lock_, nullptr)) {}

log_lock::exclusive::~exclusive() {
  if (lock_ != nullptr) lock_->unlock();
}

result<std::uint64_t> log_lock::exclusive::live_number() const {
  auto listed = segment::live_number(lock_->live_path_);
  if (!listed) return listed;
  const auto recorded = segment::number_behind_records(lock_->live_path_);
  if (!recorded && recorded.error().system_code != EACCES) return recorded.error();
  return std::max(*listed, lock_->next_number());
}

std::uint64_t log_lock::next_number() const noexcept {
  const std::uint64_t known = page_ != nullptr ? page_->next_number.load() : 0;
  return known <= segment::number_max ? known : 0;
}

void log_lock::closed(std::uint64_t number) noexcept {
  if (page_ == nullptr || !read_copy()) return;
  std::uint64_t known = page_->next_number.load();
  while ((known <= number || known > segment::number_max) && !page_->next_number.compare_exchange_weak(known, number + 1))
    continue;
  (void)write_copy(offsetof(lock_page, next_number));
}

}  // namespace annals::rotation
