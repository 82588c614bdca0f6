// SPDX-License-Identifier: Apache-2.0
//
// What the commands of options.h are given. Included after `import annals;`, and so includes nothing itself.
#pragma once

namespace cli {

struct segments_arguments {
  std::string file;
  bool json = false;
};

struct recover_arguments {
  std::string file;  // of the log
};

struct rotate_arguments {
  std::string file;
};

struct prune_arguments {
  std::string file;    // empty where `config` names the log
  std::string config;  // whose sink's options are the policy; empty: none
  annals::retention_policy policy;
  bool dry_run = false;
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

int run_segments(const segments_arguments& arguments);
int run_recover(const recover_arguments& arguments);
int run_rotate(const rotate_arguments& arguments);
int run_prune(const prune_arguments& given);
int run_hold_add(const hold_arguments& arguments);
int run_hold_list(const hold_arguments& arguments);
int run_hold_remove(const hold_arguments& arguments);
int run_adopt(const adopt_arguments& arguments);

}  // namespace cli
