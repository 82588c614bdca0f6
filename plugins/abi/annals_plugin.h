/* SPDX-License-Identifier: Apache-2.0
 *
 * annals_plugin.h: the interface between a host and a plugin that is loaded at run time. Plain C: C99, C++, or any language
 * that can lay out these structs. Nothing else crosses the boundary between them.
 *
 * A plugin offers sinks, archivers, or both. It is a shared object named annals_NAME.so that exports one constant,
 * `annals_plugin`, of type annals_plugin_descriptor, in the section ".annals.plugin". The host reads the identity at the
 * beginning of the descriptor from the file, and loads the file only if the identity is acceptable: no instruction of a plugin
 * that is refused runs.
 *
 * Rules for every function of the tables:
 *
 *   threads    [object]: called by one thread at a time for one sink or archiver, not always the same thread. Calls for other
 *              objects of the plugin may run at the same time. [any]: any thread, at any time. [call]: called by the plugin;
 *              see there.
 *   ownership  The caller owns what a parameter points to, and it is valid during the call only, except where "Owned" says
 *              otherwise. The plugin frees what it allocates. No memory changes hands.
 *   failure    A function returns ANNALS_OK, or returns ANNALS_FAILED and keeps the reason for last_error. The host treats any
 *              other value as ANNALS_FAILED and reports a mistake of the plugin. No C++ exception, longjmp or exit may leave
 *              a function.
 *   process    The plugin starts no thread that keeps the process from exiting, installs no signal handler, changes neither the
 *              signal mask, the umask, the working directory nor the locale, opens descriptors close-on-exec, and prints
 *              nothing.
 *   fork       The host may fork between two calls. A child may use or destroy its copy of an object; that must not disturb
 *              the parent. Nothing that is buffered may be written twice.
 *
 * Versions. The majors of host and plugin must be equal. A new minor version only appends: functions to the end of a table,
 * fields to the end of structs that begin with `struct_size`, or in place of `reserved` fields. Before a reader uses what a
 * minor version added, it checks the size of the struct. So host and plugin of different minor versions work together.
 */
#ifndef ANNALS_PLUGIN_H
#define ANNALS_PLUGIN_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ANNALS_PLUGIN_ABI_MAJOR 2
#define ANNALS_PLUGIN_ABI_MINOR 0
#define ANNALS_PLUGIN_SYMBOL "annals_plugin"
#define ANNALS_PLUGIN_SECTION ".annals.plugin"
#define ANNALS_PLUGIN_MAGIC {'A', 'N', 'N', 'A', 'L', 'S', 'P', 'L'}

/* --- status ------------------------------------------------------------------------------------------------------------ */

typedef int32_t annals_status;
#define ANNALS_OK 0
#define ANNALS_FAILED 1

/* The kind of a failure, in annals_error::code. The host reads other values as ANNALS_ERROR_OTHER. */
#define ANNALS_ERROR_OTHER 0
#define ANNALS_ERROR_OPTIONS 1      /* create: an option is wrong; the message names each one */
#define ANNALS_ERROR_IO 2           /* a system call failed; system_code is its errno */
#define ANNALS_ERROR_SYNC 3         /* a sync failed: lines written before it may not survive a power loss */
#define ANNALS_ERROR_NOT_REGULAR 4  /* the destination is not a regular file */
#define ANNALS_ERROR_DISK_SPACE 5   /* write: refused, because the file system is nearly full */
#define ANNALS_ERROR_FILE_REMOVED 6 /* sync: another program removed the file before it was synced */

typedef struct annals_error {
  uint32_t struct_size; /* set by the caller; the plugin fills no more than this */
  int32_t code;         /* ANNALS_ERROR_... */
  int32_t system_code;  /* errno, or 0 */
  uint32_t reserved;
  const char* message; /* UTF-8, ended by NUL: what was attempted, on which file or address, what the system said. Owned by the
                          plugin, and valid until the next call for the same object (for create: the next create on this
                          thread) */
} annals_error;

/* What a notice is about, in annals_notice::code. The host reads other values as ANNALS_NOTICE_OTHER. */
#define ANNALS_NOTICE_OTHER 0
#define ANNALS_NOTICE_SEGMENT_CLOSED 1  /* the sink closed the live segment */
#define ANNALS_NOTICE_SEGMENT_DELETED 2 /* the sink deleted closed segments, as its options say */
#define ANNALS_NOTICE_FILE_REPLACED 3   /* another program renamed, removed or replaced the destination */
#define ANNALS_NOTICE_PARTIAL_LINE 4    /* the destination's last line was incomplete; the sink ended it */
#define ANNALS_NOTICE_DISK_SPACE 5      /* the file system is nearly full, or has space again */
#define ANNALS_NOTICE_ROTATION_FAILED 6 /* a rotation failed, or a step after it; the sink continues */
#define ANNALS_NOTICE_DELETION_FAILED 7 /* closed segments cannot be deleted */
#define ANNALS_NOTICE_CHECK_FAILED 8    /* the destination cannot be examined */
#define ANNALS_NOTICE_CONNECTION_LOST 9 /* what was sent last may be missing at the destination */

