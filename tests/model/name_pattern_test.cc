// Names of modules against entries of quantisation configurations. SPDX-License-Identifier:
// Apache-2.0
#include "lib/model/name_pattern.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace scout::test {
namespace {

TEST(NamePattern, WhatConfigurationsHold) {
  struct Case {
    const char *entry, *name;
    bool matches;
  };
  for (const Case& c : {
           Case{"lm_head", "lm_head", true},
           Case{"lm_head", "lm_head2", false},
           Case{"lm_head", "x.lm_head", false},
           Case{"re:lm_head", "lm_head2", true},  // anchored at the start alone
           Case{"re:lm_head", "x.lm_head", false},
           Case{"re:.*lm_head", "language_model.lm_head", true},
           Case{"re:.*self_attn", "model.layers.12.self_attn.q_proj", true},
           Case{"re:.*router", "model.layers.12.self_attn.q_proj", false},
           Case{"re:.*router$", "a.router", true},
           Case{"re:.*router$", "a.router.b", false},
           Case{"re:vision_model.*", "vision_model.x", true},
           Case{"re:vision_model.*", "model.vision_model.x", false},
           Case{"re:model.layers.\\d+.self_attn", "model.layers.12.self_attn.q_proj", true},
           Case{"re:model\\.layers\\.[0-9]+\\.mlp\\.gate$", "model.layers.3.mlp.gate", true},
           Case{"re:model\\.layers\\.[0-9]+\\.mlp\\.gate$", "model.layers.x.mlp.gate", false},
           Case{"re:.*(q|k|v)_proj$", "a.v_proj", true},
           Case{"re:.*(q|k|v)_proj$", "a.o_proj", false},
           Case{"re:^model\\.(?:layers|blocks)\\.(1|12)\\..*", "model.layers.12.x", true},
           Case{"re:^model\\.(?:layers|blocks)\\.(1|12)\\..*", "model.layers.2.x", false},
           Case{"re:.*expert[^.]+$", "a.experts", true},
           Case{"re:.*expert[^.]+$", "a.experts.0", false},
           Case{"re:a?b+c*?d", "bbd", true},
           Case{"re:a?b+c*?d", "abccd", true},
           Case{"re:a?b+c*?d", "ad", false},
           Case{"re:(ab|(c|d)+e)*f", "abcdceabf", true},
           Case{"re:(ab|(c|d)+e)*f", "abcdcf", false},
           Case{"re:a|b", "b", true},
           Case{"re:a|b", "c", false},
           Case{"re:[\\w.]+\\.w[1-3]$", "x_0.y.w3", true},
           Case{"re:[\\w.]+\\.w[1-3]$", "x_0.y.w4", false},
           Case{"re:[]x]", "]", true},
           Case{"re:a$", "", false},
           Case{"re:.*", "", true},
       }) {
    const auto matches = NameMatches(c.entry, c.name);
    ASSERT_TRUE(matches.ok()) << c.entry << ": " << matches.status();
    EXPECT_EQ(*matches, c.matches) << c.entry << " on " << c.name;
  }
}

TEST(NamePattern, OtherExpressionsAreNamed) {
  for (const char* entry :
       {"re:", "re:(", "re:)", "re:a)", "re:(a", "re:*a", "re:|a", "re:a|", "re:()", "re:(?!a)b",
        "re:(?P<n>a)", "re:a{2}", "re:[a", "re:[b-a]", "re:\\", "re:\\b", "re:\\1", "re:[\\"}) {
    const auto matches = NameMatches(entry, "abc");
    EXPECT_EQ(matches.status().code(), absl::StatusCode::kUnimplemented) << entry;
  }
  EXPECT_FALSE(NameMatches("re:" + std::string(513, 'a'), "a").ok());
}

// Nested repetition on a name that does not match: a backtracking matcher would not come back.
TEST(NamePattern, TimeIsBounded) {
  std::string entry = "re:";
  for (int i = 0; i < 60; ++i) entry += "(a*)*";
  entry += "b";
  const auto start = std::chrono::steady_clock::now();
  const auto matches = NameMatches(entry, std::string(4000, 'a'));
  ASSERT_TRUE(matches.ok()) << matches.status();
  EXPECT_FALSE(*matches);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
  EXPECT_TRUE(NameMatches("re:" + std::string(200, '(') + "a" + std::string(200, ')'), "a").ok());
}

}  // namespace
}  // namespace scout::test
