// SPDX-License-Identifier: Apache-2.0
module;
#include <elf.h>
#include <link.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>
module annals.plugin.elf;

namespace annals::elf {

namespace {

using file_header = ElfW(Ehdr);
using section_header = ElfW(Shdr);
using segment_header = ElfW(Phdr);
using symbol_entry = ElfW(Sym);

constexpr std::size_t table_bytes_max = 64 * 1024 * 1024;  // of names and symbols; real tables have a few MB at most

#if defined(__x86_64__)
constexpr unsigned our_machine = EM_X86_64;
#elif defined(__aarch64__)
constexpr unsigned our_machine = EM_AARCH64;
#elif defined(__riscv)
constexpr unsigned our_machine = EM_RISCV;
#elif defined(__powerpc64__)
constexpr unsigned our_machine = EM_PPC64;
#elif defined(__s390x__)
constexpr unsigned our_machine = EM_S390;
#elif defined(__i386__)
constexpr unsigned our_machine = EM_386;
#elif defined(__arm__)
constexpr unsigned our_machine = EM_ARM;
#else
#error "which e_machine do shared objects for this machine have? Add it here (elf.h)."
#endif
constexpr unsigned our_class = sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32;
constexpr unsigned our_order = std::endian::native == std::endian::little ? ELFDATA2LSB : ELFDATA2MSB;

class reader {
 public:
  reader(const io::file& file, const std::string& path) : file_(file), path_(path) {}

  result<std::string> read_exported(std::string_view section, std::string_view symbol, std::size_t count) {
    if (auto failed = read_headers()) return std::move(*failed);
    std::size_t found = 0;
    while (found < sections_.size() && !is_named(names_, sections_[found].sh_name, section)) ++found;
    if (found == sections_.size()) {
      return refuse("has no section '" + std::string(section) + "'; expected a plugin, built with annals_plugin.h");
    }
    const section_header& at = sections_[found];
    if (at.sh_type != SHT_PROGBITS || (at.sh_flags & SHF_ALLOC) == 0 || at.sh_size < count) {
      return refuse("its section '" + std::string(section) + "' has " + std::to_string(at.sh_size) + " bytes of type " +
                    std::to_string(at.sh_type) + "; expected at least " + std::to_string(count) +
                    " bytes of data: is the descriptor the only thing in it?");
    }
    if (auto failed = check_loaded(section, at)) return std::move(*failed);
    auto bytes = read(at.sh_offset, count);
    if (!bytes) return bytes;
    if (auto failed = check_symbol(symbol, section, found, at.sh_addr)) return std::move(*failed);
    return bytes;
  }

 private:
  error refuse(std::string what) const { return {errc::plugin_refused, 0, "'" + path_ + "' " + std::move(what)}; }

  error cut_short(std::uint64_t offset, std::uint64_t count) const {
    return refuse("is cut short: it has " + std::to_string(bytes_) + " bytes, and says of itself that there are " +
                  std::to_string(count) + " at offset " + std::to_string(offset) + "; build or copy it again");
  }

  result<std::string> read(std::uint64_t offset, std::uint64_t count) const {
    if (offset > bytes_ || count > bytes_ - offset) {
      return cut_short(offset, count);
    }
    std::string bytes(static_cast<std::size_t>(count), '\0');
    auto got = file_.read_at(bytes.data(), bytes.size(), offset);
    if (!got) return std::move(got.error());
    if (*got != bytes.size()) return refuse("was cut short while it was read; copy it again");
    return bytes;
  }

  std::optional<error> read_headers() {
    const auto status = file_.status();
    if (!status) return status.error();
    bytes_ = status->bytes;
    file_header header = {};
    const auto first = read(0, std::min<std::uint64_t>(bytes_, sizeof header));
    if (!first) return first.error();
    std::memcpy(&header, first->data(), first->size());
    if (first->size() < EI_NIDENT || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
      return refuse("is no shared object: it does not begin as an ELF file does");
    }
    if (header.e_ident[EI_CLASS] != our_class || header.e_ident[EI_DATA] != our_order || header.e_machine != our_machine) {
      return refuse("was built for another machine: ELF class " + std::to_string(header.e_ident[EI_CLASS]) + ", byte order " +
                    std::to_string(header.e_ident[EI_DATA]) + ", machine " + std::to_string(header.e_machine) +
                    "; this host has class " + std::to_string(our_class) + ", byte order " + std::to_string(our_order) +
                    ", machine " + std::to_string(our_machine) + ". Build it for this machine");
    }
    if (first->size() < sizeof header || header.e_type != ET_DYN) {
      return refuse("is no shared object: its ELF type is " + std::to_string(header.e_type) + "; expected " +
                    std::to_string(ET_DYN) + ". Link it with -shared");
    }
    if (header.e_shnum == 0 || header.e_shentsize != sizeof(section_header) || header.e_shstrndx >= header.e_shnum) {
      return refuse("has no section headers to find the descriptor by; expected a file that was not stripped of them (sstrip)");
    }
    if (auto failed = read_segments(header)) return failed;
    return read_sections(header);
  }

