// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plugins/plugin_files.h"
import annals;

namespace {

using support::temp_directory;

struct from_config : testing::Test {
  std::string file(std::string_view text) {
    support::write_file(directory / "annals.json", text);
    return directory / "annals.json";
  }
  annals::error failure_of(std::string_view text) {
    try {
      const annals::audit_logger log = annals::audit_logger::from_config(file(text));
    } catch (const annals::failure& thrown) {
      return thrown.cause();
    }
    ADD_FAILURE() << "expected it to throw";
    return {};
  }
  temp_directory directory;
};

TEST_F(from_config, a_logger_is_as_the_file_says) {
  annals::audit_logger log = annals::audit_logger::from_config(
      file(R"({"path": "sub/audit.jsonl", "timestamps": "microseconds", "max_line_bytes": 128, "file_mode": "0640"})"),
      [](const annals::error&) {});
  EXPECT_EQ(log.path(), directory / "sub/audit.jsonl");
  EXPECT_FALSE(std::filesystem::exists(directory / "sub")) << "the first event opens it";
  ASSERT_TRUE(log.log_event("web", "denied"));
  EXPECT_EQ(log.tail_log(1).at(0).ts.size(), std::string_view("2026-11-23T09:00:00.123456+00:00").size());
  EXPECT_FALSE(log.log_event("web", "denied", {.detail = std::string(128, 'x')}));
  EXPECT_EQ(std::filesystem::status(log.path()).permissions(), std::filesystem::perms(0640));
}

TEST_F(from_config, a_logger_can_be_kept_on_the_heap_and_moved) {
  const std::string config = file(R"({"path": "audit.jsonl", "archive_priority": "unchanged"})");
  auto kept = std::make_unique<annals::audit_logger>(annals::audit_logger::from_config(config));
  EXPECT_TRUE(kept->log_event("web", "allowed"));
  annals::audit_logger moved = std::move(*kept);
  kept.reset();
  EXPECT_EQ(moved.log_event("web", "allowed").sequence(), 2U);
}

TEST_F(from_config, receipts_have_three_states) {
  annals::audit_logger log =
      annals::audit_logger::from_config(file(R"({"path": "audit.jsonl", "max_line_bytes": 128})"), [](const annals::error&) {});
  EXPECT_EQ(log.log_event("web", "allowed").status(), annals::receipt_status::accepted);
  EXPECT_EQ(log.log_event("web", std::string(200, 'x')).status(), annals::receipt_status::failed);
  log.set_enabled(false);
  EXPECT_EQ(log.log_event("web", "allowed").status(), annals::receipt_status::disabled);
}

TEST_F(from_config, a_disabled_logger_is_disabled) {
  annals::audit_logger log = annals::audit_logger::from_config(file(R"({"path": "audit.jsonl", "enabled": false})"));
  EXPECT_FALSE(log.enabled());
}

TEST_F(from_config, a_plugin_is_loaded_and_told_its_options_and_the_log) {
  support::plugin_in(directory, "throwing", "throwing");
  std::vector<std::string> heard;
  annals::audit_logger log = annals::audit_logger::from_config(
      file(R"({"path": "audit.jsonl", "plugin_directories": ["."], "sink": {"type": "throwing", "from": "notice"}})"), {},
      [&heard](const annals::notice& what) { heard.push_back(what.message); });
  EXPECT_TRUE(log.log_event("web", "denied"));
  ASSERT_EQ(heard.size(), 1U);
  EXPECT_EQ(heard[0].find("the plugin 'throwing': log " + (directory / "audit.jsonl") + " host "), 0U) << heard[0];
}

TEST_F(from_config, what_a_plugin_refuses_names_the_file_and_the_place) {
  support::plugin_in(directory, "throwing", "throwing");
  const annals::error said =
      failure_of(R"({"plugin_directories": ["."], "sink": {"type": "throwing", "from": "create", "throws": "runtime_error"}})");
  EXPECT_EQ(said.message, "cannot use the configuration '" + (directory / "annals.json") +
                              "': $.sink: the plugin 'throwing': the disk is on fire");
}

TEST_F(from_config, an_archiver_is_refused_as_a_sink) {
  support::plugin_in(directory, "archiver", "archiver");
  const annals::error said = failure_of(R"({"path": "a", "plugin_directories": ["."], "sink": {"type": "archiver"}})");
  EXPECT_EQ(said.code, annals::errc::invalid_config);
  EXPECT_NE(said.message.find("$.sink: the plugin 'archiver' is an archiver and offers no sink"), std::string::npos)
      << said.message;
}

TEST_F(from_config, an_archiver_has_to_be_one_and_reads_its_own_options) {
  support::plugin_in(directory, "null", "null");
  const annals::error none = failure_of(R"({"path": "a", "plugin_directories": ["."], "archive": {"type": "null"}})");
  EXPECT_NE(none.message.find("$.archive: the plugin 'null' offers no archiver"), std::string::npos) << none.message;
  support::plugin_in(directory, "throwing", "throwing");
  const annals::error refused = failure_of(
      R"({"path": "a", "plugin_directories": ["."], "archive": {"type": "throwing", "from": "create", "throws": "runtime_error"}})");
  EXPECT_NE(refused.message.find("$.archive: the plugin 'throwing': the disk is on fire"), std::string::npos)
      << refused.message;
  const annals::audit_logger log = annals::audit_logger::from_config(
      file(R"({"path": "a", "plugin_directories": ["."], "archive": {"type": "throwing", "from": "archive"}})"),
      [](const annals::error&) {});
  EXPECT_EQ(log.stats().archive.archived, 0U);
}

TEST_F(from_config, a_plugin_that_is_nowhere_or_refused_is_told_with_the_reason) {
  const annals::error none = failure_of(R"({"sink": {"type": "nowhere"}})");
  EXPECT_EQ(none.code, annals::errc::plugin_refused);
  EXPECT_NE(none.message.find("annals.json': $.sink: cannot load the plugin 'nowhere': there is no annals_nowhere.so in"),
            std::string::npos)
      << none.message;
  support::plugin_in(directory, "FUTURE_MAJOR");
  const annals::error refused = failure_of(R"({"plugin_directories": ["."], "sink": {"type": "broken"}})");
  EXPECT_EQ(refused.code, annals::errc::plugin_refused);
  EXPECT_NE(refused.message.find("built for ABI 3.0"), std::string::npos) << refused.message;
}

TEST_F(from_config, a_bad_file_is_told_with_every_problem) {
  const annals::error said = failure_of(R"({"path": 5, "enabled": 5})");
  EXPECT_EQ(said.code, annals::errc::invalid_config);
  EXPECT_NE(said.message.find("$.path: found 5"), std::string::npos);
  EXPECT_NE(said.message.find("$.enabled: found 5"), std::string::npos);
}

// A plugin that reads its options as the SDK offers it: those are in the same pass.
TEST_F(from_config, a_bad_file_is_told_with_what_its_plugin_says_of_its_options) {
  support::plugin_in(directory, "strict", "strict");
  const std::string said = failure_of(R"({"enabled": 5, "plugin_directories": ["."],
      "sink": {"type": "strict", "port": 99999, "adress": "x"}})")
                               .message;
  EXPECT_EQ(said, "cannot use the configuration '" + (directory / "annals.json") +
                      "': 3 problems:\n"
                      "  $.enabled: found 5; expected true or false\n"
                      "  $.sink: the plugin 'strict': $.sink.port: found 99999; expected an integer from 1 to 65535\n"
                      "  $.sink.adress: found \"x\"; expected one of \"port\" or \"address\" (did you mean \"address\"?)");
  const std::string alone =
      failure_of(R"({"plugin_directories": ["."], "sink": {"type": "strict", "port": 0, "adress": "x"}})").message;
  EXPECT_NE(alone.find("': 2 problems:\n  $.sink: the plugin 'strict': $.sink.port: found 0;"), std::string::npos) << alone;
}

TEST_F(from_config, a_sink_is_not_looked_for_where_it_is_unknown_which_and_where) {
  for (const char* const text : {R"({"plugin_directories": [5], "sink": {"type": "nowhere"}})",
                                 R"({"sink": {"type": "no where"}})", R"({"sink": {}})", R"({"sink": 5})", R"({"sink")"}) {
    const annals::error said = failure_of(text);
    EXPECT_EQ(said.code, annals::errc::invalid_config) << text;
    EXPECT_EQ(said.message.find("cannot load the plugin"), std::string::npos) << said.message;
  }
  const annals::error both = failure_of(R"({"enabled": 5, "sink": {"type": "nowhere"}})");
  EXPECT_NE(both.message.find("2 problems:\n  $.enabled: "), std::string::npos) << both.message;
  EXPECT_NE(both.message.find("\n  $.sink: cannot load the plugin 'nowhere'"), std::string::npos) << both.message;
}

}  // namespace
