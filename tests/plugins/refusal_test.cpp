// SPDX-License-Identifier: Apache-2.0
//
// What the loader refuses, and that nothing of a refused plugin has run. Every plugin here would tell: see broken.c.
#include <annals_plugin.h>
#include <elf.h>
#include <gtest/gtest.h>
#include <link.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "plugin_files.h"
#include "support/child.h"
import annals;

namespace {

using support::plugin_in;
using support::temp_directory;

struct refusal : testing::Test {
  refusal() {
    ::setenv("ANNALS_TEST_RAN", ran.c_str(), 1);
    ::setenv("ANNALS_TEST_CALLED", called.c_str(), 1);
  }
  ~refusal() override {
    ::unsetenv("ANNALS_TEST_RAN");
    ::unsetenv("ANNALS_TEST_CALLED");
  }

  // Expects a refusal that names the file and says `expected`, and that no code of it ran.
  void expect_refused(const std::string& path, std::string_view expected) {
    const auto examined = annals::examine_plugin(path);
    const auto loaded = annals::load_plugin(path);
    ASSERT_FALSE(loaded) << "expected a refusal that says: " << expected;
    ASSERT_FALSE(examined);
    EXPECT_EQ(loaded.error().code, annals::errc::plugin_refused);
    EXPECT_NE(loaded.error().message.find(expected), std::string::npos) << loaded.error().message;
    EXPECT_NE(loaded.error().message.find("'" + path + "'"), std::string::npos) << loaded.error().message;
    EXPECT_EQ(loaded.error().message, examined.error().message);
    EXPECT_FALSE(std::filesystem::exists(ran)) << "code of a refused plugin ran";
  }
  void expect_refused_variant(const std::string& variant, std::string_view expected) {
    const temp_directory own;
    expect_refused(plugin_in(own, variant), expected);
  }

