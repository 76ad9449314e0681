// A test for each class of error that parsers of model files were attacked through. The numbers are
// those of other projects' reports; docs/reliability.md has the whole table.
// SPDX-License-Identifier: Apache-2.0
#include <filesystem>

#include "lib/format/json.h"
#include "tests/format/format_test_util.h"
#include "tests/util/gguf_builder.h"
#include "tests/util/safetensors_builder.h"

namespace scout::test {
namespace {

constexpr auto kCorrupt = absl::StatusCode::kDataLoss;
constexpr auto kUnsupported = absl::StatusCode::kUnimplemented;
constexpr uint32_t kF32 = 0, kF64 = 28, kQ8 = 8;

absl::Status ParseOf(const GgufBuilder& b) { return ParseGgufBytes(b.Build()).status(); }

// CVE-2024-21802, CVE-2024-21825, CVE-2024-21836, CVE-2024-23496, CVE-2024-23605.
TEST(Cve, OverflowInCountsLengthsAndDimensions) {
  for (const int64_t count : {int64_t{1} << 32, int64_t{1} << 60, INT64_MAX}) {
    GgufBuilder keys, tensors;
    keys.key_count = count;
    tensors.tensor_count = count;
    ExpectError(ParseOf(keys), kCorrupt, {"metadata keys", std::to_string(count)});
    ExpectError(ParseOf(tensors), kCorrupt, {"tensors", std::to_string(count)});
  }
  // Lengths whose sum with the position, or with a final NUL, is 0 in 64 bits.
  for (const uint64_t length : {UINT64_MAX, UINT64_MAX - 31, uint64_t{1} << 63}) {
    ExpectError(ParseOf(GgufBuilder().Key("k", kGgufString, Raw(length))), kCorrupt,
                {"metadata key k", std::to_string(length)});
    const std::string head = "GGUF" + Raw<uint32_t>(3) + Raw<uint64_t>(1) + Raw<uint64_t>(0);
    ExpectError(ParseGgufBytes(head + Raw(length) + std::string(64, 'n')).status(), kCorrupt,
                {"name of tensor 0"});
  }
  // Counts whose product with the size of an element is small in 64 bits.
  ExpectError(
      ParseOf(GgufBuilder().Array("k", kGgufU64, (uint64_t{1} << 61) + 1, Raw(uint64_t{1}))),
      kCorrupt, {"metadata key k", "2305843009213693953"});
  ExpectError(
      ParseOf(GgufBuilder().Array("k", kGgufString, (uint64_t{1} << 59) + 1, Raw(uint64_t{0}))),
      kCorrupt, {"metadata key k"});
  const uint64_t half = uint64_t{1} << 32;
  ExpectError(ParseOf(GgufBuilder().TensorAt("t", {half, half, 2}, kF32, 0)), kCorrupt,
              {"tensor t", "overflows"});
  ExpectError(ParseOf(GgufBuilder().TensorAt("t", {uint64_t{1} << 63}, kF32, 0)), kCorrupt,
              {"dimension"});
  GgufBuilder many;  // more dimensions than the reader has room for
  many.TensorAt("t", std::vector<uint64_t>(5, 1), kF32, 0);
  ExpectError(ParseOf(many), kCorrupt, {"5 dimensions"});
}

// CVE-2024-32878 (a pointer that no branch sets), CVE-2024-41130 (null where data is missing).
TEST(Cve, MissingDataIsNeverRead) {
  const GgufBuilder sample = SampleGguf();
  const std::string head = sample.Head();
  for (size_t length = 0; length < head.size(); ++length) {
    const auto gguf = ParseGgufBytes(head.substr(0, length));
    ASSERT_EQ(gguf.status().code(), kCorrupt) << length;
  }
  ExpectError(ParseGgufBytes(head).status(), kCorrupt, {"cut short", "tensor"});
  const auto empty = ParseGgufBytes(GgufBuilder().Build());
  ASSERT_TRUE(empty.ok()) << empty.status();
  EXPECT_EQ(empty->find_string("general.architecture"), nullptr);
  EXPECT_EQ(empty->table.find("token_embd.weight"), nullptr);
  // An array that fails half way leaves nothing behind under its key.
  ExpectError(ParseOf(GgufBuilder().Array("k", kGgufString, 2, RawString("a") + Raw(uint64_t{99}))),
              kCorrupt, {"metadata key k", "element 1"});
}

// A file that begins with `head` and is as long as a file can be.
class LongestFile : public ByteSource {
 public:
  explicit LongestFile(std::string head) : head_(std::move(head)) {}
  int64_t size() const override { return INT64_MAX; }
  absl::Status ReadAt(int64_t offset, void* dst, int64_t n) const override {
    const auto at = static_cast<size_t>(offset);
    char* out = static_cast<char*>(dst);
    for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
      out[i] = at + i < head_.size() ? head_[at + i] : '\0';
    }
    return absl::OkStatus();
  }

