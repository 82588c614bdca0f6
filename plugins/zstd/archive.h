// SPDX-License-Identifier: Apache-2.0
//
// What the plugin does, apart from being one: the tests call it with their own system calls. Included after
// `import annals.content.seekable;`.
#pragma once

namespace annals_zstd {

// Puts `<segment>.zst` in the place of a segment that is never written again. In this order: lock the segment against other
// archivers; write `<segment>.zst.tmp` with its owner, mode and time of change; sync; decode and compare with the segment;
// rename; sync the directory; look whether the segment has grown meanwhile; remove it; sync the directory. So at every moment
// one of the two is there whole, and whatever an interruption leaves, the next call goes on from: a temporary file is removed,
// an archive that lacks only the removal of its segment is compared once more.
//
// Errors: what the system said; another archiver is at work; an archive is there that holds something else (both are left
// alone); the segment is being written to. The segment is then still there, unless the last sync alone failed.
std::optional<annals::error> archive_segment(const std::string& segment, const annals::seekable::writer::options& with);

}  // namespace annals_zstd
