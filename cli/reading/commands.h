// SPDX-License-Identifier: Apache-2.0
//
// The commands that read a log, and their arguments.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "exit_code.h"

namespace cli {

enum class output_form : std::uint8_t { automatic, pretty, json, csv, count };

struct tail_arguments {
  std::string file;
  std::int64_t count = 50;
  bool follow = false;
  output_form output = output_form::automatic;
};

struct query_arguments {
  std::vector<std::string> files;
  std::string since;  // as parse_human_time reads it; empty: not given
  std::string until;
  bool local = false;                    // times without an offset are of the local zone, not UTC
  std::optional<std::string> container;  // with `*` or `?` in it: a pattern
  std::optional<std::string> action;
  std::optional<std::string> dest;
  std::optional<std::string> address;  // as annals::parse_address_match reads it
  std::string contains;
  output_form output = output_form::automatic;
  unsigned threads = 1;
};

struct cat_arguments {
  std::vector<std::string> files;
};

struct verify_arguments {
  std::string file;
  unsigned threads = 1;
};

struct segments_arguments {
  std::string file;
  bool json = false;
};

int run_tail(const tail_arguments& arguments);
int run_query(const query_arguments& arguments);
int run_cat(const cat_arguments& arguments);
int run_verify(const verify_arguments& arguments);
int run_segments(const segments_arguments& arguments);

}  // namespace cli
