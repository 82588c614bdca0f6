// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>
import annals.event;
import annals.io;
import annals.content.seekable;
#include "archive.h"

namespace annals_zstd {

namespace {

namespace io = annals::io;
namespace seekable = annals::seekable;
using annals::errc;
using annals::error;
using annals::result;

constexpr int attempts_max = 3;  // with a segment that changes during the work

enum class comparison : std::uint8_t { same, beginning, different };

// Decodes all of an archive and compares it with the segment. The archive may contain only the beginning of the segment.
result<comparison> compare(const io::file& archive, const std::string& archive_path, const io::file& segment,
                           const io::file_status& segment_status) {
  const auto table = seekable::read_table(archive, archive_path);
  if (!table) return table.error();
  if (!table->findings.empty()) return comparison::different;
  const std::unique_ptr<char[]> expected(new char[seekable::part_bytes_max]);
  seekable::decoder decode(archive, archive_path);
  std::uint64_t at = 0;
  std::optional<error> failed;
  for (const seekable::frame& frame : table->frames) {
    const auto outcome = decode.decode(frame, [&](std::string_view part) {
      const auto got = segment.read_at(expected.get(), part.size(), at);
      if (!got) failed = got.error();
      if (!got || *got != part.size() || std::memcmp(expected.get(), part.data(), part.size()) != 0) return false;
      at += part.size();
      return true;
    });
    if (failed) return *failed;
    if (!outcome.complete || at != frame.offset + outcome.bytes) return comparison::different;
  }
  return at == segment_status.bytes  ? comparison::same
         : at < segment_status.bytes ? comparison::beginning
                                     : comparison::different;
}

class work {
 public:
  work(std::string segment, const seekable::writer::options& with)
      : segment_path_(std::move(segment)),
        archive_path_(segment_path_ + ".zst"),
        temporary_path_(archive_path_ + ".tmp"),
        with_(with) {}

  std::optional<error> run() {
    for (int attempt = 0; attempt < attempts_max; ++attempt) {
      bool again = false;
      if (auto failed = try_once(again)) return failed;
      if (!again) return std::nullopt;
    }
    return error{errc::io, 0,
                 "cannot archive '" + segment_path_ +
                     "': it is still being written to, or changed by somebody else; expected a closed segment"};
  }

 private:
  std::optional<error> try_once(bool& again) {
    auto opened = io::file::open(segment_path_, io::open_for::reading);
    if (!opened) {
      if (opened.error().system_code == ENOENT && is_finished()) return std::nullopt;
      return std::move(opened.error());
    }
    segment_ = std::move(*opened);
    const auto status = segment_.status();
    if (!status) return status.error();
    status_ = *status;
    const auto there = io::status_at(archive_path_);
    if (!there) return there.error();
    if (*there) return finish_earlier(again);
    if (auto failed = write_archive(again); failed || again) return failed;
    if (auto failed = io::rename_new(temporary_path_, archive_path_, temporary_status_)) {
      (void)io::remove(temporary_path_, temporary_status_);
      again = failed->system_code == EEXIST;
      if (failed->system_code == ENOENT || failed->system_code == ESTALE) return other_archiver();
      return again ? std::nullopt : std::move(failed);
    }
    return remove_segment(again, temporary_status_);
  }

  // The temporary file is not ours any more. The host lets one archiver at a time work on a segment; this is another one.
  error other_archiver() const {
    return {errc::io, EWOULDBLOCK, "cannot archive '" + segment_path_ + "': another archiver works on it"};
  }

  // The segment is gone and its archive exists: an earlier call did everything.
  bool is_finished() const {
    const auto archive = io::status_at(archive_path_);
    return archive && *archive && (*archive)->kind == io::file_kind::regular;
  }

  // An archive exists. If an earlier call left it, only the segment must be removed, or the segment has grown since. Any other
  // archive is left alone.
  std::optional<error> finish_earlier(bool& again) {
    const auto archive = io::file::open(archive_path_, io::open_for::reading);
    if (!archive) return archive.error();
    const auto compared = compare(*archive, archive_path_, segment_, status_);
    if (!compared) return compared.error();
    const auto archive_status = archive->status();
    if (!archive_status) return archive_status.error();
    if (*compared == comparison::different) {
      return error{errc::sink_failed, 0,
                   "cannot archive '" + segment_path_ + "': '" + archive_path_ +
                       "' is there and holds something else, or is damaged; both are left as they are: compare them (zstdcat), "
                       "and remove the one that is wrong"};
    }
    if (*compared == comparison::beginning) return start_over(again, *archive_status);
    if (auto failed = archive->sync_all()) return failed;
    return remove_segment(again, *archive_status);
  }