 private:
  std::string head_;
};

// CVE-2025-53630: the sum of all sizes; CVE-2026-27940: the same sum with padding between.
TEST(Cve, CumulativeSizeOverflow) {
  const uint64_t third = uint64_t{1} << 60;  // elements of 4 bytes: 2^62 bytes, five wrap to 2^62
  GgufBuilder sums;
  for (int i = 0; i < 5; ++i) {
    sums.TensorAt("t" + std::to_string(i), {third}, kF32, static_cast<uint64_t>(32 * i));
  }
  ExpectError(ParseOf(sums), kCorrupt, {"tensor t0", "cut short"});
  ExpectError(ParseGguf(LongestFile(sums.Head())).status(), kCorrupt,  // each is inside
              {"tensor t1", "overlaps tensor t0"});
  // Each tensor lies in the file by itself; all together are more than the file. What an allocation
  // by the sum of the sizes would take fits, what is read does not.
  GgufBuilder apart;
  std::string header;
  for (int i = 0; i < 3; ++i) {
    const std::string name = "t" + std::to_string(i);
    apart.TensorAt(name, {16}, kF32, static_cast<uint64_t>(32 * i));  // 64 bytes each 32 bytes
    header += (i == 0 ? "{\"" : ",\"") + name +
              R"(":{"dtype":"F32","shape":[16],"data_offsets":[)" + std::to_string(32 * i) + "," +
              std::to_string(32 * i + 64) + "]}";
  }
  std::string head = apart.Head();
  head.append((32 - head.size() % 32) % 32, '\0');
  for (const size_t n : {128u, 191u, 192u, 193u, 4096u}) {  // the sum of all sizes is 192
    const std::string data(n, 'x');
    ExpectError(ParseGgufBytes(head + data).status(), kCorrupt,
                {"tensor t1", "overlaps tensor t0"});
    ExpectError(ParseSafetensorsBytes(SafetensorsFile(header + "}", data)).status(), kCorrupt,
                {"tensor t1", "overlaps tensor t0"});
  }
  // Each offset is what a wrapped sum gives: the second one "starts" at 0 again.
  GgufBuilder wrapped;
  wrapped.TensorAt("big", {(uint64_t{1} << 62) - 8}, kF64, 0).TensorAt("small", {8}, kF32, 0);
  ExpectError(ParseOf(wrapped), kCorrupt, {"overflows"});
  // Sizes that only rounding up to the alignment brings over the edge.
  for (const uint64_t bytes : {uint64_t{INT64_MAX} - 3, uint64_t{INT64_MAX} - 31}) {
    GgufBuilder padded;
    padded.TensorAt("a", {bytes / 4}, kF32, 0).TensorAt("b", {8}, kF32, bytes / 32 * 32);
    padded.TensorAt("c", {8}, kF32, 0);
    ExpectError(ParseOf(padded), kCorrupt, {"tensor"});
  }
  ExpectError(ParseSafetensorsBytes(
                  SafetensorsFile(
                      R"({"a":{"dtype":"U8","shape":[9223372036854775807],)"
                      R"("data_offsets":[0,9223372036854775807]},)"
                      R"("b":{"dtype":"U8","shape":[2],"data_offsets":[9223372036854775807,1]}})",
                      "xx"))
                  .status(),
              kCorrupt, {"tensor b"});
}

// CVE-2026-33298: the product fits as a count of elements and wraps as a count of bytes.
TEST(Cve, BytesOfATensorWrap) {
  const uint64_t q = uint64_t{1} << 31;
  ExpectError(ParseOf(GgufBuilder().TensorAt("t", {q, q}, kF64, 0)), kCorrupt,
              {"tensor t", "overflows"});
  ExpectError(ParseOf(GgufBuilder().TensorAt("t", {uint64_t{1} << 62}, kF32, 0)), kCorrupt,
              {"tensor t", "overflows"});
  // A row that is no whole number of blocks would be counted as none.
  ExpectError(ParseOf(GgufBuilder().Tensor("t", {31}, kQ8, std::string(34, 'x'))), kCorrupt,
              {"tensor t", "31", "32"});
  ExpectError(
      ParseSafetensorsBytes(SafetensorsFile(R"({"t":{"dtype":"F64","shape":[2305843009213693952],)"
                                            R"("data_offsets":[0,0]}})",
                                            ""))
          .status(),
      kCorrupt, {"tensor t", "overflows"});
}

// oss-security 2026-05-15, V-01 to V-06: numbers used as an index of a table of types.
TEST(Cve, EnumsAreChecked) {
  for (const uint32_t type : {64u, 255u, 0x7FFFFFFFu, 0x80000000u, 0xFFFFFFFFu}) {
    ExpectError(ParseOf(GgufBuilder().TensorAt("t", {32}, type, 0)), kCorrupt,
                {"tensor t", "type number " + std::to_string(type)});
  }
  // Numbers of types that the format gave up: in the table by name, and without a size that
  // somebody could reckon with.
  for (const uint32_t type : {4u, 5u, 31u, 32u, 33u, 36u, 37u, 38u}) {
    const auto gguf = ParseGgufBytes(GgufBuilder().Tensor("t", {32}, type, "1234").Build());
    ASSERT_TRUE(gguf.ok()) << gguf.status();
    const TensorEntry* entry = gguf->table.find("t");
    ASSERT_NE(entry, nullptr);
    EXPECT_FALSE(entry->supported) << type;
    EXPECT_EQ(entry->nbytes, 0) << type;
    EXPECT_FALSE(entry->type_name.empty()) << type;
  }
  for (const uint32_t kind : {13u, 14u, 255u, 0x80000000u, 0xFFFFFFFFu}) {
    ExpectError(ParseOf(GgufBuilder().Key("k", kind, std::string(16, '\0'))), kCorrupt,
                {"metadata key k", std::to_string(kind)});
    ExpectError(ParseOf(GgufBuilder().Array("k", kind, 1, std::string(16, '\0'))), kCorrupt,
                {"metadata key k", std::to_string(kind)});
  }
  for (const int bit : {2, 128, 255}) {  // a bool that is neither
    ExpectError(ParseOf(GgufBuilder().Key("k", kGgufBool, Raw(static_cast<uint8_t>(bit)))),
                kCorrupt, {"bool", std::to_string(bit)});
  }
  const auto of_dtype = [](const char* dtype) {
    return ParseSafetensorsBytes(SafetensorsFile(
        std::string(R"({"t":{"dtype":")") + dtype + R"(","shape":[1],"data_offsets":[0,4]}})",
        "1234"));
  };
  for (const char* dtype : {"", "F32\\u0000"}) {
    ExpectError(of_dtype(dtype).status(), kUnsupported, {"tensor t", "dtype"});
  }
  for (const char* dtype : {"F31", "f32", "__proto__"}) {  // an entry, but none of a known type
    const auto tensors = of_dtype(dtype);
    ASSERT_TRUE(tensors.ok()) << tensors.status();
    EXPECT_FALSE((*tensors)[0].supported) << dtype;
    EXPECT_EQ((*tensors)[0].type_name, dtype);
  }
}

// The same reports: a division by, or rounding with, an alignment from the file.
TEST(Cve, AlignmentFromTheFile) {
  for (const uint32_t alignment : {0u, 3u, 24u, 0x80000000u, 0xFFFFFFFFu, 1u << 21}) {
    GgufBuilder b;
    b.U32("general.alignment", alignment).TensorAt("t", {1}, kF32, 0);
    ExpectError(ParseOf(b), kCorrupt, {"general.alignment", std::to_string(alignment)});
  }
  ExpectError(ParseOf(GgufBuilder().Key("general.alignment", kGgufI64, Raw<int64_t>(-32))),
              kCorrupt, {"general.alignment", "-32"});
  ExpectError(ParseOf(GgufBuilder().Text("general.alignment", "32")), kCorrupt,
              {"general.alignment", "no integer"});
  ExpectError(ParseOf(GgufBuilder().TensorAt("t", {1}, kF32, 4)), kCorrupt,
              {"offset 4", "alignment 32"});
}

// CVE-2026-7482 (reads beyond the file's end), CVE-2024-39720, CVE-2025-0315, CVE-2024-12055,
// CVE-2025-15514.
TEST(Cve, TensorBeyondTheFile) {
  const std::string data(32, 'x');
  const std::string bytes = GgufBuilder().Tensor("t", {8}, kF32, data).Build();
  ASSERT_TRUE(ParseGgufBytes(bytes).ok());
  ExpectError(ParseGgufBytes(bytes.substr(0, bytes.size() - 1)).status(), kCorrupt,
              {"tensor t", "cut short", " 1 are missing"});
  for (const uint64_t offset : {uint64_t{32}, uint64_t{1} << 40, uint64_t{INT64_MAX} - 31,
                                uint64_t{1} << 63, UINT64_MAX - 31}) {
    GgufBuilder b;
    b.Tensor("t", {8}, kF32, data).TensorAt("far", {8}, kF32, offset);
    ExpectError(ParseOf(b), kCorrupt, {"tensor far"});
  }
  ExpectError(
      ParseSafetensorsBytes(
          SafetensorsFile(R"({"t":{"dtype":"U8","shape":[33],"data_offsets":[0,33]}})", data))
          .status(),
      kCorrupt, {"tensor t", " 1 are missing"});
}

// Names of files inside files: CVE-2024-37032.
TEST(Cve, PathTraversal) {
  const TempFolder outside;
  outside.Write("a.safetensors", SafetensorsBuilder().Tensor("x", "U8", {2}, "12").Build());
  const TempFolder folder;
  const auto read = [&](const std::string& shard) {
    folder.Write("model.safetensors.index.json", R"({"weight_map":{"x":")" + shard + R"("}})");
    return ReadSafetensorsFolder(folder.path());
  };
  const std::string name = std::filesystem::path(outside.path()).filename();
  for (const std::string& shard :
       {outside.path() + "/a.safetensors", "../" + name + "/a.safetensors",
        "./../" + name + "/a.safetensors", std::string("..\\\\a.safetensors"),
        std::string("a.safetensors\\u0000.json"), std::string("..")}) {
    ExpectError(read(shard).status(), kCorrupt, {"not a plain file name"});
  }
  // A link that the folder's owner made is followed: caches of downloads are made of such links.
  // A file can name one, but cannot make one.
  std::filesystem::create_symlink(outside.path() + "/a.safetensors",
                                  folder.path() + "/link.safetensors");
  const auto linked = read("link.safetensors");
  EXPECT_TRUE(linked.ok()) << linked.status();
  // The parts of a split GGUF are found by the name that the caller gave, never by one in a file.
  GgufBuilder part;
  part.Key("split.no", kGgufU16, Raw<uint16_t>(0))
      .Key("split.count", kGgufU16, Raw<uint16_t>(2))
      .Key("split.tensors.count", kGgufI32, Raw<int32_t>(0));
  const std::string path = folder.Write("m-00001-of-00002.gguf", part.Build());
  const absl::Status missing = ReadGguf(path).status();
  ExpectError(missing, absl::StatusCode::kNotFound, {"m-00002-of-00002.gguf"});
  EXPECT_EQ(PlaceOf(missing).file, folder.path() + "/m-00002-of-00002.gguf");
}

// CVE-2026-2069 and grammar reports #22234, #22606: a stack that grows with the input.
TEST(Cve, DeepNesting) {
  for (const size_t depth : {65u, 1000u, 1'000'000u}) {
    EXPECT_EQ(ParseJson(std::string(depth, '[')).status().code(), kUnsupported) << depth;
    std::string objects;
    for (size_t i = 0; i < depth; ++i) objects += "{\"a\":";
    EXPECT_EQ(ParseJson(objects).status().code(), kUnsupported) << depth;
    EXPECT_FALSE(ParseSafetensorsBytes(SafetensorsFile(objects, "")).ok()) << depth;
  }
  std::string arrays;
  for (int i = 0; i < 1000; ++i) arrays += Raw<uint32_t>(kGgufArray) + Raw<uint64_t>(1);
  ExpectError(ParseOf(GgufBuilder().Key("k", kGgufArray, arrays)), kUnsupported,
              {"metadata key k", "array of arrays"});
}

// CVE-2026-21869 (negative n_discard) and its kind: integers of JSON used as sizes.
TEST(Cve, JsonIntegersAsSizes) {
  const auto parse = [](const std::string& shape, const std::string& offsets) {
    return ParseSafetensorsBytes(SafetensorsFile(R"({"t":{"dtype":"U8","shape":[)" + shape +
                                                     R"(],"data_offsets":[)" + offsets + "]}}",
                                                 "12"))
        .status();
  };
  ASSERT_TRUE(parse("2", "0,2").ok());
  for (const char* shape : {"-2", "-9223372036854775808", "2.0", "2e0", "18446744073709551618",
                            "true", "null", "\"2\"", "[2]"}) {
    ExpectError(parse(shape, "0,2"), kCorrupt, {"tensor t"});
  }
  for (const char* offsets : {"-1,1", "2,0", "0,-2", "0,18446744073709551618", "0,2.0", "0",
                              "0,1,2", "\"0\",2", "-9223372036854775808,-9223372036854775806"}) {
    ExpectError(parse("2", offsets), kCorrupt, {"tensor t"});
  }
}

TEST(Cve, DuplicateKeysAndNames) {
  ExpectError(ParseOf(GgufBuilder().U32("k", 1).U32("k", 2)), kCorrupt,
              {"metadata key k", "twice"});
  GgufBuilder tensors;
  tensors.Tensor("t", {1}, kF32, "1234").Tensor("t", {1}, kF32, "5678");
  ExpectError(ParseOf(tensors), kCorrupt, {"tensor t", "twice"});
  ExpectError(ParseSafetensorsBytes(
                  SafetensorsFile(R"({"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                                  R"("\u0074":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                                  "12"))
                  .status(),
              kCorrupt, {"twice"});
}

TEST(Cve, NamesThatOthersCutOrShowWrong) {
  using std::string_literals::operator""s;
  for (const std::string& name :
       {"a\0b"s, "\0"s, ""s, "a\nb"s, "\x1B[2J"s, "\xFF"s, "\xC0\x80"s, "\xED\xA0\x80"s}) {
    ExpectError(ParseOf(GgufBuilder().U32(name, 1)), kCorrupt, {"no plain text"});
    ExpectError(ParseOf(GgufBuilder().Tensor(name, {1}, kF32, "1234")), kCorrupt,
                {"no plain text"});
  }
  ExpectError(
      ParseSafetensorsBytes(SafetensorsBuilder().Tensor("a\\u0000b", "U8", {1}, "1").Build())
          .status(),
      kCorrupt, {"no plain text"});
}

// Lengths that say more than a reader should take, in files that really are that long (with holes).
TEST(Cve, HugeHeaderLengths) {
  const TempFolder folder;
  for (const uint64_t length : {UINT64_MAX, uint64_t{1} << 63, uint64_t{1} << 40}) {
    ExpectError(ParseSafetensorsBytes(Raw(length) + "{}").status(), kCorrupt,
                {"header's length", std::to_string(length)});
  }
  const std::string path = folder.Write("model.safetensors", Raw(uint64_t{1} << 32) + "{}");
  std::filesystem::resize_file(path, (uint64_t{1} << 32) + 8);
  ExpectError(ReadSafetensorsFolder(folder.path()).status(), kUnsupported, {"limit"});
  const std::string strings = GgufBuilder().Key("k", kGgufString, Raw((uint64_t{1} << 40))).Head();
  const std::string gguf = folder.Write("m.gguf", strings);
  std::filesystem::resize_file(gguf, (uint64_t{1} << 41));
  ExpectError(ReadGguf(gguf).status(), kUnsupported, {"limit"});
}

}  // namespace
}  // namespace scout::test
