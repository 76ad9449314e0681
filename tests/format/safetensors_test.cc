// Safetensors files and folders that are right, and every kind of error.
// SPDX-License-Identifier: Apache-2.0
#include "lib/format/safetensors.h"

#include <filesystem>

#include "tests/format/format_test_util.h"
#include "tests/util/safetensors_builder.h"

namespace scout::test {
namespace {

constexpr auto kCorrupt = absl::StatusCode::kDataLoss;
constexpr auto kUnsupported = absl::StatusCode::kUnimplemented;
constexpr auto kNotFound = absl::StatusCode::kNotFound;

void ExpectFileError(const std::string& bytes, absl::StatusCode code,
                     std::initializer_list<std::string> texts) {
  ExpectError(ParseSafetensorsBytes(bytes).status(), code, texts);
}

// A file with one tensor "t" whose entry is the JSON text, over `n` bytes of data.
std::string OneEntry(const std::string& entry, size_t n) {
  return SafetensorsFile("{\"t\":" + entry + "}", std::string(n, 'd'));
}

TEST(Safetensors, ReadsTensors) {
  const std::string bytes = SampleSafetensors().Build();
  const auto tensors = ParseSafetensorsBytes(bytes);
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  ASSERT_EQ(tensors->size(), 5u);
  EXPECT_EQ(TableFault(*tensors, static_cast<int64_t>(bytes.size())), "");
  const TensorEntry& half = (*tensors)[1];
  EXPECT_EQ(half.name, "half");
  EXPECT_EQ(half.type, kernels::QuantType::kF16);
  EXPECT_TRUE(half.supported);
  EXPECT_EQ(half.shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(bytes.substr(static_cast<size_t>(half.offset), 12), std::string(12, '\2'));
  EXPECT_TRUE((*tensors)[3].shape.empty());
  EXPECT_EQ((*tensors)[3].n_elements(), 1);
  EXPECT_FALSE((*tensors)[4].supported);
  EXPECT_EQ((*tensors)[4].type_name, "I32");
}

TEST(Safetensors, EveryDtype) {
  const std::pair<const char*, size_t> kTypes[] = {
      {"F64", 8},     {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"F8_E4M3", 1},
      {"F8_E5M2", 1}, {"I64", 8}, {"I32", 4}, {"I16", 2},  {"I8", 1},
      {"U8", 1},      {"U16", 2}, {"U32", 4}, {"U64", 8},  {"BOOL", 1}};
  SafetensorsBuilder b;
  for (const auto& [name, size] : kTypes) b.Tensor(name, name, {2}, std::string(2 * size, 'x'));
  const auto tensors = ParseSafetensorsBytes(b.Build());
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  int supported = 0;
  for (const TensorEntry& t : *tensors) {
    EXPECT_EQ(t.name, t.type_name);
    supported += t.supported ? 1 : 0;
  }
  EXPECT_EQ(supported, 4);
}

// An empty tensor, types of fewer than 8 bits and a type that nobody knows yet are entries like
// others, with their ranges checked, for nobody to read.
TEST(Safetensors, WhatIsNotReadIsAnEntry) {
  const auto sized = [](const std::string& type, const std::string& shape, int64_t n) {
    return OneEntry(absl::StrCat(R"({"dtype":")", type, R"(","shape":)", shape,
                                 R"(,"data_offsets":[0,)", n, "]}"),
                    static_cast<size_t>(n));
  };
  struct Case {
    const char *type, *shape;
    int64_t bytes;
  };
  for (const Case& c :
       {Case{"F32", "[0]", 0}, Case{"BF16", "[7,0,3]", 0},
        Case{"F32", "[4611686018427387904,8,0]", 0}, Case{"F4", "[3,2]", 3},
        Case{"F6_E2M3", "[4]", 3}, Case{"F6_E3M2", "[8]", 6}, Case{"F8_E4M3FNUZ", "[5]", 5},
        Case{"F8_E5M2FNUZ", "[5]", 5}, Case{"F8_E8M0", "[5]", 5}, Case{"X9", "[1,2,3]", 40},
        Case{"f32", "[1]", 4}, Case{"X9", "[4611686018427387904,8]", 2}}) {
    SCOPED_TRACE(absl::StrCat(c.type, " ", c.shape));
    const std::string bytes = sized(c.type, c.shape, c.bytes);
    const auto tensors = ParseSafetensorsBytes(bytes);
    ASSERT_TRUE(tensors.ok()) << tensors.status();
    ASSERT_EQ(tensors->size(), 1u);
    EXPECT_FALSE((*tensors)[0].supported);
    EXPECT_EQ((*tensors)[0].type_name, c.type);
    EXPECT_EQ((*tensors)[0].nbytes, c.bytes);
    EXPECT_EQ(TableFault(*tensors, static_cast<int64_t>(bytes.size())), "");
    ExpectFileError(bytes + "x", kCorrupt, {"1 bytes follow"});
  }
  ExpectFileError(sized("F4", "[3]", 2), kCorrupt, {"tensor t", "F4", "whole number of bytes"});
  ExpectFileError(sized("F4", "[4]", 3), kCorrupt, {"tensor t", "span 3 bytes", "needs 2"});
  ExpectFileError(sized("F6_E2M3", "[4611686018427387904]", 3), kCorrupt,
                  {"tensor t", "overflows"});
  // Neither is a place for another tensor's bytes.
  const std::string other = R"("b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})";
  ExpectFileError(
      SafetensorsFile(R"({"a":{"dtype":"X9","shape":[1],"data_offsets":[2,4]},)" + other, "1234"),
      kCorrupt, {"overlaps"});
  ExpectFileError(
      SafetensorsFile(R"({"a":{"dtype":"F32","shape":[0],"data_offsets":[9,9]},)" + other, "1234"),
      kCorrupt, {"tensor a"});
}

TEST(Safetensors, HeaderOrderAndPaddingAreFree) {
  const std::string entry = R"({"dtype":"U8","shape":[2],"data_offsets":)";
  const auto tensors = ParseSafetensorsBytes(
      SafetensorsFile("{\"b\":" + entry + "[2,4]},\"a\":" + entry + "[0,2]}}     ", "1234"));
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  EXPECT_EQ((*tensors)[0].name, "a");
  EXPECT_EQ((*tensors)[1].name, "b");
  EXPECT_TRUE(ParseSafetensorsBytes(SafetensorsFile("{}", "")).ok());
}

TEST(SafetensorsError, Header) {
  ExpectFileError("", kCorrupt, {"cut short"});
  ExpectFileError("1234567", kCorrupt, {"cut short", "7 bytes"});
  ExpectFileError(SafetensorsFile("", ""), kCorrupt, {"no JSON object"});
  ExpectFileError(SafetensorsFile("[]", ""), kCorrupt, {"no JSON object"});
  ExpectFileError(SafetensorsFile(" {}", ""), kCorrupt, {"no JSON object"});
  ExpectFileError(SafetensorsFile("{\"a\"}", ""), kCorrupt, {"header: not valid JSON"});
  ExpectFileError(SafetensorsFile("{}{}", ""), kCorrupt, {"header: not valid JSON"});
  ExpectFileError(SafetensorsFile(std::string("{}\0", 3), ""), kCorrupt, {"NUL"});
  for (unsigned char top : {0x01, 0x7F, 0x80, 0xFF}) {
    std::string bytes = SampleSafetensors().Build();
    bytes[7] = static_cast<char>(top);
    ExpectFileError(bytes, kCorrupt, {"header's length"});
  }
  ExpectFileError(SafetensorsFile("{\"t\":{},\"t\":{}}", ""), kCorrupt, {"\"t\" twice"});
  ExpectFileError(SafetensorsFile(R"({"t":{"a":{"b":{"c":{}}}}})", ""), kUnsupported, {"deeper"});
  ExpectFileError(SafetensorsFile(R"({"__metadata__":[]})", ""), kCorrupt, {"__metadata__"});
  ExpectFileError(SafetensorsFile(R"({"__metadata__":{"a":1}})", ""), kCorrupt,
                  {"__metadata__", "a is no string"});
  ExpectFileError(SafetensorsFile(R"({"":{}})", ""), kCorrupt, {"tensor name", "plain text"});
  ExpectFileError(SafetensorsFile(R"({"a\u0000b":{}})", ""), kCorrupt, {"a\\x00b", "plain text"});
}

TEST(SafetensorsError, HugeHeader) {
  class Source : public ByteSource {
   public:
    int64_t size() const override { return int64_t{1} << 40; }
    absl::Status ReadAt(int64_t offset, void* dst, int64_t n) const override {
      EXPECT_EQ(offset, 0);
      EXPECT_EQ(n, 8);
      const uint64_t length = uint64_t{1} << 36;
      std::memcpy(dst, &length, 8);
      return absl::OkStatus();
    }
  };
  ExpectError(ParseSafetensors(Source(), 0).status(), kUnsupported, {"header", "limit"});
}

TEST(SafetensorsError, Entries) {
  ExpectFileError(OneEntry("7", 4), kCorrupt, {"tensor t", "no object"});
  ExpectFileError(OneEntry(R"({"shape":[1],"data_offsets":[0,4]})", 4), kCorrupt,
                  {"tensor t", "dtype"});
  ExpectFileError(OneEntry(R"({"dtype":4,"shape":[1],"data_offsets":[0,4]})", 4), kCorrupt,
                  {"tensor t", "dtype"});
  for (const char* dtype : {"", "F32\\u0000", "a\\nb"}) {
    ExpectFileError(
        OneEntry(absl::StrCat(R"({"dtype":")", dtype, R"(","shape":[1],"data_offsets":[0,4]})"), 4),
        kUnsupported, {"tensor t", "dtype", "unknown"});
  }
  ExpectFileError(OneEntry(R"({"dtype":"F32","data_offsets":[0,4]})", 4), kCorrupt,
                  {"tensor t", "shape"});
  for (const char* shape :
       {"[-1]", "[1.0]", "[\"1\"]", "[null]", "[1e0]", "[9223372036854775808]"}) {
    ExpectFileError(
        OneEntry(absl::StrCat(R"({"dtype":"F32","shape":)", shape, R"(,"data_offsets":[0,4]})"), 4),
        kCorrupt, {"tensor t", "dimension"});
  }
  ExpectFileError(OneEntry(R"({"dtype":"F32","shape":[0],"data_offsets":[0,4]})", 4), kCorrupt,
                  {"tensor t", "span 4 bytes", "needs 0"});
  ExpectFileError(
      OneEntry(R"({"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]})", 4),
      kUnsupported, {"tensor t", "9 dimensions"});
  for (const char* shape : {"[4294967296,4294967296]", "[9223372036854775807]",
                            "[4611686018427387904,2]", "[2147483648,2147483648,2]"}) {
    ExpectFileError(
        OneEntry(absl::StrCat(R"({"dtype":"F32","shape":)", shape, R"(,"data_offsets":[0,4]})"), 4),
        kCorrupt, {"tensor t", "overflows"});
  }
  for (const char* offsets : {"7", "[]", "[0]", "[0,4,4]", "[0,4.0]", "[\"0\",4]"}) {
    ExpectFileError(
        OneEntry(absl::StrCat(R"({"dtype":"F32","shape":[1],"data_offsets":)", offsets, "}"), 4),
        kCorrupt, {"tensor t", "data_offsets"});
  }
  for (const char* offsets : {"[-4,0]", "[4,0]", "[9223372036854775807,-2]"}) {
    ExpectFileError(
        OneEntry(absl::StrCat(R"({"dtype":"F32","shape":[1],"data_offsets":)", offsets, "}"), 4),
        kCorrupt, {"tensor t", "no range"});
  }
  ExpectFileError(OneEntry(R"({"dtype":"F32","shape":[2],"data_offsets":[0,4]})", 4), kCorrupt,
                  {"tensor t", "span 4 bytes", "needs 8"});
  ExpectFileError(
      OneEntry(
          R"({"dtype":"U8","shape":[1],"data_offsets":[9223372036854775806,9223372036854775807]})",
          1),
      kCorrupt, {"tensor t", "overflows"});
}