  // Every loaded byte must be in the file: the dynamic linker maps it without a check, and access to a page past the end of the
  // file raises SIGBUS.
  std::optional<error> read_segments(const file_header& header) {
    if (header.e_phentsize != sizeof(segment_header)) {
      return refuse("has program headers of " + std::to_string(header.e_phentsize) + " bytes; expected " +
                    std::to_string(sizeof(segment_header)) + ": build or copy it again");
    }
    auto table = read(header.e_phoff, std::uint64_t{header.e_phnum} * sizeof(segment_header));
    if (!table) return std::move(table.error());
    segments_.resize(header.e_phnum);
    if (!segments_.empty()) std::memcpy(segments_.data(), table->data(), table->size());
    std::erase_if(segments_, [](const segment_header& one) { return one.p_type != PT_LOAD; });
    for (const segment_header& one : segments_) {
      if (one.p_offset > bytes_ || one.p_filesz > bytes_ - one.p_offset) return cut_short(one.p_offset, one.p_filesz);
    }
    return std::nullopt;
  }

  std::optional<error> read_sections(const file_header& header) {
    static_assert(sizeof(header.e_shnum) == 2, "so the table has 4 MiB at most");
    auto table = read(header.e_shoff, std::uint64_t{header.e_shnum} * sizeof(section_header));
    if (!table) return std::move(table.error());
    sections_.resize(header.e_shnum);
    std::memcpy(sections_.data(), table->data(), table->size());
    auto names = read_table(sections_[header.e_shstrndx]);
    if (!names) return std::move(names.error());
    names_ = std::move(*names);
    return std::nullopt;
  }

  result<std::string> read_table(const section_header& section) const {
    if (section.sh_size > table_bytes_max) {
      return refuse("has a table of " + std::to_string(section.sh_size) + " bytes; expected at most " +
                    std::to_string(table_bytes_max));
    }
    return read(section.sh_offset, section.sh_size);
  }

  // Whether the text at `offset`, up to its NUL, is this one. Reads no further: thousands of names may share a text without
  // end.
  static bool is_named(const std::string& names, std::uint64_t offset, std::string_view text) {
    return offset < names.size() && names.size() - offset > text.size() && names[offset + text.size()] == '\0' &&
           names.compare(offset, text.size(), text) == 0;
  }

  // Whether the bytes at the section's offset in the file are those at its address in memory.
  std::optional<error> check_loaded(std::string_view name, const section_header& section) const {
    for (const segment_header& one : segments_) {
      const std::uint64_t into = section.sh_offset - one.p_offset;
      if (section.sh_offset >= one.p_offset && into <= one.p_filesz && section.sh_size <= one.p_filesz - into &&
          section.sh_addr == one.p_vaddr + into) {
        return std::nullopt;
      }
    }
    return refuse("is not loaded from where its section '" + std::string(name) + "' stands in the file, offset " +
                  std::to_string(section.sh_offset) + "; expected one of its segments to hold it: build it again");
  }

  // Whether the symbol is exported at `address`, the beginning of the section with this index. A file has at most one table of
  // such symbols (System V ABI, chapter 4); only the first one is read.
  std::optional<error> check_symbol(std::string_view symbol, std::string_view section, std::size_t index,
                                    std::uint64_t address) const {
    const auto table =
        std::find_if(sections_.begin(), sections_.end(), [](const section_header& one) { return one.sh_type == SHT_DYNSYM; });
    if (table == sections_.end() || table->sh_link >= sections_.size()) return not_exported(symbol);
    const auto entries = read_table(*table);
    if (!entries) return entries.error();
    const auto names = read_table(sections_[table->sh_link]);
    if (!names) return names.error();
    for (std::size_t at = 0; at + sizeof(symbol_entry) <= entries->size(); at += sizeof(symbol_entry)) {
      symbol_entry entry;
      std::memcpy(&entry, entries->data() + at, sizeof entry);
      if (entry.st_shndx == SHN_UNDEF || !is_named(*names, entry.st_name, symbol)) continue;
      if (entry.st_shndx == index && entry.st_value == address) return std::nullopt;
      return refuse("exports '" + std::string(symbol) + "' somewhere else than at the beginning of its section '" +
                    std::string(section) + "'; expected it there: define it with ANNALS_PLUGIN_EXPORT");
    }
    return not_exported(symbol);
  }

  error not_exported(std::string_view symbol) const {
    return refuse("does not export '" + std::string(symbol) + "'; expected the descriptor under that name: define it with " +
                  "ANNALS_PLUGIN_EXPORT, in C++ as extern \"C\"");
  }

  const io::file& file_;
  const std::string& path_;
  std::uint64_t bytes_ = 0;
  std::vector<segment_header> segments_;  // only loaded ones
  std::vector<section_header> sections_;
  std::string names_;
};

}  // namespace

result<std::string> read_exported(const io::file& file, const std::string& path, std::string_view section,
                                  std::string_view symbol, std::size_t count) {
  return reader(file, path).read_exported(section, symbol, count);
}

}  // namespace annals::elf
