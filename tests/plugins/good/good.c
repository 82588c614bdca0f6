/* SPDX-License-Identifier: Apache-2.0
 *
 * A sink and an archiver in C that keep the whole contract. The sink appends lines to the log itself; its closed segments are
 * LOG.1, LOG.2, ... The archiver makes a copy. The plugins in ../bad are this one with one thing changed. */
#include <annals_plugin.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Why the last call for an object failed; without a message if it succeeded. */
struct failure {
  annals_error error;
  char message[512];
};

struct annals_sink {
  char* path;
  mode_t mode;
  int fd;          /* -1 until the first write */
  uint64_t offset; /* of the file's end, once it is open */
  int is_torn;     /* the last line is incomplete and could not be taken back */
  int is_not_durable;
  char closed[4096]; /* the segment that start_segment closed last */
  struct failure last;
};

struct annals_archiver {
  mode_t mode;
  struct failure last;
};

static __thread struct failure creation;

static annals_status success(struct failure* last) {
  last->error.message = NULL;
  return ANNALS_OK;
}

static annals_status failure(struct failure* last, const char* attempted, const char* path, int system_code) {
  snprintf(last->message, sizeof last->message, "cannot %s '%s': %s", attempted, path, strerror(system_code));
  last->error.code = ANNALS_ERROR_IO;
  last->error.system_code = system_code;
  last->error.message = last->message;
  return ANNALS_FAILED;
}

static annals_status tell(const struct failure* last, annals_error* error) {
  if (last->error.message == NULL) return ANNALS_FAILED;
  error->code = last->error.code;
  error->system_code = last->error.system_code;
  error->message = last->error.message;
  return ANNALS_OK;
}

static annals_status succeeded(annals_sink* sink) {
  return success(&sink->last);
}

static annals_status failed(annals_sink* sink, const char* attempted, const char* path, int system_code) {
  return failure(&sink->last, attempted, path, system_code);
}

static annals_status not_created(int32_t code, const char* why, const char* name) {
  snprintf(creation.message, sizeof creation.message, why, name);
  creation.error.code = code;
  creation.error.system_code = 0;
  creation.error.message = creation.message;
  return ANNALS_FAILED;
}

/* --- the sink ---------------------------------------------------------------------------------------------------------- */

static annals_status create_sink(const annals_host* host, annals_sink** made) {
  creation.error.message = NULL;
  if (host->options_count != 0) return not_created(ANNALS_ERROR_OPTIONS, "$.sink.%.200s: no such option", host->options->name);
  if (host->log_path[0] == '\0') return not_created(ANNALS_ERROR_OPTIONS, "the host has no log to write%s", "");
  annals_sink* const sink = calloc(1, sizeof *sink);
  if (sink == NULL) return not_created(ANNALS_ERROR_OTHER, "no memory for a sink%s", "");
  sink->path = strdup(host->log_path);
  sink->mode = (mode_t)host->file_mode;
  sink->fd = -1;
  if (sink->path == NULL) {
    free(sink);
    return not_created(ANNALS_ERROR_OTHER, "no memory for a path%s", "");
  }
  *made = sink;
  return ANNALS_OK;
}

static annals_status open_file(annals_sink* sink) {
  if (sink->fd >= 0) return ANNALS_OK;
  const int fd = open(sink->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, sink->mode);
  if (fd < 0) return failed(sink, "open", sink->path, errno);
  struct stat found;
  char last = '\n';
  if (fstat(fd, &found) != 0 || !S_ISREG(found.st_mode) || (found.st_size > 0 && pread(fd, &last, 1, found.st_size - 1) != 1)) {
    const int cause = errno;
    close(fd);
    return failed(sink, "read the end of", sink->path, cause);
  }
  sink->fd = fd;
  sink->offset = (uint64_t)found.st_size;
  sink->is_torn = last != '\n';
  return ANNALS_OK;
}

/* All of the bytes, or none: what got through of them is taken back. */
static annals_status append(annals_sink* sink, const char* bytes, uint64_t size) {
  uint64_t done = 0;
  while (done < size) {
    const ssize_t wrote = write(sink->fd, bytes + done, size - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) {
      const int cause = wrote == 0 ? ENOSPC : errno;
      if (done > 0 && ftruncate(sink->fd, (off_t)sink->offset) != 0) {
        sink->offset += done;
        sink->is_torn = 1;
      }
      return failed(sink, "append to", sink->path, cause);
    }
    done += (uint64_t)wrote;
  }
  sink->offset += size;
  return succeeded(sink);
}

static annals_status write_lines(annals_sink* sink, const annals_batch* batch) {
  if (batch->count == 0) return succeeded(sink);
  if (open_file(sink) != ANNALS_OK) return ANNALS_FAILED;
  if (sink->is_torn) {
    if (append(sink, "\n", 1) != ANNALS_OK) return ANNALS_FAILED;
    sink->is_torn = 0;
  }
  return append(sink, batch->lines, batch->bytes);
}

static annals_status sync_file(annals_sink* sink) {
  if (sink->fd >= 0 && fdatasync(sink->fd) != 0) sink->is_not_durable = errno;
  if (sink->is_not_durable != 0) return failed(sink, "make durable", sink->path, sink->is_not_durable);
  return succeeded(sink);
}

