/* SPDX-License-Identifier: Apache-2.0
 *
 * annals_plugin.h: what a sink that is loaded at run time and its host agree on. Plain C (C99, C++, or any language that can
 * lay out these structs); the only thing that crosses the border between them.
 *
 * A plugin is a shared object named annals_NAME.so that exports one constant, `annals_plugin`, of type
 * annals_plugin_descriptor, in the section ".annals.plugin". The host reads the descriptor's identity out of the file, and
 * loads the file only when the identity suits it: of a plugin that is refused, no instruction runs.
 *
 * The rules, for every function of the table:
 *
 *   threads    [sink] is called for one sink by one thread at a time, not always the same; other sinks of the plugin may be
 *              in a call meanwhile. [any] may be called at any time by any thread. [call] is called by the plugin, see there.
 *   ownership  What a parameter points to is the caller's and valid during the call only, but where a function says
 *              otherwise, under "Owned". What the plugin allocates it frees itself. No memory changes hands.
 *   failure    A function returns ANNALS_OK, or ANNALS_FAILED and keeps the reason for last_error. Any other value is treated
 *              as ANNALS_FAILED and reported as the plugin's mistake. No C++ exception, no longjmp and no exit may leave it.
 *   process    The plugin starts no thread that blocks exit, installs no signal handler, leaves the signal mask, the umask, the
 *              working directory and the locale alone, opens descriptors close-on-exec, and prints nothing of its own.
 *   fork       The host may fork between two calls. A child that goes on with its copy of a sink, or destroys it, must not
 *              disturb the parent: nothing that is buffered may be written twice.
 *
 * Versions. Majors must be equal. A new minor version only appends: functions to the end of the table, fields to the end of
 * structs that begin with `struct_size`, or in place of `reserved` ones. Whoever reads a struct looks at its size before it
 * looks at what a minor version added. So host and plugin of different minor versions work together, either way round.
 */
#ifndef ANNALS_PLUGIN_H
#define ANNALS_PLUGIN_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ANNALS_PLUGIN_ABI_MAJOR 1
#define ANNALS_PLUGIN_ABI_MINOR 0
#define ANNALS_PLUGIN_SYMBOL "annals_plugin"
#define ANNALS_PLUGIN_SECTION ".annals.plugin"
#define ANNALS_PLUGIN_MAGIC {'A', 'N', 'N', 'A', 'L', 'S', 'P', 'L'}

/* --- status ------------------------------------------------------------------------------------------------------------ */

typedef int32_t annals_status;
#define ANNALS_OK 0
#define ANNALS_FAILED 1

/* What kind of failure annals_error::code tells of. Others are read as ANNALS_ERROR_SINK. */
#define ANNALS_ERROR_SINK 0        /* none of the others */
#define ANNALS_ERROR_OPTIONS 1     /* create: the options make no sense; the message names each that does not */
#define ANNALS_ERROR_IO 2          /* the system refused; system_code is its errno */
#define ANNALS_ERROR_SYNC 3        /* what was written is not known to be durable, and never will be */
#define ANNALS_ERROR_REPLACED 4    /* notice: the destination was renamed, removed or replaced by somebody else */
#define ANNALS_ERROR_TORN_TAIL 5   /* notice: the destination's last line was incomplete and has been ended */
#define ANNALS_ERROR_NOT_REGULAR 6 /* something that is no regular file stands where the destination should */
#define ANNALS_ERROR_CLOSED 7      /* notice: the live segment was closed by a rotation of the sink's own */
#define ANNALS_ERROR_DELETED 8     /* notice: closed segments were deleted, as the sink's options say */
#define ANNALS_ERROR_DISK_SPACE 9  /* the file system is nearly full; a notice, or why a write was refused */

typedef struct annals_error {
  uint32_t struct_size; /* set by the caller; the plugin fills no more than this */
  int32_t code;         /* ANNALS_ERROR_... */
  int32_t system_code;  /* errno, or 0 */
  uint32_t reserved;
  const char* message; /* UTF-8, ended by NUL: what was attempted, on what, what the system said. The plugin's; valid until
                          the next call for the same sink (of create: until the next create on this thread) */
} annals_error;

/* --- what goes in ------------------------------------------------------------------------------------------------------ */

/* Complete lines, each ended by '\n'. `count` may be 0; then `bytes` is 0 too, and nothing is to be done. */
typedef struct annals_batch {
  uint64_t struct_size;
  const char* lines; /* not ended by NUL */
  uint64_t bytes;
  uint64_t count;          /* of lines */
  uint64_t first_sequence; /* of the first line; the others follow without a hole */
  int64_t now_us;          /* the host's clock when the batch was made, in microseconds since 1970; it may step back */
} annals_batch;

