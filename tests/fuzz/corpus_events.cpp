// SPDX-License-Identifier: Apache-2.0
//
// corpus_events ENCODER_CORPUS DECODER_CORPUS DIRECTORY: what the fuzz targets `encoder` and `decoder` make of their corpora,
// for compare_with_python.py. The events that can be written go to audit.jsonl, inputs and outputs in DIRECTORY; the lines that
// can be read, in hex, and what was read of them to lines and decoded (event_words.h).
#include <algorithm>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "fuzz.h"
import annals;
#include "../differential/event_words.h"
#include "encoder_input.h"

namespace {

bool write_events(const std::filesystem::path& corpus, const std::string& directory) {
  std::ofstream inputs(directory + "/inputs");
  std::ofstream outputs(directory + "/outputs");
  annals::audit_logger log({.path = directory + "/audit.jsonl"});
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(corpus)) {
    const std::string bytes = fuzz::content_of(entry.path().string());
    fuzz::input in(bytes);
    const fuzz::made_event made = fuzz::event_from(in);
    const std::vector<annals::field> fields = made.field_views();
    annals::event_details details = made.details(fields);
    details.ts = made.ts;
    if (!log.log_event(made.container, made.action, details)) continue;
    words::write(inputs, made, words::of(made.ts));
    ++count;
  }
  for (const annals::event& e : log.tail_log(count + 1)) words::write(outputs, e, words::hex(e.ts));
  return inputs.flush() && outputs.flush();
}

bool read_lines(const std::filesystem::path& corpus, const std::string& directory) {
  std::ofstream lines(directory + "/lines");
  std::ofstream decoded(directory + "/decoded");
  for (const auto& entry : std::filesystem::directory_iterator(corpus)) {
    const std::string line = fuzz::content_of(entry.path().string());
    const auto read = annals::json::decode_line(line);
    if (!read) continue;
    lines << words::hex(line) << '\n';
    words::write(decoded, *read, words::hex(read->ts));
  }
  return lines.flush() && decoded.flush();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  return write_events(argv[1], argv[3]) && read_lines(argv[2], argv[3]) ? 0 : 1;
}
