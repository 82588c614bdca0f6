// SPDX-License-Identifier: Apache-2.0
module;
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
module annals.reader;
import annals.segment;

namespace annals {

std::string to_string(const gap& missing) {
  const bool one = missing.first == missing.last;
  std::string text = (one ? "segment " : "segments ") + std::to_string(missing.first);
  if (!one) text += " to " + std::to_string(missing.last);
  text += one ? " is gone" : " are gone";
  if (missing.events && missing.bytes) {
    text += ", deleted with " + std::to_string(*missing.events) + " events, " + std::to_string(*missing.bytes) + " bytes";
  } else {
    text += "; what was in " + std::string(one ? "it" : "them") + " is not known, since the record of a deletion is missing";
  }
  if (missing.read_bytes != 0)
    text += " (of segment " + std::to_string(missing.first) + ", " + std::to_string(missing.read_bytes) +
            " bytes were read before)";
  return text;
}

std::string to_string(const damage& found) {
  if (found.is_unreadable) return found.cause;
  std::string text = found.file + ": ";
  if (found.lines) {
    const bool has_times = found.first && found.last;
    text += std::to_string(*found.lines) + (has_times ? " event" : " line") + (*found.lines == 1 ? "" : "s");
    if (has_times) {
      const auto shown = [](time_point time) { return to_string(timestamp{time, precision::seconds}); };
      text += *found.first == *found.last ? " of " + shown(*found.first)
                                          : " between " + shown(*found.first) + " and " + shown(*found.last);
    }
    text += " cannot be read: ";
  }
  text += "at offset " + std::to_string(found.offset) + ": ";
  if (found.bytes != 0) text += std::to_string(found.bytes) + (found.in_compressed ? " compressed" : "") + " bytes skipped: ";
  return text + found.cause;
}

struct reports::records {
  segment::deletion_counts counts;
};

reports::reports(std::string log, read_options options) : log_(std::move(log)), options_(std::move(options)) {}

void reports::damaged(const damage& found) {
  ++damages_;
  if (options_.on_damage) options_.on_damage(found);
}

void reports::unreadable(const std::string& file, const error& cause) {
  damage found{.file = file, .cause = cause.message + "; the events in it were not read"};
  found.is_unreadable = true;
  damaged(found);
}

void reports::doubled(std::uint64_t number, const std::string& file) {
  damaged(
      {file, 0, 0,
       "another segment has the number " + std::to_string(number) +
           ", too; both were read. Expected one: move one of the two out of the log's directory and read it by its name, or " +
           "`annals adopt` it if it is newer than the last closed segment"});
}

void reports::missing(std::uint64_t first, std::uint64_t last, std::uint64_t read_bytes) {
  gap found{log_, first, last, read_bytes, 0, 0};
  if (!records_) records_ = std::make_shared<records>(records{segment::deletion_counts(log_)});
  const segment::deletion_counts::sums recorded = records_->counts.of(first, last);
  found.events = recorded.events;
  found.bytes = recorded.bytes;
  // A log that retention deletes from begins later, with records of all that is gone. That is no news.
  if (first == 1 && read_bytes == 0 && found.events && found.bytes) return;
  ++gaps_;
  if (options_.on_gap) return options_.on_gap(found);
  damaged({log_, 0, 0, to_string(found)});
}

}  // namespace annals
