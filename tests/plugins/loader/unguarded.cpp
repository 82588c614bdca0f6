// SPDX-License-Identifier: Apache-2.0
//
// A plugin in C++ without the SDK, which lets exceptions over the border: out of the function that the option "from" names.
#include <annals_plugin.h>

#include <cstdint>
#include <stdexcept>
#include <string>

struct annals_sink {
  std::string from;
};

namespace {

void let_out(const annals_sink& sink, const char* from) {
  if (sink.from == from) throw std::runtime_error("nobody caught this");
}

annals_status create(const annals_host* host, annals_sink** made) {
  const std::string from = host->options_count == 0 ? "" : host->options->text;
  if (from == "create") throw 42;
  if (from == "last_error") return ANNALS_FAILED;
  *made = new annals_sink{from};
  return ANNALS_OK;
}

annals_status write(annals_sink* sink, const annals_batch*) {
  let_out(*sink, "write");
  return ANNALS_OK;
}

annals_status sync(annals_sink* sink) {
  let_out(*sink, "sync");
  return ANNALS_OK;
}

annals_status reopen(annals_sink* sink) {
  let_out(*sink, "reopen");
  return ANNALS_OK;
}

annals_status position(annals_sink* sink, annals_position* where) {
  let_out(*sink, "position");
  *where = {1, 0};
  return ANNALS_OK;
}

void destroy(annals_sink* sink) {
  const annals_sink copy = *sink;
  delete sink;
  let_out(copy, "destroy");
}

annals_status last_error(annals_sink*, annals_error*) {
  throw std::runtime_error("nobody caught this");
}

constexpr annals_sink_functions functions = {sizeof functions, create,  write,   sync,      reopen,
                                             position,         nullptr, destroy, last_error};

}  // namespace

ANNALS_PLUGIN_EXPORT const annals_plugin_descriptor annals_plugin = {
    ANNALS_PLUGIN_IDENTITY("unguarded", "1.0.0", "MIT", ANNALS_OFFERS_SINK), &functions, nullptr};
