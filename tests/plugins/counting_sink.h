// SPDX-License-Identifier: Apache-2.0
//
// A sink that counts the bytes that it is given, and does nothing else. Included after `import annals.sdk;`, and so includes
// nothing itself: <cstdint> comes before the import.
#pragma once

class counting_sink : public annals::sink {
 public:
  void write(const annals::batch& lines) override { bytes_ += lines.lines.size(); }
  void sync() override {}
  void reopen() override {}
  annals::position position() override { return {1, bytes_}; }

 private:
  std::uint64_t bytes_ = 0;
};
