/* SPDX-License-Identifier: Apache-2.0
 *
 * The plugin in ../good with one thing wrong: which, says a macro. `annals plugin check` has to find each of them. */
#include <annals_plugin.h>
#undef ANNALS_PLUGIN_EXPORT
#define ANNALS_PLUGIN_EXPORT __attribute__((unused)) static
#define annals_plugin the_good_one
#include "../good/good.c"
#undef annals_plugin
#include <pthread.h>
#include <signal.h>
#include <sys/types.h>

/* What a table has where its macro below does not say otherwise. */
#define CREATE create_sink
#define WRITE write_lines
#define SYNC sync_file
#define REOPEN reopen_file
#define POSITION position_of
#define START_SEGMENT start_segment
#define ARCHIVE archive_segment
#define DESTROY destroy_sink
#define LAST_ERROR tell_error
#define ARCHIVER_LAST_ERROR tell_archiver_error
#define RESERVED 0

#if defined RESERVED_SLOT_USED
#undef RESERVED
#define RESERVED 1

#elif defined ABORTS_WHEN_LOADED
__attribute__((constructor)) static void when_loaded(void) {
  abort();
}

#elif defined TAKES_UNKNOWN_OPTIONS
static annals_status bad_create(const annals_host* host, annals_sink** made) {
  annals_host without = *host;
  without.options_count = 0;
  return create_sink(&without, made);
}
#undef CREATE
#define CREATE bad_create

#elif defined OPENS_IN_CREATE
static annals_status bad_create(const annals_host* host, annals_sink** made) {
  return create_sink(host, made) == ANNALS_OK ? open_file(*made) : ANNALS_FAILED;
}
#undef CREATE
#define CREATE bad_create

#elif defined BREAKS_OTHER_SINKS
static int is_ready; /* for one sink only */
static annals_status bad_create(const annals_host* host, annals_sink** made) {
  is_ready = 1;
  return create_sink(host, made);
}
static annals_status bad_write(annals_sink* sink, const annals_batch* batch) {
  return is_ready ? write_lines(sink, batch) : failed(sink, "use", sink->path, EBADF);
}
static void bad_destroy(annals_sink* sink) {
  if (sink != NULL) is_ready = 0;
  destroy_sink(sink);
}
#undef CREATE
#define CREATE bad_create
#undef WRITE
#define WRITE bad_write
#undef DESTROY
#define DESTROY bad_destroy

#elif defined REORDERS_LINES
static annals_status bad_write(annals_sink* sink, const annals_batch* batch) {
  if (batch->count != 7) return write_lines(sink, batch);
  const char* const second = (const char*)memchr(batch->lines, '\n', batch->bytes) + 1;
  annals_batch part = *batch;
  part.lines = second;
  part.bytes = batch->bytes - (uint64_t)(second - batch->lines);
  if (write_lines(sink, &part) != ANNALS_OK) return ANNALS_FAILED;
  part.lines = batch->lines;
  part.bytes = (uint64_t)(second - batch->lines);
  return write_lines(sink, &part);
}
#undef WRITE
#define WRITE bad_write

#elif defined DROPS_THE_LAST_OF_A_BATCH
static annals_status bad_write(annals_sink* sink, const annals_batch* batch) {
  annals_batch part = *batch;
  if (batch->count == 6) {
    part.bytes -= 1;
    while (part.bytes > 0 && part.lines[part.bytes - 1] != '\n') --part.bytes;
  }
  return write_lines(sink, &part);
}
#undef WRITE
#define WRITE bad_write

#elif defined CRASHES_ON_EMPTY_BATCH
static annals_status bad_write(annals_sink* sink, const annals_batch* batch) {
  if (batch->count == 0) abort();
  return write_lines(sink, batch);
}
#undef WRITE
#define WRITE bad_write

#elif defined OVERRUNS_ON_LARGE_BATCH
static annals_status bad_write(annals_sink* sink, const annals_batch* batch) {
  char room[65536];
  annals_batch part = *batch;
  memcpy(room, batch->lines, batch->bytes);
  part.lines = room;
  return write_lines(sink, &part);
}
#undef WRITE
#define WRITE bad_write

