// Random numbers that a seed decides, the same on every machine. SPDX-License-Identifier:
// Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace scout::test {

class Random {  // SplitMix64
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return z ^ z >> 31;
  }
  // Uniform in [0, n), n > 0.
  size_t Below(size_t n) { return static_cast<size_t>(Next() % n); }
  bool OneIn(size_t n) { return Below(n) == 0; }
  template <typename T>
  T& Of(std::vector<T>& items) {
    return items[Below(items.size())];
  }
  template <typename T>
  const T& Of(const std::vector<T>& items) {
    return items[Below(items.size())];
  }

 private:
  uint64_t state_;
};

// A number at which arithmetic or a limit of a reader may break.
inline uint64_t EdgeNumber(Random& random) {
  static const std::vector<uint64_t> kEdges = {0,
                                               1,
                                               2,
                                               3,
                                               4,
                                               5,
                                               7,
                                               8,
                                               16,
                                               31,
                                               32,
                                               33,
                                               64,
                                               127,
                                               128,
                                               255,
                                               256,
                                               1024,
                                               4096,
                                               65535,
                                               65536,
                                               (1u << 20) + 1,
                                               1u << 24,
                                               0x7FFFFFFF,
                                               0x80000000,
                                               0xFFFFFFFF,
                                               uint64_t{1} << 32,
                                               (uint64_t{1} << 32) + 1,
                                               uint64_t{1} << 48,
                                               uint64_t{1} << 56,
                                               uint64_t{1} << 58,
                                               uint64_t{1} << 59,
                                               uint64_t{1} << 60,
                                               uint64_t{1} << 61,
                                               (uint64_t{1} << 61) + 1,
                                               uint64_t{1} << 62,
                                               uint64_t{INT64_MAX} - 1,
                                               uint64_t{INT64_MAX},
                                               uint64_t{1} << 63,
                                               UINT64_MAX - 31,
                                               UINT64_MAX - 1,
                                               UINT64_MAX};
  switch (random.Below(4)) {
    case 0:
      return random.Below(64);
    case 1:
      return random.Of(kEdges) + random.Below(3) - 1;
    default:
      return random.Of(kEdges);
  }
}

// A text that a reader of names may trip over.
inline std::string EdgeName(Random& random) {
  static const std::vector<std::string> kNames = {"",
                                                  std::string(1, '\0'),
                                                  std::string("a\0b", 3),
                                                  "../../etc/passwd",
                                                  "/etc/passwd",
                                                  "a/b",
                                                  "a\\b",
                                                  "..",
                                                  ".",
                                                  "{{ 7*7 }}",
                                                  "%n%s",
                                                  "\xFF\xFE",
                                                  "\xC0\x80",
                                                  "\xED\xA0\x80",
                                                  "\n",
                                                  "\x1B[2J",
                                                  std::string(1025, 'n'),
                                                  std::string(300, '/'),
                                                  "\xF0\x9F\x98\x80",
                                                  "-1",
                                                  "__metadata__"};
  return random.Of(kNames);
}

}  // namespace scout::test
