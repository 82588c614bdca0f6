// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <source_location>

import annals.io.invariant;

namespace {

TEST(invariant, does_nothing_while_it_holds) {
  annals::invariant(true, "two and two are four");
}

TEST(invariant, ends_a_checking_build_with_its_place_and_meaning) {
  if constexpr (annals::checks_invariants) {
    EXPECT_DEATH(annals::invariant(false, "two and two are five"),
                 "annals: .*invariant_test\\.cpp:[0-9]+: broken invariant: two and two are five");
  } else {
    annals::invariant(false, "two and two are five");
  }
}

}  // namespace
