// SPDX-License-Identifier: Apache-2.0
//
// annals.event: the words every other module speaks. What an event is, before it is written (views, nothing owned) and
// after it was read (owned); times; errors; positions; limits. Imports nothing of ours, calls nothing of the system.
//
// In a module, a member defined in its class is not inline by itself: what should cost nothing in the caller says so.
module;
#include <array>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#if defined(__clang__)
#define ANNALS_LIFETIMEBOUND [[clang::lifetimebound]]
#define ANNALS_POINTER [[gsl::Pointer(char)]]
#else
#define ANNALS_LIFETIMEBOUND
#define ANNALS_POINTER
#endif

// Its containers have another layout, so every call with one would corrupt memory.
#if defined(_GLIBCXX_DEBUG) && !defined(ANNALS_WITH_GLIBCXX_DEBUG)
#error \
    "annals was built without _GLIBCXX_DEBUG, which changes the layout of std::string and std::vector. Remove it, or use _GLIBCXX_ASSERTIONS"
#endif
export module annals.event;
#pragma GCC visibility push(default)

export namespace annals {

// --- limits ---------------------------------------------------------------------------------------------------------

namespace limits {
inline constexpr std::size_t line_bytes_max = 1024 * 1024;              // default of logger_options::max_line_bytes
inline constexpr std::size_t line_bytes_ceiling = 16 * 1024 * 1024;     // the largest value that option may have
inline constexpr std::size_t read_line_bytes_max = line_bytes_ceiling;  // the longest line that readers take for an event; of a
                                                                        // longer one, only a whole line at its end
inline constexpr std::size_t ring_bytes_floor = 64 * 1024;              // of logger_options::ring_bytes
inline constexpr std::size_t ring_bytes_ceiling = 512 * 1024 * 1024;
inline constexpr std::size_t fields_max = 1024;                 // extra fields of one event
inline constexpr std::size_t read_fields_max = 4 * fields_max;  // names in a line that is read
inline constexpr std::size_t json_depth_max = 128;              // nesting of a raw_json value, and of a line read
}  // namespace limits

// --- errors ---------------------------------------------------------------------------------------------------------

enum class errc : std::uint8_t {
  invalid_argument,    // the call makes no sense as made: an empty path, a limit out of range
  invalid_field,       // an extra field cannot be written: reserved or repeated name, NaN or infinity, too many fields
  invalid_json,        // text that had to be JSON is not
  invalid_time,        // a timestamp outside the years 0000 to 9999, or text that is not one
  line_too_long,       // the encoded line exceeds max_line_bytes; it was refused, never cut
  not_a_regular_file,  // a directory, FIFO, device, socket or symbolic link stands where the log should
  io,                  // the system refused; error::system_code is its errno
  sync_failed,         // a sync of this file failed: what it holds is not known to be durable, and never will be again
  file_removed,        // another program removed the live segment before it was synced: events in it are lost
  disk_space,          // the event was refused because the file system is nearly full
  ring_full,           // the ring has no room, and logger_options::on_full does not let the caller wait
  ring_not_owned,      // another process owns the ring of this log
  ring_damaged,        // another program truncated the ring: events in it are lost
  events_left,         // the logger has ended, and events are left in its ring, since the log could not take them
  invalid_config,      // a configuration, or the options of a sink, make no sense; the message names every place
  plugin_refused,      // a plugin was not found, or not loaded; the message has both sides and what to do
  background_failed,   // a notice of severity::error, reported as an error because the logger has no notice handler
  sink_failed,         // a sink failed with something other than an annals error
};

// What went wrong, for a program (code, system_code) and for a person (message: what was attempted, on which file, what
// the system said, what was expected).
struct error {
  errc code = errc::invalid_argument;
  int system_code = 0;  // errno, or 0
  std::string message = {};
};

// --- notices --------------------------------------------------------------------------------------------------------

enum class severity : std::uint8_t {
  info,     // expected: a rotation, a deletion that the policy asks for
  warning,  // unexpected, and no accepted event is lost
  error,    // background work failed, or accepted events may be lost or damaged
};

// What a notice is about. docs/configuration.md lists when each is given and with which severity.
enum class notice_code : std::uint8_t {
  segment_closed,       // a rotation closed the live segment
  segment_deleted,      // the retention policy deleted closed segments
  segment_suspect,      // a sync of the live segment failed; it was closed, and a new one begun
  file_replaced,        // another program renamed, removed or replaced the live segment
  partial_line,         // the last line was incomplete, because its writer died or failed; it was ended
  lines_skipped,        // audit_logger::tail_log() skipped lines that are not events
  disk_space,           // the file system is nearly full, refuses events, or has space again
  events_repeated,      // recovery wrote events again that may be in the log already
  ring_damaged,         // the ring's file was foreign or corrupt; it, or a record in it, was not used
  ring_in_use,          // another process owns the ring; this logger delivers directly
  journal_damaged,      // the journal's file was foreign or corrupt; it was set aside
  journal_unavailable,  // the journal cannot be used; the log itself is synced instead
  rotation_failed,      // a rotation failed, or a step after it; logging continues
  deletion_failed,      // the retention policy cannot delete segments
  archive_failed,       // a closed segment was not archived; it is tried again
  check_failed,         // the live segment or its file system cannot be examined
  connection_lost,      // the sink lost its connection; what it sent last may be missing
  other,                // none of the above; the message says what
};

// Something that a program or an operator should know, and that is not the failure of a call.
struct notice {
  notice_code code = notice_code::other;
  annals::severity severity = annals::severity::info;
  int system_code = 0;  // errno, or 0
  std::string message = {};
};

using error_handler = std::function<void(const error&)>;
using notice_handler = std::function<void(const notice&)>;

// A notice of severity::error about an error that no caller gets.
notice failure_notice(notice_code code, const error& cause);

// What the few throwing functions throw (constructors on misuse, readers on I/O errors, sinks). `what()` is the message.
class failure : public std::exception {
 public:
  explicit failure(error cause);
  failure(const failure&) noexcept;
  failure& operator=(const failure&) noexcept;
  ~failure() override;
  const char* what() const noexcept override;
  const error& cause() const noexcept { return *cause_; }