/* A segment's number, and an offset in its uncompressed lines, in bytes. */
typedef struct annals_position {
  uint64_t segment;
  uint64_t offset;
} annals_position;

/* A closed segment: never written again. */
typedef struct annals_segment {
  uint64_t struct_size;
  const char* path; /* ended by NUL */
  uint64_t number;
} annals_segment;

#define ANNALS_OPTION_NULL 0
#define ANNALS_OPTION_BOOLEAN 1 /* text: true or false */
#define ANNALS_OPTION_INTEGER 2 /* text: decimal, as written */
#define ANNALS_OPTION_NUMBER 3  /* text: a JSON number, as written */
#define ANNALS_OPTION_TEXT 4    /* text: the string itself, unescaped, UTF-8; it may hold NUL */
#define ANNALS_OPTION_ARRAY 5   /* text: JSON */
#define ANNALS_OPTION_OBJECT 6  /* text: JSON */

/* A member of the sink's object in the configuration, but "type". */
typedef struct annals_option {
  const char* name; /* ended by NUL, which the name itself does not hold */
  const char* text; /* ended by NUL, which is not counted */
  uint64_t text_bytes;
  uint32_t kind; /* ANNALS_OPTION_... */
  uint32_t reserved;
} annals_option;

/* What the host tells of itself and of the sink to be made. All of it is valid during create only, but for `context` and
 * `notice`, which are until destroy has returned. */
typedef struct annals_host {
  uint64_t struct_size;
  uint16_t abi_major;
  uint16_t abi_minor;
  uint32_t file_mode;       /* for files the sink creates, before the umask: 0600 */
  const char* host_version; /* of the library: "0.1.0" */
  const char* log_path;     /* the log's live segment, or empty where the host has none */
  const annals_option* options;
  uint64_t options_count;
  uint64_t option_size; /* sizeof(annals_option) of the host: the stride of `options` */
  void* context;        /* given back to `notice` */
  /* [call] Tells whoever operates the host of something that is no failure of the present call. Only from within a call of
   * write, sync, reopen, archive or destroy for this sink, on that thread. Never null; never fails.
   * Owned: `message`, UTF-8 ended by NUL, is the plugin's; the host copies what it keeps. `context` is the host's. */
  void (*notice)(void* context, int32_t code, int32_t system_code, const char* message);
} annals_host;

/* --- the table --------------------------------------------------------------------------------------------------------- */

typedef struct annals_sink annals_sink; /* the plugin's own */

typedef struct annals_functions {
  /* [any] Required. Makes a sink. Checks all options, an unknown one is an error; opens and connects to nothing: that is for
   * the first write. On success `*made` is not null, and the host will destroy it. On failure there is nothing to destroy,
   * and last_error(NULL, ...) on the same thread tells why.
   * Owned: `*made` is the plugin's, which frees it in destroy. `host` and all behind it are the host's, for this call only, but
   * for its `context` and `notice`; the plugin copies what it keeps. */
  annals_status (*create)(const annals_host* host, annals_sink** made);

  /* [sink] Required. Takes all lines of the batch, in order. After ANNALS_OK the death of the process must not remove them.
   * After a failure the batch's events count as failed and are not given again; a part that got through is a torn line to
   * readers, and nothing may be glued to it. Whatever this waits for, the threads that log wait for.
   * Owned: `batch` and its lines are the host's, for this call only. */
  annals_status (*write)(annals_sink* sink, const annals_batch* batch);

  /* [sink] Required. Returns once everything taken so far survives the loss of power, as far as the destination can promise
   * that; and never reports success for what an earlier call could not make durable.
   * Owned: `sink` is the plugin's, and no memory changes hands. */
  annals_status (*sync)(annals_sink* sink);

  /* [sink] Required. The destination was moved away on purpose: let go of it, use the one at the configured place from now on.
   * Forgets what earlier syncs could not make durable.
   * Owned: `sink` is the plugin's, and no memory changes hands. */
  annals_status (*reopen)(annals_sink* sink);

  /* [sink] Required. Where the next line will go. Never steps back without a reopen. A sink whose destination has no such
   * place counts the bytes it has taken, in segment 1.
   * Owned: `where` is the host's; the plugin fills it in. */
  annals_status (*position)(annals_sink* sink, annals_position* where);

  /* [sink] Optional (null without ANNALS_CAN_ARCHIVE). Makes another representation of a closed segment beside it, and removes
   * the segment once that is complete, verified and durable. Interrupted at any point, it can be called again. Called for a
   * sink that nothing is written to, and may take long: the sinks that are written to are in calls meanwhile.
   * Owned: `segment` and its path are the host's, for this call only; the file is the plugin's to replace. */
  annals_status (*archive)(annals_sink* sink, const annals_segment* segment);

  /* [sink] Required. The last call for this sink. Does nothing with null. Blocks for no longer than a write may.
   * Owned: the plugin frees `sink` and all that it has for it. The host keeps nothing that points there. */
  void (*destroy)(annals_sink* sink);

  /* [sink], with null [any]. Required. Why the last call for this sink failed; with null, why the last create on this thread
   * did. Fills `*error`, whose struct_size the caller has set. ANNALS_FAILED where that call did not fail.
   * Owned: `error` is the host's; the message it is filled with is the plugin's, valid until the next call for this sink (with
   * null: the next of create on this thread), and the host copies it. */
  annals_status (*last_error)(annals_sink* sink, annals_error* error);
} annals_functions;

