// SPDX-License-Identifier: Apache-2.0
//
// annals_zstd: an archiver that compresses closed segments. docs/sinks.md lists the options and the guarantees;
// docs/archive-format.md describes the files.
#include <annals_plugin.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
import annals.sdk;
import annals.io;
import annals.content.seekable;
#include "archive.h"

namespace {

class zstd_archiver final : public annals::archiver {
 public:
  explicit zstd_archiver(const annals::sdk::host& host) {
    namespace seekable = annals::seekable;
    annals::option_reader reader(host.options, "$.archive");
    with_.level = static_cast<int>(reader.integer("level", 1, seekable::level_max).value_or(seekable::level_default));
    with_.frame_bytes =
        static_cast<std::size_t>(reader.size("frame_size", seekable::frame_bytes_min, seekable::frame_bytes_ceiling)
                                     .value_or(seekable::frame_bytes_default));
    reader.finish();
  }

  void archive(const annals::closed_segment& segment) override {
    if (auto failed = annals_zstd::archive_segment(segment.path, with_)) throw annals::sink_error(std::move(*failed));
  }

 private:
  annals::seekable::writer::options with_;
};

}  // namespace

ANNALS_PLUGIN_EXPORT const annals_plugin_descriptor annals_plugin =
    annals::sdk::describe<zstd_archiver>({.name = "zstd", .version = "1.0.0", .license = "Apache-2.0"});
