#include "lib/forward/moe_plan.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace scout {
namespace {

TEST(MoePlan, SortsRowsByExpertAndKeepsTheGate) {
  MoePlan plan(4, 3, 1);
  const float logits[] = {0, 2, 1, /**/ 5, 0, 0, /**/ 0, 0, 0, /**/ -1, -3, -2};
  plan.Build(logits, 4);
  EXPECT_EQ(plan.n_plan_rows(), 4);
  EXPECT_EQ(plan.n_groups(), 2);
  EXPECT_EQ(plan.end(0) - plan.begin(0), 3);
  EXPECT_EQ(plan.row(plan.begin(0)), 1);
  EXPECT_EQ(plan.row(plan.begin(0) + 1), 2);  // equal logits: the lowest expert
  EXPECT_EQ(plan.row(plan.begin(0) + 2), 3);
  EXPECT_EQ(plan.row(plan.begin(1)), 0);
  EXPECT_FLOAT_EQ(plan.gate(plan.begin(1)), 1 / (1 + std::exp(-2.0f)));
}

TEST(MoePlan, EveryChoiceOfEveryRowIsPlannedOnce) {
  std::mt19937 rng(3);
  std::normal_distribution<float> normal;
  for (int64_t used = 1; used <= 3; ++used) {
    MoePlan plan(50, 7, used);
    for (int64_t n : {1, 13, 50, 2}) {
      std::vector<float> logits(n * 7);
      for (float& l : logits) l = normal(rng);
      plan.Build(logits.data(), n);
      ASSERT_EQ(plan.n_plan_rows(), n * used);
      std::vector<int> seen(n * used);
      for (int64_t r = 0; r < n; ++r) {
        for (int64_t k = 0; k < used; ++k) {
          const int64_t at = plan.plan_row(r, k), e = plan.expert(r, k);
          ASSERT_EQ(seen[at]++, 0);
          EXPECT_EQ(plan.row(at), r);
          EXPECT_GE(at, plan.begin(e));
          EXPECT_LT(at, plan.end(e));
          EXPECT_FLOAT_EQ(plan.gate(at), 1 / (1 + std::exp(-logits[r * 7 + e])));
          if (k > 0) {
            EXPECT_GE(logits[r * 7 + plan.expert(r, k - 1)], logits[r * 7 + e]);
          }
        }
      }
    }
  }
}

TEST(MoePlan, NaNLogitsStillGiveAnExpert) {
  MoePlan plan(1, 3, 2);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float logits[] = {nan, nan, nan};
  plan.Build(logits, 1);
  EXPECT_EQ(plan.n_plan_rows(), 2);
  EXPECT_NE(plan.expert(0, 0), plan.expert(0, 1));
}

}  // namespace
}  // namespace scout