  temp_directory directory;
  std::string ran = directory / "ran";
  std::string called = directory / "called";
};

TEST_F(refusal, is_not_met_by_the_plugin_that_all_of_these_are_variants_of) {
  const auto loaded = annals::load_plugin(plugin_in(directory, "good"));
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_TRUE(std::filesystem::exists(ran)) << "it has to tell when it runs";
  EXPECT_FALSE(std::filesystem::exists(called));
  (void)loaded->make_sink({});
  EXPECT_TRUE(std::filesystem::exists(called)) << "it has to tell when it is called";
}

// --- what the file says of itself ---------------------------------------------------------------------------------------

TEST_F(refusal, of_a_missing_symbol) {
  expect_refused_variant("SYMBOL_MISSING", "does not export 'annals_plugin'");
}
TEST_F(refusal, of_a_hidden_symbol) {
  expect_refused_variant("HIDDEN_SYMBOL", "does not export 'annals_plugin'");
}
TEST_F(refusal, of_a_descriptor_outside_of_its_section) {
  expect_refused_variant("NO_SECTION", "has no section '.annals.plugin'");
}
TEST_F(refusal, of_a_wrong_magic) {
  expect_refused_variant("WRONG_MAGIC", "begins with \"NOTMAGIC\"; expected \"ANNALSPL\"");
}
TEST_F(refusal, of_a_short_identity) {
  expect_refused_variant("SHORT_IDENTITY", "the size of its identity is 248 bytes; this host expects 256");
}
TEST_F(refusal, of_a_short_descriptor) {
  expect_refused_variant("SHORT_DESCRIPTOR", "the size of its descriptor is 264 bytes; this host expects at least 272");
}
TEST_F(refusal, of_a_plugin_that_offers_nothing) {
  expect_refused_variant("OFFERS_NOTHING", "it offers neither sinks nor archivers; expected ANNALS_OFFERS_SINK");
}
TEST_F(refusal, of_a_future_major_version) {
  expect_refused_variant("FUTURE_MAJOR",
                         "built for ABI 3.0; this host has ABI 2.0, and majors must be equal: use a newer annals");
}
TEST_F(refusal, of_a_past_major_version) {
  expect_refused_variant("PAST_MAJOR", "built for ABI 1.0; this host has ABI 2.0");
}
TEST_F(refusal, of_a_name_that_is_not_the_files) {
  expect_refused_variant("OTHER_NAME", "has the name \"other\"; expected a file of that name: call it annals_other.so");
}
TEST_F(refusal, of_a_name_with_control_characters) {
  expect_refused_variant("UNPRINTABLE_NAME", "no name of a-z, 0-9 and _");
}
TEST_F(refusal, of_a_name_without_an_end) {
  expect_refused_variant("NAME_WITHOUT_END", "no name of a-z, 0-9 and _; expected one, filled up with NUL");
}

// The functions are pointers, which only the dynamic linker fills in: they are looked at after loading, before any call.
TEST_F(refusal, of_a_missing_function) {
  constexpr const char* all_of_an_archiver =
      "its function tables lack archiver.create, archiver.archive, archiver.destroy, archiver.last_error;";
  for (const auto& [variant, expected] : {std::pair{"NO_WRITE", "its function tables lack sink.write;"},
                                          std::pair{"NO_LAST_ERROR", "its function tables lack sink.last_error;"},
                                          std::pair{"SHORT_TABLE", "its function tables lack sink.last_error;"},
                                          std::pair{"ARCHIVER_PROMISED", all_of_an_archiver}}) {
    const temp_directory own;
    const auto loaded = annals::load_plugin(plugin_in(own, variant));
    ASSERT_FALSE(loaded) << variant;
    EXPECT_NE(loaded.error().message.find(expected), std::string::npos) << loaded.error().message;
    EXPECT_FALSE(std::filesystem::exists(called)) << variant;
  }
}

TEST_F(refusal, of_a_descriptor_that_changes_while_it_is_loaded) {
  const auto loaded = annals::load_plugin(plugin_in(directory, "CHANGES_ITSELF"));
  ASSERT_FALSE(loaded);
  EXPECT_NE(loaded.error().message.find("its descriptor changed while it was loaded; expected a constant"), std::string::npos)
      << loaded.error().message;
  EXPECT_FALSE(std::filesystem::exists(called));
}

TEST_F(refusal, of_a_plugin_that_needs_what_is_nowhere) {
  const std::string path = plugin_in(directory, "NEEDS_WHAT_IS_NOWHERE");
  const auto loaded = annals::load_plugin(path);
  ASSERT_FALSE(loaded);
  EXPECT_NE(loaded.error().message.find("the dynamic linker refused it: " + path +
                                        ": undefined symbol: annals_test_function_of_no_library. Are the libraries it needs "
                                        "installed (ldd '" +
                                        path + "')"),
            std::string::npos)
      << loaded.error().message;
  EXPECT_FALSE(std::filesystem::exists(ran)) << "code of a refused plugin ran";
}

// An exception cannot leave dlopen(3): the process ends, and says by whom.
TEST(refusal_death_test, of_a_static_constructor_that_throws_is_the_end_of_the_process_and_says_whose_it_was) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const temp_directory directory;
  const std::string path = directory / "annals_throws_when_loaded.so";
  std::filesystem::copy_file(CHECKED_PLUGINS "/annals_throws_when_loaded.so", path);
  ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
  ASSERT_TRUE(annals::examine_plugin(path));
  const char* const expected =
      "a static constructor of the plugin '/.*/annals_throws_when_loaded.so' threw an exception.*annals plugin check";
  EXPECT_EXIT((void)annals::load_plugin(path), testing::KilledBySignal(SIGABRT), expected);
}

// --- what the file is ---------------------------------------------------------------------------------------------------

TEST_F(refusal, of_a_file_that_others_can_write) {
  const std::string path = plugin_in(directory, "good");
  for (const unsigned mode : {0646U, 0664U, 0666U, 0777U}) {
    ASSERT_EQ(::chmod(path.c_str(), mode), 0);
    expect_refused(path, "is writable by others than its owner");
    expect_refused(path, "chmod go-w '" + path + "'");
  }
}

TEST_F(refusal, of_a_directory_above_it_that_others_can_write) {
  std::filesystem::create_directories(directory / "open/closed");
  ASSERT_EQ(::chmod((directory / "open").c_str(), 0777), 0);
  const std::string path = directory / "open/closed/annals_broken.so";
  std::filesystem::rename(plugin_in(directory, "good"), path);
  expect_refused(path, "'" + (directory / "open") + "' is writable by others than its owner (mode 0777)");
}

