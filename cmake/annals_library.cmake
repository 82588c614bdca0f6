# SPDX-License-Identifier: Apache-2.0
# What the library is made of. A new module is added here, in the table of docs/architecture.md, and nowhere else.

set(ANNALS_PUBLIC_MODULES event options json sink plugin config logger reader maintenance annals)
set(ANNALS_INTERNAL_MODULES appender archive drain elf io journal ring rotation seekable segment source zone)
set(ANNALS_PUBLIC_SINKS memory)
set(ANNALS_INTERNAL_SINKS file)

# The implementations, beside the interfaces.
set(ANNALS_IMPLEMENTATIONS
  modules/appender/appender.cpp
  modules/archive/archive.cpp
  modules/config/check_config.cpp
  modules/drain/drain.cpp
  modules/drain/recovery.cpp
  modules/elf/elf.cpp
  modules/event/event.cpp
  modules/event/timestamp.cpp
  modules/io/change_watch.cpp
  modules/io/file.cpp
  modules/io/lock_file.cpp
  modules/io/system_calls.cpp
  modules/io/threads.cpp
  modules/io/trusted_file.cpp
  modules/io/wrapped_mapping.cpp
  modules/journal/journal.cpp
  modules/journal/recovery.cpp
  modules/json/decode.cpp
  modules/json/encode.cpp
  modules/logger/durable_delivery.cpp
  modules/logger/fork_guard.cpp
  modules/logger/from_config.cpp
  modules/logger/logger.cpp
  modules/logger/recover.cpp
  modules/logger/ring_delivery.cpp
  modules/maintenance/adopt.cpp
  modules/maintenance/events.cpp
  modules/maintenance/holds.cpp
  modules/maintenance/inventory.cpp
  modules/maintenance/keeper.cpp
  modules/maintenance/measure.cpp
  modules/maintenance/pressure.cpp
  modules/maintenance/policy.cpp
  modules/maintenance/prune.cpp
  modules/maintenance/rotation_request.cpp
  modules/options/options.cpp
  modules/plugin/plugin.cpp
  modules/plugin/registry.cpp
  modules/reader/cursor.cpp
  modules/reader/follow.cpp
  modules/reader/read_lines.cpp
  modules/reader/reports.cpp
  modules/reader/scan.cpp
  modules/reader/tail.cpp
  modules/rotation/lock.cpp
  modules/rotation/triggers.cpp
  modules/rotation/writer.cpp
  modules/ring/ring.cpp
  modules/seekable/decoder.cpp
  modules/seekable/facts.cpp
  modules/seekable/table.cpp
  modules/seekable/writer.cpp
  modules/segment/deleted.cpp
  modules/segment/segment.cpp
  modules/sink/sink.cpp
  modules/source/content.cpp
  modules/source/lines.cpp
  modules/source/view.cpp
  modules/zone/zone.cpp
  sinks/file/file.cpp
  sinks/memory/memory.cpp)

# The target that has them compiled: the tests have all of the library, its internal modules, too.
if(ANNALS_DEVELOPER)
  set(ANNALS_OBJECTS annals_testing)
else()
  set(ANNALS_OBJECTS annals)
endif()

# annals_library(TARGET PRIVATE_MODULES PRIVATE|PUBLIC)
#
# Gives TARGET all sources of the library. The internal modules are importable from outside with PUBLIC, which only the
# tests' own build of the library has: that is how tests reach the seam in annals.io. The implementations are compiled in
# ANNALS_OBJECTS alone, and linked from there; the interfaces always are, for who imports TARGET needs them.
function(annals_library target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "PRIVATE_MODULES" "")
  set(public)
  set(internal)
  list(TRANSFORM ANNALS_IMPLEMENTATIONS PREPEND ${PROJECT_SOURCE_DIR}/ OUTPUT_VARIABLE implementations)
  if(NOT target STREQUAL ANNALS_OBJECTS)
    set(implementations)
    # Linked, and not named as sources: CMake would look for the modules of ANNALS_OBJECTS, too, and find each twice.
    target_link_libraries(${target} PRIVATE "$<BUILD_INTERFACE:$<FILTER:$<TARGET_OBJECTS:${ANNALS_OBJECTS}>,EXCLUDE,\\.cppm\\.>>")
  endif()
  foreach(name IN LISTS ANNALS_PUBLIC_MODULES)
    list(APPEND public ${PROJECT_SOURCE_DIR}/modules/${name}/${name}.cppm)
  endforeach()
  foreach(name IN LISTS ANNALS_INTERNAL_MODULES)
    list(APPEND internal ${PROJECT_SOURCE_DIR}/modules/${name}/${name}.cppm)
  endforeach()
  foreach(name IN LISTS ANNALS_PUBLIC_SINKS)
    list(APPEND public ${PROJECT_SOURCE_DIR}/sinks/${name}/${name}.cppm)
  endforeach()
  foreach(name IN LISTS ANNALS_INTERNAL_SINKS)
    list(APPEND internal ${PROJECT_SOURCE_DIR}/sinks/${name}/${name}.cppm)
  endforeach()
  target_sources(${target}
    PUBLIC FILE_SET CXX_MODULES BASE_DIRS ${PROJECT_SOURCE_DIR} FILES ${public}
    PRIVATE ${implementations})
  target_sources(${target} ${arg_PRIVATE_MODULES}
    FILE_SET internal_modules TYPE CXX_MODULES BASE_DIRS ${PROJECT_SOURCE_DIR} FILES ${internal})
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:Boost::json> $<BUILD_INTERFACE:zstd::libzstd_shared>
    $<BUILD_INTERFACE:Threads::Threads>
    $<BUILD_INTERFACE:annals_plugin_abi> $<BUILD_INTERFACE:${CMAKE_DL_LIBS}>)
  # Calls out of the library go without a stub between, see also -Bsymbolic-functions (docs/decisions.md).
  target_compile_options(${target} PRIVATE $<BUILD_INTERFACE:-fno-plt>)
  target_compile_definitions(${target} PRIVATE BOOST_DLL_USE_STD_FS ANNALS_VERSION="${PROJECT_VERSION}")
  set_target_properties(${target} PROPERTIES
    CXX_EXTENSIONS OFF CXX_SCAN_FOR_MODULES ON POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden)
  annals_developer_options(${target})
endfunction()
