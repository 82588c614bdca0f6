// SPDX-License-Identifier: Apache-2.0
module;
#include <annals_plugin.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
module annals.sdk;

// What the opaque types of the C header are here: the author's object, and why its last call failed. (extern "C++": the header
// has declared them outside of any module.)
extern "C++" struct annals_sink : annals::sdk::table::head {
  annals::error failed = {};
  std::optional<annals::closed_segment> closed = {};  // by the last start_segment
};
extern "C++" struct annals_archiver {
  std::unique_ptr<annals::archiver> made = {};
  bool has_failed = false;
  annals::error failed = {};
};

namespace annals::sdk::table {

namespace {

// Why the last create on this thread failed.
struct creation_failure {
  error cause;
  bool is_set = false;
};
thread_local creation_failure last_creation;

std::int32_t code_of(errc code) noexcept {
  switch (code) {
    case errc::invalid_argument:
    case errc::invalid_config: return ANNALS_ERROR_OPTIONS;
    case errc::io: return ANNALS_ERROR_IO;
    case errc::sync_failed: return ANNALS_ERROR_SYNC;
    case errc::not_a_regular_file: return ANNALS_ERROR_NOT_REGULAR;
    case errc::disk_space: return ANNALS_ERROR_DISK_SPACE;
    case errc::file_removed: return ANNALS_ERROR_FILE_REMOVED;
    default: return ANNALS_ERROR_OTHER;
  }
}

std::int32_t code_of(notice_code code) noexcept {
  switch (code) {
    case notice_code::segment_closed: return ANNALS_NOTICE_SEGMENT_CLOSED;
    case notice_code::segment_deleted: return ANNALS_NOTICE_SEGMENT_DELETED;
    case notice_code::file_replaced: return ANNALS_NOTICE_FILE_REPLACED;
    case notice_code::partial_line: return ANNALS_NOTICE_PARTIAL_LINE;
    case notice_code::disk_space: return ANNALS_NOTICE_DISK_SPACE;
    case notice_code::rotation_failed: return ANNALS_NOTICE_ROTATION_FAILED;
    case notice_code::deletion_failed: return ANNALS_NOTICE_DELETION_FAILED;
    case notice_code::check_failed: return ANNALS_NOTICE_CHECK_FAILED;
    case notice_code::connection_lost: return ANNALS_NOTICE_CONNECTION_LOST;
    default: return ANNALS_NOTICE_OTHER;
  }
}

std::int32_t code_of(severity how) noexcept {
  switch (how) {
    case severity::info: return ANNALS_SEVERITY_INFO;
    case severity::warning: return ANNALS_SEVERITY_WARNING;
    default: return ANNALS_SEVERITY_ERROR;
  }
}

// Keeps the exception being handled in `kept`. If there is no memory for a message, it stays empty.
void keep_current(error& kept, bool& is_set) noexcept {
  is_set = true;
  kept.code = errc::sink_failed;
  kept.system_code = 0;
  kept.message.clear();
  try {
    try {
      throw;
    } catch (const failure& thrown) {
      kept = thrown.cause();
    } catch (const std::bad_alloc&) {
      kept.message = "no memory left";
    } catch (const std::exception& thrown) {
      kept.message = thrown.what();
    } catch (...) {
      kept.message = "the plugin threw something that is no std::exception";
    }
  } catch (...) {  // no memory for a message
  }
}

// Runs `call` on the author's object. Keeps what it throws for last_error.
template <class Object, class Call>
annals_status guarded(Object* of, Call&& call) noexcept {
  of->has_failed = false;
  try {
    call(*of->made);
    return ANNALS_OK;
  } catch (...) {
    keep_current(of->failed, of->has_failed);
    return ANNALS_FAILED;
  }
}

host copy_of(const annals_host& from) {
  host to;
  to.log_path = from.log_path;
  to.file_mode = from.file_mode;
  to.version = from.host_version;
  to.options.reserve(from.options_count);
  const auto* at = reinterpret_cast<const unsigned char*>(from.options);
  for (std::uint64_t i = 0; i < from.options_count; ++i, at += from.option_size) {
    const auto& given = *reinterpret_cast<const annals_option*>(at);
    to.options.push_back({given.name, static_cast<option_kind>(given.kind),
                          std::string(given.text, static_cast<std::size_t>(given.text_bytes))});
  }
  return to;
}

template <class Object, class Maker>
annals_status make_object(const annals_host* from, Object** made, Maker maker) noexcept {
  last_creation.is_set = false;
  try {
    auto wrapped = std::make_unique<Object>();
    wrapped->made = maker(copy_of(*from));
    wrapped->made->set_notice_handler([context = from->context, give = from->notice](const notice& what) {
      annals_notice given = {};
      given.struct_size = sizeof given;
      given.code = code_of(what.code);
      given.severity = code_of(what.severity);
      given.system_code = what.system_code;
      given.message = what.message.c_str();
      give(context, &given);
    });
    *made = wrapped.release();
    return ANNALS_OK;
  } catch (...) {
    keep_current(last_creation.cause, last_creation.is_set);
    return ANNALS_FAILED;
  }
}

template <class Object>
annals_status error_of(const Object* of, annals_error* error) noexcept {
  const bool is_set = of != nullptr ? of->has_failed : last_creation.is_set;
  if (!is_set) return ANNALS_FAILED;
  const annals::error& cause = of != nullptr ? of->failed : last_creation.cause;
  error->code = code_of(cause.code);
  error->system_code = cause.system_code;
  error->message = cause.message.c_str();
  return ANNALS_OK;
}

}  // namespace

annals_status make(const annals_host* from, annals_sink** made, std::unique_ptr<sink> (*maker)(const host&)) noexcept {
  return make_object(from, made, maker);
}

annals_status make(const annals_host* from, annals_archiver** made, std::unique_ptr<archiver> (*maker)(const host&)) noexcept {
  return make_object(from, made, maker);
}

annals_status failed(annals_sink* sink) noexcept {
  keep_current(sink->failed, sink->has_failed);
  return ANNALS_FAILED;
}

annals_status sync(annals_sink* sink) noexcept {
  return guarded(sink, [](annals::sink& to) { to.sync(); });
}

annals_status reopen(annals_sink* sink) noexcept {
  return guarded(sink, [](annals::sink& to) { to.reopen(); });
}

annals_status position(annals_sink* sink, annals_position* where) noexcept {
  return guarded(sink, [where](annals::sink& to) {
    const annals::position at = to.position();
    *where = {at.segment, at.offset};
  });
}

annals_status start_segment(annals_sink* sink, annals_segment* closed) noexcept {
  return guarded(sink, [sink, closed](annals::sink& to) {
    sink->closed = to.start_segment();
    closed->path = sink->closed ? sink->closed->path.c_str() : nullptr;
    closed->number = sink->closed ? sink->closed->number : 0;
  });
}

void destroy(annals_sink* sink) noexcept {
  delete sink;
}

annals_status last_error(annals_sink* sink, annals_error* error) noexcept {
  return error_of(sink, error);
}

annals_status archive(annals_archiver* archiver, const annals_segment* segment) noexcept {
  return guarded(archiver, [segment](annals::archiver& to) { to.archive({segment->path, segment->number}); });
}

void destroy(annals_archiver* archiver) noexcept {
  delete archiver;
}

annals_status last_error(annals_archiver* archiver, annals_error* error) noexcept {
  return error_of(archiver, error);
}

}  // namespace annals::sdk::table