TEST_F(refusal, but_not_of_a_sticky_directory_that_others_can_write) {
  ASSERT_EQ(::mkdir((directory / "sticky").c_str(), 0700), 0);
  ASSERT_EQ(::chmod((directory / "sticky").c_str(), 01777), 0);
  const std::string path = directory / "sticky/annals_broken.so";
  std::filesystem::rename(plugin_in(directory, "good"), path);
  const auto loaded = annals::load_plugin(path);
  EXPECT_TRUE(loaded) << loaded.error().message;
}

TEST_F(refusal, of_somebody_elses_file_or_directory) {
  if (::geteuid() != 0) {  // only root can give files away: let root's files be somebody else's instead
    expect_refused(plugin_in(directory, "OTHER_NAME"), "");
    return;
  }
  constexpr uid_t nobody = 65534;
  const std::string path = plugin_in(directory, "good");
  ASSERT_EQ(::chown(path.c_str(), nobody, nobody), 0);
  expect_refused(path, "belongs to user 65534; expected root, who runs this");
  ASSERT_EQ(::chown(path.c_str(), 0, 0), 0);
  ASSERT_EQ(::chown(directory.path().c_str(), nobody, nobody), 0);
  expect_refused(path, "'" + directory.path() + "' belongs to user 65534");
  // And an ordinary user may load what is theirs or root's.
  support::expect_zero_in_child([&path] {
    ::unsetenv("ANNALS_TEST_RAN");
    if (::setgid(nobody) != 0 || ::setuid(nobody) != 0) return 2;
    return annals::load_plugin(path) ? 0 : 1;
  });
}

TEST_F(refusal, of_a_symbolic_link_to_it_or_above_it) {
  const std::string path = plugin_in(directory, "good");
  ASSERT_EQ(::mkdir((directory / "links").c_str(), 0700), 0);
  const std::string link = directory / "links/annals_broken.so";
  std::filesystem::create_symlink(path, link);
  expect_refused(link, "is a symbolic link; expected the path that it leads to");
  std::filesystem::create_directory_symlink(directory.path(), directory / "links/up");
  expect_refused(directory / "links/up/annals_broken.so", "links/up' is a symbolic link");
}

TEST_F(refusal, of_what_is_no_regular_file_without_waiting_for_it) {
  const std::string path = directory / "annals_broken.so";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  expect_refused(path, "is a FIFO, socket or device; expected a regular file");
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);
  expect_refused(path, "is a directory; expected a regular file");
  EXPECT_FALSE(annals::load_plugin("/dev/null"));
  EXPECT_FALSE(annals::load_plugin("/"));
}

TEST_F(refusal, of_a_path_that_is_not_absolute_or_leads_nowhere) {
  for (const std::string& path : {std::string("annals_broken.so"), std::string("./annals_broken.so"), std::string(),
                                  std::string("/annals\0_broken.so", 18)}) {
    const auto loaded = annals::load_plugin(path);
    ASSERT_FALSE(loaded);
    EXPECT_NE(loaded.error().message.find("is not absolute; expected one that begins with '/'"), std::string::npos)
        << loaded.error().message;
  }
  expect_refused(directory / "annals_broken.so", "No such file or directory");
  support::write_file(directory / "file", "");
  expect_refused(directory / "file/annals_broken.so", "Not a directory");
}

TEST_F(refusal, of_files_that_are_no_shared_object_of_this_machine) {
  const std::string path = directory / "annals_broken.so";
  for (const char* const text : {"", "\177", "\177ELF", "#!/bin/sh\ntouch $ANNALS_TEST_RAN\n"}) {
    support::write_file(path, text);
    ::chmod(path.c_str(), 0755);
    expect_refused(path, "");
  }
  std::string good = support::content_of(plugin_in(temp_directory(), "good"));
  good[18] = '\x2a';  // e_machine: SuperH
  support::write_file(path, good);
  expect_refused(path, "was built for another machine");
  good = support::content_of("/proc/self/exe");
  good[16] = 2;  // e_type: an executable
  support::write_file(path, good);
  expect_refused(path, "is no shared object: its ELF type is 2");
}

