# SPDX-License-Identifier: Apache-2.0
# What the library is made of. A new module is added here, in the table of docs/architecture.md, and nowhere else.

set(ANNALS_PUBLIC_MODULES event options json sink plugin config logger reader annals)
set(ANNALS_INTERNAL_MODULES elf io segment)
set(ANNALS_PUBLIC_SINKS memory)
set(ANNALS_INTERNAL_SINKS file)

# The implementations, beside the interfaces.
set(ANNALS_IMPLEMENTATIONS
  modules/config/check_config.cpp
  modules/elf/elf.cpp
  modules/event/event.cpp
  modules/event/timestamp.cpp
  modules/io/change_watch.cpp
  modules/io/file.cpp
  modules/io/system_calls.cpp
  modules/io/trusted_file.cpp
  modules/json/decode.cpp
  modules/json/encode.cpp
  modules/logger/from_config.cpp
  modules/logger/logger.cpp
  modules/options/options.cpp
  modules/plugin/plugin.cpp
  modules/plugin/registry.cpp
  modules/reader/cursor.cpp
  modules/reader/follow.cpp
  modules/reader/tail.cpp
  modules/segment/segment.cpp
  modules/sink/sink.cpp
  sinks/file/file.cpp
  sinks/memory/memory.cpp)

# annals_library(TARGET PRIVATE_MODULES PRIVATE|PUBLIC)
#
# Gives TARGET all sources of the library. The internal modules are importable from outside with PUBLIC, which only the
# tests' own build of the library has: that is how tests reach the seam in annals.io.
function(annals_library target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "PRIVATE_MODULES" "")
  set(public)
  set(internal)
  list(TRANSFORM ANNALS_IMPLEMENTATIONS PREPEND ${PROJECT_SOURCE_DIR}/ OUTPUT_VARIABLE implementations)
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
  target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:Boost::json> $<BUILD_INTERFACE:Threads::Threads>
    $<BUILD_INTERFACE:annals_plugin_abi> $<BUILD_INTERFACE:${CMAKE_DL_LIBS}>)
  target_compile_definitions(${target} PRIVATE BOOST_DLL_USE_STD_FS ANNALS_VERSION="${PROJECT_VERSION}")
  set_target_properties(${target} PROPERTIES
    CXX_EXTENSIONS OFF CXX_SCAN_FOR_MODULES ON POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden)
  annals_developer_options(${target})
endfunction()
