# SPDX-License-Identifier: Apache-2.0
# The CMake package of annals: find_package(annals CONFIG REQUIRED), then link annals::annals and `import annals;`.
if(CMAKE_VERSION VERSION_LESS 3.28)
  set(annals_FOUND FALSE)
  set(annals_NOT_FOUND_MESSAGE "importing C++20 modules needs CMake 3.28 or newer; this is ${CMAKE_VERSION}")
  return()
endif()
if(NOT CMAKE_GENERATOR MATCHES "Ninja|Visual Studio")
  set(annals_FOUND FALSE)
  set(annals_NOT_FOUND_MESSAGE "CMake builds C++20 modules with the Ninja generators only: configure with -G Ninja, not ${CMAKE_GENERATOR}")
  return()
endif()

include("${CMAKE_CURRENT_LIST_DIR}/annalsTargets.cmake")

# The module interfaces are compiled again in the consumer's build. Their dialect has to be that of the code which imports
# them: the compilers refuse to mix.
if(CMAKE_CXX_STANDARD)
  set_property(TARGET annals::annals PROPERTY IMPORTED_CXX_MODULES_COMPILE_FEATURES cxx_std_${CMAKE_CXX_STANDARD})
endif()
if(NOT DEFINED CMAKE_CXX_EXTENSIONS)
  set(_annals_extensions ${CMAKE_CXX_EXTENSIONS_DEFAULT})
else()
  set(_annals_extensions ${CMAKE_CXX_EXTENSIONS})
endif()
set_property(TARGET annals::annals PROPERTY CXX_EXTENSIONS ${_annals_extensions})
unset(_annals_extensions)
