# SPDX-License-Identifier: Apache-2.0
# The sources of the library. A new module is added here and in the table of docs/architecture.md.

# Interfaces that applications can import, and that are installed.
set(ANNALS_PUBLIC_INTERFACES
  modules/annals.cppm
  modules/core/event/event.cppm
  modules/core/json/json.cppm
  modules/core/options/options.cppm
  modules/core/event/text/text.cppm
  modules/delivery/logger/logger.cppm
  modules/host/config/config.cppm
  modules/host/plugin/plugin.cppm
  modules/read/reader/reader.cppm
  modules/storage/retention/retention.cppm
  modules/storage/rotation/request/request.cppm
  sinks/memory/memory.cppm
  sinks/sink.cppm)

# Interfaces for the library and its tests.
set(ANNALS_INTERNAL_INTERFACES
  modules/core/io/checksum/checksum.cppm
  modules/core/io/invariant/invariant.cppm
  modules/core/io/calls/calls.cppm
  modules/core/io/files/files.cppm
  modules/core/io/io.cppm
  modules/core/io/mappings/mappings.cppm
  modules/core/io/owned_file/owned_file.cppm
  modules/core/io/process/process.cppm
  modules/core/io/threads/threads.cppm
  modules/core/io/watch/watch.cppm
  modules/core/io/worker/worker.cppm
  modules/delivery/delivery/delivery.cppm
  modules/delivery/durable/durable.cppm
  modules/delivery/recovery/recovery.cppm
  modules/delivery/ring/drain/drain.cppm
  modules/delivery/ring/ring.cppm
  modules/host/plugin/elf/elf.cppm
  modules/storage/archiver/archiver.cppm
  modules/storage/content/content.cppm
  modules/storage/content/seekable/seekable.cppm
  modules/storage/rotation/lock/lock.cppm
  modules/storage/rotation/rotation.cppm
  modules/storage/rotation/zone/zone.cppm
  modules/storage/segment/segment.cppm
  sinks/appender/appender.cppm
  sinks/file/file.cppm)

# Their names, as a regular expression: modules/core/io/io.cppm is annals.io, sinks/file/file.cppm annals.sinks.file.
set(ANNALS_INTERNAL_MODULES ${ANNALS_INTERNAL_INTERFACES})
list(TRANSFORM ANNALS_INTERNAL_MODULES REPLACE "^modules/[a-z]+/" "")
list(TRANSFORM ANNALS_INTERNAL_MODULES REPLACE "/[a-z_]+\\.cppm$" "")
list(TRANSFORM ANNALS_INTERNAL_MODULES REPLACE "/" "\\\\.")
string(JOIN "|" ANNALS_INTERNAL_MODULES ${ANNALS_INTERNAL_MODULES})
set(ANNALS_INTERNAL_MODULES "annals\\.(${ANNALS_INTERNAL_MODULES})")

# The implementations, beside the interfaces.
set(ANNALS_IMPLEMENTATIONS
  modules/core/event/event.cpp
  modules/core/event/timestamp.cpp
  modules/core/io/invariant/invariant.cpp
  modules/core/io/calls/system_calls.cpp
  modules/core/io/files/file.cpp
  modules/core/io/files/trusted_file.cpp
  modules/core/io/files/expected_file.cpp
  modules/core/io/mappings/bus_guard.cpp
  modules/core/io/mappings/mapping.cpp
  modules/core/io/mappings/guarded_mapping.cpp
  modules/core/io/owned_file/owned_file.cpp
  modules/core/io/process/process.cpp
  modules/core/io/threads/threads.cpp
  modules/core/io/watch/change_watch.cpp
  modules/core/io/worker/worker.cpp
  modules/core/json/decode.cpp
  modules/core/json/encode.cpp
  modules/core/json/line_time.cpp
  modules/core/options/options.cpp
  modules/core/event/text/text.cpp
  modules/delivery/delivery/delivery.cpp
  modules/delivery/delivery/fork_hook.cpp
  modules/delivery/durable/durable_delivery.cpp
  modules/delivery/durable/journal.cpp
  modules/delivery/logger/from_config.cpp
  modules/delivery/logger/logger.cpp
  modules/delivery/logger/recover.cpp
  modules/delivery/recovery/arrivals.cpp
  modules/delivery/recovery/journal.cpp
  modules/delivery/recovery/left_in_ring.cpp
  modules/delivery/ring/drain/drain.cpp
  modules/delivery/ring/drain/owned_ring.cpp
  modules/delivery/ring/drain/ring_delivery.cpp
  modules/delivery/ring/queue.cpp
  modules/delivery/ring/ring.cpp
  modules/host/config/check_config.cpp
  modules/host/plugin/elf/elf.cpp
  modules/host/plugin/objects.cpp
  modules/host/plugin/plugin.cpp
  modules/host/plugin/registry.cpp
  modules/read/reader/address.cpp
  modules/read/reader/crew.cpp
  modules/read/reader/cursor.cpp
  modules/read/reader/follow.cpp
  modules/read/reader/look_at.cpp
  modules/read/reader/read_lines.cpp
  modules/read/reader/reports.cpp
  modules/read/reader/scan.cpp
  modules/read/reader/tail.cpp
  modules/read/reader/walk.cpp
  modules/storage/archiver/archiver.cpp
  modules/storage/content/content.cpp
  modules/storage/content/facts_check.cpp
  modules/storage/content/lines.cpp
  modules/storage/content/seekable/decoder.cpp
  modules/storage/content/seekable/facts.cpp
  modules/storage/content/seekable/seek_table.cpp
  modules/storage/content/seekable/table.cpp
  modules/storage/content/seekable/walk.cpp
  modules/storage/content/seekable/writer.cpp
  modules/storage/content/view.cpp
  modules/storage/retention/adoption.cpp
  modules/storage/retention/archiving.cpp
  modules/storage/retention/deletion.cpp
  modules/storage/retention/deletion_record.cpp
  modules/storage/retention/events.cpp
  modules/storage/retention/holds.cpp
  modules/storage/retention/inventory.cpp
  modules/storage/retention/keeper.cpp
  modules/storage/retention/measure.cpp
  modules/storage/retention/plan.cpp
  modules/storage/retention/policy.cpp
  modules/storage/retention/pressure.cpp
  modules/storage/retention/situation.cpp
  modules/storage/retention/told_holds.cpp
  modules/storage/rotation/lock/lock.cpp
  modules/storage/rotation/lock/claim.cpp
  modules/storage/rotation/request/request.cpp
  modules/storage/rotation/triggers.cpp
  modules/storage/rotation/writer.cpp
  modules/storage/rotation/zone/zone.cpp
  modules/storage/segment/deleted.cpp
  modules/storage/segment/listing.cpp
  modules/storage/segment/segment.cpp
  sinks/appender/appender.cpp
  sinks/file/file.cpp
  sinks/memory/memory.cpp
  sinks/sink.cpp)

