#include "lib/sample/stop_matcher.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace scout {
namespace {

using Strings = std::vector<std::string>;

struct Outcome {
  std::string text;
  int64_t found = -1;
};

// By definition: the match that ends first, of those the one that begins first.
Outcome Expected(const Strings& stops, const std::string& text) {
  for (size_t end = 1; end <= text.size(); ++end) {
    int64_t found = -1;
    for (size_t i = 0; i < stops.size(); ++i) {
      const size_t size = stops[i].size();
      if (size > end || text.compare(end - size, size, stops[i]) != 0) continue;
      if (found < 0 || size > stops[static_cast<size_t>(found)].size()) {
        found = static_cast<int64_t>(i);
      }
    }
    if (found >= 0) return {text.substr(0, end - stops[static_cast<size_t>(found)].size()), found};
  }
  return {text, -1};
}

// What may be held back: the longest end of `text` that begins a stop string.
size_t LongestHold(const Strings& stops, const std::string& text) {
  for (size_t size = text.size(); size > 0; --size) {
    for (const std::string& s : stops) {
      if (size < s.size() && text.compare(text.size() - size, size, s, 0, size) == 0) return size;
    }
  }
  return 0;
}

// Feeds text cut where `cuts` has a 1 bit; checks that no more is held back than must be.
Outcome Feed(StopMatcher matcher, const Strings& stops, const std::string& text, uint64_t cuts) {
  Outcome outcome;
  size_t at = 0;
  for (size_t i = 1; i <= text.size(); ++i) {
    if (i < text.size() && (cuts >> (i - 1) & 1) == 0) continue;
    outcome.found = matcher.Push(std::string_view(text).substr(at, i - at), &outcome.text);
    at = i;
    if (outcome.found < 0) {
      EXPECT_EQ(outcome.text.size() + LongestHold(stops, text.substr(0, i)), i);
    }
  }
  if (outcome.found < 0) matcher.Flush(&outcome.text);
  EXPECT_EQ(matcher.held(), 0);
  return outcome;
}

TEST(StopMatcher, IsIndependentOfAllCuts) {
  std::mt19937_64 rng(1);
  int found = 0;
  for (int round = 0; round < 120; ++round) {
    Strings stops(1 + rng() % 4);
    for (std::string& s : stops) {
      for (uint64_t n = 1 + rng() % 5; n > 0; --n) s += static_cast<char>('a' + rng() % 2);
    }
    std::string text;
    for (int i = 0; i < 10; ++i) text += static_cast<char>('a' + rng() % (round % 2 ? 2 : 3));
    const Outcome expected = Expected(stops, text);
    found += expected.found >= 0;
    auto matcher = StopMatcher::Create(stops);
    ASSERT_TRUE(matcher.ok());
    for (uint64_t cuts = 0; cuts < 1u << 9; ++cuts) {
      const Outcome got = Feed(*matcher, stops, text, cuts);
      ASSERT_EQ(got.text, expected.text) << text << " cut " << cuts;
      if (expected.found < 0) {
        ASSERT_EQ(got.found, -1);
      } else {
        ASSERT_EQ(stops[static_cast<size_t>(got.found)],
                  stops[static_cast<size_t>(expected.found)]);
      }
    }
  }
  EXPECT_GT(found, 30);
  EXPECT_LT(found, 120);
}

TEST(StopMatcher, OverlapsAndEnds) {
  const Strings stops = {"abcd", "bc", "cdx"};
  auto matcher = *StopMatcher::Create(stops);
  std::string out;
  EXPECT_EQ(matcher.Push("xxab", &out), -1);
  EXPECT_EQ(out, "xx");
  EXPECT_EQ(matcher.held(), 2);
  EXPECT_EQ(matcher.Push("cdx", &out), 1);  // "bc" ends before "abcd" does
  EXPECT_EQ(out, "xxa");
  EXPECT_EQ(matcher.Push("more", &out), 1);  // nothing after a match
  EXPECT_EQ(out, "xxa");
  matcher.Reset();
  EXPECT_EQ(matcher.Push("cd", &out), -1);
  matcher.Flush(&out);
  EXPECT_EQ(out, "xxacd");
}

TEST(StopMatcher, BytesAreBytes) {
  const Strings stops = {std::string("\0\xff", 2), "\xe2\x82\xac"};
  const std::string text = std::string("a\0b\xe2\x82\x80 \xe2\x82\xac z", 12);
  for (uint64_t cuts : {0u, 1u, 0x555u, 0x1fffu}) {
    const Outcome got = Feed(*StopMatcher::Create(stops), stops, text, cuts);
    EXPECT_EQ(got.found, 1);
    EXPECT_EQ(got.text, text.substr(0, 7));
  }
}

TEST(StopMatcher, WithoutStringsAllPasses) {
  StopMatcher matcher = *StopMatcher::Create({});
  std::string out;
  EXPECT_EQ(matcher.Push("abc", &out), -1);
  EXPECT_EQ(out, "abc");
  EXPECT_EQ(matcher.held(), 0);
}

TEST(StopMatcher, RefusesEmptyAndTooLong) {
  auto empty = StopMatcher::Create({"a", ""}).status();
  EXPECT_EQ(empty.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(empty.message().find("stop string 1 is empty"), std::string::npos);
  EXPECT_EQ(StopMatcher::Create({std::string(StopMatcher::kMaxBytes + 1, 'a')}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

// Quadratic work would take minutes: a long stop string that nearly matches everywhere.
TEST(StopMatcher, IsLinear) {
  const std::string stop = std::string(500000, 'a') + "b";
  auto matcher = *StopMatcher::Create({stop});
  std::string out;
  for (int i = 0; i < 2000; ++i) {
    ASSERT_EQ(matcher.Push(std::string(1000, 'a'), &out), -1);
    if (i % 100 == 99) {
      ASSERT_EQ(matcher.Push("c", &out), -1);
    }
  }
  for (int i = 0; i < 500000; ++i) ASSERT_EQ(matcher.Push("a", &out), -1);
  EXPECT_EQ(matcher.Push("b", &out), 0);
  EXPECT_EQ(out.size(), 2000u * 1000 + 20);
}

// What was let go is out and still counts; nothing comes twice, nothing behind the match comes.
TEST(StopMatcher, WhatWasLetGoStillBeginsAStopString) {
  std::mt19937 rng(5);
  auto text = [&](size_t n) {
    std::string s;
    for (size_t i = 0; i < n; ++i) s += "ab"[rng() % 2];
    return s;
  };
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::string> stops;
    for (int i = 0; i < 2; ++i) stops.push_back(text(2 + rng() % 6));
    const std::string all = text(40);
    StopMatcher whole = *StopMatcher::Create(stops), cut = whole;
    std::string want, got;
    const int64_t found = whole.Push(all, &want);
    size_t out = 0;  // bytes of `all` that are out because they were let go
    for (size_t at = 0; at < all.size() && cut.found() < 0;) {
      const size_t n = std::min(all.size() - at, size_t{1 + rng() % 5});
      cut.Push(std::string_view(all).substr(at, n), &got);
      at += n;
      if (cut.found() < 0 && rng() % 2 == 0) {
        cut.LetGo(&got);
        out = at;
        EXPECT_EQ(cut.held(), 0);
      }
    }
    ASSERT_EQ(cut.found(), found);
    ASSERT_EQ(got, all.substr(0, std::max(want.size(), out)));
  }
}

}  // namespace
}  // namespace scout