#elif defined LOSES_ONE_OF_MANY
static annals_status bad_write(annals_sink* sink, const annals_batch* batch) {
  static int batches;
  return ++batches == 65536 ? succeeded(sink) : write_lines(sink, batch);
}
#undef WRITE
#define WRITE bad_write

#elif defined LEAKS_MEMORY
struct leak {
  struct leak* next;
  char bytes[92];
};
static annals_status bad_write(annals_sink* sink, const annals_batch* batch) {
  static struct leak* kept;
  struct leak* const one = calloc(1, sizeof *one);
  if (one != NULL) one->next = kept;
  kept = one;
  return write_lines(sink, batch);
}
#undef WRITE
#define WRITE bad_write

#elif defined LEAKS_SINKS
static void bad_destroy(annals_sink* sink) {
  static annals_sink* kept;
  if (sink == NULL) return;
  if (sink->fd >= 0) close(sink->fd);
  sink->path = realloc(sink->path, sizeof kept + strlen(sink->path));
  memcpy(sink->path, &kept, sizeof kept);
  kept = sink;
}
#undef DESTROY
#define DESTROY bad_destroy

#elif defined INSTALLS_A_SIGNAL_HANDLER || defined CHANGES_THE_UMASK || defined PRINTS
static annals_status bad_write(annals_sink* sink, const annals_batch* batch) {
#if defined INSTALLS_A_SIGNAL_HANDLER
  signal(SIGPIPE, SIG_IGN);
#elif defined CHANGES_THE_UMASK
  umask(077);
#else
  if (sink->fd < 0) puts("opening the log");
#endif
  return write_lines(sink, batch);
}
#undef WRITE
#define WRITE bad_write

#elif defined SWALLOWS_FAILURES
static annals_status bad_write(annals_sink* sink, const annals_batch* batch) {
  (void)write_lines(sink, batch);
  return succeeded(sink);
}
#undef WRITE
#define WRITE bad_write

#elif defined BELONGS_TO_ONE_THREAD
static annals_status bad_write(annals_sink* sink, const annals_batch* batch) {
  static pthread_t first;
  static int is_known;
  if (!is_known) first = pthread_self();
  is_known = 1;
  return pthread_equal(first, pthread_self()) ? write_lines(sink, batch) : failed(sink, "lock", sink->path, EPERM);
}
#undef WRITE
#define WRITE bad_write

#elif defined WRITES_AGAIN_AFTER_FORK
/* As one that buffers does: the copy of the buffer goes out with the copy of the sink. */
static pid_t writer;
static annals_status bad_write(annals_sink* sink, const annals_batch* batch) {
  writer = getpid();
  return write_lines(sink, batch);
}
static void bad_destroy(annals_sink* sink) {
  if (sink != NULL && writer != 0 && writer != getpid()) append(sink, "{\"once\":\"more\"}\n", 16);
  destroy_sink(sink);
}
#undef WRITE
#define WRITE bad_write
#undef DESTROY
#define DESTROY bad_destroy

#elif defined EXITS_IN_DESTROY
static void bad_destroy(annals_sink* sink) {
  if (sink == NULL) exit(0);
  destroy_sink(sink);
}
#undef DESTROY
#define DESTROY bad_destroy

#elif defined HANGS_IN_SYNC
static annals_status bad_sync(annals_sink* sink) {
  while (sink->fd < 0) pause();
  return sync_file(sink);
}
#undef SYNC
#define SYNC bad_sync

#elif defined KEEPS_THE_FILE_ON_REOPEN
#undef REOPEN
#define REOPEN succeeded

#elif defined LEAKS_A_DESCRIPTOR || defined DESCRIPTOR_IS_INHERITED
static annals_status bad_reopen(annals_sink* sink) {
#if defined LEAKS_A_DESCRIPTOR
  sink->fd = -1;
#endif
  return reopen_file(sink);
}
static annals_status bad_write(annals_sink* sink, const annals_batch* batch) {
  const annals_status status = write_lines(sink, batch);
#if defined DESCRIPTOR_IS_INHERITED
  if (sink->fd >= 0) fcntl(sink->fd, F_SETFD, 0);
#endif
  return status;
}
#undef REOPEN
#define REOPEN bad_reopen
#undef WRITE
#define WRITE bad_write

