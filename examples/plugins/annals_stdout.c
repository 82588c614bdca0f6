/* SPDX-License-Identifier: 0BSD
 *
 * annals_stdout: writes lines to standard output. A whole plugin in C. */
#include <annals_plugin.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct failure {
  int is_set;
  int32_t code;
  int32_t system_code;
  char message[256];
};

struct annals_sink {
  uint64_t bytes;
  int is_torn; /* a write that failed left a part of a line behind */
  struct failure failed;
};

static _Thread_local struct failure creation; /* why the last create on this thread failed */

static annals_status fail(struct failure* to, int32_t code, int32_t system_code, const char* what, const char* why) {
  to->is_set = 1;
  to->code = code;
  to->system_code = system_code;
  snprintf(to->message, sizeof to->message, "%s: %s", what, why);
  return ANNALS_FAILED;
}

static annals_status create(const annals_host* host, annals_sink** made) {
  creation.is_set = 0;
  if (host->options_count > 0) {
    return fail(&creation, ANNALS_ERROR_OPTIONS, 0, host->options->name, "no such option; expected none");
  }
  *made = calloc(1, sizeof **made);
  if (*made == NULL) return fail(&creation, ANNALS_ERROR_OTHER, ENOMEM, "cannot make a sink", strerror(ENOMEM));
  return ANNALS_OK;
}

static annals_status append(annals_sink* sink, const char* bytes, uint64_t count) {
  while (count > 0) {
    const ssize_t wrote = write(STDOUT_FILENO, bytes, (size_t)count);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return fail(&sink->failed, ANNALS_ERROR_IO, errno, "cannot write to standard output", strerror(errno));
    bytes += wrote;
    count -= (uint64_t)wrote;
    sink->bytes += (uint64_t)wrote;
    sink->is_torn = count > 0;
  }
  return ANNALS_OK;
}

static annals_status write_batch(annals_sink* sink, const annals_batch* batch) {
  sink->failed.is_set = 0;
  if (sink->is_torn && batch->bytes > 0 && append(sink, "\n", 1) != ANNALS_OK) return ANNALS_FAILED;
  return append(sink, batch->lines, batch->bytes);
}

static annals_status nothing_to_do(annals_sink* sink) {
  sink->failed.is_set = 0;
  return ANNALS_OK;
}

static annals_status position(annals_sink* sink, annals_position* where) {
  sink->failed.is_set = 0;
  where->segment = 1;
  where->offset = sink->bytes;
  return ANNALS_OK;
}

static void destroy(annals_sink* sink) {
  free(sink);
}

static annals_status last_error(annals_sink* sink, annals_error* error) {
  const struct failure* failed = sink != NULL ? &sink->failed : &creation;
  if (!failed->is_set) return ANNALS_FAILED;
  error->code = failed->code;
  error->system_code = failed->system_code;
  error->message = failed->message;
  return ANNALS_OK;
}

static const annals_sink_functions functions = {
    sizeof functions,         create,  write_batch, nothing_to_do, nothing_to_do, position,
    NULL /* start_segment */, destroy, last_error,
};

ANNALS_PLUGIN_EXPORT const annals_plugin_descriptor annals_plugin = {
    ANNALS_PLUGIN_IDENTITY("stdout", "1.0.0", "0BSD", ANNALS_OFFERS_SINK), &functions, NULL, /* no archiver */
};
