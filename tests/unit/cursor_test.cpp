// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <optional>
#include <string_view>
import annals;

namespace {

TEST(cursor, reads_back_from_its_text) {
  for (const annals::cursor& from :
       {annals::cursor{}, annals::cursor{{1, 42}, 0xdeadbeef}, annals::cursor{{UINT64_MAX, UINT64_MAX}, UINT64_MAX}}) {
    EXPECT_EQ(annals::parse_cursor(to_string(from)), from) << to_string(from);
  }
  EXPECT_EQ(to_string(annals::cursor{{1, 42}, 0xdeadbeef}), "1:42:00000000deadbeef");
}

TEST(cursor, refuses_any_other_text) {
  for (const std::string_view text :
       {"", ":", "1", "1:2", "1:2:", "1:2:3", "1:2:00000000deadbeef0", "1:2:00000000deadbee", "-1:2:00000000deadbeef",
        "1:2:00000000deadbeeg", " 1:2:00000000deadbeef", "1:2:00000000deadbeef ", "18446744073709551616:0:0000000000000000",
        "0x1:2:00000000deadbeef", "1:2:0x000000deadbeef", "1::00000000deadbeef", "1:x:00000000deadbeef",
        "1:18446744073709551616:00000000deadbeef", "1:2:xxxxxxxxxxxxxxxx"}) {
    EXPECT_EQ(annals::parse_cursor(text), std::nullopt) << text;
  }
}

}  // namespace
