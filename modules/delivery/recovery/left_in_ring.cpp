// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
module annals.recovery;
import annals.ring;

namespace annals {

namespace {

constexpr std::size_t part_bytes = 8 * 1024 * 1024;
constexpr std::chrono::milliseconds lock_wait{10};  // another reader may be looking for the owner

// A ring without the lock of its byte: that of a dead owner, or of a file system without such locks.
result<bool> has_owner(io::owned_file& ring) {
  const auto locked = ring.is_byte_locked(ring::owner_byte);
  if (locked && *locked) return true;
  const auto is_free = ring.try_lock(lock_wait);
  if (!is_free) return is_free.error();
  if (*is_free) ring.unlock();
  return !*is_free;
}

// Whether some process has locked the whole file, as the owner of a ring does: for a reader who may not open it. False where
// this cannot be known.
bool is_locked_as_proc_says(const io::file_status& ring) {
  const auto locks = io::file::open("/proc/locks", io::open_for::reading);
  if (!locks) return false;
  std::string text(1024 * 1024, '\0');
  const auto got = locks->read_at(text.data(), text.size(), 0);
  if (!got) return false;
  text.resize(*got);
  const std::uint64_t device = ring.device;  // as the macros of makedev(3) read it
  char name[80];
  (void)std::snprintf(name, sizeof name, " %02x:%02x:%llu 0 EOF\n",
                      static_cast<unsigned>((device >> 8 & 0xfff) | (device >> 32 & ~std::uint64_t{0xfff})),
                      static_cast<unsigned>((device & 0xff) | (device >> 12 & ~std::uint64_t{0xff})),
                      static_cast<unsigned long long>(ring.inode));
  return text.find(name) != std::string::npos;
}

// A ring of the log's owner, of root or of this user: nobody else's is read.
std::optional<std::string> fault_of_owner(const std::string& path, const io::file_status& ring) {
  auto fault = io::fault_of_owner(ring);
  if (!fault || (ring.mode & 0022U) != 0) return fault;
  const auto log = io::status_at(path);
  return log && *log && (*log)->owner == ring.owner ? std::nullopt : fault;
}

}  // namespace

struct left_in_ring::source {
  io::owned_file file;
  ring::facts facts;
  std::optional<ring::record_walk> walk;
  std::vector<std::uint64_t> arrived;  // records that are in the log, in their order

  ring::record_source reader() const {
    return [this](std::uint64_t offset, char* to, std::size_t count) {
      const auto got = file.read_at(to, count, ring::page_bytes + offset);
      return got && *got == count;
    };
  }
};

left_in_ring::left_in_ring() noexcept = default;
left_in_ring::left_in_ring(left_in_ring&&) noexcept = default;
left_in_ring& left_in_ring::operator=(left_in_ring&&) noexcept = default;
left_in_ring::~left_in_ring() = default;

left_in_ring left_in_ring::of(const std::string& path) {
  left_in_ring found;
  found.ring_path_ = path + ".ring";
  if (found.begin(path)) {
    found.settle(path);
    found.fill();
  } else {
    found.source_.reset();
  }
  if (!found.problem_.empty()) found.problem_ += ": events in it that are not in the log yet were not all read";
  return found;
}

bool left_in_ring::is_empty() const noexcept {
  return lines_.empty();
}

// Opens a ring that has lines of a dead owner, maybe. False where there is none.
bool left_in_ring::begin(const std::string& path) {
  if (!open()) return false;
  const auto status = source_->file.status();
  const auto owner = has_owner(source_->file);
  if (owner && *owner) return false;
  ring::page_copy first;
  const auto got = source_->file.read_at(first.data(), ring::page_copy::size, 0);
  if (!status || !owner || !got) {
    problem_ = (!status ? status.error() : !owner ? owner.error() : got.error()).message;
    return false;
  }
  if (first.is_zero()) return false;  // it was never used
  auto fault = fault_of_owner(path, *status);
  if (!fault) fault = first.fault(status->bytes);
  if (fault) {
    problem_ = "no ring that can be used: " + *fault;
    return false;
  }
  source_->facts = first.facts();
  source_->walk.emplace(source_->facts, source_->reader());
  return true;
}

bool left_in_ring::open() {
  const auto there = io::status_at(ring_path_);
  if (there && !*there) return false;
  auto opened = io::owned_file::open_existing(ring_path_);
  if (opened) {
    source_ = std::make_unique<source>();
    source_->file = std::move(*opened);
    return true;
  }
  const bool is_gone = opened.error().system_code == ENOENT;
  if (!is_gone && !(there && is_locked_as_proc_says(**there))) problem_ = opened.error().message;
  return false;
}

// Finds out which of the lines that the owner was writing are in the log.
void left_in_ring::settle(const std::string& path) {
  if (source_->facts.phase != ring::phase::writing) return;
  const ring::taken_lines taken = ring::taken_of(source_->facts, source_->reader());
  if (taken.records.empty()) return;
  const std::vector<std::string_view> lines(taken.lines.begin(), taken.lines.end());
  auto found = find_in_log(path, source_->facts.batch, lines);
  if (!found) {
    problem_ = found.error().message;
    return;
  }
  // Readers take a line that lacks only its newline as an event already.
  if (found->torn && found->torn_bytes + 1 == lines[*found->torn].size()) found->arrived[*found->torn] = true;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (found->arrived[i]) source_->arrived.push_back(taken.records[i].at);
  }
}

// Copies the next lines.
void left_in_ring::fill() {
  lines_.clear();
  const bool is_done = source_->facts.phase == ring::phase::done;
  while (lines_.size() < part_bytes) {
    const auto one = source_->walk->next();
    if (!one) break;
    const bool has_arrived = one->state == ring::mark::taken &&
                             (is_done || std::binary_search(source_->arrived.begin(), source_->arrived.end(), one->at));
    if (one->damage.empty()) {
      if (!has_arrived) lines_ += one->line;
    } else if (damaged_++ == 0) {
      problem_ = "the record at word " + std::to_string(one->at) + " is damaged, and maybe others: " + std::string(one->damage);
    }
  }
  if (source_->walk->failed()) problem_ = "it cannot be read to its end";
}

bool left_in_ring::is_unchanged() const {
  if (!source_) return true;
  const auto there = source_->file.status_in_place();
  const auto owner = has_owner(source_->file);
  ring::page_copy first;
  const auto got = source_->file.read_at(first.data(), ring::page_copy::size, 0);
  if (!there || !*there || !owner || *owner || !got) return false;
  const ring::facts now = first.facts();
  const segment::log_place& place = source_->facts.batch;
  return now.tail == source_->facts.tail && now.phase == source_->facts.phase && now.batch.segment == place.segment &&
         now.batch.offset == place.offset && now.batch.inode == place.inode;
}

bool left_in_ring::each(const std::function<bool(std::string_view line)>& take) {
  while (!lines_.empty()) {
    for (std::string_view rest = lines_; !rest.empty();) {
      const std::size_t bytes = rest.find('\n') + 1;
      if (!take(rest.substr(0, bytes))) return false;
      rest.remove_prefix(bytes);
    }
    fill();
    if (lines_.empty() || is_unchanged()) continue;
    problem_ = "another process began to bring its events into the log while it was read: read the log again";
    lines_.clear();
  }
  return true;
}

}  // namespace annals
