// SPDX-License-Identifier: Apache-2.0
//
// What the commands that read share: how events, damage and gaps are shown. Included after `import annals;`, commands.h and
// pretty.h, and so includes nothing itself: <cstdint>, <functional>, <string> and <string_view> come before the import.
#pragma once

namespace cli {

bool is_terminal();  // standard output

// Prints events, in columns or as JSON.
class event_printer {
 public:
  explicit event_printer(output_form form);

  void measure(const std::vector<annals::event>& events);

  // JSON is the line as it is in the file, untouched, but on a terminal: a foreign line may hold what a terminal obeys.
  void print(const annals::event& e);

  // False when nobody reads our output any more.
  static bool flush();

 private:
  bool terminal_;
  bool pretty_;
  display::pretty_printer printer_;
};

// Prints each kind of damage when it is met, and how much more of the same there was before anything else happened.
class damage_printer {
 public:
  void operator()(const annals::damage& found);
  void operator()(const annals::gap& found);
  void flush();

  // The exit code of a command that would end with `code`, after what was reported.
  int code(int code) const {
    return is_unreadable_ ? static_cast<int>(io_error) : is_damaged_ ? static_cast<int>(damaged) : code;
  }

 private:
  bool is_damaged_ = false;
  bool is_unreadable_ = false;
  std::string cause_;
  std::uint64_t more_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t lines_ = 0;
};

inline annals::read_options reporting_to(damage_printer& damages) {
  return {.on_damage = [&damages](const annals::damage& found) { damages(found); },
          .on_gap = [&damages](const annals::gap& found) { damages(found); }};
}

// Is there a log at `file`: a file, or closed segments whose live one is not there? Says so where there is none.
bool is_log(const std::string& file);

// The files of a command line that are to be read: without segments and other files of a log that is named, too. Those are
// reported.
std::vector<std::string> without_parts_of_logs(const std::vector<std::string>& files);

}  // namespace cli
