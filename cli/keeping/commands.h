// SPDX-License-Identifier: Apache-2.0
//
// The commands that decide how long closed segments are kept, and in which form, and their arguments. Included after
// `import annals;`, and so includes nothing itself: <optional>, <string>, <vector> and exit_code.h come before the import.
#pragma once

namespace cli {

struct prune_arguments {
  std::string file;    // empty where `config` names the log
  std::string config;  // whose sink's options are the policy; empty: none
  annals::retention_policy policy;
  bool dry_run = false;
  bool yes = false;
};

struct hold_arguments {
  std::string file;
  annals::hold hold;
  bool json = false;
};

struct adopt_arguments {
  std::string file;
  std::vector<std::string> files;
  bool yes = false;
};

struct archive_arguments {
  std::string file;
  std::optional<int> level;     // nothing: the archiver's own default
  std::string plugin = "zstd";  // its name, or an absolute path
};

int run_prune(const prune_arguments& given);
int run_hold_add(const hold_arguments& arguments);
int run_hold_list(const hold_arguments& arguments);
int run_hold_remove(const hold_arguments& arguments);
int run_adopt(const adopt_arguments& arguments);
int run_archive(const archive_arguments& arguments);

}  // namespace cli
