# SPDX-License-Identifier: Apache-2.0
# The CMake package of annals: find_package(annals CONFIG REQUIRED), then link annals::annals and `import annals;`.
# Looks for no other package: the interfaces need nothing but the standard library.
#
# Components: library (annals::annals, for hosts), sdk (annals::sdk, for plugins in C++), plugin_abi (the C header and
# annals_add_plugin(); any compiler and generator). All of them where none is named.

foreach(_annals_component IN LISTS annals_FIND_COMPONENTS)
  if(NOT _annals_component MATCHES "^(library|sdk|plugin_abi)$" AND annals_FIND_REQUIRED_${_annals_component})
    set(annals_FOUND FALSE)
    set(annals_NOT_FOUND_MESSAGE "annals has no component ${_annals_component}; expected library, sdk or plugin_abi")
    return()
  endif()
endforeach()
unset(_annals_component)

if("${annals_FIND_COMPONENTS}" STREQUAL "plugin_abi")
  include("${CMAKE_CURRENT_LIST_DIR}/annalsPluginAbiTargets.cmake")
  include("${CMAKE_CURRENT_LIST_DIR}/annals_add_plugin.cmake")
  set(annals_plugin_abi_FOUND TRUE)
  return()
endif()

# What cannot work is refused here, in words, rather than by the generator or the compiler.
set(annals_NOT_FOUND_MESSAGE)
if(CMAKE_VERSION VERSION_LESS 3.28)
  set(annals_NOT_FOUND_MESSAGE "importing C++20 modules needs CMake 3.28 or newer; this is ${CMAKE_VERSION}")
elseif(NOT CMAKE_GENERATOR MATCHES "Ninja|Visual Studio")
  set(annals_NOT_FOUND_MESSAGE "CMake builds C++20 modules with the Ninja generators only: configure with -G Ninja, not ${CMAKE_GENERATOR}")
elseif((CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 19) OR
       (CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 15))
  string(CONCAT annals_NOT_FOUND_MESSAGE "importing annals needs clang 19 or newer, or GCC 15 or newer; this is "
    "${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}: configure with -DCMAKE_CXX_COMPILER=clang++-19, in a fresh build directory")
elseif(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND NOT CMAKE_CXX_COMPILER_CLANG_SCAN_DEPS)
  set(annals_NOT_FOUND_MESSAGE "clang finds imports with clang-scan-deps, which is missing: install it (Debian: clang-tools-19)")
endif()
if(annals_NOT_FOUND_MESSAGE)
  set(annals_FOUND FALSE)
  return()
endif()

include("${CMAKE_CURRENT_LIST_DIR}/annalsPluginAbiTargets.cmake")
include("${CMAKE_CURRENT_LIST_DIR}/annals_add_plugin.cmake")
set(annals_plugin_abi_FOUND TRUE)
include("${CMAKE_CURRENT_LIST_DIR}/annalsSdkTargets.cmake")
include("${CMAKE_CURRENT_LIST_DIR}/annalsTargets.cmake")
set(annals_library_FOUND TRUE)
set(annals_sdk_FOUND TRUE)

# The module interfaces are compiled again in the consumer's build. Their dialect has to be that of the code which imports
# them: the compilers refuse to mix.
if(NOT DEFINED CMAKE_CXX_EXTENSIONS)
  set(_annals_extensions ${CMAKE_CXX_EXTENSIONS_DEFAULT})
else()
  set(_annals_extensions ${CMAKE_CXX_EXTENSIONS})
endif()
foreach(_annals_target IN ITEMS annals::annals annals::sdk)
  if(CMAKE_CXX_STANDARD)
    set_property(TARGET ${_annals_target} PROPERTY IMPORTED_CXX_MODULES_COMPILE_FEATURES cxx_std_${CMAKE_CXX_STANDARD})
  endif()
  set_property(TARGET ${_annals_target} PROPERTY CXX_EXTENSIONS ${_annals_extensions})
endforeach()
unset(_annals_extensions)
unset(_annals_target)

# Before 3.28, CMake looked for imports only where it was told to (policy CMP0155), and a project that asks for less gets that.
cmake_policy(GET CMP0155 _annals_scans)
if(NOT _annals_scans STREQUAL "NEW" AND NOT CMAKE_CXX_SCAN_FOR_MODULES AND NOT annals_FIND_QUIETLY)
  message(WARNING "annals: targets of this project are not scanned for imports, and will not find `import annals;`, since its "
    "cmake_minimum_required() is below 3.28. Ask for 3.28, or set CMAKE_CXX_SCAN_FOR_MODULES to ON.")
endif()
unset(_annals_scans)
