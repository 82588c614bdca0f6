// SPDX-License-Identifier: Apache-2.0
//
// A plugin's sink under a logger: what it is told, and what becomes of what it says, throws, or gets wrong.
#include <annals_plugin.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plugin_files.h"
import annals;

namespace {

using support::plugin_in;
using support::temp_directory;

annals::plugin load(const std::string& variant, const std::string& name = "broken") {
  const temp_directory directory;  // a plugin stays when its file goes
  return annals::load_plugin(plugin_in(directory, variant, name)).value();
}

annals::option text(std::string name, std::string value) {
  return {std::move(name), annals::option_kind::text, std::move(value)};
}

annals::error failure_of(const std::string& variant, std::vector<annals::option> options = {},
                         const std::string& name = "broken") {
  try {
    (void)load(variant, name).make_sink({.options = options});
  } catch (const annals::failure& thrown) {
    return thrown.cause();
  }
  ADD_FAILURE() << "expected create to fail";
  return {};
}

struct heard {
  std::vector<annals::error> errors;
  std::vector<annals::notice> notices;
  auto handler() {
    return [this](const annals::error& what) { errors.push_back(what); };
  }
  auto notice_handler() {
    return [this](const annals::notice& what) { notices.push_back(what); };
  }
};

// --- create -------------------------------------------------------------------------------------------------------------

TEST(plugin_sink, that_is_not_made_says_why_and_the_host_goes_on) {
  const annals::error said = failure_of("CREATE_FAILS");
  EXPECT_EQ(said.code, annals::errc::invalid_config);
  EXPECT_EQ(said.message, "the plugin 'broken': $.sink.colour: found \"mauve\"; expected \"red\"");
}

TEST(plugin_sink, that_is_null_or_has_no_valid_status_is_the_plugins_mistake) {
  const annals::error null = failure_of("CREATE_RETURNS_NULL");
  EXPECT_EQ(null.code, annals::errc::sink_failed);
  EXPECT_NE(null.message.find("returned success and no object from create. That breaks its contract"), std::string::npos)
      << null.message;
  const annals::error garbage = failure_of("CREATE_RETURNS_GARBAGE");
  EXPECT_EQ(garbage.code, annals::errc::sink_failed);
  EXPECT_NE(garbage.message.find("create returned the status 7777, which ABI 2.0 does not have"), std::string::npos)
      << garbage.message;
  EXPECT_NE(garbage.message.find("annals plugin check"), std::string::npos);
}

TEST(plugin_sink, whose_constructor_throws_is_an_error_whatever_it_throws) {
  using options = std::vector<annals::option>;
  const auto thrown = [](const std::string& what) {
    return failure_of("throwing", options{text("from", "create"), text("throws", what)}, "throwing");
  };
  EXPECT_EQ(thrown("runtime_error").message, "the plugin 'throwing': the disk is on fire");
  EXPECT_EQ(thrown("bad_alloc").message, "the plugin 'throwing': no memory left");
  EXPECT_EQ(thrown("int").message, "the plugin 'throwing': the plugin threw something that is no std::exception");
  const annals::error io = thrown("io");
  EXPECT_EQ(io.code, annals::errc::io);
  EXPECT_EQ(io.system_code, 28);
  EXPECT_EQ(io.message, "the plugin 'throwing': cannot write 'x': No space left on device");
}

TEST(plugin_sink, does_not_get_an_option_whose_name_holds_nul) {
  const annals::error said = failure_of("good", {text(std::string("a\0b", 3), "c")});
  EXPECT_EQ(said.code, annals::errc::invalid_config);
  EXPECT_NE(said.message.find("contains NUL: \"a\\u0000b\""), std::string::npos) << said.message;
}

// --- write and the rest ---------------------------------------------------------------------------------------------------

struct throwing : testing::Test {
  annals::audit_logger make(const std::string& from, const std::string& what) {
    const std::vector<annals::option> options = {text("from", from), text("throws", what)};
    return annals::audit_logger(
        {.path = "/var/log/x.jsonl",
         .on_error = heard_.handler(),
         .on_notice = heard_.notice_handler(),
         .sink = load("throwing", "throwing").make_sink({.options = options, .log_path = "/var/log/x.jsonl"})});
  }
  heard heard_;
};

TEST_F(throwing, anything_from_write_is_a_failed_event_counted_and_reported) {
  for (const auto& [what, code] :
       {std::pair{"int", annals::errc::sink_failed}, std::pair{"bad_alloc", annals::errc::sink_failed},
        std::pair{"runtime_error", annals::errc::sink_failed}, std::pair{"io", annals::errc::io}}) {
    heard_.errors.clear();
    annals::audit_logger log = make("write", what);
    const annals::receipt made = log.log_event("web", "denied");
    ASSERT_FALSE(made) << what;
    EXPECT_EQ(made.cause()->code, code) << what;
    EXPECT_EQ(log.stats().failed, 1U);
    EXPECT_EQ(log.stats().accepted, 0U);
    ASSERT_EQ(heard_.errors.size(), 1U);
    EXPECT_EQ(heard_.errors[0].message, made.message());
  }
}

TEST_F(throwing, from_sync_and_reopen_are_receipts_that_tell) {
  annals::audit_logger sync = make("sync", "sync");
  EXPECT_TRUE(sync.log_event("web", "denied"));
  const annals::receipt synced = sync.sync();
  ASSERT_FALSE(synced);
  EXPECT_EQ(synced.cause()->code, annals::errc::sync_failed);
  EXPECT_EQ(synced.cause()->system_code, 5);
  annals::audit_logger reopen = make("reopen", "runtime_error");
  EXPECT_EQ(reopen.reopen().message(), "the plugin 'throwing': the disk is on fire");
}

TEST_F(throwing, a_notice_is_heard_and_tells_what_the_plugin_was_told) {
  {
    annals::audit_logger log = make("notice", "");
    EXPECT_TRUE(log.log_event("web", "denied"));
    EXPECT_EQ(log.stats().notices, 1U);
    ASSERT_EQ(heard_.notices.size(), 1U);
    EXPECT_EQ(heard_.notices[0].severity, annals::severity::warning);
    EXPECT_EQ(heard_.notices[0].system_code, 28);
    EXPECT_EQ(heard_.notices[0].code, annals::notice_code::partial_line);
    EXPECT_TRUE(heard_.notices[0].message.starts_with("the plugin 'throwing': log /var/log/x.jsonl host 0."))
        << heard_.notices[0].message;
  }
  EXPECT_EQ(heard_.notices.back().message, "the plugin 'throwing': destroyed");
  EXPECT_EQ(heard_.notices.back().code, annals::notice_code::file_replaced);
  EXPECT_EQ(heard_.notices.back().severity, annals::severity::error);
  EXPECT_TRUE(heard_.errors.empty());
}

TEST_F(throwing, start_segment_returns_the_segment_that_was_closed) {
  const auto sink = load("throwing", "throwing").make_sink({});
  EXPECT_FALSE(sink->start_segment()) << "nothing was written";
  sink->write({"{}\n", 1, 1});
  const auto closed = sink->start_segment();
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->path, "/var/log/x-000007-20260131T235959Z.jsonl");
  EXPECT_EQ(closed->number, 7U);
}

