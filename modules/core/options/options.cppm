// SPDX-License-Identifier: Apache-2.0
//
// annals.options: reading named values that a person wrote (the configuration of a logger or of a sink), and telling that
// person everything that is wrong with them at once.
//
//   annals::option_reader reader(given, "$.sink");
//   const std::string address = reader.text("address").value_or("/dev/log");
//   const auto timeout = reader.duration("timeout", 1ms, 1h).value_or(5s);
//   reader.finish();   // throws annals::failure, naming each option that is unknown or makes no sense
module;
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>
export module annals.options;
import annals.event;
#pragma GCC visibility push(default)

export namespace annals {

// The kinds of JSON values; the numbers are those of plugins/abi/annals_plugin.h.
enum class option_kind : std::uint32_t { null, boolean, integer, number, text, array, object };

// A named value. `text` is the string itself where the kind is text, else the value as compact JSON.
struct option {
  std::string name;
  option_kind kind = option_kind::null;
  std::string text;
};

struct option_problem {
  std::string path;      // where: "$.sink.port", as JSONPath (RFC 9535) has it
  std::string found;     // the value as JSON, shortened; empty without a value
  std::string expected;  // "an integer from 1 to 65535"
  std::string nearest;   // for an unknown name: the known one that is like it, if any
};

// "$.sink.prot: found 514; expected one of "address" or "port" (did you mean "port"?)"; "$.path: missing; expected ..."
std::string to_string(const option_problem& problem);

// A value as messages show it: JSON, cut to 64 bytes, always UTF-8. Any thread.
std::string shown_value(const option& value);

// Where the member `name` of what is at `path` is: "$.sink.port"; $.sink["a b"] where the name is no plain word. Any thread.
std::string member_path(std::string_view path, std::string_view name);

// The one of `known` that `name` is a likely mistake for (Damerau-Levenshtein distance of at most a third of its length), or
// nothing. Any thread.
std::optional<std::string_view> nearest_name(std::string_view name, std::span<const std::string_view> known);

// Takes values by name and remembers what is wrong with them. Every getter returns nothing where the option is absent, and
// also where it is wrong, which is then among the problems; so each is to be called once for every option there is, before
// finish(). Not for concurrent use. The options outlive the reader.
class option_reader {
 public:
  // `path` is what stands before the names in messages: "$", "$.sink".
  option_reader(std::span<const option> options, std::string path);

  std::optional<std::string> text(std::string_view name);  // not empty
  std::optional<bool> boolean(std::string_view name);
  std::optional<std::int64_t> integer(std::string_view name, std::int64_t min, std::int64_t max);
  // A text with a unit (parse_size), or an integer, of bytes.
  std::optional<std::uint64_t> size(std::string_view name, std::uint64_t min, std::uint64_t max);
  // A text with a unit (parse_duration).
  std::optional<std::chrono::microseconds> duration(std::string_view name, std::chrono::microseconds min,
                                                    std::chrono::microseconds max);
  // One of the texts; its index.
  std::optional<std::size_t> choice(std::string_view name, std::initializer_list<std::string_view> choices);
  // An array or object as compact JSON, for a parser of the caller's.
  std::optional<std::string> json(std::string_view name, option_kind kind);

  // A check of the caller's own failed.
  void problem(std::string_view name, std::string expected);
  // The option has to be there.
  void require(std::string_view name, std::string expected);

  // All problems: those met, in order, then the unknown options.
  std::vector<option_problem> problems();
  // Throws annals::failure (invalid_config) with all problems, if there are any.
  void finish();

 private:
  const option* take(std::string_view name);
  void wrong(const option& found, std::string expected);

  std::span<const option> options_;
  std::string path_;
  std::vector<std::string> known_;
  std::vector<option_problem> problems_;
};

}  // namespace annals
#pragma GCC visibility pop
