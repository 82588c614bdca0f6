// SPDX-License-Identifier: Apache-2.0
//
// annals.io.invariant: checks of the library's own assumptions, in debug, sanitizer and fuzz builds. A failed check is a
// mistake in the library: damaged files, full disks and wrong arguments are errors instead.
module;
#include <source_location>
export module annals.io.invariant;

export namespace annals {

#ifdef ANNALS_INVARIANTS  // cmake/annals_options.cmake
inline constexpr bool checks_invariants = true;
#else
inline constexpr bool checks_invariants = false;
#endif

// Prints the place and the meaning to standard error, and aborts.
[[noreturn]] void report_broken_invariant(const char* meaning, const std::source_location& where) noexcept;

// `meaning` says what has to be true: invariant(used <= capacity, "a lap fits into the journal"). Does nothing in release
// builds, where an expression without side effects is not computed.
inline void invariant(bool holds, const char* meaning,
                      const std::source_location& where = std::source_location::current()) noexcept {
  if constexpr (checks_invariants) {
    if (!holds) [[unlikely]]
      report_broken_invariant(meaning, where);
  }
}

}  // namespace annals