/* --- the descriptor ---------------------------------------------------------------------------------------------------- */

#define ANNALS_CAN_ARCHIVE (UINT64_C(1) << 0) /* `archive` is there */
#define ANNALS_WRITES_LOG (UINT64_C(1) << 1)  /* the lines are kept at annals_host::log_path, for readers of logs */

/* Holds no pointer, so that it can be read from the file. Texts are ASCII, ended by NUL and filled up with NUL. */
typedef struct annals_identity {
  char magic[8];            /* ANNALS_PLUGIN_MAGIC */
  uint32_t identity_size;   /* sizeof(annals_identity) */
  uint32_t descriptor_size; /* sizeof(annals_plugin_descriptor) */
  uint32_t functions_size;  /* sizeof(annals_functions) */
  uint16_t abi_major;       /* ANNALS_PLUGIN_ABI_MAJOR */
  uint16_t abi_minor;       /* ANNALS_PLUGIN_ABI_MINOR */
  uint64_t capabilities;    /* ANNALS_CAN_..., or-ed; a host ignores those it does not know */
  char name[32];            /* NAME of annals_NAME.so: a-z, 0-9, _ */
  char version[32];         /* the plugin's own */
  char license[32];         /* SPDX */
  char compiler[64];        /* that built it; for people only */
  uint64_t reserved[8];     /* 0 */
} annals_identity;

typedef struct annals_plugin_descriptor {
  annals_identity identity;
  annals_functions functions;
} annals_plugin_descriptor;

/* --- for the author ---------------------------------------------------------------------------------------------------- */

#define ANNALS_PLUGIN_NUMBER_(number) #number
#define ANNALS_PLUGIN_VERSION_(a, b, c) ANNALS_PLUGIN_NUMBER_(a) "." ANNALS_PLUGIN_NUMBER_(b) "." ANNALS_PLUGIN_NUMBER_(c)
#if defined(__clang__)
#define ANNALS_PLUGIN_COMPILER "clang " ANNALS_PLUGIN_VERSION_(__clang_major__, __clang_minor__, __clang_patchlevel__)
#elif defined(__GNUC__)
#define ANNALS_PLUGIN_COMPILER "gcc " ANNALS_PLUGIN_VERSION_(__GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__)
#else
#define ANNALS_PLUGIN_COMPILER "unknown"
#endif

/* Before the definition of the descriptor:  ANNALS_PLUGIN_EXPORT const annals_plugin_descriptor annals_plugin = {...}; */
#ifdef __cplusplus
#define ANNALS_PLUGIN_EXPORT extern "C" __attribute__((visibility("default"), used, section(ANNALS_PLUGIN_SECTION)))
#else
#define ANNALS_PLUGIN_EXPORT __attribute__((visibility("default"), used, section(ANNALS_PLUGIN_SECTION)))
#endif

/* The first member of the descriptor. */
#define ANNALS_PLUGIN_IDENTITY(plugin_name, plugin_version, plugin_license, plugin_capabilities) \
  {ANNALS_PLUGIN_MAGIC,                                                                          \
   sizeof(annals_identity),                                                                      \
   sizeof(annals_plugin_descriptor),                                                             \
   sizeof(annals_functions),                                                                     \
   ANNALS_PLUGIN_ABI_MAJOR,                                                                      \
   ANNALS_PLUGIN_ABI_MINOR,                                                                      \
   (plugin_capabilities),                                                                        \
   plugin_name,                                                                                  \
   plugin_version,                                                                               \
   plugin_license,                                                                               \
   ANNALS_PLUGIN_COMPILER,                                                                       \
   {0}}

#ifdef __cplusplus
}
#endif

#endif
