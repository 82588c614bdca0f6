// SPDX-License-Identifier: Apache-2.0
//
// annals_rotate: a sink that writes the log and starts new segments when its options say so, together with any number of
// processes that do the same. docs/sinks.md lists the options and the guarantees.
#include <annals_plugin.h>

#include <optional>
#include <span>
#include <utility>
#include <vector>
import annals.sdk;
import annals.retention;
import annals.rotation;

namespace {

struct settings {
  annals::rotation::triggers when;
  annals::retention_policy policy;
  annals::pressure_thresholds pressure;
};

settings options_of(const annals::sdk::host& host) {
  annals::option_reader reader(host.options, "$.sink");
  settings read;
  read.when = annals::rotation::read_triggers(reader);
  read.policy = annals::read_retention(reader);
  read.pressure = annals::read_pressure(reader);
  reader.finish();
  if (host.log_path.empty()) {
    throw annals::failure(
        {annals::errc::invalid_config, 0, "cannot rotate a log without its path; expected \"path\" in the configuration"});
  }
  return read;
}

class rotate_sink final : public annals::sink {
 public:
  explicit rotate_sink(const annals::sdk::host& host) : rotate_sink(host, options_of(host)) {}

  // Inlined into the function that the host calls: a return behind a system call is expensive (docs/decisions.md).
  [[gnu::always_inline]] void write(const annals::batch& lines) override {
    if (keeper_) {
      if (auto refused = keeper_->on_write(lines.lines.size())) [[unlikely]]
        throw annals::sink_error(std::move(*refused));
    }
    writer_.write(lines);
    if (has_rotated_) [[unlikely]] {
      has_rotated_ = false;
      if (keeper_) keeper_->after_rotation();
    }
  }
  void sync() override { writer_.sync(); }
  void reopen() override { writer_.reopen(); }
  annals::position position() override { return writer_.position(); }
  std::optional<annals::closed_segment> start_segment() override { return writer_.rotate(); }

 private:
  rotate_sink(const annals::sdk::host& host, settings given)
      : writer_(
            host.log_path, host.file_mode, std::move(given.when), [this](const annals::notice& what) { notify(what); },
            [this](const annals::closed_segment&) { has_rotated_ = true; }) {
    if (given.policy.is_empty() && given.pressure.is_empty()) return;
    keeper_.emplace(host.log_path, given.policy, given.pressure, [this](const annals::notice& what) { notify(what); });
  }

  bool has_rotated_ = false;
  annals::rotation::segment_writer writer_;
  std::optional<annals::keeper> keeper_;  // empty without limits
};

}  // namespace

ANNALS_PLUGIN_EXPORT const annals_plugin_descriptor annals_plugin =
    annals::sdk::describe<rotate_sink>({.name = "rotate", .version = "0.1.0", .license = "Apache-2.0", .writes_log = true});
