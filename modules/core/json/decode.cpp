// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <bit>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/system/error_code.hpp>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>
module annals.json;
import annals.event.text;

#include "escape.h"
#include "rewrite.h"

namespace annals::json {

namespace {

// A number as a double, where that is what its text says. An integer past 64 bits, or a number past the range of double, is
// only exact as text. (The parser's own double may be off by a bit: Boost.JSON before 1.83 has no precise mode.)
stored_value exact_number(std::string number) {
  double value = 0;
  const std::errc status = std::from_chars(number.data(), number.data() + number.size(), value).ec;
  if (status == std::errc() && number.find_first_of(".eE") != std::string::npos) return value;
  return stored_json{std::move(number)};
}

// Builds an event from the parser's calls. Values directly in the line's object become the event's; whatever is nested
// deeper goes through a rewriter, as text.
static_assert(limits::read_fields_max == 4096, "the message says so");

class event_builder {
 public:
  [[maybe_unused]] static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
  [[maybe_unused]] static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
  [[maybe_unused]] static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);
  [[maybe_unused]] static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);
  using text = boost::json::string_view;
  using error_code = boost::system::error_code;
  using nested_rewriter = rewriter<string_output>;

  explicit event_builder(const decode_options& options) : options_(options) {}

  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }

  bool on_object_begin(error_code& ec) {
    if (depth_++ != 0) nested().on_object_begin(ec);
    return true;
  }
  bool on_object_end(std::size_t n, error_code& ec) {
    if (--depth_ == 0) return true;
    nested_->on_object_end(n, ec);
    return end_nested(ec);
  }
  bool on_array_begin(error_code& ec) {
    if (depth_++ == 0) return refuse(ec);
    return nested().on_array_begin(ec);
  }
  bool on_array_end(std::size_t n, error_code& ec) {
    --depth_;
    nested_->on_array_end(n, ec);
    return end_nested(ec);
  }

  bool on_key_part(text part, std::size_t n, error_code& ec) {
    if (depth_ > 1) return has_room_for(part, ec) && nested_->on_key_part(part, n, ec);
    name_.append(part.data(), part.size());
    return true;
  }
  bool on_key(text part, std::size_t n, error_code& ec) {
    if (depth_ > 1) return has_room_for(part, ec) && nested_->on_key(part, n, ec);
    name_.append(part.data(), part.size());
    return true;
  }
  bool on_string_part(text part, std::size_t n, error_code& ec) {
    if (depth_ > 1) return has_room_for(part, ec) && nested_->on_string_part(part, n, ec);
    text_.append(part.data(), part.size());
    return true;
  }
  bool on_string(text part, std::size_t n, error_code& ec) {
    if (depth_ > 1) return has_room_for(part, ec) && nested_->on_string(part, n, ec);
    text_.append(part.data(), part.size());
    return depth_ == 1 ? keep(std::exchange(text_, {}), ec) : refuse(ec);
  }
  bool on_number_part(text part, error_code& ec) {
    if (depth_ > 1) return nested_->on_number_part(part, ec);
    text_.append(part.data(), part.size());
    return true;
  }
  bool on_int64(std::int64_t value, text part, error_code& ec) {
    if (depth_ > 1) return nested_->on_int64(value, part, ec);
    text_.clear();
    return depth_ == 1 ? keep(value, ec) : refuse(ec);
  }
  bool on_uint64(std::uint64_t value, text part, error_code& ec) {
    if (depth_ > 1) return nested_->on_uint64(value, part, ec);
    text_.clear();
    return depth_ == 1 ? keep(value, ec) : refuse(ec);
  }
  bool on_double(double value, text part, error_code& ec) {
    if (depth_ > 1) return nested_->on_double(value, part, ec);
    text_.append(part.data(), part.size());
    std::string number = std::exchange(text_, {});
    if (depth_ != 1) return refuse(ec);
    return keep(options_.keep_numbers ? stored_json{std::move(number)} : exact_number(std::move(number)), ec);
  }
  bool on_bool(bool value, error_code& ec) {
    if (depth_ > 1) return nested_->on_bool(value, ec);
    return depth_ == 1 ? keep(value, ec) : refuse(ec);
  }
  bool on_null(error_code& ec) {
    if (depth_ > 1) return nested_->on_null(ec);
    return depth_ == 1 ? keep(nullptr, ec) : refuse(ec);
  }
  bool on_comment_part(text, error_code&) { return true; }
  bool on_comment(text, error_code&) { return true; }

  // Why the line was refused, where that is no matter of syntax.
  std::string_view refusal() const noexcept { return refusal_; }

  // A name that stands twice; nothing where none does, and afterwards.
  std::optional<std::string> drop_repeated() {
    // A repeated name keeps its first place and its last value, as in Python.
    std::unordered_map<std::string_view, std::size_t> first;
    std::vector<bool> repeats(fields_.size());
    std::optional<std::string> name;
    for (std::size_t i = 0; i < fields_.size(); ++i) {
      const auto [at, fresh] = first.try_emplace(fields_[i].name, i);
      if (fresh) continue;
      fields_[at->second].value = std::move(fields_[i].value);
      repeats[i] = true;
      if (!name) name = fields_[i].name;
    }
    if (!name) return name;
    std::size_t i = 0;
    std::erase_if(fields_, [&](const stored_field&) { return repeats[i++]; });
    return name;
  }

  event take() {
    event made;
    for (stored_field& f : fields_) {
      std::string* const string = std::get_if<std::string>(&f.value);
      if (string == nullptr) {
        made.fields.push_back(std::move(f));
      } else if (f.name == "ts") {
        made.ts = std::move(*string);
      } else if (f.name == "container") {
        made.container = std::move(*string);
      } else if (f.name == "action") {
        made.action = std::move(*string);
      } else if (f.name == "dest") {
        made.dest = std::move(*string);
      } else if (f.name == "detail") {
        made.detail = std::move(*string);
      } else {
        made.fields.push_back(std::move(f));
      }
    }
    return made;
  }

 private:
  bool refuse(error_code& ec, std::string_view why = "not a JSON object") {
    refusal_ = why;
    ec = boost::json::error::syntax;
    return false;
  }

  // A nested string is kept escaped, and may so take thrice the room that it has in the line.
  bool has_room_for(text part, error_code& ec) {
    size_output escaped;
    put_escaped(escaped, std::string_view(part.data(), part.size()));
    if (text_.size() + escaped.bytes() <= limits::read_line_bytes_max) return true;
    return refuse(ec, "a nested value that is longer, in ASCII, than a line may be");
  }

  nested_rewriter& nested() {
    if (!nested_) nested_.emplace(string_output(text_));
    return *nested_;
  }

  bool end_nested(error_code& ec) {
    if (depth_ > 1) return true;
    nested_.reset();
    return keep(stored_json{std::exchange(text_, {})}, ec);
  }

  // The limit bounds what a hostile line makes of our memory: a name takes 4 bytes of it, and 100 of ours.
  bool keep(stored_value value, error_code& ec) {
    if (fields_.size() == limits::read_fields_max) return refuse(ec, "an object of more than 4096 names");
    fields_.push_back({std::exchange(name_, {}), std::move(value)});
    return true;
  }

  const decode_options& options_;
  std::vector<stored_field> fields_;
  std::string name_;
  std::string text_;
  std::optional<nested_rewriter> nested_;
  std::size_t depth_ = 0;
  std::string_view refusal_;
};

}  // namespace

result<event> decode_line(std::string_view line, const decode_options& how) {
  boost::json::parse_options options;
  options.max_depth = limits::json_depth_max + 1;  // a raw value of the full depth, inside the line's object
  boost::json::basic_parser<event_builder> parser(options, how);
  if (const boost::system::error_code ec = parse_all(parser, line)) {
    return error{
        errc::invalid_json, 0,
        parser.handler().refusal().empty() ? "not valid JSON: " + ec.message() : std::string(parser.handler().refusal())};
  }
  const auto repeated = parser.handler().drop_repeated();
  if (repeated && how.refuse_repeated) {
    return error{errc::invalid_json, 0, "the name " + quoted(*repeated) + " stands twice in it; expected each name once"};
  }
  event made = parser.handler().take();
  made.line = line;
  return made;
}

}  // namespace annals::json