/* In annals_notice::severity. The host reads other values as ANNALS_SEVERITY_ERROR. */
#define ANNALS_SEVERITY_INFO 0    /* expected */
#define ANNALS_SEVERITY_WARNING 1 /* unexpected, and no line is lost */
#define ANNALS_SEVERITY_ERROR 2   /* background work failed, or lines may be lost or damaged */

/* Something that the operator of the host should know, and that is not the failure of a call. */
typedef struct annals_notice {
  uint64_t struct_size;
  int32_t code;        /* ANNALS_NOTICE_... */
  int32_t severity;    /* ANNALS_SEVERITY_... */
  int32_t system_code; /* errno, or 0 */
  uint32_t reserved;
  const char* message; /* UTF-8, ended by NUL, as in annals_error */
} annals_notice;

/* --- what goes in ------------------------------------------------------------------------------------------------------ */

/* Complete lines, each ended by '\n'. `count` may be 0; then `bytes` is 0 too, and there is nothing to do. */
typedef struct annals_batch {
  uint64_t struct_size;
  const char* lines; /* not ended by NUL */
  uint64_t bytes;
  uint64_t count;          /* of lines */
  uint64_t first_sequence; /* of the first line; the others follow without a gap */
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
#define ANNALS_OPTION_TEXT 4    /* text: the string itself, unescaped, UTF-8; it may contain NUL */
#define ANNALS_OPTION_ARRAY 5   /* text: JSON */
#define ANNALS_OPTION_OBJECT 6  /* text: JSON */

/* A member of the "sink" or "archive" object in the configuration, except "type". */
typedef struct annals_option {
  const char* name; /* ended by NUL; contains no other */
  const char* text; /* ended by NUL, which is not counted */
  uint64_t text_bytes;
  uint32_t kind; /* ANNALS_OPTION_... */
  uint32_t reserved;
} annals_option;

/* What create gets: the host, and the options of the object to be made. Valid during create only, except `context` and
 * `notice`, which are valid until destroy has returned. */
typedef struct annals_host {
  uint64_t struct_size;
  uint16_t abi_major;
  uint16_t abi_minor;
  uint32_t file_mode;       /* for files that the object creates, before the umask: 0600 */
  const char* host_version; /* of the library: "0.1.0" */
  const char* log_path;     /* the log's live segment; empty where the host has none */
  const annals_option* options;
  uint64_t options_count;
  uint64_t option_size; /* sizeof(annals_option) of the host: the stride of `options` */
  void* context;        /* the first argument of `notice` */
  /* [call] Gives a notice to the host. Only from within a call of write, sync, reopen, start_segment, archive or destroy for
   * this object, on the thread of that call. Never null; never fails.
   * Owned: `what` and its message are the plugin's; the host copies what it keeps. `context` is the host's. */
  void (*notice)(void* context, const annals_notice* what);
} annals_host;

/* --- sinks ------------------------------------------------------------------------------------------------------------- */

typedef struct annals_sink annals_sink; /* defined by the plugin */

typedef struct annals_sink_functions {
  uint64_t struct_size; /* sizeof(annals_sink_functions) of the plugin */

  /* [any] Required. Makes a sink. Checks all options; an unknown one is an error. Opens and connects to nothing: the first
   * write does. On success `*made` is not null, and the host will destroy it. On failure there is nothing to destroy, and
   * last_error(NULL, ...) on the same thread gives the reason.
   * Owned: `*made` is the plugin's, which frees it in destroy. `host` and all that it points to are the host's, for this call
   * only, except `context` and `notice`; the plugin copies what it keeps. */
  annals_status (*create)(const annals_host* host, annals_sink** made);

  /* [object] Required. Takes all lines of the batch, in order. After ANNALS_OK the death of the process must not remove them.
   * After a failure the events of the batch count as failed and are not given again. If a part of a line was written, readers
   * see a partial line; the next write must end it first. The threads that log wait for this call.
   * Owned: `batch` and its lines are the host's, for this call only. */
  annals_status (*write)(annals_sink* sink, const annals_batch* batch);

  /* [object] Required. Returns once everything taken so far survives a power loss, as far as the destination can guarantee it.
   * After a failure it never reports success for the lines that it could not make durable, until reopen.
   * Owned: `sink` is the plugin's, and no memory changes hands. */
  annals_status (*sync)(annals_sink* sink);

  /* [object] Required. The destination was moved away on purpose: releases it, and uses the one at the configured place from
   * now on. Clears earlier sync failures.
   * Owned: `sink` is the plugin's, and no memory changes hands. */
  annals_status (*reopen)(annals_sink* sink);

  /* [object] Required. Where the next line goes. Never steps back without a reopen. A sink whose destination has no such place
   * counts the bytes it has taken, in segment 1.
   * Owned: `where` is the host's; the plugin fills it in. */
  annals_status (*position)(annals_sink* sink, annals_position* where);

  /* [object] Optional: null where the sink has no segments. Closes the current segment; the next line goes into a new one.
   * Fills in `closed`, or leaves its path null where there was no segment or it was empty. Does not sync: a later sync covers
   * the closed segment, too. On failure the current segment stays.
   * Owned: `closed` is the host's, which has set struct_size. Its path is the plugin's, valid until the next call for this
   * sink, and the host copies it. */
  annals_status (*start_segment)(annals_sink* sink, annals_segment* closed);

  /* [object] Required. The last call for this sink. Does nothing with null. Blocks for no longer than a write may.
   * Owned: the plugin frees `sink` and everything in it. The host keeps no pointer to it. */
  void (*destroy)(annals_sink* sink);

  /* [object], with null [any]. Required. Why the last call for this sink failed; with null, why the last create on this thread
   * failed. Fills in `*error`, whose struct_size the caller has set. Returns ANNALS_FAILED if that call did not fail.
   * Owned: `error` is the host's; its message is the plugin's, valid until the next call for this sink (with null: the next
   * create on this thread), and the host copies it. */
  annals_status (*last_error)(annals_sink* sink, annals_error* error);
} annals_sink_functions;

/* --- archivers --------------------------------------------------------------------------------------------------------- */

typedef struct annals_archiver annals_archiver; /* defined by the plugin */

typedef struct annals_archiver_functions {
  uint64_t struct_size; /* sizeof(annals_archiver_functions) of the plugin */

  /* [any] Required. Makes an archiver; otherwise as create of a sink.
   * Owned: as for create of a sink. */
  annals_status (*create)(const annals_host* host, annals_archiver** made);

  /* [object] Required. Makes another representation of a closed segment beside it, and removes the segment once that is
   * complete, verified and durable. Can be called again after an interruption at any point. May take long: no write waits for
   * it. On failure the segment is still there.
   * Owned: `segment` and its path are the host's, for this call only; the file is the plugin's to replace. */
  annals_status (*archive)(annals_archiver* archiver, const annals_segment* segment);

  /* [object] Required. The last call for this archiver. Does nothing with null.
   * Owned: the plugin frees `archiver` and everything in it. The host keeps no pointer to it. */
  void (*destroy)(annals_archiver* archiver);

  /* [object], with null [any]. Required. As last_error of a sink.
   * Owned: as for last_error of a sink. */
  annals_status (*last_error)(annals_archiver* archiver, annals_error* error);
} annals_archiver_functions;

/* --- the descriptor ---------------------------------------------------------------------------------------------------- */

#define ANNALS_OFFERS_SINK (UINT64_C(1) << 0)     /* `sink` is not null */
#define ANNALS_OFFERS_ARCHIVER (UINT64_C(1) << 1) /* `archiver` is not null */
#define ANNALS_WRITES_LOG (UINT64_C(1) << 2)      /* the sink keeps the lines at annals_host::log_path, for readers of logs */

/* Contains no pointer, so that the host can read it from the file. Texts are ASCII, ended and filled up with NUL. The members
 * up to abi_minor have the same places in every major version. */
typedef struct annals_identity {
  char magic[8];            /* ANNALS_PLUGIN_MAGIC */
  uint32_t identity_size;   /* sizeof(annals_identity) */
  uint32_t descriptor_size; /* sizeof(annals_plugin_descriptor) */
  uint32_t reserved_size;   /* 0 */
  uint16_t abi_major;       /* ANNALS_PLUGIN_ABI_MAJOR */
  uint16_t abi_minor;       /* ANNALS_PLUGIN_ABI_MINOR */
  uint64_t capabilities;    /* ANNALS_OFFERS_..., ANNALS_WRITES_LOG, or-ed; a host ignores those it does not know */
  char name[32];            /* NAME of annals_NAME.so: a-z, 0-9, _ */
  char version[32];         /* the plugin's own */
  char license[32];         /* SPDX */
  char compiler[64];        /* that built it; for people only */
  uint64_t reserved[8];     /* 0 */
} annals_identity;

typedef struct annals_plugin_descriptor {
  annals_identity identity;
  const annals_sink_functions* sink;         /* null where the plugin offers no sinks */
  const annals_archiver_functions* archiver; /* null where it offers no archivers */
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

/* The definition of the descriptor:  ANNALS_PLUGIN_EXPORT const annals_plugin_descriptor annals_plugin = {...}; */
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
   0,                                                                                            \
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