 private:
  std::shared_ptr<const error> cause_;  // shared: copying an exception must not throw
};

// A value or an error.
template <class T>
class [[nodiscard]] result {
 public:
  result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  result(annals::error cause) : state_(std::in_place_index<1>, std::move(cause)) {}

  explicit operator bool() const noexcept { return state_.index() == 0; }
  T& operator*() noexcept { return *std::get_if<0>(&state_); }
  const T& operator*() const noexcept { return *std::get_if<0>(&state_); }
  T* operator->() noexcept { return std::get_if<0>(&state_); }
  const T* operator->() const noexcept { return std::get_if<0>(&state_); }
  annals::error& error() noexcept { return *std::get_if<1>(&state_); }
  const annals::error& error() const noexcept { return *std::get_if<1>(&state_); }

  T value() && {  // or throws the error as a failure
    if (!*this) throw failure(std::move(error()));
    return std::move(**this);
  }

 private:
  std::variant<T, annals::error> state_;
};

// --- time -----------------------------------------------------------------------------------------------------------

enum class precision : std::uint8_t { seconds, milliseconds, microseconds };

using time_point = std::chrono::sys_time<std::chrono::microseconds>;

// A point in UTC and how many digits of it are written. Digits beyond the precision are cut, not rounded.
struct timestamp {
  time_point time = {};
  annals::precision precision = annals::precision::seconds;
  bool operator==(const timestamp&) const = default;
};

inline constexpr std::size_t timestamp_bytes_max = 32;  // "2026-11-23T09:00:00.123456+00:00"

// Writes `ts` at `out` (at least timestamp_bytes_max bytes) as 2026-11-23T09:00:00+00:00. Returns the number of bytes, or
// 0 for a year outside 0000..9999. Any thread.
std::size_t format_timestamp(const timestamp& ts, char* out) noexcept;
std::string to_string(const timestamp& ts);  // empty where format_timestamp gives 0

// Reads an RFC 3339 date-time with any offset ("Z", "+02:00"; also "+0200" and "+02", as ISO 8601 has them). The precision
// follows the digits given: none, up to three, more (digits past the sixth are dropped). A leap second (23:59:60 UTC) is read
// as the last microsecond before it, and so belongs to its day. Returns nothing for anything else.
std::optional<timestamp> parse_timestamp(std::string_view text) noexcept;

// --- an event to be written: views, valid for the duration of the call ------------------------------------------------

// JSON text to be written as a field's value. It is checked, and written compact and in ASCII like everything else. A view: the
// text must outlive it. The compiler does not notice a temporary text in a raw_json that is kept.
struct raw_json {
  std::string_view text;
};

template <class T>
concept integer_number =
    std::integral<T> && sizeof(T) <= sizeof(std::int64_t) && !std::same_as<T, bool> && !std::same_as<T, char> &&
    !std::same_as<T, wchar_t> && !std::same_as<T, char8_t> && !std::same_as<T, char16_t> && !std::same_as<T, char32_t>;

// The value of a field. A view: text must outlive it. A temporary std::string does not compile; among the braces of a call it
// does (call_field).
class field_value {
 public:
  using variant_type = std::variant<std::nullptr_t, bool, std::int64_t, std::uint64_t, double, std::string_view, raw_json>;

