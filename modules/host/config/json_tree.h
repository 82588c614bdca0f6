// SPDX-License-Identifier: Apache-2.0
//
// JSON text as a tree that keeps what a person wrote: members in their order, repeated ones too, numbers as text. A handler for
// Boost.JSON's parser, which knows where it is when something is wrong. Not a public header.
#pragma once
#include <boost/json/basic_parser_impl.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace annals::config {

enum class kind : std::uint8_t { null, boolean, integer, number, text, array, object };  // as annals::option_kind

struct node {
  std::string name;  // of a member
  config::kind kind = config::kind::null;
  std::string text;            // a scalar: unescaped text, or the token
  std::vector<node> children;  // of an array or an object
};

// Handler requirements: boost.org, Boost.JSON, basic_parser. Texts and numbers come in parts; the last call ends them.
class tree_builder {
 public:
  static constexpr std::size_t max_object_size = 4096;
  static constexpr std::size_t max_array_size = 4096;
  static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);
  using part = boost::json::string_view;
  using error_code = boost::system::error_code;

  node& root() noexcept { return root_; }

  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_object_begin(error_code&) { return open(kind::object); }
  bool on_object_end(std::size_t, error_code&) { return close(); }
  bool on_array_begin(error_code&) { return open(kind::array); }
  bool on_array_end(std::size_t, error_code&) { return close(); }
  bool on_key_part(part text, std::size_t, error_code&) { return append(text); }
  bool on_key(part text, std::size_t, error_code&) {
    append(text);
    name_ = std::exchange(pending_, {});
    return true;
  }
  bool on_string_part(part text, std::size_t, error_code&) { return append(text); }
  bool on_string(part text, std::size_t, error_code&) {
    append(text);
    return add(kind::text, std::exchange(pending_, {}));
  }
  bool on_number_part(part text, error_code&) { return append(text); }
  bool on_int64(std::int64_t, part text, error_code&) { return number(kind::integer, text); }
  bool on_uint64(std::uint64_t, part text, error_code&) { return number(kind::integer, text); }
  bool on_double(double, part text, error_code&) { return number(kind::number, text); }
  bool on_bool(bool value, error_code&) { return add(kind::boolean, value ? "true" : "false"); }
  bool on_null(error_code&) { return add(kind::null, "null"); }
  bool on_comment_part(part, error_code&) { return true; }
  bool on_comment(part, error_code&) { return true; }

 private:
  bool append(part text) {
    pending_.append(text.data(), text.size());
    return true;
  }
  bool number(config::kind of, part text) {
    append(text);
    return add(of, std::exchange(pending_, {}));
  }
  node& place() {
    if (open_.empty()) return root_;
    open_.back()->children.emplace_back();
    return open_.back()->children.back();
  }
  bool add(config::kind of, std::string text) {
    node& to = place();
    to.name = std::exchange(name_, {});
    to.kind = of;
    to.text = std::move(text);
    return true;
  }
  bool open(config::kind of) {
    add(of, {});
    // Safe: while a node is open, it is the last of its parent's children, which gets no other.
    open_.push_back(open_.empty() ? &root_ : &open_.back()->children.back());
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  node root_;
  std::vector<node*> open_;
  std::string name_;
  std::string pending_;
};

}  // namespace annals::config