// Wherever it is cut, it is refused: the section headers, without which nothing is found, come last in a file.
TEST_F(refusal, of_a_file_cut_short_anywhere) {
  const std::string path = plugin_in(directory, "good");
  const std::string whole = support::content_of(path);
  for (std::size_t bytes = 0; bytes < whole.size(); bytes += bytes < 4096 ? 13 : 509) {
    support::write_file(path, whole.substr(0, bytes));
    ASSERT_FALSE(annals::load_plugin(path)) << "of " << whole.size() << " bytes, with " << bytes;
  }
  support::write_file(path, whole.substr(0, whole.size() - 1));
  expect_refused(path, "is cut short");
}

// Any byte of what is read before loading may be anything: a refusal or a plugin, and never a crash.
TEST_F(refusal, or_acceptance_of_headers_with_any_byte_changed_and_no_crash) {
  const std::string path = plugin_in(directory, "good");
  const std::string whole = support::content_of(path);
  const auto headers = whole.size() - 64 * 32;  // section headers, 64 bytes each; some 30 of them
  unsigned refused = 0;
  for (std::size_t at = 0; at < whole.size(); at = at == 63 ? headers : at + 1) {
    for (const int change : {0x01, 0x80, 0xff}) {
      std::string changed = whole;
      changed[at] = static_cast<char>(changed[at] ^ change);
      support::write_file(path, changed);
      refused += annals::examine_plugin(path) ? 0 : 1;
    }
  }
  EXPECT_GT(refused, 100U);
  EXPECT_FALSE(std::filesystem::exists(ran));
}

// --- files that say one thing and hold another --------------------------------------------------------------------------

// A plugin's file, to be changed where the loader looks.
class elf_file {
 public:
  explicit elf_file(std::string bytes) : bytes_(std::move(bytes)) {}

  ElfW(Ehdr) & header() { return at<ElfW(Ehdr)>(0); }
  ElfW(Shdr) & section(std::string_view name) {
    const ElfW(Ehdr)& head = header();
    const std::size_t names = at<ElfW(Shdr)>(head.e_shoff + head.e_shstrndx * sizeof(ElfW(Shdr))).sh_offset;
    for (std::size_t i = 0;; ++i) {
      auto& one = at<ElfW(Shdr)>(head.e_shoff + i * sizeof(ElfW(Shdr)));
      if (name == bytes_.c_str() + names + one.sh_name) return one;
    }
  }
  ElfW(Phdr) & last_loaded() {
    std::size_t last = 0;
    for (std::size_t i = 0; i < header().e_phnum; ++i) {
      if (segment(i).p_type == PT_LOAD) last = i;
    }
    return segment(last);
  }
  ElfW(Sym) & symbol(std::string_view name) {
    const std::size_t names = section(".dynstr").sh_offset;
    for (std::size_t offset = section(".dynsym").sh_offset;; offset += sizeof(ElfW(Sym))) {
      auto& one = at<ElfW(Sym)>(offset);
      if (name == bytes_.c_str() + names + one.st_name) return one;
    }
  }
  annals_identity& identity() { return at<annals_identity>(section(ANNALS_PLUGIN_SECTION).sh_offset); }
  std::string& bytes() { return bytes_; }

 private:
  ElfW(Phdr) & segment(std::size_t i) { return at<ElfW(Phdr)>(header().e_phoff + i * sizeof(ElfW(Phdr))); }

  // Every struct stands at a multiple of its alignment in the file, and the string begins at one.
  template <class Struct>
  Struct& at(std::size_t offset) {
    EXPECT_LE(offset + sizeof(Struct), bytes_.size());
    return *reinterpret_cast<Struct*>(bytes_.data() + offset);
  }
  std::string bytes_;
};

struct refusal_of_file : refusal {
  elf_file file{support::content_of(PLUGINS "/good/annals_broken.so")};
  void expect(std::string_view expected) {
    const std::string path = directory / "annals_broken.so";
    support::write_file(path, file.bytes());
    expect_refused(path, expected);
  }
};

// The pages past its end would be mapped all the same, and whoever touches one is ended by SIGBUS.
TEST_F(refusal_of_file, that_is_shorter_than_what_is_loaded_of_it) {
  ElfW(Phdr)& last = file.last_loaded();
  last.p_filesz = last.p_memsz = file.bytes().size();
  expect("is cut short: it has " + std::to_string(file.bytes().size()) + " bytes");
}

