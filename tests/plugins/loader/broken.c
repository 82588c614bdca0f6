/* SPDX-License-Identifier: Apache-2.0
 *
 * A plugin that can be wrong in one way: which, says a macro. It tells of every piece of its code that runs by creating
 * the file named by the environment variable ANNALS_TEST_RAN; a refused one must not have. */
#include <annals_plugin.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static void tell(const char* variable) {
  const char* path = getenv(variable);
  if (path != NULL) close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

#if defined NEEDS_WHAT_IS_NOWHERE
int annals_test_function_of_no_library(void);
#endif

__attribute__((constructor)) static void when_loaded(void) {
  tell("ANNALS_TEST_RAN");
#if defined NEEDS_WHAT_IS_NOWHERE
  annals_test_function_of_no_library();
#endif
#if defined CHANGES_ITSELF
  extern const annals_plugin_descriptor annals_plugin;
  volatile char* const name = (volatile char*)(uintptr_t)&annals_plugin.identity.name;
  *name = 'x';
#endif
}

struct annals_sink {
  uint64_t bytes;
};

static annals_status create(const annals_host* host, annals_sink** made) {
  (void)host;
  tell("ANNALS_TEST_CALLED");
#if defined CREATE_RETURNS_NULL
  *made = NULL;
  return ANNALS_OK;
#elif defined CREATE_RETURNS_GARBAGE
  *made = (annals_sink*)(uintptr_t)0xdeadbeef;
  return 7777;
#elif defined CREATE_FAILS
  (void)made;
  return ANNALS_FAILED;
#else
  *made = calloc(1, sizeof **made);
  return *made == NULL ? ANNALS_FAILED : ANNALS_OK;
#endif
}

__attribute__((unused)) static annals_status write_lines(annals_sink* sink, const annals_batch* batch) {
  sink->bytes += batch->bytes;
#if defined WRITE_RETURNS_GARBAGE
  return -3;
#else
  return ANNALS_OK;
#endif
}

static annals_status nothing(annals_sink* sink) {
  (void)sink;
  tell("ANNALS_TEST_CALLED");
  return ANNALS_OK;
}

static annals_status position(annals_sink* sink, annals_position* where) {
  where->segment = 1;
  where->offset = sink->bytes;
  return ANNALS_OK;
}

static void destroy(annals_sink* sink) {
  tell("ANNALS_TEST_CALLED");
  free(sink);
}

__attribute__((unused)) static annals_status last_error(annals_sink* sink, annals_error* error) {
  (void)sink;
  tell("ANNALS_TEST_CALLED");
#if defined CREATE_FAILS
  error->code = ANNALS_ERROR_OPTIONS;
  error->message = "$.sink.colour: found \"mauve\"; expected \"red\"";
  return ANNALS_OK;
#else
  (void)error;
  return ANNALS_FAILED;
#endif
}

static const annals_sink_functions functions = {
#if defined SHORT_TABLE
    sizeof(annals_sink_functions) - sizeof(void*),
#else
    sizeof(annals_sink_functions),
#endif
    create,
#if defined NO_WRITE
    NULL,
#else
    write_lines,
#endif
    nothing,
    nothing,
    position,
    NULL,
    destroy,
#if defined NO_LAST_ERROR
    NULL
#else
    last_error
#endif
};

#if defined SYMBOL_MISSING
#define annals_plugin annals_plugin_of_another_name
#endif

#if defined HIDDEN_SYMBOL
__attribute__((used, section(ANNALS_PLUGIN_SECTION)))
#elif defined NO_SECTION
__attribute__((visibility("default"), used))
#else
ANNALS_PLUGIN_EXPORT
#endif
const annals_plugin_descriptor annals_plugin = {{
#if defined WRONG_MAGIC
                                                    {'N', 'O', 'T', 'M', 'A', 'G', 'I', 'C'},
#else
                                                    ANNALS_PLUGIN_MAGIC,
#endif
#if defined SHORT_IDENTITY
                                                    sizeof(annals_identity) - 8,
#else
                                                    sizeof(annals_identity),
#endif
#if defined SHORT_DESCRIPTOR
                                                    sizeof(annals_identity) + sizeof(void*),
#else
                                                    sizeof(annals_plugin_descriptor),
#endif
                                                    0,
#if defined FUTURE_MAJOR
                                                    ANNALS_PLUGIN_ABI_MAJOR + 1,
#elif defined PAST_MAJOR
                                                    ANNALS_PLUGIN_ABI_MAJOR - 1,
#else
                                                    ANNALS_PLUGIN_ABI_MAJOR,
#endif
                                                    ANNALS_PLUGIN_ABI_MINOR,
#if defined ARCHIVER_PROMISED
                                                    ANNALS_OFFERS_SINK | ANNALS_OFFERS_ARCHIVER,
#elif defined OFFERS_NOTHING
                                                    ANNALS_WRITES_LOG,
#else
                                                    ANNALS_OFFERS_SINK,
#endif
#if defined UNPRINTABLE_NAME
                                                    "bro\x1bken",
#elif defined OTHER_NAME
                                                    "other",
#elif defined NAME_WITHOUT_END
                                                    {'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'a', 'b', 'c',
                                                     'd', 'e', 'f', 'g', 'h', 'a', 'b', 'c', 'd', 'e', 'f',
                                                     'g', 'h', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'},
#else
                                                    PLUGIN_NAME,
#endif
                                                    "1.2.3",
                                                    "MIT",
                                                    ANNALS_PLUGIN_COMPILER,
                                                    {0}},
                                                &functions,
                                                NULL};
