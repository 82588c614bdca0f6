// SPDX-License-Identifier: Apache-2.0
//
// Values that were chosen to harm whoever logs them: strings of a gigabyte, thousands of fields, JSON nested a million deep,
// names of any bytes. Each is one line that reads back as what went in, or is refused, and the log goes on. (Any bytes in any
// value: unit.encode_line, differential.against_python. Names that are paths: hostile_files_test.cpp.)
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "support/temp_directory.h"
import annals;

namespace {

constexpr annals::delivery deliveries[] = {annals::delivery::direct, annals::delivery::durable, annals::delivery::ring};

annals::logger_options options(const std::string& path, annals::delivery delivery) {
  annals::logger_options made;
  made.path = path;
  made.delivery = delivery;
  made.max_line_bytes = annals::limits::line_bytes_ceiling;
  made.on_error = [](const annals::error&) {};
  return made;
}

// So many bytes that are really there, all of them NUL: pages of the system's, which take no memory until they are written to.
class zeros {
 public:
  explicit zeros(std::size_t bytes)
      : bytes_(bytes), memory_(::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {
    if (memory_ == MAP_FAILED) ADD_FAILURE() << "no room for " << bytes << " bytes";
  }
  ~zeros() { ::munmap(memory_, bytes_); }
  zeros(const zeros&) = delete;
  zeros& operator=(const zeros&) = delete;
  std::string_view text() const { return {static_cast<const char*>(memory_), bytes_}; }

 private:
  std::size_t bytes_;
  void* memory_;
};

void expect_refused(const annals::receipt& made, annals::errc why) {
  ASSERT_FALSE(made.accepted());
  EXPECT_EQ(made.cause()->code, why) << made.message();
  EXPECT_LT(made.message().size(), 1000U) << "the message does not hold the value";
}

TEST(a_string_of_a_gigabyte, is_refused_wherever_it_stands_and_the_log_goes_on) {
  const zeros gigabyte(std::size_t{1} << 30);
  const std::string_view huge = gigabyte.text();
  for (const annals::delivery delivery : deliveries) {
    const support::temp_directory directory;
    const std::string path = directory / "audit.jsonl";
    annals::audit_logger log(options(path, delivery));
    const auto too_long = annals::errc::line_too_long;
    expect_refused(log.log_event(huge, "x"), too_long);
    expect_refused(log.log_event("web", huge), too_long);
    expect_refused(log.log_event("web", "x", {.dest = huge}), too_long);
    expect_refused(log.log_event("web", "x", {.detail = huge}), too_long);
    expect_refused(log.log_event("web", "x", {.fields = {annals::field{huge, 1}}}), too_long);
    expect_refused(log.log_event("web", "x", {.fields = {{"n", huge}}}), too_long);
    EXPECT_FALSE(log.log_event("web", "x", {.fields = {{"n", annals::raw_json{huge}}}}).accepted());
    EXPECT_FALSE(log.log_event(huge, huge, {.dest = huge, .detail = huge, .fields = {{"n", huge}, {"m", huge}}}).accepted());
    EXPECT_TRUE(log.log_event("web", "after"));
    EXPECT_TRUE(log.sync());
    EXPECT_EQ(support::lines_of(path).size(), 1U);
    EXPECT_EQ(annals::tail_log(path, 10).size(), 1U);
  }
}

TEST(ten_thousand_fields, are_refused_in_an_event_and_damage_in_a_line) {
  std::vector<std::string> names;
  for (int i = 0; i < 10'000; ++i) names.push_back("n" + std::to_string(i));
  std::vector<annals::field> fields;
  std::string line = R"({"ts":"2026-01-01T00:00:00+00:00","container":"web","action":"x")";
  for (const std::string& name : names) {
    fields.emplace_back(name, 1);
    line += ",\"" + name + "\":1";
  }
  for (const annals::delivery delivery : deliveries) {
    const support::temp_directory directory;
    const std::string path = directory / "audit.jsonl";
    annals::audit_logger log(options(path, delivery));
    ASSERT_TRUE(log.log_event("web", "before"));
    annals::event_details details;
    details.fields = fields;
    expect_refused(log.log_event("web", "x", details), annals::errc::invalid_field);
    ASSERT_TRUE(log.sync());
    support::append_to(path, line + "}\n");
    ASSERT_TRUE(log.log_event("web", "after"));
    ASSERT_TRUE(log.sync());
    std::vector<annals::damage> damages;
    const auto read = annals::tail_log(path, 10, {.on_damage = [&](const annals::damage& one) { damages.push_back(one); }});
    ASSERT_EQ(read.size(), 2U);
    EXPECT_EQ(read[0].action + " " + read[1].action, "before after");
    ASSERT_EQ(damages.size(), 1U);
    EXPECT_EQ(damages[0].bytes, line.size() + 1);
  }
}

TEST(json_nested_a_million_deep, is_refused_in_an_event_and_damage_in_a_line) {
  const std::size_t depth = 1'000'000;
  const std::string nested = std::string(depth, '[') + std::string(depth, ']');
  const support::temp_directory directory;
  const std::string path = directory / "audit.jsonl";
  annals::audit_logger log(options(path, annals::delivery::direct));
  expect_refused(log.log_event("web", "x", {.fields = {{"n", annals::raw_json{nested}}}}), annals::errc::invalid_json);
  expect_refused(log.log_event("web", "x", {.fields = {{"n", annals::raw_json{std::string_view(nested).substr(0, depth)}}}}),
                 annals::errc::invalid_json);
  support::append_to(path, R"({"ts":"2026-01-01T00:00:00+00:00","container":"web","action":"x","n":)" + nested + "}\n");
  ASSERT_TRUE(log.log_event("web", "after"));
  int damages = 0;
  const auto read = annals::tail_log(path, 10, {.on_damage = [&](const annals::damage&) { ++damages; }});
  ASSERT_EQ(read.size(), 1U);
  EXPECT_EQ(read[0].action, "after");
  EXPECT_EQ(damages, 1);
}

TEST(a_number_that_is_none, is_refused_and_the_log_goes_on) {
  const support::temp_directory directory;
  const std::string path = directory / "audit.jsonl";
  annals::audit_logger log(options(path, annals::delivery::direct));
  using limits = std::numeric_limits<double>;
  for (const double none :
       {limits::quiet_NaN(), -limits::quiet_NaN(), limits::signaling_NaN(), limits::infinity(), -limits::infinity()}) {
    expect_refused(log.log_event("web", "x", {.fields = {{"n", none}}}), annals::errc::invalid_field);
  }
  for (const double number : {-0.0, limits::denorm_min(), limits::max(), limits::lowest(), limits::min()}) {
    ASSERT_TRUE(log.log_event("web", "x", {.fields = {{"n", number}}}));
    const annals::event read = log.tail_log(1).at(0);
    EXPECT_EQ(std::get<double>(*read.find("n")), number);
    EXPECT_EQ(std::signbit(std::get<double>(*read.find("n"))), std::signbit(number));
  }
}

// Every ASCII byte in a name, at every place of it, and characters that turn text around; what is no UTF-8 is in
// unit.encode_line.
TEST(a_name_of_any_character, is_one_line_and_reads_back) {
  const support::temp_directory directory;
  const std::string path = directory / "audit.jsonl";
  annals::audit_logger log(options(path, annals::delivery::direct));
  std::vector<std::string> names = {
      // NOLINTNEXTLINE(misc-misleading-bidirectional): that is what it is about
      "\"", "\",\"admin\":\"yes", "\\", "\\u0000", "a\nb", "\r\n{\"ts\":1}\n", "\u202e", "\u2028", "\x1b[2J", "__proto__", ""};
  for (int byte = 0; byte < 0x80; ++byte) {
    const char c = static_cast<char>(byte);
    for (const std::string& around : {std::string(), std::string(31, 'x')}) names.push_back(around + c + around + "_");
  }
  for (const std::string& name : names) {
    const std::string second = name + "2";
    ASSERT_TRUE(log.log_event("web", "x", {.fields = {annals::field{name, name}, annals::field{second, 2}}})) << name;
    const annals::event read = log.tail_log(1).at(0);
    ASSERT_EQ(read.fields.size(), 2U) << name;
    EXPECT_EQ(read.fields[0].name, name);
    EXPECT_EQ(std::get<std::string>(read.fields[0].value), name);
    EXPECT_EQ(read.fields[1].name, second);
    EXPECT_TRUE(std::all_of(read.line.begin(), read.line.end(), [](char c) { return c >= ' ' && c <= '~'; })) << read.line;
  }
  EXPECT_EQ(support::lines_of(path).size(), names.size());
}

}  // namespace