TEST(SafetensorsError, Ranges) {
  const auto two = [](const std::string& a, const std::string& b, size_t n) {
    const std::string entry = R"({"dtype":"U8","shape":[4],"data_offsets":)";
    return SafetensorsFile("{\"a\":" + entry + a + "},\"b\":" + entry + b + "}}",
                           std::string(n, 'd'));
  };
  EXPECT_TRUE(ParseSafetensorsBytes(two("[0,4]", "[4,8]", 8)).ok());
  ExpectFileError(two("[0,4]", "[2,6]", 8), kCorrupt, {"tensor b", "overlaps tensor a"});
  ExpectFileError(two("[0,4]", "[0,4]", 8), kCorrupt, {"overlaps"});
  ExpectFileError(two("[0,4]", "[6,10]", 10), kCorrupt, {"hole of 2 bytes", "tensor b"});
  ExpectFileError(two("[1,5]", "[5,9]", 9), kCorrupt, {"hole of 1 bytes", "tensor a"});
  ExpectFileError(two("[0,4]", "[4,8]", 9), kCorrupt, {"1 bytes follow the last tensor"});
  ExpectFileError(two("[0,4]", "[4,8]", 7), kCorrupt, {"cut short", "tensor b", "1 are missing"});
  ExpectFileError(two("[0,4]", "[1000,1004]", 8), kCorrupt, {"cut short", "tensor b"});
}