  inline field_value(std::nullptr_t) noexcept : value_(nullptr) {}
  template <std::same_as<bool> T>
  inline field_value(T value) noexcept : value_(value) {}
  template <integer_number T>
  inline field_value(T value) noexcept {
    if constexpr (std::is_signed_v<T>) {
      value_ = static_cast<std::int64_t>(value);
    } else {
      value_ = static_cast<std::uint64_t>(value);
    }
  }
  template <std::floating_point T>
  inline field_value(T value) noexcept : value_(static_cast<double>(value)) {}
  inline field_value(const char* text ANNALS_LIFETIMEBOUND) noexcept {  // a null pointer is null, not a crash
    if (text != nullptr) value_ = std::string_view(text);
  }
  inline field_value(std::string_view text ANNALS_LIFETIMEBOUND) noexcept : value_(text) {}
  inline field_value(const std::string& text ANNALS_LIFETIMEBOUND) noexcept : value_(std::string_view(text)) {}
  template <std::same_as<std::string> T>
  field_value(T&& temporary) = delete;
  inline field_value(raw_json json) noexcept : value_(json) {}

  inline const variant_type& get() const noexcept { return value_; }

 private:
  variant_type value_ = nullptr;
};

// An extra field. The name may be any bytes but `ts`, `container`, `action`, `dest`, `detail`, once per event. A view of name
// and value, which must outlive it: a field that is kept in a container takes no temporary std::string.
struct field {
  inline field() noexcept = default;
  inline field(std::string_view its_name, field_value its_value) noexcept : name(its_name), value(its_value) {}
  template <std::same_as<std::string> Name>
  field(Name&& temporary, field_value its_value) = delete;

  std::string_view name;
  field_value value = nullptr;
};

// A field among the braces of a call, which keep temporary strings alive until the call returns.
class call_field : public field {
 public:
  template <class Name, class Value>
    requires std::convertible_to<Name, std::string_view> &&
             (std::convertible_to<Value, field_value> || std::same_as<Value, std::string>)
  inline call_field(Name&& its_name, Value&& its_value) noexcept
      : field(std::string_view(its_name), value_of(std::forward<Value>(its_value))) {}
  inline call_field(const field& other) noexcept : field(other) {}

 private:
  template <class Value>
  static inline field_value value_of(Value&& value) noexcept {
    if constexpr (std::same_as<Value, std::string>) {
      return std::string_view(value);
    } else {
      return std::forward<Value>(value);
    }
  }
};
static_assert(sizeof(call_field) == sizeof(field));  // an array of one is read as an array of the other

// A view of fields: braces in a call, or any contiguous range of `field` that outlives the call. Braces and a temporary vector
// cannot be assigned: they would be gone at the end of the statement.
class field_list {
 public:
  inline field_list() noexcept = default;
  inline field_list(std::initializer_list<call_field> fields ANNALS_LIFETIMEBOUND) noexcept
      : fields_(static_cast<const field*>(fields.begin()), fields.size()) {}
  field_list& operator=(std::initializer_list<call_field>) = delete;
  template <std::same_as<std::vector<field>> T>
  field_list& operator=(T&&) = delete;
  inline field_list(std::span<const field> fields ANNALS_LIFETIMEBOUND) noexcept : fields_(fields) {}
  inline field_list(const std::vector<field>& fields ANNALS_LIFETIMEBOUND) noexcept : fields_(fields) {}

