// Lists of token ids for the command, cut at every length and with every bit flipped: a message, or
// ids. SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <memory>

#include "tools/input.h"
#include "tools/npy.h"

namespace scout::tool {
namespace {

// A copy on the heap of exactly that size, so that a sanitizer sees a read past the end.
Failure Parse(const std::string& bytes, std::vector<int32_t>* ids) {
  auto copy = std::make_unique<std::string>(bytes);
  copy->shrink_to_fit();
  ids->clear();
  return ParseIds(*copy, "input", kExitInput, ids);
}

// What of the bytes is payload: there, a change may only change ids.
void Damage(const std::string& bytes, size_t payload) {
  std::vector<int32_t> whole, ids;
  ASSERT_FALSE(Parse(bytes, &whole)) << Parse(bytes, &whole).text;
  for (size_t length = 0; length < bytes.size(); ++length) {
    const Failure failure = Parse(bytes.substr(0, length), &ids);
    if (failure) {
      EXPECT_EQ(failure.code, kExitInput);
      EXPECT_FALSE(failure.text.empty());
    } else {  // a list as text may end anywhere
      EXPECT_LE(ids.size(), whole.size()) << "cut at " << length;
      EXPECT_FALSE(IsNpy(bytes.substr(0, length))) << "cut at " << length;
    }
  }
  for (size_t at = 0; at < bytes.size(); ++at) {
    for (const int mask : {1, 2, 4, 8, 16, 32, 64, 128, 255}) {
      std::string changed = bytes;
      changed[at] = static_cast<char>(changed[at] ^ mask);
      const Failure failure = Parse(changed, &ids);
      if (!failure) {
        if (at >= payload) {
          EXPECT_EQ(ids.size(), whole.size()) << at << " ^ " << mask;
        }
        continue;
      }
      EXPECT_EQ(failure.code, kExitInput) << at << " ^ " << mask;
      EXPECT_FALSE(failure.text.empty()) << at << " ^ " << mask;
    }
  }
}

std::string Npy(const std::string& type, const std::string& shape, const std::string& values,
                int version = 1) {
  const std::string text =
      "{'descr': '" + type + "', 'fortran_order': False, 'shape': " + shape + ", }\n";
  std::string bytes = "\x93NUMPY";
  bytes += {static_cast<char>(version), '\0', static_cast<char>(text.size()), '\0'};
  if (version > 1) bytes += std::string(2, '\0');
  return bytes + text + values;
}

TEST(TokenIds, NpyCutAndChanged) {
  for (const auto& [type, width] :
       {std::pair("|u1", 1), std::pair("<i2", 2), std::pair("<u4", 4), std::pair("<i8", 8)}) {
    std::string values(static_cast<size_t>(3 * width), '\0');
    for (int i = 0; i < 3; ++i) values[static_cast<size_t>(i * width)] = static_cast<char>(i + 1);
    for (const int version : {1, 2}) {
      const std::string bytes = Npy(type, "(3,)", values, version);
      Damage(bytes, bytes.size() - values.size());
    }
  }
}

TEST(TokenIds, ListCutAndChanged) {
  const std::string text = "[1, 22, 200005]";
  Damage(text, text.size());
}

// Counts and widths of a header that do not go with the size of the file.
TEST(TokenIds, NpyHeadersThatLie) {
  std::vector<int32_t> ids;
  const std::string eight(8, '\1');
  ASSERT_FALSE(Parse(Npy("<i4", "(2,)", eight), &ids));
  for (const char* shape :
       {"(3,)", "(1,)", "(-2,)", "(4611686018427387906,)", "(9223372036854775807,)",
        "(18446744073709551618,)", "(2, 1)", "()", "(2", "2", "(,)", "(0x2,)", "( 2,)"}) {
    EXPECT_TRUE(Parse(Npy("<i4", shape, eight), &ids)) << shape;
  }
  for (const char* type : {"<i0", "<i3", "<i9", "<f4", ">i4", "<O8", "|b1", "<i\xFF", "<i", ""}) {
    EXPECT_TRUE(Parse(Npy(type, "(2,)", eight), &ids)) << type;
  }
  std::string long_header = Npy("<i4", "(2,)", eight, 2);
  for (const char* length : {"\xFF\xFF\xFF\xFF", "\xFF\xFF\xFF\x7F"}) {
    EXPECT_TRUE(Parse(long_header.replace(8, 4, length), &ids));
  }
  EXPECT_TRUE(Parse(Npy("<i4", "(2,)", eight, 4), &ids));
  EXPECT_TRUE(Parse(Npy("<i4", "(2,)", eight, 0), &ids));
}

TEST(TokenIds, BeyondInt32) {
  std::vector<int32_t> ids;
  for (const char* list :
       {"2147483648", "[-2147483649]", "9223372036854775807", "-9223372036854775809", "1e3", "1.0",
        "0x1", "[1,,2]", "[1", "1]", "[[1]]"}) {
    EXPECT_TRUE(Parse(list, &ids)) << list;
  }
  EXPECT_TRUE(Parse(Npy("<u8", "(1,)", std::string(8, '\xFF')), &ids));
  EXPECT_TRUE(Parse(Npy("<i8", "(1,)", std::string(7, '\0') + "\x01"), &ids));
}

}  // namespace
}  // namespace scout::tool