TEST(SafetensorsError, PlaceHasFileAndTensor) {
  TempFolder folder;
  const std::string path = folder.Write(
      "x.safetensors", OneEntry(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})", 4));
  TensorTable table;
  const absl::Status status = AppendSafetensors(path, &table);
  EXPECT_EQ(status.code(), kCorrupt);
  EXPECT_EQ(PlaceOf(status).file, path);
  EXPECT_EQ(PlaceOf(status).tensor, "t");
  EXPECT_GT(PlaceOf(status).offset, 8);
  EXPECT_TRUE(table.files.empty());
  EXPECT_TRUE(table.tensors.empty());
  // An offset in the JSON text is given as one in the file.
  const std::string bad = folder.Write("y.safetensors", SafetensorsFile("{\"a\" 1}", ""));
  EXPECT_EQ(PlaceOf(AppendSafetensors(bad, &table)).offset, 8 + 7);
}

TEST(SafetensorsFolder, SingleFile) {
  TempFolder folder;
  folder.Write("model.safetensors", SampleSafetensors().Build());
  const auto table = ReadSafetensorsFolder(folder.path());
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ(table->files.size(), 1u);
  EXPECT_NE(table->find("half"), nullptr);
  EXPECT_EQ(table->find("none"), nullptr);
}

class Shards : public testing::Test {
 protected:
  void SetUp() override {
    folder_.Write("a.safetensors", SafetensorsBuilder().Tensor("x", "U8", {2}, "12").Build());
    folder_.Write(
        "b.safetensors",
        SafetensorsBuilder().Tensor("y", "U8", {3}, "345").Tensor("z", "U8", {1}, "6").Build());
  }
  absl::StatusOr<TensorTable> Read(const std::string& index) {
    folder_.Write("model.safetensors.index.json", index);
    return ReadSafetensorsFolder(folder_.path());
  }
  TempFolder folder_;
};

