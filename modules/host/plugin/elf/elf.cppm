// SPDX-License-Identifier: Apache-2.0
//
// annals.plugin.elf: what a shared object exports, read from its file without loading it (System V ABI, chapters 4 and 5).
module;
#include <cstddef>
#include <string>
#include <string_view>
export module annals.plugin.elf;
import annals.event;
import annals.io;

export namespace annals::elf {

// Reads the first `count` bytes of the section named `section` from the file. The dynamic symbol `symbol` must be defined at
// the beginning of the section. Errors: io; plugin_refused (not a shared object for this machine, truncated, no such section or
// symbol, fewer bytes). Trusts nothing in the file. Any thread.
result<std::string> read_exported(const io::file& file, const std::string& path, std::string_view section,
                                  std::string_view symbol, std::size_t count);

}  // namespace annals::elf
