// SPDX-License-Identifier: Apache-2.0
//
// The work of the plugin. The tests call it with their own system calls. Included after
// `import annals.content.seekable;`.
#pragma once

namespace annals_zstd {

// Replaces a segment that is never written again by `<segment>.zst`. In this order: write `<segment>.zst.tmp` with the
// segment's owner, permissions and time of change; sync; decode and compare with the segment; rename; sync the directory; check
// whether the segment has grown meanwhile; remove it; sync the directory. So at every moment one of the two exists, complete.
// The next call continues after an interruption: it removes a temporary file, and compares an archive once more before it
// removes the segment. Hosts let one archiver at a time work on a segment; of two that do nevertheless, one fails, and nothing
// is lost.
//
// Returns nothing, or an error: a system call failed; another archiver replaced the temporary file (EWOULDBLOCK); an archive
// with other content exists (both files are left); the segment is being written to. The segment is then still there, unless
// only the last sync failed.
std::optional<annals::error> archive_segment(const std::string& segment, const annals::seekable::writer::options& with);

}  // namespace annals_zstd