TEST_F(Shards, ReadsThem) {
  const auto table = Read(
      R"({"metadata":{"total_size":6},"weight_map":{"z":"b.safetensors","x":"a.safetensors",
          "y":"b.safetensors"}})");
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ(table->files.size(), 2u);
  ASSERT_NE(table->find("z"), nullptr);
  const TensorEntry& z = *table->find("z");
  char byte = 0;
  EXPECT_TRUE(table->files[static_cast<size_t>(z.file)]->ReadAt(z.offset, &byte, 1).ok());
  EXPECT_EQ(byte, '6');
}

TEST_F(Shards, RefusesAnIndexThatDisagrees) {
  ExpectError(Read(R"({"weight_map":{"x":"a.safetensors","y":"b.safetensors"}})").status(),
              kCorrupt, {"tensor z", "not in the index"});
  ExpectError(Read(R"({"weight_map":{"x":"a.safetensors","y":"a.safetensors"}})").status(),
              kCorrupt, {"tensor y", "not in a.safetensors"});
  ExpectError(Read(R"({"weight_map":{"x":"b.safetensors","y":"a.safetensors",
                      "z":"b.safetensors"}})")
                  .status(),
              kCorrupt, {"tensor x", "not in b.safetensors"});
  ExpectError(Read(R"({"weight_map":{"x":"a.safetensors","y":"b.safetensors",
                      "z":"b.safetensors","w":"b.safetensors"}})")
                  .status(),
              kCorrupt, {"tensor w", "not in b.safetensors"});
  const absl::Status missing =
      Read(R"({"weight_map":{"x":"a.safetensors","y":"c.safetensors"}})").status();
  ExpectError(missing, kNotFound, {"c.safetensors", "missing"});
  EXPECT_EQ(PlaceOf(missing).file, folder_.path() + "/c.safetensors");
}

