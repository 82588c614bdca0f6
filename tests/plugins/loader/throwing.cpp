// SPDX-License-Identifier: Apache-2.0
//
// A plugin made with the SDK whose sinks throw what the option "throws" says, where the option "from" says.
#include <annals_plugin.h>

#include <cstdint>
#include <memory>
#include <new>
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

class throwing_sink final : public annals::sdk::archiving_sink {
 public:
  explicit throwing_sink(const annals::sdk::host& host) : log_path_(host.log_path), version_(host.version) {
    for (const annals::option& given : host.options) {
      if (given.name == "throws") throws_ = given.text;
      if (given.name == "from") from_ = given.text;
    }
    at("create");
  }
  ~throwing_sink() override { notify({annals::notice_code::file_replaced, annals::severity::error, 0, "destroyed"}); }
  void write(const annals::batch& lines) override {
    at("write");
    if (from_ == "notice") {
      notify({annals::notice_code::partial_line, annals::severity::warning, 0, "log " + log_path_ + " host " + version_});
    }
    bytes_ += lines.lines.size();
  }
  void sync() override { at("sync"); }
  void reopen() override { at("reopen"); }
  annals::position position() override {
    at("position");
    return {1, bytes_};
  }
  void archive(const annals::closed_segment& segment) override {
    at("archive");
    throw annals::sink_error({annals::errc::io, 2, "archived " + std::to_string(segment.number) + " " + segment.path});
  }

 private:
  void at(const std::string& where) const {
    if (from_ == where) throw_as_told(throws_);
  }

  std::string log_path_;
  std::string version_;
  std::string throws_;
  std::string from_;
  std::uint64_t bytes_ = 0;
};

}  // namespace

ANNALS_PLUGIN_EXPORT const annals_plugin_descriptor annals_plugin = annals::sdk::describe<throwing_sink>(
    {.name = "throwing", .version = "0.9.1", .license = "MIT", .capabilities = ANNALS_CAN_ARCHIVE});
