// Checked 64-bit arithmetic at its borders. SPDX-License-Identifier: Apache-2.0
#include "lib/util/checked.h"

#include <gtest/gtest.h>

namespace scout {
namespace {

constexpr int64_t kMax = INT64_MAX, kMin = INT64_MIN;

TEST(Checked, Add) {
  int64_t out = 7;
  EXPECT_TRUE(CheckedAdd(kMax - 1, 1, &out));
  EXPECT_EQ(out, kMax);
  EXPECT_FALSE(CheckedAdd(kMax, 1, &out));
  EXPECT_FALSE(CheckedAdd(kMin, -1, &out));
  EXPECT_TRUE(CheckedAdd(kMin, kMax, &out));
  EXPECT_EQ(out, -1);
}

TEST(Checked, Mul) {
  int64_t out = 7;
  EXPECT_TRUE(CheckedMul(int64_t{1} << 31, int64_t{1} << 31, &out));
  EXPECT_EQ(out, int64_t{1} << 62);
  EXPECT_FALSE(CheckedMul(int64_t{1} << 32, int64_t{1} << 31, &out));
  EXPECT_FALSE(CheckedMul(kMin, -1, &out));
  EXPECT_TRUE(CheckedMul(kMax, 0, &out));
  EXPECT_EQ(out, 0);
}

TEST(Checked, FromU64) {
  int64_t out = 7;
  EXPECT_TRUE(CheckedFromU64(static_cast<uint64_t>(kMax), &out));
  EXPECT_EQ(out, kMax);
  EXPECT_FALSE(CheckedFromU64(static_cast<uint64_t>(kMax) + 1, &out));
  EXPECT_FALSE(CheckedFromU64(UINT64_MAX, &out));
  EXPECT_EQ(out, kMax);
}

TEST(Checked, RangeFits) {
  EXPECT_TRUE(RangeFits(0, 10, 10));
  EXPECT_TRUE(RangeFits(10, 0, 10));
  EXPECT_FALSE(RangeFits(11, 0, 10));
  EXPECT_FALSE(RangeFits(1, 10, 10));
  EXPECT_FALSE(RangeFits(kMax, kMax, kMax));
  EXPECT_FALSE(RangeFits(1, kMax, kMax));
  EXPECT_TRUE(RangeFits(0, kMax, kMax));
  for (int64_t bad : {int64_t{-1}, kMin}) {
    EXPECT_FALSE(RangeFits(bad, 0, 10));
    EXPECT_FALSE(RangeFits(0, bad, 10));
    EXPECT_FALSE(RangeFits(0, 0, bad));
  }
}

}  // namespace
}  // namespace scout
