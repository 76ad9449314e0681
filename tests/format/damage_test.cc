// Files cut at every length and with every byte changed: an error, or a table that holds.
// SPDX-License-Identifier: Apache-2.0
#include <functional>

#include "lib/format/json.h"
#include "tests/format/format_test_util.h"
#include "tests/util/gguf_builder.h"
#include "tests/util/safetensors_builder.h"

namespace scout::test {
namespace {

bool IsFileError(const absl::Status& status) {
  return (status.code() == absl::StatusCode::kDataLoss ||
          status.code() == absl::StatusCode::kUnimplemented) &&
         !status.message().empty();
}

// The status, and what is wrong with the table where it is OK.
struct Outcome {
  absl::Status status;
  std::string fault;
};
using Parse = std::function<Outcome(const std::string&)>;

Outcome ParseAsGguf(const std::string& bytes) {
  const absl::StatusOr<Gguf> gguf = ParseGgufBytes(bytes);
  if (!gguf.ok()) return {gguf.status(), ""};
  return {{}, TableFault(gguf->table.tensors, static_cast<int64_t>(bytes.size()))};
}

Outcome ParseAsSafetensors(const std::string& bytes) {
  const auto tensors = ParseSafetensorsBytes(bytes);
  if (!tensors.ok()) return {tensors.status(), ""};
  return {{}, TableFault(*tensors, static_cast<int64_t>(bytes.size()))};
}

void CutEverywhere(const std::string& bytes, const Parse& parse) {
  ASSERT_TRUE(parse(bytes).status.ok());
  for (size_t length = 0; length < bytes.size(); ++length) {
    const absl::Status status = parse(bytes.substr(0, length)).status;
    ASSERT_TRUE(IsFileError(status)) << "cut at " << length << ": " << status;
  }
}

// Counts the changes that are accepted.
int ChangeEveryByte(const std::string& bytes, const Parse& parse) {
  int accepted = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const unsigned char old = static_cast<unsigned char>(bytes[i]);
    for (int change : {old ^ 0xFF, old + 1, old ^ 0x80, old - 1, old ^ 0x01, 0}) {
      std::string changed = bytes;
      changed[i] = static_cast<char>(change);
      const Outcome outcome = parse(changed);
      if (outcome.status.ok()) {
        EXPECT_EQ(outcome.fault, "") << "byte " << i << " = " << change;
        ++accepted;
      } else {
        EXPECT_TRUE(IsFileError(outcome.status)) << "byte " << i << ": " << outcome.status;
      }
    }
  }
  return accepted;
}

TEST(Damage, GgufCutAnywhereIsAnError) { CutEverywhere(SampleGguf().Build(), ParseAsGguf); }

TEST(Damage, GgufWithAnyByteChanged) {
  const std::string bytes = SampleGguf().Build();
  const int accepted = ChangeEveryByte(bytes, ParseAsGguf);
  // Data, values and names may change unnoticed; lengths, types and counts may not.
  EXPECT_GT(accepted, 0);
  EXPECT_LT(accepted, static_cast<int>(bytes.size()) * 6);
}

TEST(Damage, GgufWithAnyNumberMadeHuge) {
  const std::string bytes = SampleGguf().Build();
  for (uint64_t number : {uint64_t{1} << 63, UINT64_MAX, uint64_t{1} << 32, (uint64_t{1} << 32) - 1,
                          uint64_t{INT64_MAX}, uint64_t{1} << 61, uint64_t{0}}) {
    for (size_t i = 0; i + 8 <= bytes.size(); ++i) {
      std::string changed = bytes;
      changed.replace(i, 8, Raw(number));
      const Outcome outcome = ParseAsGguf(changed);
      EXPECT_TRUE(outcome.status.ok() || IsFileError(outcome.status)) << i;
      EXPECT_EQ(outcome.fault, "") << "bytes " << i << " = " << number;
    }
  }
}

TEST(Damage, GgufCutMessageSaysHowMuchIsMissing) {
  const std::string bytes = SampleGguf().Build();
  ExpectError(ParseAsGguf(bytes.substr(0, bytes.size() - 5)).status, absl::StatusCode::kDataLoss,
              {"cut short", "tensor iq4.weight", " 5 are missing"});
}

TEST(Damage, SafetensorsCutAnywhereIsAnError) {
  CutEverywhere(SampleSafetensors().Build(), ParseAsSafetensors);
}

TEST(Damage, SafetensorsWithAnyByteChanged) {
  const std::string bytes = SampleSafetensors().Build();
  const int accepted = ChangeEveryByte(bytes, ParseAsSafetensors);
  EXPECT_GT(accepted, 0);
  EXPECT_LT(accepted, static_cast<int>(bytes.size()) * 6);
}

TEST(Damage, SafetensorsCutMessageSaysHowMuchIsMissing) {
  const std::string bytes = SampleSafetensors().Build();
  ExpectError(ParseAsSafetensors(bytes.substr(0, bytes.size() - 5)).status,
              absl::StatusCode::kDataLoss, {"cut short", "tensor packed", " 5 are missing"});
}

TEST(Damage, JsonCutAndChanged) {
  const std::string text =
      R"({"a":[1,-2.5e3,true,false,null,"x\u00e9\ud83d\ude00\n"],"b":{"c":{"d":[]}},"é":"€"})";
  const Parse parse = [](const std::string& bytes) -> Outcome {
    return {ParseJson(bytes).status(), ""};
  };
  CutEverywhere(text, parse);
  EXPECT_GT(ChangeEveryByte(text, parse), 0);
}

}  // namespace
}  // namespace scout::test
