// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <iostream>
#include <memory>
import annals;

// Called by one thread at a time, with batches in order: no lock needed.
class console_sink : public annals::sink {
 public:
  void write(const annals::batch& lines) override {
    if (!(std::cout << lines.lines)) throw annals::sink_error({annals::errc::io, 0, "cannot write to standard output"});
    bytes_ += lines.lines.size();
  }
  void sync() override { std::cout.flush(); }
  void reopen() override {}
  annals::position position() override { return {1, bytes_}; }

 private:
  std::size_t bytes_ = 0;
};

int main() {
  annals::audit_logger log({.sink = std::make_unique<console_sink>()});
  return log.log_event("web", "denied") && log.sync() ? 0 : 1;
}
