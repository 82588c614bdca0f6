// SPDX-License-Identifier: Apache-2.0
//
// annals plugin check: runs the cases and prints the results.
#include <annals_plugin.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "complain.h"
#include "plugins/commands.h"
import annals;
#include "plugin_check/trial.h"

namespace cli {

namespace {

struct result_of_case {
  const check_case* of = nullptr;
  outcome got;
};

std::string_view word_of(verdict v) {
  constexpr std::array<std::string_view, 4> words = {"ok", "FAILED", "not checked", "not applicable"};
  return words[static_cast<std::size_t>(v)];
}

std::string_view colour_of(verdict v) {
  constexpr std::array<std::string_view, 4> colours = {"\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[2m"};
  return colours[static_cast<std::size_t>(v)];
}

void print(const result_of_case& one, bool colour) {
  std::string word(word_of(one.got.verdict));
  word.resize(15, ' ');
  std::printf("%s%s%s%s\n", colour ? std::string(colour_of(one.got.verdict)).c_str() : "", word.c_str(),
              colour ? "\x1b[0m" : "", one.of->name);
  std::string_view why = one.got.why;
  while (!why.empty()) {
    const std::size_t end = why.find('\n');
    std::printf("               %s\n", annals::visible(why.substr(0, end)).c_str());
    why.remove_prefix(end == std::string_view::npos ? why.size() : end + 1);
  }
  std::fflush(stdout);
}

std::string xml(std::string_view text) {
  std::string out;
  for (const char c : annals::visible(text)) {
    switch (c) {
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '&': out += "&amp;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
  return out;
}

// The format that CI systems read; there is no standard but Jenkins' schema for it.
bool write_junit(const std::string& path, const std::string& plugin, const std::vector<result_of_case>& results) {
  const auto count = [&results](verdict v) {
    return std::count_if(results.begin(), results.end(), [v](const result_of_case& one) { return one.got.verdict == v; });
  };
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"" << xml(plugin) << "\" tests=\"" << results.size()
      << "\" failures=\"" << count(verdict::failed) << "\" skipped=\""
      << count(verdict::not_checked) + count(verdict::not_applicable) << "\">\n";
  for (const result_of_case& one : results) {
    out << "  <testcase name=\"" << one.of->name << "\" time=\"" << one.got.took.count() << "\"";
    if (one.got.verdict == verdict::passed) {
      out << "/>\n";
      continue;
    }
    const char* const element = one.got.verdict == verdict::failed ? "failure" : "skipped";
    out << ">\n    <" << element << " message=\"" << xml(one.got.why) << "\"/>\n  </testcase>\n";
  }
  out << "</testsuite>\n";
  return static_cast<bool>(out.flush());
}

exit_code cannot_write(const plugin_check_arguments& arguments) {
  complain("cannot write '" + arguments.junit + "'; expected a file that can be created or replaced");
  return io_error;
}

int list_cases() {
  for (const check_case& one : check_cases()) std::printf("%-26s %s\n", one.name, one.demands);
  return end_output(ok);
}

// The cases that were asked for, or nothing where there is no such case.
std::optional<std::vector<const check_case*>> chosen_cases(const std::vector<std::string>& names) {
  std::vector<const check_case*> chosen;
  for (const check_case& one : check_cases()) {
    if (names.empty() || std::find(names.begin(), names.end(), one.name) != names.end()) chosen.push_back(&one);
  }
  for (const std::string& name : names) {
    const auto same = [&name](const check_case* one) { return one->name == name; };
    if (std::none_of(chosen.begin(), chosen.end(), same)) {
      complain("--case " + name + ": there is no such case; expected one that `annals plugin check --list` prints");
      return std::nullopt;
    }
  }
  return chosen;
}

// The path as the loader wants it. The directories may be reached through links, for they are the caller's own words; the
// file itself may not be one.
std::string absolute_path(const std::string& file) {
  const std::filesystem::path given = std::filesystem::absolute(file).lexically_normal();
  std::error_code unknown;
  const std::filesystem::path parent = std::filesystem::canonical(given.parent_path(), unknown);
  return (unknown ? given : parent / given.filename()).string();
}

int summarize(const std::vector<result_of_case>& results) {
  std::array<int, 4> counts = {};
  for (const result_of_case& one : results) ++counts[static_cast<std::size_t>(one.got.verdict)];
  std::printf("\n%d passed, %d failed, %d not checked, %d not applicable\n", counts[0], counts[1], counts[2], counts[3]);
  if (counts[2] != 0) std::printf("WHAT WAS NOT CHECKED IS NOT PROVEN; the lines above say what would check it.\n");
  return end_output(counts[1] == 0 ? ok : refused);
}

}  // namespace

int run_plugin_check(const plugin_check_arguments& given) try {
  if (given.list) return list_cases();
  const auto cases = chosen_cases(given.cases);
  if (!cases) return usage;
  if (const auto options = annals::parse_options(given.options); !options) {
    complain_lines("--options: " + options.error().message);
    return usage;
  }
  plugin_check_arguments arguments = given;
  arguments.file = absolute_path(given.file);
  const auto info = annals::examine_plugin(arguments.file);
  if (!info) {
    complain(info.error().message);
    const check_case loading = {"loading", "the loader takes the file", nullptr};
    const outcome not_loaded = {verdict::failed, info.error().message};
    const std::string name = std::filesystem::path(arguments.file).filename().string();
    return arguments.junit.empty() || write_junit(arguments.junit, name, {{&loading, not_loaded}}) ? refused
                                                                                                   : cannot_write(arguments);
  }
  std::printf("%s %s, ABI %u.%u, built by %s\n%s\n\n", info->name.c_str(), info->version.c_str(), info->abi_major,
              info->abi_minor, info->compiler.c_str(), annals::visible(arguments.file).c_str());
  const char* const no_color = std::getenv("NO_COLOR");
  const bool colour = ::isatty(STDOUT_FILENO) != 0 && (no_color == nullptr || *no_color == '\0');
  std::vector<result_of_case> results;
  for (const check_case* const one : *cases) {
    results.push_back({one, run_case(*one, arguments)});
    print(results.back(), colour);
  }
  if (!arguments.junit.empty() && !write_junit(arguments.junit, info->name, results)) {
    return cannot_write(arguments);
  }
  return summarize(results);
} catch (const std::system_error& failed) {
  complain(std::string("the check itself failed: ") + failed.what());
  return io_error;
}

}  // namespace cli