TEST_F(throwing, a_notice_of_an_archiver_is_passed_on) {
  const std::vector<annals::option> options = {text("from", "notice")};
  const auto archiver = load("throwing", "throwing").make_archiver({.options = options, .log_path = "/x"});
  archiver->set_notice_handler(heard_.notice_handler());
  EXPECT_THROW(archiver->archive({"/x.1", 1}), annals::sink_error);
  ASSERT_EQ(heard_.notices.size(), 1U);
  EXPECT_EQ(heard_.notices[0].code, annals::notice_code::other);
  EXPECT_EQ(heard_.notices[0].severity, annals::severity::info);
}

TEST_F(throwing, archive_is_passed_on_with_its_segment) {
  const auto archiver = load("throwing", "throwing").make_archiver({});
  try {
    archiver->archive({"/var/log/x-000042-20260131T235959Z.jsonl", 42});
    FAIL() << "expected it to throw";
  } catch (const annals::failure& thrown) {
    EXPECT_EQ(thrown.cause().message, "the plugin 'throwing': archived 42 /var/log/x-000042-20260131T235959Z.jsonl");
  }
}

TEST(plugin_sink, without_segments_cannot_start_one) {
  const annals::plugin loaded = load("null", "null");
  EXPECT_EQ(static_cast<const annals_plugin_descriptor*>(loaded.descriptor())->sink->start_segment, nullptr);
  const auto sink = loaded.make_sink({});
  try {
    (void)sink->start_segment();
    FAIL() << "expected it to throw";
  } catch (const annals::failure& thrown) {
    EXPECT_EQ(thrown.cause().message, "cannot start a new segment: this sink has no segments");
  }
}

TEST(plugin_sink, is_not_made_as_an_archiver_where_the_plugin_offers_none) {
  const annals::plugin loaded = load("null", "null");
  try {
    (void)loaded.make_archiver({});
    FAIL() << "expected it to throw";
  } catch (const annals::failure& thrown) {
    EXPECT_EQ(thrown.cause().code, annals::errc::invalid_config);
    EXPECT_EQ(thrown.cause().message, "the plugin 'null' offers no archiver; use one that does, such as zstd");
  }
}

TEST(plugin_sink, is_not_made_of_an_archiver) {
  const annals::plugin loaded = load("archiver", "archiver");
  try {
    (void)loaded.make_sink({});
    FAIL() << "expected it to throw";
  } catch (const annals::failure& thrown) {
    EXPECT_EQ(thrown.cause().code, annals::errc::invalid_config);
    EXPECT_EQ(thrown.cause().message,
              "the plugin 'archiver' is an archiver and offers no sink; use it as \"archive\", beside a \"sink\"");
  }
}

