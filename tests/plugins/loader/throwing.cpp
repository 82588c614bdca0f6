// SPDX-License-Identifier: Apache-2.0
//
// A plugin made with the SDK whose sinks and archivers throw what the option "throws" says, where the option "from" says.
#include <annals_plugin.h>

#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
import annals.sdk;

namespace {

void throw_as_told(const std::string& what) {
  if (what == "int") throw 42;
  if (what == "bad_alloc") throw std::bad_alloc();
  if (what == "runtime_error") throw std::runtime_error("the disk is on fire");
  if (what == "io") throw annals::sink_error({annals::errc::io, 28, "cannot write 'x': No space left on device"});
  if (what == "sync") throw annals::sink_error({annals::errc::sync_failed, 5, "cannot sync 'x': Input/output error"});
}

// What a sink and an archiver of this plugin have in common.
class orders {
 public:
  explicit orders(const annals::sdk::host& host) : log_path_(host.log_path), version_(host.version) {
    for (const annals::option& given : host.options) {
      if (given.name == "throws") throws_ = given.text;
      if (given.name == "from") from_ = given.text;
    }
    at("create");
  }
  void at(const std::string& where) const {
    if (from_ == where) throw_as_told(throws_);
  }
  bool is_from(const std::string& where) const { return from_ == where; }
  std::string told() const { return "log " + log_path_ + " host " + version_; }

 private:
  std::string log_path_;
  std::string version_;
  std::string throws_;
  std::string from_;
};

class throwing_sink final : public annals::sink {
 public:
  explicit throwing_sink(const annals::sdk::host& host) : orders_(host) {}
  ~throwing_sink() override { notify({annals::notice_code::file_replaced, annals::severity::error, 0, "destroyed"}); }
  void write(const annals::batch& lines) override {
    orders_.at("write");
    if (orders_.is_from("notice")) notify({annals::notice_code::partial_line, annals::severity::warning, 28, orders_.told()});
    bytes_ += lines.lines.size();
  }
  void sync() override { orders_.at("sync"); }
  void reopen() override { orders_.at("reopen"); }
  annals::position position() override {
    orders_.at("position");
    return {1, bytes_};
  }
  std::optional<annals::closed_segment> start_segment() override {
    orders_.at("start_segment");
    if (bytes_ == 0) return std::nullopt;
    return annals::closed_segment{"/var/log/x-000007-20260131T235959Z.jsonl", 7};
  }

 private:
  orders orders_;
  std::uint64_t bytes_ = 0;
};

class throwing_archiver final : public annals::archiver {
 public:
  explicit throwing_archiver(const annals::sdk::host& host) : orders_(host) {}
  void archive(const annals::closed_segment& segment) override {
    orders_.at("archive");
    if (orders_.is_from("notice")) notify({annals::notice_code::other, annals::severity::info, 0, orders_.told()});
    throw annals::sink_error({annals::errc::io, 2, "archived " + std::to_string(segment.number) + " " + segment.path});
  }

 private:
  orders orders_;
};

}  // namespace

ANNALS_PLUGIN_EXPORT const annals_plugin_descriptor annals_plugin =
    annals::sdk::describe<throwing_sink, throwing_archiver>({.name = "throwing", .version = "0.9.1", .license = "MIT"});
