// SPDX-License-Identifier: Apache-2.0
//
// annals_syslog: a sink that sends one RFC 5424 message for each line, over a Unix socket, UDP or TCP. docs/sinks.md lists the
// options and the guarantees.
#include <annals_plugin.h>
#include <limits.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "address.h"
#include "connection.h"
#include "message.h"
import annals.sdk;
import annals.json;

namespace {

using namespace std::chrono_literals;
using syslog_sink::transport;

enum class framing : std::uint8_t { none, octet_counting, newline };

struct settings {
  syslog_sink::transport transport = transport::unix_datagram;
  syslog_sink::address address;
  ::framing framing = framing::none;
  syslog_sink::message_format format;
  std::chrono::microseconds timeout = 5s;
  std::chrono::microseconds pause_max = 30s;
  std::size_t max_message_bytes = 0;
};

std::string own_hostname() {
  std::array<char, HOST_NAME_MAX + 1> name = {};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "-";
  return syslog_sink::header_field(name.data(), 255);
}

void read_destination(annals::option_reader& reader, settings& to) {
  to.transport = static_cast<transport>(reader.choice("transport", {"unix", "unix_stream", "udp", "tcp"}).value_or(0));
  const bool is_unix = to.transport == transport::unix_datagram || to.transport == transport::unix_stream;
  const bool is_stream = to.transport == transport::unix_stream || to.transport == transport::tcp;
  const std::string expected =
      is_unix ? "an absolute path of up to 107 bytes" : "\"HOST:PORT\", \"HOST\" or \"[IPv6 ADDRESS]:PORT\"";
  if (to.transport != transport::unix_datagram) reader.require("address", expected);
  const auto given = reader.text("address");
  if (auto address = syslog_sink::parse_address(to.transport, given.value_or("/dev/log"))) {
    to.address = std::move(*address);
  } else if (given) {
    reader.problem("address", expected);
  }
  const auto framing_choice = reader.choice("framing", {"octet_counting", "newline"});
  if (framing_choice && !is_stream) reader.problem("framing", "no framing with datagrams, each of which is a message");
  if (is_stream) to.framing = framing_choice == 1 ? framing::newline : framing::octet_counting;
  to.timeout = reader.duration("timeout", 1ms, 5min).value_or(5s);
  to.pause_max = reader.duration("retry_pause_max", 0ms, 1h).value_or(30s);
  constexpr std::uint64_t most = 2 * annals::limits::line_bytes_ceiling;
  to.max_message_bytes = static_cast<std::size_t>(
      reader.size("max_message_bytes", 480, most).value_or(is_stream ? most : std::uint64_t{8} * 1024));
}

void read_format(annals::option_reader& reader, syslog_sink::message_format& to) {
  constexpr std::string_view visible = " visible ASCII characters without blanks";
  const std::string facility = reader.text("facility").value_or("audit");
  const auto number = syslog_sink::facility_number(facility);
  if (!number) {
    reader.problem(
        "facility",
        "one of kern, user, mail, daemon, auth, syslog, lpr, news, uucp, cron, authpriv, ftp, ntp, audit, alert, clock, "
        "local0 to local7");
  }
  const auto severity =
      reader.choice("severity", {"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}).value_or(5);
  to.priority = number.value_or(0) * 8 + static_cast<unsigned>(severity);
  to.app_name = reader.text("app_name").value_or("annals");
  if (!syslog_sink::is_header_field(to.app_name, 48)) reader.problem("app_name", "up to 48" + std::string(visible));
  const auto hostname = reader.text("hostname");
  to.hostname = hostname ? *hostname : own_hostname();
  if (!syslog_sink::is_header_field(to.hostname, 255)) reader.problem("hostname", "up to 255" + std::string(visible));
  const std::string sd_id = reader.text("sd_id").value_or("annals@32473");
  if (!syslog_sink::is_sd_id(sd_id)) {
    reader.problem("sd_id", "NAME@NUMBER with a private enterprise number, up to 32 characters, as RFC 5424 has it");
  }
  if (reader.boolean("structured_data").value_or(true)) to.sd_id = sd_id;
  to.is_detail = reader.choice("message", {"json", "detail"}).value_or(0) == 1;
}

settings read(const annals::sdk::host& host) {
  settings to;
  annals::option_reader reader(host.options, "$.sink");
  read_destination(reader, to);
  read_format(reader, to.format);
  reader.finish();
  return to;
}

// The event's time in the form of RFC 5424; empty if it has none.
std::string timestamp_of(const annals::event& e) {
  const auto time = annals::parse_timestamp(e.ts);
  return time ? annals::to_string(*time) : std::string();
}

class syslog_sink_of_annals final : public annals::sink {
 public:
  explicit syslog_sink_of_annals(const annals::sdk::host& host) : syslog_sink_of_annals(read(host)) {}

  void write(const annals::batch& batch) override {
    const std::vector<std::string> messages = messages_of(batch);  // all of them, before the first is sent
    try {
      if (settings_.framing == framing::none) {
        for (const std::string& message : messages) connection_.send(message);
      } else {
        connection_.send(framed(messages));
      }
    } catch (const syslog_sink::send_failure& failed) {
      throw annals::sink_error({annals::errc::io, failed.system_code, failed.message});
    }
    bytes_ += batch.lines.size();
  }

  // A receiver does not acknowledge: a sender knows only that the kernel has the messages.
  void sync() override {}
  void reopen() override { connection_.close(); }
  annals::position position() override { return {1, bytes_}; }

 private:
  explicit syslog_sink_of_annals(settings given)
      : settings_(std::move(given)),
        connection_(settings_.transport, settings_.address, settings_.timeout, settings_.pause_max) {
    connection_.set_loss_handler([this](const std::string& message, int error) {
      notify({annals::notice_code::connection_lost, annals::severity::error, error, message});
    });
  }

  std::vector<std::string> messages_of(const annals::batch& batch) const {
    std::vector<std::string> messages;
    messages.reserve(batch.count);
    const long process = ::getpid();
    std::string_view lines = batch.lines;
    while (!lines.empty()) {
      const std::size_t end = lines.find('\n');
      messages.push_back(message_of(lines.substr(0, end), batch.first_sequence + messages.size(), process));
      lines.remove_prefix(end == std::string_view::npos ? lines.size() : end + 1);
    }
    return messages;
  }

  std::string message_of(std::string_view line, std::uint64_t sequence, long process) const {
    const auto decoded = annals::json::decode_line(line);
    if (!decoded) throw annals::sink_error(decoded.error());
    const annals::event& e = *decoded;
    const std::string timestamp = timestamp_of(e);
    std::string message = syslog_sink::make_message(settings_.format, process,
                                                    {.sequence = sequence,
                                                     .timestamp = timestamp,
                                                     .container = e.container,
                                                     .action = e.action,
                                                     .dest = e.dest ? std::optional<std::string_view>(*e.dest) : std::nullopt,
                                                     .detail = e.detail ? std::string_view(*e.detail) : std::string_view(),
                                                     .line = line});
    if (message.size() > settings_.max_message_bytes) {
      throw annals::sink_error({annals::errc::line_too_long, 0,
                                "cannot send event " + std::to_string(sequence) + " to " + connection_.name() +
                                    ": its message has " + std::to_string(message.size()) + " bytes; expected at most " +
                                    std::to_string(settings_.max_message_bytes) +
                                    " (option \"max_message_bytes\"); no message is ever cut"});
    }
    return message;
  }

  std::string framed(const std::vector<std::string>& messages) const {
    std::string out;
    for (const std::string& message : messages) {
      if (settings_.framing == framing::octet_counting) out += std::to_string(message.size()) + ' ';
      out += message;
      if (settings_.framing == framing::newline) out += '\n';
    }
    return out;
  }

  const settings settings_;
  syslog_sink::connection connection_;
  std::uint64_t bytes_ = 0;
};

}  // namespace

ANNALS_PLUGIN_EXPORT const annals_plugin_descriptor annals_plugin =
    annals::sdk::describe<syslog_sink_of_annals>({.name = "syslog", .version = "0.1.0", .license = "Apache-2.0"});
