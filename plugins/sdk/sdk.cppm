// SPDX-License-Identifier: Apache-2.0
//
// annals.sdk: for C++ authors of plugins. Turns a class derived from annals::sink into the C table of annals_plugin.h; whatever
// the class throws becomes an error on the other side. A whole plugin:
//
//   #include <annals_plugin.h>
//   import annals.sdk;
//
//   class null_sink final : public annals::sink {
//    public:
//     explicit null_sink(const annals::sdk::host& host) { annals::option_reader(host.options, "$.sink").finish(); }
//     void write(const annals::batch& lines) override { bytes_ += lines.lines.size(); }
//     void sync() override {}
//     void reopen() override {}
//     annals::position position() override { return {1, bytes_}; }
//    private:
//     std::uint64_t bytes_ = 0;
//   };
//
//   ANNALS_PLUGIN_EXPORT const annals_plugin_descriptor annals_plugin =
//       annals::sdk::describe<null_sink>({.name = "null", .version = "1.0.0", .license = "MIT"});
//
// This is a static library with its own copy of what it needs: the plugin needs no libannals.
module;
#include <annals_plugin.h>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>
export module annals.sdk;
export import annals.event;
export import annals.text;
export import annals.options;
export import annals.sink;

export namespace annals::sdk {

// What the host tells a sink's constructor.
struct host {
  std::string log_path;         // the log's live segment; empty where the host has none
  unsigned file_mode = 0600;    // for files the sink creates, before the umask
  std::string version;          // the host's
  std::vector<option> options;  // to be read with an option_reader("$.sink"), up to finish()
};

class archiving_sink : public sink {
 public:
  virtual void archive(const closed_segment& segment) = 0;
};

struct description {
  std::string_view name;           // NAME of annals_NAME.so: a-z, 0-9, _; up to 31
  std::string_view version;        // up to 31 characters
  std::string_view license;        // SPDX; up to 31
  std::uint64_t capabilities = 0;  // ANNALS_CAN_ARCHIVE, ANNALS_WRITES_LOG
};

// The table's functions, but create. Not for use by hand.
namespace table {
using maker = std::unique_ptr<sink> (*)(const host&);
annals_status make(const annals_host* told, annals_sink** made, maker maker) noexcept;
struct head {  // what an annals_sink begins with: its base
  std::unique_ptr<annals::sink> sink = {};
  bool has_failed = false;
};
annals_status failed(annals_sink* sink) noexcept;  // in a handler of what the call threw
annals_status sync(annals_sink* sink) noexcept;
annals_status reopen(annals_sink* sink) noexcept;
annals_status position(annals_sink* sink, annals_position* where) noexcept;
annals_status archive(annals_sink* sink, const annals_segment* segment) noexcept;
void destroy(annals_sink* sink) noexcept;
annals_status last_error(annals_sink* sink, annals_error* error) noexcept;

template <class Sink>
annals_status create(const annals_host* told, annals_sink** made) noexcept {
  return make(told, made, [](const host& h) -> std::unique_ptr<annals::sink> { return std::make_unique<Sink>(h); });
}

// Of the very class, so that its function is called directly, and becomes part of this one where the compiler sees it: each
// return behind a system call is dear (docs/decisions.md, The path of a direct event).
template <class Sink>
annals_status write(annals_sink* sink, const annals_batch* batch) noexcept {
  head& of = reinterpret_cast<head&>(*sink);
  of.has_failed = false;
  if (batch->count == 0) return ANNALS_OK;
  try {
    static_cast<Sink&>(*of.sink).Sink::write({std::string_view(batch->lines, static_cast<std::size_t>(batch->bytes)),
                                              static_cast<std::size_t>(batch->count), batch->first_sequence,
                                              time_point(std::chrono::microseconds(batch->now_us))});
    return ANNALS_OK;
  } catch (...) {
    return failed(sink);
  }
}

template <std::size_t Size>
consteval void fill(char (&to)[Size], std::string_view text) {
  if (text.empty() || text.size() >= Size) throw "a text of the description is empty or too long";
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] < ' ' || text[i] > '~') throw "a text of the description is not printable ASCII";
    to[i] = text[i];
  }
}
}  // namespace table

// The descriptor of a plugin whose sinks are of the class `Sink`, which is made with a `const host&`. Does not compile where a
// text is too long.
template <class Sink>
  requires std::derived_from<Sink, sink> && std::constructible_from<Sink, const host&>
consteval annals_plugin_descriptor describe(const description& said) {
  for (const char c : said.name) {
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')) throw "a plugin's name has a-z, 0-9 and _ only";
  }
  annals_plugin_descriptor made = {
      ANNALS_PLUGIN_IDENTITY("", "", "", said.capabilities),
      {table::create<Sink>, table::write<Sink>, table::sync, table::reopen, table::position,
       (said.capabilities & ANNALS_CAN_ARCHIVE) != 0 ? table::archive : nullptr, table::destroy, table::last_error}};
  table::fill(made.identity.name, said.name);
  table::fill(made.identity.version, said.version);
  table::fill(made.identity.license, said.license);
  return made;
}

}  // namespace annals::sdk
