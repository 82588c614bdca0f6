/* SPDX-License-Identifier: 0BSD
 *
 * annals_mysink: a sink that appends lines to a file of its own. Change it as you like. annals_plugin.h describes what each
 * function must do; `annals plugin check` tests it.
 *
 * Options: path (text, required), the file. */
#include <annals_plugin.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct failure {
  int is_set;
  int32_t code;
  int32_t system_code;
  char message[1024];
};

struct annals_sink {
  char* path;
  mode_t mode;
  int fd;      /* -1 until the first write */
  int is_torn; /* the last line of the file may be incomplete */
  int is_lost; /* a sync failed: lines written before it may not be durable, and later syncs must fail */
  struct failure failed;
};

/* Why the last create on this thread failed. There is no sink that could keep it. */
static _Thread_local struct failure creation;

static annals_status fail(struct failure* to, int32_t code, int system_code, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  to->is_set = 1;
  to->code = code;
  to->system_code = system_code;
  vsnprintf(to->message, sizeof to->message, format, arguments);
  va_end(arguments);
  return ANNALS_FAILED;
}

static annals_status system_failed(annals_sink* sink, int32_t code, const char* attempted) {
  const int cause = errno;
  return fail(&sink->failed, code, cause, "cannot %s '%s': %s", attempted, sink->path, strerror(cause));
}

/* --- creating and destroying ------------------------------------------------------------------------------------------- */

static annals_status create(const annals_host* host, annals_sink** made) {
  const annals_option* path = NULL;
  const char* at = (const char*)host->options;
  uint64_t i;
  creation.is_set = 0;
  for (i = 0; i < host->options_count; ++i, at += host->option_size) {
    const annals_option* option = (const annals_option*)at;
    if (strcmp(option->name, "path") != 0) {
      return fail(&creation, ANNALS_ERROR_OPTIONS, 0, "$.sink.%.200s: no such option; expected path", option->name);
    }
    path = option;
  }
  if (path == NULL || path->kind != ANNALS_OPTION_TEXT || path->text_bytes == 0 || strlen(path->text) != path->text_bytes) {
    return fail(&creation, ANNALS_ERROR_OPTIONS, 0, "$.sink.path: expected a text, not empty: the file to append to");
  }
  annals_sink* sink = calloc(1, sizeof *sink);
  if (sink != NULL) sink->path = strdup(path->text);
  if (sink == NULL || sink->path == NULL) {
    free(sink);
    return fail(&creation, ANNALS_ERROR_OTHER, ENOMEM, "no memory left");
  }
  sink->mode = (mode_t)host->file_mode;
  sink->fd = -1;
  *made = sink;
  return ANNALS_OK;
}

static void let_go(annals_sink* sink) {
  if (sink->fd >= 0) close(sink->fd);
  sink->fd = -1;
}

static void destroy(annals_sink* sink) {
  if (sink == NULL) return;
  let_go(sink);
  free(sink->path);
  free(sink);
}

/* --- writing ----------------------------------------------------------------------------------------------------------- */

static annals_status open_file(annals_sink* sink) {
  struct stat found;
  char last = '\n';
  sink->fd = open(sink->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, sink->mode);
  if (sink->fd < 0) return system_failed(sink, ANNALS_ERROR_IO, "open");
  if (fstat(sink->fd, &found) != 0 || !S_ISREG(found.st_mode)) {
    let_go(sink);
    return fail(&sink->failed, ANNALS_ERROR_NOT_REGULAR, 0, "'%s' is not a regular file", sink->path);
  }
  if (found.st_size > 0 && pread(sink->fd, &last, 1, found.st_size - 1) != 1) {
    const annals_status status = system_failed(sink, ANNALS_ERROR_IO, "read");
    let_go(sink);
    return status;
  }
  sink->is_torn = last != '\n'; /* its writer died while it wrote the line */
  return ANNALS_OK;
}

static annals_status append(annals_sink* sink, const char* bytes, uint64_t count) {
  while (count > 0) {
    const ssize_t wrote = write(sink->fd, bytes, (size_t)count);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return system_failed(sink, ANNALS_ERROR_IO, "append to");
    sink->is_torn = 1; /* until everything is written */
    bytes += wrote;
    count -= (uint64_t)wrote;
  }
  sink->is_torn = 0;
  return ANNALS_OK;
}

static annals_status write_batch(annals_sink* sink, const annals_batch* batch) {
  sink->failed.is_set = 0;
  if (batch->count == 0) return ANNALS_OK;
  if (sink->fd < 0 && open_file(sink) != ANNALS_OK) return ANNALS_FAILED;
  if (sink->is_torn && append(sink, "\n", 1) != ANNALS_OK) {
    sink->is_torn = 1;
    return ANNALS_FAILED;
  }
  return append(sink, batch->lines, batch->bytes);
}

static annals_status sync_file(annals_sink* sink) {
  sink->failed.is_set = 0;
  if (sink->is_lost) {
    return fail(&sink->failed, ANNALS_ERROR_SYNC, 0,
                "an earlier sync of '%s' failed; lines written before it may not be durable", sink->path);
  }
  if (sink->fd >= 0 && fsync(sink->fd) != 0) {
    sink->is_lost = 1;
    return system_failed(sink, ANNALS_ERROR_SYNC, "sync");
  }
  return ANNALS_OK;
}

static annals_status reopen(annals_sink* sink) {
  sink->failed.is_set = 0;
  sink->is_lost = 0;
  let_go(sink);
  return ANNALS_OK;
}

static annals_status position(annals_sink* sink, annals_position* where) {
  struct stat found;
  sink->failed.is_set = 0;
  if ((sink->fd >= 0 ? fstat(sink->fd, &found) : stat(sink->path, &found)) != 0) {
    if (errno != ENOENT) return system_failed(sink, ANNALS_ERROR_IO, "examine");
    found.st_size = 0;
  }
  where->segment = 1;
  where->offset = (uint64_t)found.st_size;
  return ANNALS_OK;
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
    sizeof functions, create, write_batch, sync_file, reopen, position, NULL /* start_segment */, destroy, last_error,
};

ANNALS_PLUGIN_EXPORT const annals_plugin_descriptor annals_plugin = {
    ANNALS_PLUGIN_IDENTITY("mysink", "0.1.0", "0BSD", ANNALS_OFFERS_SINK), &functions, NULL, /* no archiver */
};
