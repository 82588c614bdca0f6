// SPDX-License-Identifier: Apache-2.0
//
// JSON text to normal form (compact, ASCII, numbers as given), as a handler for Boost.JSON's parser. Included behind
// escape.h; it includes nothing itself.
#pragma once

namespace annals::json {

// Handler requirements: boost.org, Boost.JSON, basic_parser. Strings and numbers come in parts; the last call ends them.
template <class Output>
class rewriter {
 public:
  static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);
  using text = boost::json::string_view;
  using error_code = boost::system::error_code;

  explicit rewriter(Output out) : out_(out) {}
  const Output& output() const noexcept { return out_; }

  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_object_begin(error_code&) { return open('{'); }
  bool on_object_end(std::size_t, error_code&) { return close('}'); }
  bool on_array_begin(error_code&) { return open('['); }
  bool on_array_end(std::size_t, error_code&) { return close(']'); }

  bool on_key_part(text part, std::size_t, error_code&) { return string_part(part); }
  bool on_key(text part, std::size_t, error_code&) {
    string_part(part);
    out_.put("\":");
    in_string_ = false;
    first_ = true;  // the value that follows takes no comma
    return true;
  }
  bool on_string_part(text part, std::size_t, error_code&) { return string_part(part); }
  bool on_string(text part, std::size_t, error_code&) {
    string_part(part);
    out_.put('"');
    in_string_ = false;
    return true;
  }

  bool on_number_part(text part, error_code&) {
    if (!in_number_) separate();
    in_number_ = true;
    out_.put(std::string_view(part.data(), part.size()));
    return true;
  }
  bool on_int64(std::int64_t, text part, error_code& ec) { return number_end(part, ec); }
  bool on_uint64(std::uint64_t, text part, error_code& ec) { return number_end(part, ec); }
  bool on_double(double, text part, error_code& ec) { return number_end(part, ec); }

  bool on_bool(bool value, error_code&) { return word(value ? "true" : "false"); }
  bool on_null(error_code&) { return word("null"); }
  bool on_comment_part(text, error_code&) { return true; }
  bool on_comment(text, error_code&) { return true; }

 private:
  void separate() {
    if (!first_) out_.put(',');
    first_ = false;
  }
  bool open(char bracket) {
    separate();
    out_.put(bracket);
    first_ = true;
    return true;
  }
  bool close(char bracket) {
    out_.put(bracket);
    first_ = false;
    return true;
  }
  bool string_part(text part) {
    if (!in_string_) {
      separate();
      out_.put('"');
      in_string_ = true;
    }
    put_escaped(out_, std::string_view(part.data(), part.size()));
    return true;
  }
  bool number_end(text part, error_code& ec) {
    on_number_part(part, ec);
    in_number_ = false;
    return true;
  }
  bool word(std::string_view value) {
    separate();
    out_.put(value);
    return true;
  }

  Output out_;
  bool first_ = true;
  bool in_string_ = false;
  bool in_number_ = false;
};

// Feeds all of `json` to a parser and its handler. Returns what is wrong with it, or no error.
template <class Parser>
boost::system::error_code parse_all(Parser& parser, std::string_view json) {
  boost::system::error_code ec;
  const std::size_t used = parser.write_some(false, json.data(), json.size(), ec);
  if (!ec && used < json.size()) ec = boost::json::error::extra_data;
  return ec;
}

}  // namespace annals::json