  inline const field* begin() const noexcept { return fields_.data(); }
  inline const field* end() const noexcept { return fields_.data() + fields_.size(); }
  inline std::size_t size() const noexcept { return fields_.size(); }
  inline bool empty() const noexcept { return fields_.empty(); }

 private:
  std::span<const field> fields_;
};

// Text that may be absent. A view: the characters must outlive it. A null pointer is an absent text.
//
// clang warns when it is initialized with a temporary std::string that does not outlive it (-Wdangling). Assigning a temporary
// std::string does not compile.
class ANNALS_POINTER optional_text {
 public:
  inline optional_text() noexcept = default;
  inline optional_text(std::nullopt_t) noexcept {}
  inline optional_text(const char* text ANNALS_LIFETIMEBOUND) noexcept {
    if (text != nullptr) text_ = std::string_view(text);
  }
  inline optional_text(std::string_view text ANNALS_LIFETIMEBOUND) noexcept : text_(text) {}
  inline optional_text(const std::string& text ANNALS_LIFETIMEBOUND) noexcept : text_(text) {}
  inline optional_text(std::optional<std::string_view> text ANNALS_LIFETIMEBOUND) noexcept : text_(text) {}
  inline optional_text(const std::optional<std::string>& text ANNALS_LIFETIMEBOUND) noexcept : text_(text) {}
  inline optional_text& operator=(const char* text) noexcept { return *this = optional_text(text); }
  inline optional_text& operator=(std::string_view text) noexcept { return *this = optional_text(text); }
  inline optional_text& operator=(const std::string& text) noexcept { return *this = optional_text(text); }
  optional_text& operator=(std::string&&) = delete;

  inline explicit operator bool() const noexcept { return text_.has_value(); }
  inline std::string_view operator*() const noexcept { return *text_; }
  inline const std::string_view* operator->() const noexcept { return &*text_; }

 private:
  std::optional<std::string_view> text_;
};

// The optional parts of an event: {.dest = "203.0.113.7:443", .fields = {{"rule", 17}}}. Strings are bytes: invalid UTF-8
// is written as U+FFFD, never refused. An absent `dest` or `detail` is left out of the line, an empty one is written.
struct event_details {
  optional_text dest = {};
  optional_text detail = {};
  field_list fields = {};
  std::optional<timestamp> ts = {};  // the time of logging when absent
};

// --- an event that was read: owned -------------------------------------------------------------------------------------

// An object, an array, or a number no built-in type holds, as compact ASCII JSON text.
struct stored_json {
  std::string text;
  bool operator==(const stored_json&) const = default;
};

using stored_value = std::variant<std::nullptr_t, bool, std::int64_t, std::uint64_t, double, std::string, stored_json>;

struct stored_field {
  std::string name;
  stored_value value;
  bool operator==(const stored_field&) const = default;
};

// One line of a log. Any JSON object is an event: a missing `ts`, `container` or `action` is empty here; one of the five
// names with a value that is no string is among the fields, as it stood. Of a repeated name the last value counts.
struct event {
  std::string ts = {};
  std::string container = {};
  std::string action = {};
  std::optional<std::string> dest = {};
  std::optional<std::string> detail = {};
  std::vector<stored_field> fields = {};
  std::string line = {};  // the bytes as they are in the file, without the newline: the evidence