TEST_F(refusal_of_file, whose_program_headers_are_past_its_end) {
  file.header().e_phoff = file.bytes().size();
  expect("is cut short");
  file.header().e_phentsize = 1;
  expect("has program headers of 1 bytes; expected " + std::to_string(sizeof(ElfW(Phdr))));
}

// The identity that can be read is a good one, and not the one that would be loaded.
TEST_F(refusal_of_file, whose_identity_is_not_what_is_loaded) {
  const auto good = file.identity();
  file = elf_file(support::content_of(PLUGINS "/FUTURE_MAJOR/annals_broken.so"));
  file.section(ANNALS_PLUGIN_SECTION).sh_offset = file.bytes().size();
  file.bytes().append(reinterpret_cast<const char*>(&good), sizeof good).append(1024, '\0');
  expect("is not loaded from where its section '.annals.plugin' stands in the file");
}

TEST_F(refusal_of_file, of_which_nothing_is_loaded) {
  file.header().e_phnum = 0;
  expect("is not loaded from where its section '.annals.plugin' stands in the file");
}

TEST_F(refusal_of_file, that_was_stripped_of_its_section_headers) {
  file.header().e_shnum = 0;
  expect("has no section headers to find the descriptor by");
}

TEST_F(refusal_of_file, whose_section_is_too_small_or_no_data) {
  ElfW(Shdr)& section = file.section(ANNALS_PLUGIN_SECTION);
  section.sh_size = 100;
  expect("its section '.annals.plugin' has 100 bytes of type 1; expected at least 256 bytes of data");
  section.sh_size = 320;
  section.sh_type = SHT_NOBITS;
  expect("its section '.annals.plugin' has 320 bytes of type 8");
}

TEST_F(refusal_of_file, whose_symbol_is_somewhere_else) {
  file.symbol(ANNALS_PLUGIN_SYMBOL).st_value += 8;
  expect("exports 'annals_plugin' somewhere else than at the beginning of its section '.annals.plugin'");
}

TEST_F(refusal_of_file, whose_tables_would_fill_the_memory) {
  file.section(".dynsym").sh_size = std::size_t{1} << 40;
  expect("has a table of 1099511627776 bytes; expected at most 67108864");
}

TEST_F(refusal_of_file, whose_texts_cannot_be_printed) {
  const annals_identity good = file.identity();
  std::memset(file.identity().version, '\0', sizeof good.version);
  expect("its descriptor's version, license or compiler is no text");
  file.identity() = good;
  file.identity().license[0] = '\x1b';
  expect("its descriptor's version, license or compiler is no text");
  file.identity() = good;
  file.identity().compiler[sizeof good.compiler - 1] = 'x';
  expect("its descriptor's version, license or compiler is no text");
}

// --- races --------------------------------------------------------------------------------------------------------------

// Somebody swaps the file for another while it is examined and loaded: what is loaded is what was examined, so of the one
// that is to be refused nothing ever runs.
TEST_F(refusal, of_a_file_that_is_swapped_between_check_and_load) {
  const temp_directory other;
  const std::string good = plugin_in(directory, "null", "null");
  const std::string bad = plugin_in(other, "FUTURE_MAJOR");
  const std::string path = directory / "swapped/annals_null.so";
  ASSERT_EQ(::mkdir((directory / "swapped").c_str(), 0700), 0);
  std::atomic<bool> done = false;
  std::thread attacker([&] {
    const std::string ready = directory / "swapped/next";
    for (bool turn = false; !done; turn = !turn) {
      std::error_code failed;
      std::filesystem::remove(ready, failed);
      std::filesystem::create_hard_link(turn ? good : bad, ready, failed);
      std::filesystem::rename(ready, path, failed);
    }
  });
  constexpr int rounds = 10'000;
  int loaded = 0;
  int refused = 0;
  for (int i = 0; i < rounds; ++i) {
    const auto got = annals::load_plugin(path, annals::unload::when_unused);
    if (got) {
      ++loaded;
      EXPECT_EQ(got->info().name, "null");
    } else {
      ++refused;
    }
  }
  done = true;
  attacker.join();
  EXPECT_FALSE(std::filesystem::exists(ran)) << "the other file was loaded";
  EXPECT_GT(loaded, rounds / 100);
  EXPECT_GT(refused, rounds / 100);
}

}  // namespace