static annals_status reopen_file(annals_sink* sink) {
  if (sink->fd >= 0) close(sink->fd);
  sink->fd = -1;
  sink->is_not_durable = 0;
  return succeeded(sink);
}

/* The name of the closed segment that the live one becomes, in sink->closed. Returns the number of both. */
static uint64_t next_segment(annals_sink* sink) {
  uint64_t number = 0;
  do {
    ++number;
    snprintf(sink->closed, sizeof sink->closed, "%.4000s.%llu", sink->path, (unsigned long long)number);
  } while (access(sink->closed, F_OK) == 0);
  return number;
}

static annals_status position_of(annals_sink* sink, annals_position* where) {
  struct stat found;
  where->segment = next_segment(sink);
  where->offset = sink->fd >= 0 ? sink->offset : stat(sink->path, &found) == 0 ? (uint64_t)found.st_size : 0;
  return succeeded(sink);
}

static annals_status start_segment(annals_sink* sink, annals_segment* closed) {
  struct stat found;
  if (stat(sink->path, &found) != 0 || found.st_size == 0) {
    closed->path = NULL;
    return succeeded(sink);
  }
  if (sync_file(sink) != ANNALS_OK) return ANNALS_FAILED;
  closed->number = next_segment(sink);
  if (rename(sink->path, sink->closed) != 0) return failed(sink, "rename", sink->path, errno);
  closed->path = sink->closed;
  if (sink->fd >= 0) close(sink->fd);
  sink->fd = -1;
  return succeeded(sink);
}

static void destroy_sink(annals_sink* sink) {
  if (sink == NULL) return;
  if (sink->fd >= 0) close(sink->fd);
  free(sink->path);
  free(sink);
}

static annals_status tell_error(annals_sink* sink, annals_error* error) {
  return tell(sink == NULL ? &creation : &sink->last, error);
}

/* --- the archiver ------------------------------------------------------------------------------------------------------ */

static annals_status create_archiver(const annals_host* host, annals_archiver** made) {
  creation.error.message = NULL;
  if (host->options_count != 0)
    return not_created(ANNALS_ERROR_OPTIONS, "$.archive.%.200s: no such option", host->options->name);
  annals_archiver* const archiver = calloc(1, sizeof *archiver);
  if (archiver == NULL) return not_created(ANNALS_ERROR_OTHER, "no memory for an archiver%s", "");
  archiver->mode = (mode_t)host->file_mode;
  *made = archiver;
  return ANNALS_OK;
}

static int copy(int from, int to) {
  char bytes[65536];
  for (;;) {
    const ssize_t got = read(from, bytes, sizeof bytes);
    if (got <= 0) return (int)got;
    for (ssize_t done = 0; done < got;) {
      const ssize_t wrote = write(to, bytes + done, (size_t)(got - done));
      if (wrote <= 0) return -1;
      done += wrote;
    }
  }
}

static annals_status archive_segment(annals_archiver* archiver, const annals_segment* segment) {
  struct failure* const last = &archiver->last;
  char made[4096];
  char unfinished[4096];
  if (snprintf(made, sizeof made, "%s.archived", segment->path) >= (int)sizeof made - 4) {
    return failure(last, "archive", segment->path, ENAMETOOLONG);
  }
  snprintf(unfinished, sizeof unfinished, "%.4090s.tmp", made);
  const int from = open(segment->path, O_RDONLY | O_CLOEXEC);
  if (from < 0 && errno == ENOENT && access(made, F_OK) == 0) return success(last); /* it was done before */
  if (from < 0) return failure(last, "open", segment->path, errno);
  const int to = open(unfinished, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, archiver->mode);
  const int is_good =
      to >= 0 && copy(from, to) == 0 && fsync(to) == 0 && rename(unfinished, made) == 0 && unlink(segment->path) == 0;
  const int cause = errno;
  if (to >= 0) close(to);
  close(from);
  return is_good ? success(last) : failure(last, "archive", segment->path, cause);
}

static void destroy_archiver(annals_archiver* archiver) {
  free(archiver);
}

static annals_status tell_archiver_error(annals_archiver* archiver, annals_error* error) {
  return tell(archiver == NULL ? &creation : &archiver->last, error);
}

/* --- the descriptor ---------------------------------------------------------------------------------------------------- */

static const annals_sink_functions good_sinks = {sizeof good_sinks, create_sink,   write_lines,  sync_file, reopen_file,
                                                 position_of,       start_segment, destroy_sink, tell_error};
static const annals_archiver_functions good_archivers = {sizeof good_archivers, create_archiver, archive_segment,
                                                         destroy_archiver, tell_archiver_error};

ANNALS_PLUGIN_EXPORT const annals_plugin_descriptor annals_plugin = {
    ANNALS_PLUGIN_IDENTITY(PLUGIN_NAME, "1.0.0", "Apache-2.0", ANNALS_OFFERS_SINK | ANNALS_OFFERS_ARCHIVER | ANNALS_WRITES_LOG),
    &good_sinks, &good_archivers};