TEST_F(Shards, RefusesNamesThatLeadElsewhere) {
  for (const char* name : {"../a.safetensors", "/etc/passwd", ".hidden", "", "sub/a.safetensors",
                           "..", "a\\u0000b", "a\\\\b"}) {
    ExpectError(Read(absl::StrCat(R"({"weight_map":{"x":")", name, "\"}}")).status(), kCorrupt,
                {"tensor x", "not a plain file name"});
  }
  ExpectError(Read(R"({"weight_map":{"x":7}})").status(), kCorrupt, {"tensor x", "no string"});
}

TEST_F(Shards, RefusesABadIndex) {
  for (const char* index : {"{}", "[]", R"({"weight_map":[]})", R"({"weight_map":{}})"}) {
    ExpectError(Read(index).status(), kCorrupt, {"weight_map"});
  }
  const absl::Status status = Read("{").status();
  EXPECT_EQ(status.code(), kCorrupt);
  EXPECT_EQ(PlaceOf(status).file, folder_.path() + "/model.safetensors.index.json");
}

TEST_F(Shards, RefusesATensorInTwoShards) {
  folder_.Write("c.safetensors", SafetensorsBuilder().Tensor("x", "U8", {2}, "12").Build());
  ExpectError(Read(R"({"weight_map":{"x":"a.safetensors","w":"c.safetensors"}})").status(),
              kCorrupt, {"tensor x", "two files", "a.safetensors"});
}

TEST(SafetensorsFolder, EmptyOrMissing) {
  TempFolder folder;
  ExpectError(ReadSafetensorsFolder(folder.path()).status(), kNotFound, {"neither"});
  ExpectError(ReadSafetensorsFolder(folder.path() + "/none").status(), kNotFound, {"neither"});
}

TEST(SafetensorsFolder, ReadsTheSharedFixtures) {
  const std::filesystem::path root = SCOUT_SOURCE_DIR "/../shared/fixtures";
  if (!std::filesystem::exists(root)) GTEST_SKIP() << "../shared/fixtures is not there";
  for (const char* name : {"scout-tiny", "scout-tiny-bf16", "maverick-tiny", "scout-hd128"}) {
    const auto table = ReadSafetensorsFolder(root / name);
    ASSERT_TRUE(table.ok()) << table.status();
    EXPECT_NE(table->find("model.embed_tokens.weight") != nullptr
                  ? table->find("model.embed_tokens.weight")
                  : table->find("language_model.model.embed_tokens.weight"),
              nullptr)
        << name;
  }
}

}  // namespace
}  // namespace scout::test