TEST(plugin_sink, with_a_garbage_status_from_write_fails_the_event) {
  heard told;
  annals::audit_logger log({.on_error = told.handler(), .sink = load("WRITE_RETURNS_GARBAGE").make_sink({})});
  const annals::receipt made = log.log_event("web", "denied");
  ASSERT_FALSE(made);
  EXPECT_EQ(made.cause()->code, annals::errc::sink_failed);
  EXPECT_NE(made.message().find("write failed, and it does not say why (write returned the status -3"), std::string_view::npos)
      << made.message();
}

// --- exceptions over the border -------------------------------------------------------------------------------------------

// Of a plugin that was made without the SDK, and does what its header forbids.
struct unguarded : testing::Test {
  static std::unique_ptr<annals::sink> make(const std::string& from) {
    const std::vector<annals::option> options = {text("from", from)};
    return load("unguarded", "unguarded").make_sink({.options = options});
  }
  // What is thrown instead of the plugin's exception.
  template <class Call>
  static std::string message_of(const Call& call) {
    try {
      call();
    } catch (const annals::failure& thrown) {
      EXPECT_EQ(thrown.cause().code, annals::errc::sink_failed);
      return thrown.cause().message;
    }
    ADD_FAILURE() << "expected it to throw";
    return {};
  }
};

TEST_F(unguarded, create_is_an_error) {
  const std::string said = message_of([] { (void)make("create"); });
  EXPECT_TRUE(
      said.starts_with("the plugin 'unguarded' let an exception out of create; expected a status. That breaks its "
                       "contract; tell its author, and try: annals plugin check '/"))
      << said;
  EXPECT_EQ(message_of([] { (void)make("last_error"); }), "the plugin 'unguarded': create failed, and it does not say why");
}

TEST_F(unguarded, write_is_a_failed_event) {
  heard told;
  annals::audit_logger log({.on_error = told.handler(), .sink = make("write")});
  const annals::receipt made = log.log_event("web", "denied");
  ASSERT_FALSE(made);
  EXPECT_EQ(made.cause()->code, annals::errc::sink_failed);
  EXPECT_TRUE(made.message().starts_with("the plugin 'unguarded' let an exception (nobody caught this) out of write"))
      << made.message();
  EXPECT_EQ(log.stats().failed, 1U);
  EXPECT_EQ(told.errors.size(), 1U);
}

TEST_F(unguarded, sync_reopen_and_position_are_errors) {
  const std::string prefix = "the plugin 'unguarded' let an exception (nobody caught this) out of ";
  EXPECT_TRUE(message_of([] { make("sync")->sync(); }).starts_with(prefix + "sync"));
  EXPECT_TRUE(message_of([] { make("reopen")->reopen(); }).starts_with(prefix + "reopen"));
  EXPECT_TRUE(message_of([] { (void)make("position")->position(); }).starts_with(prefix + "position"));
}

TEST_F(unguarded, destroy_is_a_notice) {
  heard told;
  {
    annals::audit_logger log({.on_error = told.handler(), .sink = make("destroy")});
    EXPECT_TRUE(log.log_event("web", "denied"));
  }
  ASSERT_EQ(told.errors.size(), 1U);
  EXPECT_TRUE(told.errors[0].message.starts_with("the plugin 'unguarded' let an exception (nobody caught this) out of destroy"))
      << told.errors[0].message;
}

// --- the table of the SDK -------------------------------------------------------------------------------------------------

TEST(sdk, forgets_a_failure_with_the_next_call_that_succeeds_an_empty_batch_included) {
  const annals::plugin plugin = load("throwing", "throwing");
  const annals_sink_functions& table = *static_cast<const annals_plugin_descriptor*>(plugin.descriptor())->sink;
  const annals_option options[] = {{"from", "write", 5, ANNALS_OPTION_TEXT, 0}, {"throws", "int", 3, ANNALS_OPTION_TEXT, 0}};
  annals_host host = {};
  host.struct_size = sizeof host;
  host.host_version = host.log_path = "";
  host.options = options;
  host.options_count = 2;
  host.option_size = sizeof *options;
  host.notice = [](void*, const annals_notice*) {};
  annals_sink* sink = nullptr;
  ASSERT_EQ(table.create(&host, &sink), ANNALS_OK);
  annals_batch batch = {sizeof batch, "{}\n", 3, 1, 1, 0};
  annals_error error = {};
  error.struct_size = sizeof error;
  EXPECT_EQ(table.write(sink, &batch), ANNALS_FAILED);
  EXPECT_EQ(table.last_error(sink, &error), ANNALS_OK);
  batch = {sizeof batch, "", 0, 0, 2, 0};
  EXPECT_EQ(table.write(sink, &batch), ANNALS_OK);
  EXPECT_EQ(table.last_error(sink, &error), ANNALS_FAILED);
  table.destroy(sink);
}

TEST(plugin_sink, takes_batches_and_tells_its_position) {
  const auto sink = load("null", "null").make_sink({});
  sink->write({"{\"a\":1}\n{\"a\":2}\n", 2, 1, annals::time_point(std::chrono::microseconds(-1))});
  sink->write({"", 0, 3});
  EXPECT_EQ(sink->position(), (annals::position{1, 16}));
  sink->sync();
  sink->reopen();
}

}  // namespace
