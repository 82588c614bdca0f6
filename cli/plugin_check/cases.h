// SPDX-License-Identifier: Apache-2.0
//
// The cases of `annals plugin check`, and what they share. Included after `import annals;`, as trial.h is.
#pragma once
#include "plugin_check/trial.h"

namespace cli::check {

void descriptor(plugin_trial& trial);
void bad_options(plugin_trial& trial);
void creation_opens_nothing(plugin_trial& trial);
void order(plugin_trial& trial);
void empty_batch(plugin_trial& trial);
void large_batch(plugin_trial& trial);
void many_batches(plugin_trial& trial);
void sync(plugin_trial& trial);
void reopen(plugin_trial& trial);
void position_is_monotonic(plugin_trial& trial);
void start_segment(plugin_trial& trial);
void create_and_destroy_twice(plugin_trial& trial);
void fork_leaves_the_parent_alone(plugin_trial& trial);
void descriptors(plugin_trial& trial);
void memory_growth(plugin_trial& trial);
void signals_left_alone(plugin_trial& trial);
void silence(plugin_trial& trial);
void last_error(plugin_trial& trial);
void threads(plugin_trial& trial);
void failing_destination(plugin_trial& trial);
void archive(plugin_trial& trial);
void status(plugin_trial& trial);

// Ends the case as not applicable where the plugin offers no sinks. For cases about lines; the others call use().
void need_sink(const plugin_trial& trial);

// What the object is for, once: a sink writes the i-th line, an archiver archives the i-th segment. Ends the case where that
// fails.
void use(plugin_trial& trial, made_object* object, std::uint64_t i);

// Calls sync, position and reopen of a sink. Does nothing with an archiver.
void call_the_rest(plugin_trial& trial, made_object* object);

// A segment of `count` lines in the directory of the case.
std::string make_segment(const plugin_trial& trial, std::uint64_t number, std::uint64_t count);

// Lines first ... first + count - 1.
std::string lines(std::uint64_t first, std::uint64_t count);

std::string content_of(const std::string& path);

// How an archiver fails: the part of failing_destination that is about it.
void failing_archives(plugin_trial& trial);

// The names in a directory; none where it cannot be listed.
std::set<std::string> names_in(const std::string& directory);
std::set<std::string> open_descriptors();

// An option that no sink knows.
inline constexpr char unknown_option[] = "no_such_option_8f3a";

}  // namespace cli::check
