# SPDX-License-Identifier: Apache-2.0
# How tests are declared. Every test has one home, the build of `./dev test` in which it runs:
#
#   sanitized   AddressSanitizer and UndefinedBehaviorSanitizer: the default
#   threads     ThreadSanitizer: tests that start threads
#   release     as released: tests whose subject a sanitizer would change, and tests of what is installed
#
# ANNALS_TESTS=home declares the tests whose home this build is. ANNALS_TESTS=all declares every test that this build can run.
if(ANNALS_SANITIZE STREQUAL "thread")
  set(ANNALS_HOME threads)
elseif(ANNALS_SANITIZE)
  set(ANNALS_HOME sanitized)
else()
  set(ANNALS_HOME release)
endif()

# What the tests of this build need: the scripts build this target.
add_custom_target(home_tests)

# annals_is_home(RESULT HOME): whether tests with this home are declared in this build.
function(annals_is_home result home)
  if(ANNALS_TESTS STREQUAL "all" OR (ANNALS_TESTS STREQUAL "home" AND home STREQUAL ANNALS_HOME))
    set(${result} TRUE PARENT_SCOPE)
  else()
    set(${result} FALSE PARENT_SCOPE)
  endif()
endfunction()

# annals_add_test(NAME HOME [NEEDS TARGET...] COMMAND COMMAND... [PROPERTIES PROPERTY VALUE...]): a test that runs a command. NEEDS: the
# targets that are built for it.
function(annals_add_test name home)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "NEEDS;COMMAND;PROPERTIES")
  annals_is_home(is_home ${home})
  if(is_home)
    add_test(NAME ${name} COMMAND ${arg_COMMAND})
    set_tests_properties(${name} PROPERTIES TIMEOUT 1200 ${arg_PROPERTIES})
    if(arg_NEEDS)
      add_dependencies(home_tests ${arg_NEEDS})
    endif()
  endif()
endfunction()

# annals_discover_tests(TARGET PREFIX HOME [FILTER FILTER] [LABEL LABEL] [COST COST]): the GoogleTest tests of TARGET that the filter selects.
function(annals_discover_tests target prefix home)
  cmake_parse_arguments(PARSE_ARGV 3 arg "" "FILTER;LABEL;COST" "")
  annals_is_home(is_home ${home})
  if(NOT is_home)
    return()
  endif()
  add_dependencies(home_tests ${target})
  if(NOT arg_COST)
    set(arg_COST 0)
  endif()
  if(NOT arg_LABEL)
    set(arg_LABEL one_thread)
  endif()
  # In a forked child the parent's threads look leaked to ThreadSanitizer.
  gtest_discover_tests(${target} TEST_PREFIX ${prefix}. TEST_FILTER "${arg_FILTER}" DISCOVERY_TIMEOUT 60
    PROPERTIES TIMEOUT 1200 LABELS "${arg_LABEL}" COST ${arg_COST} ENVIRONMENT "TSAN_OPTIONS=report_thread_leaks=0:die_after_fork=0")
endfunction()

# annals_test(NAME [HOME HOME] [THREADS PATTERNS] [COST COST] SOURCES...): an executable of GoogleTest tests, each of them a ctest test
# NAME.SUITE.CASE. THREADS: a GoogleTest filter of those that start threads, and whose home is `threads`. COST: tests with a higher one
# begin first.
function(annals_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "HOME;THREADS;COST" "SOURCES")
  if(NOT arg_HOME)
    set(arg_HOME sanitized)
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE annals_testing GTest::gtest GTest::gtest_main Boost::json)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_compile_definitions(${name} PRIVATE GOLDEN_DIRECTORY="${PROJECT_SOURCE_DIR}/tests/golden")
  set_target_properties(${name} PROPERTIES CXX_SCAN_FOR_MODULES ON CXX_VISIBILITY_PRESET ${ANNALS_VISIBILITY})
  annals_test_options(${name})
  annals_test_precompiled(${name})
  if(ANNALS_SANITIZE)  # slower, and more memory: what a test has to know
    target_compile_definitions(${name} PRIVATE SANITIZED)
  endif()
  set(others "")
  if(arg_THREADS)
    annals_discover_tests(${name} ${name} threads FILTER "${arg_THREADS}" LABEL threads COST "${arg_COST}")
    set(others FILTER "-${arg_THREADS}")
  endif()
  annals_discover_tests(${name} ${name} ${arg_HOME} ${others} COST "${arg_COST}")
endfunction()

# What most tests include, parsed once: half the time that compiling them takes. With clang alone: GCC has no precompiled headers for
# sources that import modules. Each test still includes what it uses; lint reads it without.
function(annals_test_precompiled target)
  if(TARGET annals_test_headers)
    target_precompile_headers(${target} REUSE_FROM annals_test_headers)
  endif()
endfunction()
