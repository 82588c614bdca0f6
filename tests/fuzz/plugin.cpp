// SPDX-License-Identifier: Apache-2.0
//
// What a plugin's file says of itself: any bytes are a shared object, of which nothing is loaded. The file system is one in
// memory, in which all belongs to root; so all of examine_plugin runs. The first byte of an input says whether the rest is the
// file, or what is to be wrong with one that is made here.
#include <annals_plugin.h>
#include <elf.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <iterator>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fuzz.h"
import annals;
import annals.io;
#include "../support/hooked_calls.h"

namespace {

using fuzz::require;

const std::string path = "/plugins/annals_web.so";

// Two directories and a file.
class one_file {
 public:
  explicit one_file(std::string_view bytes) : bytes_(bytes) {}
  std::uint64_t bytes_read() const { return read_; }

 private:
  static constexpr int directory = 1000;
  static constexpr int regular = 1001;

  std::int64_t answer(support::system_call& one) {
    using support::call;
    switch (one.which) {
      case call::open: return directory;
      case call::open_in: return std::string_view(one.path).ends_with(".so") ? regular : directory;
      case call::close: return 0;
      case call::status_of:
        *one.status = {};
        one.status->kind = one.fd == regular ? annals::io::file_kind::regular : annals::io::file_kind::directory;
        one.status->mode = 0755;
        one.status->bytes = bytes_.size();
        return 0;
      case call::read_at: {
        const std::string_view part = bytes_.substr(std::min<std::uint64_t>(one.offset, bytes_.size()), one.count);
        std::memcpy(one.space, part.data(), part.size());
        read_ += part.size();
        return static_cast<std::int64_t>(part.size());
      }
      default: return one.run();
    }
  }

  std::string_view bytes_;
  std::uint64_t read_ = 0;
  support::hooked_calls calls_{[this](support::system_call& one) { return answer(one); }};
};

// Only what is the same for every machine; the host's own number is taken from this very program.
std::uint16_t our_machine() {
  static const std::string self = fuzz::content_of("/proc/self/exe").substr(0, sizeof(Elf64_Ehdr));
  return reinterpret_cast<const Elf64_Ehdr*>(self.data())->e_machine;
}

template <class Struct>
void put(std::string& to, const Struct& value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}

annals_plugin_descriptor good_descriptor() {
  annals_plugin_descriptor made = {};
  made.identity = ANNALS_PLUGIN_IDENTITY("web", "1.0.0", "Apache-2.0", ANNALS_OFFERS_SINK);
  return made;
}

// A shared object with the descriptor in its section, and `more` tables of symbols that name it. All of it is loaded.
std::string shared_object(const annals_plugin_descriptor& descriptor, std::size_t more) {
  constexpr char section_names[] = "\0.annals.plugin\0.dynsym\0.dynstr\0.shstrtab";
  constexpr char symbol_names[] = "\0annals_plugin";
  constexpr std::uint64_t head = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr);
  constexpr std::uint64_t at_symbols = head + sizeof descriptor;
  constexpr std::uint64_t at_names = at_symbols + 2 * sizeof(Elf64_Sym);
  constexpr std::uint64_t at_sections = at_names + sizeof symbol_names + sizeof section_names;
  Elf64_Ehdr header = {};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_type = ET_DYN;
  header.e_machine = our_machine();
  header.e_phoff = sizeof header;
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = 1;
  header.e_shoff = at_sections;
  header.e_shentsize = sizeof(Elf64_Shdr);
  header.e_shnum = static_cast<std::uint16_t>(5 + more);
  header.e_shstrndx = 4;
  std::string file;
  put(file, header);
  put(file, Elf64_Phdr{PT_LOAD, PF_R, 0, 0x1000, 0, at_sections, at_sections, 0x1000});
  put(file, descriptor);
  put(file, Elf64_Sym{});
  put(file, Elf64_Sym{1, ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT), STV_DEFAULT, 1, 0x1000 + head, sizeof descriptor});
  file.append(symbol_names, sizeof symbol_names).append(section_names, sizeof section_names);
  put(file, Elf64_Shdr{});
  put(file, Elf64_Shdr{1, SHT_PROGBITS, SHF_ALLOC, 0x1000 + head, head, sizeof descriptor, 0, 0, 8, 0});
  const Elf64_Shdr symbols{16, SHT_DYNSYM, 0, 0, at_symbols, 2 * sizeof(Elf64_Sym), 3, 0, 8, sizeof(Elf64_Sym)};
  put(file, symbols);
  put(file, Elf64_Shdr{24, SHT_STRTAB, 0, 0, at_names, sizeof symbol_names, 0, 0, 1, 0});
  put(file, Elf64_Shdr{32, SHT_STRTAB, 0, 0, at_names + sizeof symbol_names, sizeof section_names, 0, 0, 1, 0});
  for (std::size_t i = 0; i < more; ++i) put(file, Elf64_Shdr{0, SHT_DYNSYM, 0, 0, 0, at_sections, 4, 0, 8, sizeof(Elf64_Sym)});
  return file;
}

// A good file, and then what the input wants to be different: in the descriptor, in the file; and where it ends.
std::string made_file(fuzz::input& in, bool& is_good) {
  annals_plugin_descriptor descriptor = good_descriptor();
  const std::size_t more = in.byte();
  for (std::uint64_t changes = in.below(8); changes > 0; --changes) {
    const std::size_t at = in.number<std::uint16_t>() % sizeof descriptor.identity;
    reinterpret_cast<char*>(&descriptor.identity)[at] = static_cast<char>(in.byte());
  }
  std::string file = shared_object(descriptor, more);
  while (!in.is_empty()) {
    const std::size_t at = in.number<std::uint16_t>();
    const std::string_view bytes = in.take(in.below(9));
    if (bytes.empty()) {
      file.resize(std::min(at, file.size()));
    } else {
      file.replace(std::min(at, file.size()), bytes.size(), bytes);
    }
  }
  is_good = file == shared_object(good_descriptor(), more);
  return file;
}

bool is_text(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

void check(std::string_view file, bool is_good) {
  const one_file system(file);
  const fuzz::peak_memory memory;
  const auto info = annals::examine_plugin(path);
  require(memory.bytes() <= 8 * file.size() + (1U << 20), "to examine a file takes a few times its size of memory",
          std::to_string(memory.bytes()));
  require(system.bytes_read() <= 8 * file.size() + 4096, "a file is read a few times at most",
          std::to_string(system.bytes_read()) + " of " + std::to_string(file.size()));
  require(info || !is_good, "a good plugin is good", info ? "" : info.error().message);
  if (!info) {
    require(info.error().message.find(path) != std::string::npos, "a refusal names the file", info.error().message);
    require(fuzz::is_plain(info.error().message), "a refusal is plain text", info.error().message);
    return;
  }
  require(info->path == path && info->name == "web", "a plugin has the name that its file has", info->name);
  require(info->abi_major == annals::host_abi().major, "majors are equal");
  require(is_text(info->version) && is_text(info->license) && is_text(info->compiler), "what it says of itself is text");
  require(file.find(info->version) != std::string_view::npos && file.find(info->license) != std::string_view::npos,
          "what it says of itself stands in the file");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::input in(fuzz::text_of(data, size));
  if (in.chance()) {
    check(in.rest(), false);
  } else {
    bool is_good = false;
    const std::string file = made_file(in, is_good);
    check(file, is_good);
  }
  return 0;
}