# What the sanitizers slow down most: optimised in sanitizer builds, too, while all else is compiled in less than half the time without.
set(ANNALS_HOT_IMPLEMENTATIONS ${ANNALS_IMPLEMENTATIONS})
list(FILTER ANNALS_HOT_IMPLEMENTATIONS INCLUDE REGEX
  "/(checksum|event|json|text|ring|segment)/[a-z_]+\\.cpp$|/seekable/|/content/lines\\.cpp$|/reader/scan\\.cpp$")

# annals_library(TARGET PRIVATE_MODULES PRIVATE|PUBLIC)
#
# Gives TARGET all sources of the library. With PUBLIC the internal modules can be imported from outside, which only the tests'
# own build of the library allows: this is how tests reach the seam in annals.io. The implementations are compiled in the target
# `annals` alone, and linked from there. The interfaces are compiled in each: targets that import them need them.
function(annals_library target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "PRIVATE_MODULES" "")
  list(TRANSFORM ANNALS_IMPLEMENTATIONS PREPEND ${PROJECT_SOURCE_DIR}/ OUTPUT_VARIABLE implementations)
  if(ANNALS_SANITIZE AND NOT ANNALS_FUZZ)
    list(TRANSFORM ANNALS_HOT_IMPLEMENTATIONS PREPEND ${PROJECT_SOURCE_DIR}/ OUTPUT_VARIABLE hot)
    set_source_files_properties(${hot} PROPERTIES COMPILE_OPTIONS -O1)
  endif()
  if(NOT target STREQUAL annals)
    set(implementations)
    # Linked, and not named as sources: CMake would look for the modules of `annals`, too, and find each twice.
    target_link_libraries(${target} PRIVATE "$<BUILD_INTERFACE:$<FILTER:$<TARGET_OBJECTS:annals>,EXCLUDE,\\.cppm\\.>>")
  endif()
  list(TRANSFORM ANNALS_PUBLIC_INTERFACES PREPEND ${PROJECT_SOURCE_DIR}/ OUTPUT_VARIABLE public)
  list(TRANSFORM ANNALS_INTERNAL_INTERFACES PREPEND ${PROJECT_SOURCE_DIR}/ OUTPUT_VARIABLE internal)
  target_sources(${target}
    PUBLIC FILE_SET CXX_MODULES BASE_DIRS ${PROJECT_SOURCE_DIR} FILES ${public}
    PRIVATE ${implementations})
  target_sources(${target} ${arg_PRIVATE_MODULES}
    FILE_SET internal_modules TYPE CXX_MODULES BASE_DIRS ${PROJECT_SOURCE_DIR} FILES ${internal})
  set_source_files_properties(${PROJECT_SOURCE_DIR}/modules/core/io/invariant/invariant.cppm PROPERTIES
    COMPILE_DEFINITIONS "${ANNALS_INVARIANTS}")
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:Boost::json> $<BUILD_INTERFACE:zstd::libzstd_shared>
    $<BUILD_INTERFACE:Threads::Threads>
    $<BUILD_INTERFACE:annals_plugin_abi> $<BUILD_INTERFACE:${CMAKE_DL_LIBS}>)
  # Calls out of the library go without a stub between, see also -Bsymbolic-functions (docs/decisions.md).
  target_compile_options(${target} PRIVATE $<BUILD_INTERFACE:-fno-plt>)
  target_compile_definitions(${target} PRIVATE BOOST_DLL_USE_STD_FS ANNALS_VERSION="${PROJECT_VERSION}")
  set_target_properties(${target} PROPERTIES
    CXX_SCAN_FOR_MODULES ON POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET ${ANNALS_VISIBILITY})
  annals_developer_options(${target})
endfunction()
