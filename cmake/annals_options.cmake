# SPDX-License-Identifier: Apache-2.0
# Warnings, sanitizers, coverage, hardening. Nothing here reaches a consumer of the library.

function(annals_developer_options target)
  if(ANNALS_DEVELOPER)
    target_compile_options(${target} PRIVATE "$<BUILD_INTERFACE:-Wall;-Wextra;-Wpedantic;-Wconversion;-Wshadow;-Werror>")
  endif()
endfunction()

# What only tests: compiled in less time, the library that it tests being what is optimised.
function(annals_test_options target)
  annals_developer_options(${target})
  target_compile_options(${target} PRIVATE -O0)
endfunction()

# Builds that look for mistakes check the library's own assumptions. For annals.io.invariant alone: importers get the constant from it.
set(ANNALS_INVARIANTS $<$<OR:$<CONFIG:Debug>,$<BOOL:${ANNALS_SANITIZE}>,$<BOOL:${ANNALS_FUZZ}>>:ANNALS_INVARIANTS>)

# Internal modules are hidden in the library that people get. In a sanitizer build tests and plugins take them from the library.
set(ANNALS_VISIBILITY hidden)
if(ANNALS_SANITIZE)
  set(ANNALS_VISIBILITY default)
  # Without vptr: that check needs a free descriptor, and some tests leave none.
  add_compile_options(-fsanitize=${ANNALS_SANITIZE} -fno-sanitize=vptr -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${ANNALS_SANITIZE})
endif()

if(ANNALS_COVERAGE)
  # Counters live in the file itself, so that a process that is killed has counted, too.
  add_compile_options(-fprofile-instr-generate -fcoverage-mapping "SHELL:-mllvm -runtime-counter-relocation")
  add_link_options(-fprofile-instr-generate)
endif()

# For all targets at once: the compilers refuse a module that was built with other flags of this kind. Not for who installs the
# library, whose compiler reads the interfaces with flags of its own.
if(ANNALS_HARDENING AND NOT ANNALS_SANITIZE AND NOT ANNALS_COVERAGE)
  include(CheckCXXCompilerFlag)
  check_cxx_compiler_flag(-fcf-protection=full ANNALS_HAS_CF_PROTECTION)
  # Without _FORTIFY_SOURCE: in modules, clang 19 makes the C library's inline wrappers symbols that nobody defines (memcpy.inline).
  add_compile_options($<BUILD_INTERFACE:-fstack-protector-strong>)
  if(ANNALS_HAS_CF_PROTECTION)
    add_compile_options($<BUILD_INTERFACE:-fcf-protection=full>)
  endif()
  add_link_options(-Wl,-z,relro -Wl,-z,now)
endif()

if(ANNALS_FUZZ)
  add_compile_options(-O1 -fsanitize=fuzzer-no-link)  # the library tells which edges ran; libFuzzer is linked into its targets alone
endif()
