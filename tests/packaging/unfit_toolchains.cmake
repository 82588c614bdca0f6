# SPDX-License-Identifier: Apache-2.0
# The CMake package refuses compilers that cannot import annals, and says what would. CONFIG is the installed package's file.
cmake_minimum_required(VERSION 3.28)

function(expect_refusal expected)
  set(CMAKE_GENERATOR Ninja)
  include(${CONFIG})
  if(NOT DEFINED annals_FOUND OR annals_FOUND OR NOT annals_NOT_FOUND_MESSAGE MATCHES "${expected}")
    message(SEND_ERROR "expected a refusal with '${expected}'; found: '${annals_FOUND}', '${annals_NOT_FOUND_MESSAGE}'")
  endif()
endfunction()

set(CMAKE_CXX_COMPILER_ID GNU)
set(CMAKE_CXX_COMPILER_VERSION 14.2.0)
expect_refusal("clang 19 or newer, or GCC 15 or newer; this is GNU 14.2.0")
set(CMAKE_CXX_COMPILER_ID Clang)
set(CMAKE_CXX_COMPILER_VERSION 18.1.8)
expect_refusal("clang 19 or newer, or GCC 15 or newer; this is Clang 18.1.8")
set(CMAKE_CXX_COMPILER_VERSION 19.1.7)
set(CMAKE_CXX_COMPILER_CLANG_SCAN_DEPS CMAKE_CXX_COMPILER_CLANG_SCAN_DEPS-NOTFOUND)
expect_refusal("install it .Debian: clang-tools-19")