#elif defined POSITION_STEPS_BACK
static annals_status bad_position(annals_sink* sink, annals_position* where) {
  const annals_status status = position_of(sink, where);
  where->offset %= 4096;
  return status;
}
#undef POSITION
#define POSITION bad_position

#elif defined START_SEGMENT_KEEPS_THE_FILE
static annals_status bad_start_segment(annals_sink* sink, annals_segment* closed) {
  const int fd = dup(sink->fd);
  const annals_status status = start_segment(sink, closed);
  sink->fd = fd;
  return status;
}
#undef START_SEGMENT
#define START_SEGMENT bad_start_segment

#elif defined ARCHIVE_KEEPS_THE_SEGMENT
static annals_status bad_archive(annals_archiver* archiver, const annals_segment* segment) {
  if (access(segment->path, F_OK) == 0) return success(&archiver->last);
  return failure(&archiver->last, "open", segment->path, errno);
}
#undef ARCHIVE
#define ARCHIVE bad_archive

#elif defined RETURNS_STATUS_7
static annals_status bad_last_error(annals_sink* sink, annals_error* error) {
  return tell_error(sink, error) == ANNALS_OK ? ANNALS_OK : 7;
}
#undef LAST_ERROR
#define LAST_ERROR bad_last_error

#elif defined ERROR_WITHOUT_MESSAGE || defined ERROR_OF_TWO_LINES || defined ERROR_IS_NOT_UTF8 || defined ERROR_AFTER_SUCCESS
static annals_status spoilt(annals_status status, annals_error* error) {
#if defined ERROR_AFTER_SUCCESS
  if (status != ANNALS_OK) error->message = "success";
  return ANNALS_OK;
#elif defined ERROR_WITHOUT_MESSAGE
  error->message = "";
  return status;
#elif defined ERROR_OF_TWO_LINES
  error->message = "$.sink.no_such_option_8f3a: no such option\nsorry";
  return status;
#else
  error->message = "$.sink.no_such_option_8f3a: no such option \xed\xa0\x80"; /* half of a surrogate pair */
  return status;
#endif
}
static annals_status bad_last_error(annals_sink* sink, annals_error* error) {
  return spoilt(tell_error(sink, error), error);
}
static annals_status bad_archiver_last_error(annals_archiver* archiver, annals_error* error) {
  return spoilt(tell_archiver_error(archiver, error), error);
}
#undef LAST_ERROR
#define LAST_ERROR bad_last_error
#undef ARCHIVER_LAST_ERROR
#define ARCHIVER_LAST_ERROR bad_archiver_last_error

#else
#error "say what is wrong with it"
#endif

static const annals_sink_functions bad_sinks = {sizeof bad_sinks, CREATE,        WRITE,   SYNC,      REOPEN,
                                                POSITION,         START_SEGMENT, DESTROY, LAST_ERROR};
static const annals_archiver_functions bad_archivers = {sizeof bad_archivers, create_archiver, ARCHIVE, destroy_archiver,
                                                        ARCHIVER_LAST_ERROR};

__attribute__((visibility("default"), used, section(ANNALS_PLUGIN_SECTION)))
const annals_plugin_descriptor annals_plugin = {{ANNALS_PLUGIN_MAGIC,
                                                 sizeof(annals_identity),
                                                 sizeof(annals_plugin_descriptor),
                                                 0,
                                                 ANNALS_PLUGIN_ABI_MAJOR,
                                                 ANNALS_PLUGIN_ABI_MINOR,
                                                 ANNALS_OFFERS_SINK | ANNALS_OFFERS_ARCHIVER | ANNALS_WRITES_LOG,
                                                 PLUGIN_NAME,
                                                 "1.0.0",
                                                 "Apache-2.0",
                                                 ANNALS_PLUGIN_COMPILER,
                                                 {RESERVED}},
                                                &bad_sinks,
                                                &bad_archivers};