  const stored_value* find(std::string_view name) const noexcept;  // an extra field, or null
};

// --- places -------------------------------------------------------------------------------------------------------------

// A place in a log: a segment's number and the offset in its uncompressed lines, in bytes.
struct position {
  std::uint64_t segment = 0;
  std::uint64_t offset = 0;
  auto operator<=>(const position&) const = default;
};

// --- segments -----------------------------------------------------------------------------------------------------------

// A closed segment: lines of a log that are never written again, in a file of their own or in its compressed form.
struct closed_segment {
  std::string path = {};  // of the lines as they were written, as long as they are there
  std::uint64_t number = 0;
  std::uint64_t bytes = 0;      // on disk, of both forms while both are there; 0 where that was not looked for
  bool compressed = false;      // only the compressed form is there
  bool is_compressing = false;  // another form is being made, or an archiver died while making it
  std::array<char, 16> first_event_text = {};

  // The time of its first event as its name has it: "20260131T235959Z".
  std::string_view first_event() const noexcept { return {first_event_text.data(), first_event_text.size()}; }
  bool operator==(const closed_segment&) const = default;
};

// --- delivery -----------------------------------------------------------------------------------------------------------

// What a receipt that is true and accepted promises.
enum class delivery : std::uint8_t {
  direct,  // the kernel holds all bytes of the line in the live segment: the death of this process cannot remove it, that
           // of the operating system can. Several processes may write one log
  ring,  // the event is in the log's ring, a file mapped into memory: it survives the death of this process for any reason, and
         // reaches the log exactly once, by the drain's thread within milliseconds, or after a death when the log is next
         // opened for writing. One process owns the ring
  durable,  // the log is synced, data and directory, behind the event: it survives the loss of power, as far as file system and
            // device honour a flush. Callers at the same time share one write and one sync
};

// What log_event does with delivery::ring while the ring has no room (the sink is slower than the callers, or fails).
enum class on_full : std::uint8_t {
  block,  // waits for room
  fail,   // refuses the event at once (errc::ring_full)
  drop,   // likewise; and the log gets an event that says how many were dropped
};

// What happens where another process owns the ring of the log.
enum class ring_in_use : std::uint8_t {
  refuse,      // events are refused (errc::ring_not_owned) until it is free
  use_direct,  // this logger delivers directly, as delivery::direct does, from then on; the error handler hears of it
};

// With which priority the archiver's thread runs.
enum class archive_priority : std::uint8_t {
  automatic,  // as `lowest`; as `unchanged` in a process with a filter of system calls (seccomp), which may end the process for
              // such a call: that of a systemd unit with SystemCallFilter=, or of a container
  lowest,     // only the processor time and the I/O that nothing else needs: nice 19, SCHED_IDLE, the idle I/O class
  unchanged,  // that of the thread that starts it
};

// --- receipts -------------------------------------------------------------------------------------------------------------

enum class receipt_status : std::uint8_t {
  accepted,  // the delivery's guarantee holds for the event
  disabled,  // the logger is disabled: nothing was recorded, and nothing failed
  failed,    // nothing was recorded; receipt::cause() says why
};

// What log_event returns. True unless something failed: a disabled logger's receipt is true and not accepted.
class receipt {
 public:
  receipt() noexcept = default;  // nothing was recorded, since the logger is disabled
  inline explicit receipt(std::uint64_t sequence) noexcept : sequence_(sequence) {}
  inline explicit receipt(std::shared_ptr<const error> cause) noexcept : cause_(std::move(cause)) {}

  inline explicit operator bool() const noexcept { return cause_ == nullptr; }
  inline receipt_status status() const noexcept {
    if (cause_ != nullptr) return receipt_status::failed;
    return accepted() ? receipt_status::accepted : receipt_status::disabled;
  }
  inline bool accepted() const noexcept { return sequence_ != 0; }      // the delivery's promise holds for this event
  inline std::uint64_t sequence() const noexcept { return sequence_; }  // 1, 2, ... per logger; 0 when not accepted
  inline const error* cause() const noexcept { return cause_.get(); }   // null when nothing failed
  std::string_view message() const noexcept;                            // empty when nothing failed

 private:
  std::uint64_t sequence_ = 0;
  std::shared_ptr<const error> cause_;
};

}  // namespace annals
#pragma GCC visibility pop