  std::optional<error> start_over(bool& again, const io::file_status& archive) {
    again = true;
    const auto removed = io::remove(archive_path_, archive);
    if (!removed) return removed.error();
    return std::nullopt;
  }

  // The temporary file, complete, synced and compared; on failure there is none.
  std::optional<error> write_archive(bool& again) {
    auto failed = write_temporary(again);
    if (failed || again) (void)io::remove(temporary_path_, temporary_status_);
    return failed;
  }

  std::optional<error> write_temporary(bool& again) {
    auto made = io::file::open(temporary_path_, io::open_for::creating, status_.mode & 0777);
    if (!made && made.error().system_code == EEXIST) {  // an earlier call was interrupted
      const auto removed = io::remove(temporary_path_);
      if (!removed) return removed.error();
      made = io::file::open(temporary_path_, io::open_for::creating, status_.mode & 0777);
    }
    if (!made) return std::move(made.error());
    const auto made_status = made->status();
    if (!made_status) {
      (void)io::remove(temporary_path_);
      return made_status.error();
    }
    temporary_status_ = *made_status;
    if (auto failed = made->make_like(status_)) return failed;
    if (auto failed = compress(*made)) return failed;
    if (auto failed = made->set_modified(status_.modified)) return failed;
    if (auto failed = made->sync_all()) return failed;
    const auto now = segment_.status();
    if (!now) return now.error();
    if (now->bytes != status_.bytes) {
      again = true;
      return std::nullopt;
    }
    const auto compared = compare(*made, temporary_path_, segment_, status_);
    if (!compared) return compared.error();
    if (*compared != comparison::same) {
      return error{errc::sink_failed, 0,
                   "cannot archive '" + segment_path_ +
                       "': what was compressed does not decompress to the segment; it is left as it is. The segment was "
                       "written to meanwhile, or this machine is faulty"};
    }
    return std::nullopt;
  }

  std::optional<error> compress(io::file& to) const {
    seekable::writer writer(with_, [&](std::string_view bytes) -> std::optional<error> {
      std::size_t appended = 0;
      const int failed = to.append(bytes, appended);
      if (failed == 0) return std::nullopt;
      return io::system_error("write", temporary_path_, failed == io::file::interleaved ? -EIO : failed);
    });
    for (std::uint64_t at = 0; at < status_.bytes;) {
      const std::span<char> space = writer.space();
      const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(space.size(), status_.bytes - at));
      const auto got = segment_.read_at(space.data(), want, at);
      if (!got) return got.error();
      if (*got == 0) break;  // it was truncated: the comparison reports that
      at += *got;
      if (auto failed = writer.took(*got)) return failed;
    }
    return writer.finish();
  }

  std::optional<error> remove_segment(bool& again, const io::file_status& archive) {
    const std::string directory = io::parent_of(segment_path_);
    if (auto failed = io::sync_directory(directory)) return failed;
    // A writer that does not use the lock may have had the segment open when it was closed.
    const auto now = segment_.status();
    if (!now) return now.error();
    if (now->bytes != status_.bytes) return start_over(again, archive);
    const auto removed = io::remove(segment_path_, status_);
    if (!removed) return removed.error();
    return io::sync_directory(directory);
  }

  const std::string segment_path_;
  const std::string archive_path_;
  const std::string temporary_path_;
  const seekable::writer::options with_;
  io::file segment_;
  io::file_status status_;            // of the segment
  io::file_status temporary_status_;  // of the file that becomes the archive
};

}  // namespace

std::optional<error> archive_segment(const std::string& segment, const seekable::writer::options& with) try {
  return work(segment, with).run();
} catch (const std::bad_alloc&) {
  return error{errc::io, ENOMEM, "cannot archive '" + segment + "': no memory left"};
}

}  // namespace annals_zstd
