// Files cut at every length, with every bit flipped and every byte changed: an error, or a table
// that holds.
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

// Each of the 8 bits, all of them, one more, one less, 0. Counts the changes that are accepted.
constexpr int kChanges = 12;
int ChangeEveryByte(const std::string& bytes, const Parse& parse) {
  int accepted = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const unsigned char old = static_cast<unsigned char>(bytes[i]);
    for (int change : {old ^ 0x01, old ^ 0x02, old ^ 0x04, old ^ 0x08, old ^ 0x10, old ^ 0x20,
                       old ^ 0x40, old ^ 0x80, old ^ 0xFF, old + 1, old - 1, 0}) {
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
  EXPECT_LT(accepted, static_cast<int>(bytes.size()) * kChanges);
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

// One part of three; the others stay whole. Whichever part is opened, the same holds.
TEST(Damage, SplitGgufPartCutAndChanged) {
  const TempFolder folder;
  std::vector<std::string> parts, names;
  for (int i = 0; i < 3; ++i) {
    GgufBuilder b;
    if (i == 0) b.Text("general.architecture", "llama4");
    b.Key("split.no", kGgufU16, Raw(static_cast<uint16_t>(i)))
        .Key("split.count", kGgufU16, Raw<uint16_t>(3))
        .Key("split.tensors.count", kGgufI32, Raw<int32_t>(2));
    if (i > 0) b.Tensor(i == 1 ? "a" : "b", {4}, 0, std::string(16, 'a'));
    parts.push_back(b.Build());
    names.push_back("m-0000" + std::to_string(i + 1) + "-of-00003.gguf");
    folder.Write(names.back(), parts.back());
  }
  for (const size_t damaged : {size_t{0}, size_t{2}}) {
    int accepted = 0;
    for (const size_t given : damaged == 0 ? std::vector<size_t>{0, 1} : std::vector<size_t>{1}) {
      const Parse parse = [&](const std::string& bytes) -> Outcome {
        folder.Write(names[damaged], bytes);
        const auto gguf = ReadGguf(folder.path() + "/" + names[given]);
        if (absl::IsNotFound(gguf.status())) {  // a count that names parts that are not there
          return {CorruptError(std::string(gguf.status().message())), ""};
        }
        if (!gguf.ok()) return {gguf.status(), ""};
        for (size_t file = 0; file < gguf->table.files.size(); ++file) {
          std::vector<TensorEntry> of_file;
          for (const TensorEntry& t : gguf->table.tensors) {
            if (static_cast<size_t>(t.file) == file) of_file.push_back(t);
          }
          const std::string fault = TableFault(of_file, gguf->table.files[file]->size());
          if (!fault.empty()) return {{}, fault};
        }
        // A count of 0 keys makes the first part a file that says nothing of other parts.
        const bool whole = gguf->find_int("split.count") == nullptr;
        return {{}, whole || gguf->table.tensors.size() == 2 ? "" : "the count of tensors"};
      };
      CutEverywhere(parts[damaged], parse);
      accepted += ChangeEveryByte(parts[damaged], parse);
      folder.Write(names[damaged], parts[damaged]);
    }
    EXPECT_GT(accepted, 0);
    EXPECT_LT(accepted,
              static_cast<int>(parts[damaged].size()) * kChanges * (damaged == 0 ? 2 : 1));
  }
}

TEST(Damage, SafetensorsIndexCutAndChanged) {
  const TempFolder folder;
  folder.Write("a.safetensors", SafetensorsBuilder().Tensor("x", "U8", {2}, "12").Build());
  folder.Write("b.safetensors", SafetensorsBuilder().Tensor("y", "U8", {2}, "34").Build());
  const std::string index =
      R"({"metadata":{"total_size":4},"weight_map":{"x":"a.safetensors","y":"b.safetensors"}})";
  const Parse parse = [&](const std::string& bytes) -> Outcome {
    folder.Write("model.safetensors.index.json", bytes);
    const auto table = ReadSafetensorsFolder(folder.path());
    if (absl::IsNotFound(table.status())) {  // a shard that is not there
      return {CorruptError(std::string(table.status().message())), ""};
    }
    if (!table.ok()) return {table.status(), ""};
    return {{}, table->tensors.size() == 2 ? "" : "the count of tensors"};
  };
  CutEverywhere(index, parse);
  EXPECT_GT(ChangeEveryByte(index, parse), 0);  // the metadata, blanks
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
  EXPECT_LT(accepted, static_cast<int>(bytes.size()) * kChanges);
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
