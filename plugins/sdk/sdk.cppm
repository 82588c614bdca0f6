// SPDX-License-Identifier: Apache-2.0
//
// annals.sdk: for C++ authors of plugins. Turns classes derived from annals::sink and annals::archiver into the C tables of
// annals_plugin.h. An exception that leaves a function of the class is reported to the host as an error. A whole plugin:
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
// This is a static library with its own copy of what it needs: the plugin does not need libannals.
module;
#include <annals_plugin.h>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>
export module annals.sdk;
export import annals.event;
export import annals.event.text;
export import annals.options;
export import annals.sink;

export namespace annals::sdk {

// What the constructor of a sink or an archiver gets from the host.
struct host {
  std::string log_path;         // the log's live segment; empty where the host has none
  unsigned file_mode = 0600;    // for files that the object creates, before the umask
  std::string version;          // the host's
  std::vector<option> options;  // to be read with an option_reader("$.sink") or ("$.archive"), up to finish()
};

struct description {
  std::string_view name;     // NAME of annals_NAME.so: a-z, 0-9, _; up to 31
  std::string_view version;  // up to 31 characters
  std::string_view license;  // SPDX; up to 31
  bool writes_log = false;   // the sink keeps the lines at host::log_path, for readers of logs
};

// The functions of the tables. Not for use by hand.
namespace table {
struct head {  // what an annals_sink begins with
  std::unique_ptr<annals::sink> made = {};
  bool has_failed = false;
};
annals_status make(const annals_host* from, annals_sink** made, std::unique_ptr<sink> (*maker)(const host&)) noexcept;
annals_status make(const annals_host* from, annals_archiver** made, std::unique_ptr<archiver> (*maker)(const host&)) noexcept;
annals_status failed(annals_sink* sink) noexcept;  // in a handler of what the call threw
annals_status sync(annals_sink* sink) noexcept;
annals_status reopen(annals_sink* sink) noexcept;
annals_status position(annals_sink* sink, annals_position* where) noexcept;
annals_status start_segment(annals_sink* sink, annals_segment* closed) noexcept;
void destroy(annals_sink* sink) noexcept;
annals_status last_error(annals_sink* sink, annals_error* error) noexcept;
annals_status archive(annals_archiver* archiver, const annals_segment* segment) noexcept;
void destroy(annals_archiver* archiver) noexcept;
annals_status last_error(annals_archiver* archiver, annals_error* error) noexcept;

template <class Sink>
annals_status create_sink(const annals_host* from, annals_sink** made) noexcept {
  return make(from, made, [](const host& h) -> std::unique_ptr<annals::sink> { return std::make_unique<Sink>(h); });
}

template <class Archiver>
annals_status create_archiver(const annals_host* from, annals_archiver** made) noexcept {
  return make(from, made, [](const host& h) -> std::unique_ptr<annals::archiver> { return std::make_unique<Archiver>(h); });
}

// Calls the function of the class itself, not through its table of virtual functions, so that the compiler can inline it: a
// return behind a system call is expensive (docs/decisions.md, The path of a direct event).
template <class Sink>
annals_status write(annals_sink* sink, const annals_batch* batch) noexcept {
  head& of = reinterpret_cast<head&>(*sink);
  of.has_failed = false;
  if (batch->count == 0) return ANNALS_OK;
  try {
    static_cast<Sink&>(*of.made).Sink::write({std::string_view(batch->lines, static_cast<std::size_t>(batch->bytes)),
                                              static_cast<std::size_t>(batch->count), batch->first_sequence,
                                              time_point(std::chrono::microseconds(batch->now_us))});
    return ANNALS_OK;
  } catch (...) {
    return failed(sink);
  }
}

template <class Sink>
inline constexpr bool has_segments = !std::is_same_v<decltype(&Sink::start_segment), decltype(&annals::sink::start_segment)>;

template <class Sink>
inline constexpr annals_sink_functions sink_functions = {sizeof(annals_sink_functions),
                                                         create_sink<Sink>,
                                                         write<Sink>,
                                                         sync,
                                                         reopen,
                                                         position,
                                                         has_segments<Sink> ? start_segment : nullptr,
                                                         destroy,
                                                         last_error};

template <class Archiver>
inline constexpr annals_archiver_functions archiver_functions = {sizeof(annals_archiver_functions), create_archiver<Archiver>,
                                                                 archive, destroy, last_error};

template <class Offered>
consteval void offer(annals_plugin_descriptor& in) {
  if constexpr (std::derived_from<Offered, annals::sink>) {
    in.sink = &sink_functions<Offered>;
    in.identity.capabilities |= ANNALS_OFFERS_SINK;
  } else {
    in.archiver = &archiver_functions<Offered>;
    in.identity.capabilities |= ANNALS_OFFERS_ARCHIVER;
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

// A class of which a plugin makes objects: a sink or an archiver with a constructor that takes a `const host&`.
template <class T>
concept offered = (std::derived_from<T, sink> || std::derived_from<T, archiver>) && std::constructible_from<T, const host&>;

// The descriptor of a plugin that offers these classes: one sink, one archiver, or one of each. Does not compile if a text is
// too long.
template <offered... Classes>
  requires(sizeof...(Classes) != 0)
consteval annals_plugin_descriptor describe(const description& what) {
  for (const char c : what.name) {
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')) throw "a plugin's name has a-z, 0-9 and _ only";
  }
  annals_plugin_descriptor made = {ANNALS_PLUGIN_IDENTITY("", "", "", what.writes_log ? ANNALS_WRITES_LOG : 0), nullptr,
                                   nullptr};
  (table::offer<Classes>(made), ...);
  table::fill(made.identity.name, what.name);
  table::fill(made.identity.version, what.version);
  table::fill(made.identity.license, what.license);
  return made;
}

}  // namespace annals::sdk
