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
#include <string>
#include <string_view>
#include <utility>
#include <vector>
module annals.sdk;

// What the opaque type of the C header is here: the author's sink, and why its last call failed. (extern "C++": the header has
// declared it outside of any module.)
extern "C++" struct annals_sink : annals::sdk::table::head {
  ~annals_sink() { sink.reset(); }  // before what it may need to say something
  annals::error failed = {};
  std::string notice = {};  // keeps the text of a notice alive during the host's call
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
    default: return ANNALS_ERROR_SINK;
  }
}

std::int32_t code_of(notice_code code) noexcept {
  switch (code) {
    case notice_code::file_replaced: return ANNALS_ERROR_REPLACED;
    case notice_code::partial_line: return ANNALS_ERROR_TORN_TAIL;
    case notice_code::segment_closed: return ANNALS_ERROR_CLOSED;
    case notice_code::segment_deleted: return ANNALS_ERROR_DELETED;
    case notice_code::disk_space: return ANNALS_ERROR_DISK_SPACE;
    default: return ANNALS_ERROR_SINK;
  }
}

// Keeps the exception being handled in `kept`. Where even that needs memory that is not there, the message stays empty.
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
      kept.message = "the sink threw something that is no std::exception";
    }
  } catch (...) {  // no memory for a message
  }
}

// Runs `call` on the sink; what it throws becomes the failure of the sink.
template <class Call>
annals_status guarded(annals_sink* sink, Call&& call) noexcept {
  sink->has_failed = false;
  try {
    call(*sink->sink);
    return ANNALS_OK;
  } catch (...) {
    keep_current(sink->failed, sink->has_failed);
    return ANNALS_FAILED;
  }
}

host told_to(const annals_host& from) {
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

}  // namespace

annals_status make(const annals_host* told, annals_sink** made, maker maker) noexcept {
  last_creation.is_set = false;
  try {
    auto wrapped = std::make_unique<annals_sink>();
    wrapped->sink = maker(told_to(*told));
    wrapped->sink->set_notice_handler(
        [self = wrapped.get(), context = told->context, tell = told->notice](const annals::notice& what) {
          self->notice = what.message;
          tell(context, code_of(what.code), what.system_code, self->notice.c_str());
        });
    *made = wrapped.release();
    return ANNALS_OK;
  } catch (...) {
    keep_current(last_creation.cause, last_creation.is_set);
    return ANNALS_FAILED;
  }
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

annals_status archive(annals_sink* sink, const annals_segment* segment) noexcept {
  return guarded(sink,
                 [segment](annals::sink& to) { static_cast<archiving_sink&>(to).archive({segment->path, segment->number}); });
}

void destroy(annals_sink* sink) noexcept {
  delete sink;
}

annals_status last_error(annals_sink* sink, annals_error* error) noexcept {
  const bool is_set = sink != nullptr ? sink->has_failed : last_creation.is_set;
  if (!is_set) return ANNALS_FAILED;
  const annals::error& cause = sink != nullptr ? sink->failed : last_creation.cause;
  error->code = code_of(cause.code);
  error->system_code = cause.system_code;
  error->message = cause.message.c_str();
  return ANNALS_OK;
}

}  // namespace annals::sdk::table
