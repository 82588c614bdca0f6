// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>
module annals.reader;
import annals.io;
import annals.json;
import annals.content.seekable;
import annals.content;
#include "looked_for.h"
#include "matcher.h"
#include "reading.h"
#include "scanning.h"

namespace annals {

namespace {

void look_at_frame(unit& work, looker& eyes) {
  seekable::decoder decoder(work.file->file(), work.file->path());
  content::line_cutter cutter;
  const auto take = [&](const content::line_cutter::lines& some) { return eyes.look(some); };
  std::uint64_t at = work.frame->offset;
  const auto outcome = decoder.decode(*work.frame, [&](std::string_view part) {
    const content::piece next{at, part};
    at += part.size();
    return cutter.feed(next, take);
  });
  (void)cutter.end(take);
  if (!outcome.damage) return;
  content::loss lost = {outcome.damage->compressed_offset, outcome.damage->compressed_bytes, outcome.damage->cause};
  if (outcome.bytes == 0) lost.known = work.frame->known;
  work.damages.push_back(damage_of(lost, work.file->path()));
}

void look_at_part(unit& work, looker& eyes) {
  const io::file& file = work.file->file();
  std::string block(unit_bytes + 1, '\0');
  std::uint64_t at = work.begin == 0 ? 0 : work.begin - 1;  // with the newline before the first line
  block.resize(file.read_at(block.data(), static_cast<std::size_t>(work.end - at), at).value());
  std::string_view text = block;
  if (work.begin != 0) {
    const std::size_t newline = text.find('\n');
    if (newline == std::string_view::npos) return;  // no line begins here
    text.remove_prefix(newline + 1);
    at += newline + 1;
  }
  if (text.empty()) return;
  content::line_cutter cutter;
  const auto take = [&](const content::line_cutter::lines& some) { return eyes.look(some); };
  (void)cutter.feed({at, text}, take);
  at += text.size();
  bool is_whole = text.ends_with('\n');
  while (!is_whole && at < work.file_end) {  // the last line goes on
    block.resize(unit_bytes);
    const std::uint64_t left = std::min<std::uint64_t>(block.size(), work.file_end - at);
    block.resize(file.read_at(block.data(), static_cast<std::size_t>(left), at).value());
    if (block.empty()) break;
    const std::size_t newline = block.find('\n');
    is_whole = newline != std::string::npos;
    (void)cutter.feed({at, std::string_view(block).substr(0, is_whole ? newline + 1 : block.size())}, take);
    at += block.size();
  }
  (void)cutter.end(take);
}

void look_at(unit& work, const matcher& filter) try {
  looker eyes{filter,
              [&](event& found) {
                work.events.push_back(std::move(found));
                return true;
              },
              [&](std::uint64_t at, std::uint64_t bytes, std::string cause) {
                work.damages.push_back({work.file->path(), at, bytes, std::move(cause)});
              },
              work.is_live};
  if (work.frame) {
    look_at_frame(work, eyes);
  } else {
    look_at_part(work, eyes);
  }
  work.bytes = eyes.bytes;
  work.undated = eyes.undated;
} catch (...) {
  work.failed = std::current_exception();
}

}  // namespace

crew::crew(unsigned threads, const matcher& filter) : filter_(filter), room_(threads + 1) {
  threads_.reserve(threads);
  try {
    for (unsigned i = 0; i < threads; ++i) threads_.push_back(io::start_thread([this] { work(); }));
  } catch (const std::exception&) {  // no more threads, or no memory for one: fewer do, too
    if (threads_.empty()) throw;
  }
}

crew::~crew() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void crew::put(std::unique_ptr<unit> work) {
  {
    const std::lock_guard lock(mutex_);
    units_.push_back(std::move(work));
  }
  changed_.notify_all();
}

std::unique_ptr<unit> crew::take() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return units_.front()->done; });
  std::unique_ptr<unit> first = std::move(units_.front());
  units_.pop_front();
  --begun_;
  return first;
}

void crew::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return ended_ || begun_ < units_.size(); });
    if (ended_) return;
    unit& next = *units_[begun_++];
    lock.unlock();
    look_at(next, filter_);
    lock.lock();
    next.done = true;
    changed_.notify_all();
  }
}

}  // namespace annals
