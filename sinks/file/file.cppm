// SPDX-License-Identifier: Apache-2.0
//
// annals.sinks.file: the default sink. Appends lines to the live segment (annals.sinks.appender).
module;
#include <optional>
#include <string>
export module annals.sinks.file;
import annals.sinks.appender;
import annals.event;
import annals.sink;

export namespace annals {

class file_sink final : public sink {
 public:
  // `mode` is that of a file this sink creates; the process's umask applies.
  explicit file_sink(std::string path, unsigned mode = 0600);
  ~file_sink() override;

  void write(const batch& lines) override;
  void sync() override;
  void reopen() override;
  annals::position position() override;
  bool keeps_log() const noexcept override { return true; }
  std::optional<closed_segment> start_segment() override;

 private:
  appender appender_;
};

}  // namespace annals
