// GGUF files that are right, and every kind of error. SPDX-License-Identifier: Apache-2.0
#include "lib/format/gguf.h"

#include <filesystem>

#include "tests/format/format_test_util.h"
#include "tests/util/gguf_builder.h"

namespace scout::test {
namespace {

constexpr auto kCorrupt = absl::StatusCode::kDataLoss;
constexpr auto kUnsupported = absl::StatusCode::kUnimplemented;

void ExpectGgufError(const GgufBuilder& builder, absl::StatusCode code,
                     std::initializer_list<std::string> texts) {
  ExpectError(ParseGgufBytes(builder.Build()).status(), code, texts);
}

// A source that says it has `size` bytes: zeros behind the header. Counts what is read.
class SparseSource : public ByteSource {
 public:
  SparseSource(std::string head, int64_t size) : head_(std::move(head)), size_(size) {}
  int64_t size() const override { return size_; }
  absl::Status ReadAt(int64_t offset, void* dst, int64_t n) const override {
    if (offset < 0 || n < 0 || offset > size_ || n > size_ - offset) {
      ADD_FAILURE() << "read outside: " << offset << " " << n;
      return CorruptError("outside");
    }
    ++n_reads;
    n_bytes += n;
    std::memset(dst, 0, static_cast<size_t>(n));
    const int64_t head = static_cast<int64_t>(head_.size());
    if (offset < head) {
      std::memcpy(dst, head_.data() + offset, static_cast<size_t>(std::min(n, head - offset)));
    }
    return absl::OkStatus();
  }
  mutable int64_t n_reads = 0, n_bytes = 0;

 private:
  std::string head_;
  int64_t size_;
};

TEST(Gguf, ReadsEveryKindOfValue) {
  const absl::StatusOr<Gguf> gguf = ParseGgufBytes(SampleGguf().Build());
  ASSERT_TRUE(gguf.ok()) << gguf.status();
  EXPECT_EQ(gguf->version, 3);
  EXPECT_EQ(gguf->alignment, 32);
  EXPECT_EQ(*gguf->find_string("general.architecture"), "llama4");
  EXPECT_EQ(*gguf->find_int("k.u8"), 200);
  EXPECT_EQ(*gguf->find_int("k.i8"), -100);
  EXPECT_EQ(*gguf->find_int("k.u16"), 60000);
  EXPECT_EQ(*gguf->find_int("k.i16"), -30000);
  EXPECT_EQ(*gguf->find_int("k.u32"), 4000000000);
  EXPECT_EQ(*gguf->find_int("k.i32"), -2000000000);
  EXPECT_EQ(*gguf->find_int("k.u64"), int64_t{1} << 62);
  EXPECT_EQ(*gguf->find_int("k.i64"), -(int64_t{1} << 62));
  double number = 0;
  ASSERT_TRUE(gguf->find_double("k.f32", &number));
  EXPECT_EQ(number, 0.5);
  ASSERT_TRUE(gguf->find_double("k.f64", &number));
  EXPECT_EQ(number, -0.25);
  ASSERT_TRUE(gguf->find_double("k.u8", &number));
  EXPECT_EQ(number, 200);
  bool flag = false;
  ASSERT_TRUE(gguf->find_bool("k.bool", &flag));
  EXPECT_TRUE(flag);
  using Ints = std::vector<int64_t>;
  using Doubles = std::vector<double>;
  EXPECT_EQ(*gguf->find_strings("a.strings"), (std::vector<std::string>{"a", "",
                                                                        "\xC4\xA0"
                                                                        "b"}));
  EXPECT_EQ(*gguf->find_ints("a.u8"), (Ints{1, 255}));
  EXPECT_EQ(*gguf->find_ints("a.i8"), (Ints{-1, 2}));
  EXPECT_EQ(*gguf->find_ints("a.u16"), (Ints{1, 65535}));
  EXPECT_EQ(*gguf->find_ints("a.i16"), (Ints{-1}));
  EXPECT_EQ(*gguf->find_ints("a.u32"), (Ints{7, 8, 9}));
  EXPECT_EQ(*gguf->find_ints("a.i32"), (Ints{-7}));
  EXPECT_EQ(*gguf->find_ints("a.u64"), (Ints{11}));
  EXPECT_EQ(*gguf->find_ints("a.i64"), (Ints{-11}));
  EXPECT_EQ(*gguf->find_ints("a.bool"), (Ints{0, 1}));
  EXPECT_EQ(*gguf->find_doubles("a.f32"), (Doubles{1.5, -2}));
  EXPECT_EQ(*gguf->find_doubles("a.f64"), (Doubles{2.5}));
  EXPECT_TRUE(gguf->find_strings("a.none")->empty());
  EXPECT_EQ(gguf->metadata.size(), 25u);
}

TEST(Gguf, LookupsOfAnotherKindFindNothing) {
  const absl::StatusOr<Gguf> gguf = ParseGgufBytes(SampleGguf().Build());
  ASSERT_TRUE(gguf.ok());
  double number = 7;
  bool flag = true;
  EXPECT_EQ(gguf->find_int("absent"), nullptr);
  EXPECT_EQ(gguf->find_int("k.f32"), nullptr);
  EXPECT_EQ(gguf->find_string("k.u8"), nullptr);
  EXPECT_EQ(gguf->find_strings("a.u8"), nullptr);
  EXPECT_EQ(gguf->find_ints("a.f32"), nullptr);
  EXPECT_EQ(gguf->find_doubles("a.u8"), nullptr);
  EXPECT_FALSE(gguf->find_double("k.bool", &number));
  EXPECT_FALSE(gguf->find_bool("k.u8", &flag));
  EXPECT_EQ(number, 7);
  EXPECT_TRUE(flag);
}

TEST(Gguf, ReadsTensors) {
  const std::string bytes = SampleGguf().Build();
  const absl::StatusOr<Gguf> gguf = ParseGgufBytes(bytes);
  ASSERT_TRUE(gguf.ok()) << gguf.status();
  const TensorTable& table = gguf->table;
  ASSERT_EQ(table.tensors.size(), 5u);
  EXPECT_EQ(TableFault(table.tensors, static_cast<int64_t>(bytes.size())), "");
  const TensorEntry* q8 = table.find("q8.weight");
  ASSERT_NE(q8, nullptr);
  EXPECT_EQ(q8->type, kernels::QuantType::kQ8_0);
  EXPECT_EQ(q8->shape, (std::vector<int64_t>{2, 32}));
  EXPECT_EQ(q8->nbytes, 68);
  EXPECT_EQ(bytes.substr(static_cast<size_t>(q8->offset), 68), std::string(68, '\3'));
  const TensorEntry* bf16 = table.find("bf16.weight");
  ASSERT_NE(bf16, nullptr);
  EXPECT_EQ(bf16->shape, (std::vector<int64_t>{2, 1, 3, 2}));
  EXPECT_EQ(bf16->type_name, "BF16");
  const TensorEntry* iq4 = table.find("iq4.weight");
  ASSERT_NE(iq4, nullptr);
  EXPECT_TRUE(iq4->supported);
  EXPECT_EQ(iq4->type, kernels::QuantType::kIQ4_NL);
  EXPECT_EQ(iq4->type_name, "IQ4_NL");
  EXPECT_EQ(iq4->nbytes, 18);
  EXPECT_EQ(table.find("absent"), nullptr);
}

TEST(Gguf, Version2AndAlignmentAndEmpty) {
  GgufBuilder b;
  b.version = 2;
  b.Alignment(64).Tensor("a", {1}, 0, "1234").Tensor("b", {1}, 0, "5678");
  const std::string bytes = b.Build();
  const absl::StatusOr<Gguf> gguf = ParseGgufBytes(bytes);
  ASSERT_TRUE(gguf.ok()) << gguf.status();
  EXPECT_EQ(gguf->version, 2);
  EXPECT_EQ(gguf->alignment, 64);
  EXPECT_EQ(gguf->table.find("b")->offset - gguf->table.find("a")->offset, 64);
  EXPECT_EQ(bytes.substr(static_cast<size_t>(gguf->table.find("b")->offset)), "5678");
  EXPECT_TRUE(ParseGgufBytes(GgufBuilder().Build()).ok());
}

TEST(Gguf, TensorsInAnyOrderAndHolesAreFine) {
  GgufBuilder b;
  b.TensorAt("late", {8}, 0, 64)
      .TensorAt("early", {8}, 0, 0)
      .Tensor("x", {24}, 0, std::string(96, 'x'));
  // x lies over both others: refused.
  ExpectGgufError(b, kCorrupt, {"overlaps"});
  GgufBuilder c;
  c.TensorAt("late", {8}, 0, 64).TensorAt("early", {8}, 0, 0);
  SparseSource source(c.Head(), 4096);
  const absl::StatusOr<Gguf> gguf = ParseGguf(source);
  ASSERT_TRUE(gguf.ok()) << gguf.status();
  EXPECT_EQ(gguf->table.tensors[0].name, "early");
  EXPECT_EQ(gguf->table.tensors[1].name, "late");
  EXPECT_EQ(gguf->table.find("late"), &gguf->table.tensors[1]);
}

TEST(Gguf, OffsetsBeyond4GiB) {
  GgufBuilder b;
  const uint64_t far = uint64_t{5} << 30;
  b.TensorAt("near", {uint64_t{1} << 30}, 0, 0).TensorAt("far", {4096, 4096}, 0, far);
  const int64_t size = static_cast<int64_t>(far) + 4096 * 4096 * 4 + 4096;
  SparseSource source(b.Head(), size);
  const absl::StatusOr<Gguf> gguf = ParseGguf(source);
  ASSERT_TRUE(gguf.ok()) << gguf.status();
  EXPECT_EQ(TableFault(gguf->table.tensors, size), "");
  EXPECT_GE(gguf->table.find("far")->offset, int64_t{5} << 30);
}

TEST(Gguf, ReadsALargeHeaderInFewReadsAndNotTheData) {
  GgufBuilder b;
  std::vector<std::string> words;
  for (int i = 0; i < 200'000; ++i) words.push_back("token" + std::to_string(i));
  b.Strings("tokenizer.ggml.tokens", words).TensorAt("w", {uint64_t{1} << 30}, 0, 0);
  const std::string head = b.Head();
  SparseSource source(head, int64_t{8} << 30);
  const absl::StatusOr<Gguf> gguf = ParseGguf(source);
  ASSERT_TRUE(gguf.ok()) << gguf.status();
  EXPECT_EQ(*gguf->find_strings("tokenizer.ggml.tokens"), words);
  EXPECT_LT(source.n_reads, 100);
  EXPECT_LT(source.n_bytes, static_cast<int64_t>(head.size()) + (1 << 20));
}

TEST(Gguf, LongStringsAcrossTheBuffer) {
  GgufBuilder b;
  const std::string text(1'000'000, 'x');
  b.Text("long", text).Text("after", "here");
  const absl::StatusOr<Gguf> gguf = ParseGgufBytes(b.Build());
  ASSERT_TRUE(gguf.ok()) << gguf.status();
  EXPECT_EQ(*gguf->find_string("long"), text);
  EXPECT_EQ(*gguf->find_string("after"), "here");
}

TEST(GgufError, Head) {
  GgufBuilder b;
  b.magic = "GGML";
  ExpectGgufError(b, kCorrupt, {"not a GGUF file"});
  ExpectError(ParseGgufBytes("").status(), kCorrupt, {"not a GGUF file"});
  ExpectError(ParseGgufBytes("GG").status(), kCorrupt, {"not a GGUF file"});
  ExpectError(ParseGgufBytes("GGUF\3").status(), kCorrupt, {"cut short", "3 are missing"});
  b = {};
  b.version = 1;
  ExpectGgufError(b, kUnsupported, {"version 1"});
  b.version = 4;
  ExpectGgufError(b, kUnsupported, {"version 4"});
  b.version = 0x03000000;
  ExpectGgufError(b, kUnsupported, {"big-endian"});
}

TEST(GgufError, HugeCounts) {
  for (int64_t count : {INT64_MAX, int64_t{1} << 32, int64_t{1} << 40}) {
    GgufBuilder b = SampleGguf();
    b.tensor_count = count;
    ExpectGgufError(b, kCorrupt, {"tensors: count", "cannot lie in"});
    b = SampleGguf();
    b.key_count = count;
    ExpectGgufError(b, kCorrupt, {"metadata keys: count", "cannot lie in"});
  }
  for (uint64_t count : {uint64_t{1} << 63, UINT64_MAX, uint64_t{1} << 61, uint64_t{1} << 32}) {
    for (uint32_t kind : {kGgufU8, kGgufF64, kGgufString, kGgufBool}) {
      GgufBuilder b;
      b.Array("a.b", kind, count, "123456789012345678");
      ExpectGgufError(b, kCorrupt, {"metadata key a.b", "count", "cannot lie in"});
    }
    GgufBuilder b;
    b.Key("s", kGgufString, Raw(count) + "abc");
    ExpectGgufError(b, kCorrupt, {"metadata key s", "string", "cannot lie in"});
  }
}

TEST(GgufError, Limits) {
  // Each would fit the file, whose size is only pretended.
  GgufBuilder keys;
  keys.key_count = 70'000;
  ExpectError(ParseGguf(SparseSource(keys.Head(), int64_t{1} << 40)).status(), kUnsupported,
              {"metadata keys", "limit"});
  GgufBuilder tensors;
  tensors.tensor_count = int64_t{1} << 21;
  ExpectError(ParseGguf(SparseSource(tensors.Head(), int64_t{1} << 40)).status(), kUnsupported,
              {"tensors", "limit"});
  GgufBuilder array;
  array.Array("k", kGgufU8, uint64_t{1} << 30, "");
  ExpectError(ParseGguf(SparseSource(array.Head(), int64_t{1} << 40)).status(), kUnsupported,
              {"metadata key k", "limit"});
  GgufBuilder text;
  text.Key("k", kGgufString, Raw(uint64_t{1} << 31));
  ExpectError(ParseGguf(SparseSource(text.Head(), int64_t{1} << 40)).status(), kUnsupported,
              {"metadata key k", "limit"});
  GgufBuilder name;
  name.Tensor(std::string(2000, 'n'), {1}, 0, "1234");
  ExpectGgufError(name, kUnsupported, {"name of tensor 0", "limit"});
}

TEST(GgufError, HeaderBeyondTheLimit) {
  // Five strings of 60 MB each, all of them within their own limit.
  GgufBuilder b;
  b.Strings("k", {});
  std::string head = b.Head();
  head.resize(head.size() - 8);
  head += Raw<uint64_t>(5);
  class Strings : public ByteSource {
   public:
    explicit Strings(std::string head) : head_(std::move(head)) {}
    int64_t size() const override { return int64_t{1} << 40; }
    absl::Status ReadAt(int64_t offset, void* dst, int64_t n) const override {
      char* out = static_cast<char*>(dst);
      const int64_t start = static_cast<int64_t>(head_.size());
      const std::string length = Raw<uint64_t>(60 << 20);
      for (int64_t i = 0; i < n; ++i) {
        const int64_t at = offset + i;
        const int64_t in = at < start ? 0 : (at - start) % ((60 << 20) + 8);
        out[i] = at < start ? head_[static_cast<size_t>(at)]
                            : (in < 8 ? length[static_cast<size_t>(in)] : 'x');
      }
      return absl::OkStatus();
    }

   private:
    std::string head_;
  };
  ExpectError(ParseGguf(Strings(head)).status(), kUnsupported, {"key k", "header is larger"});
}

TEST(GgufError, Values) {
  GgufBuilder b;
  b.Key("k", 13, "");
  ExpectGgufError(b.Text("pad", "pad"), kCorrupt, {"metadata key k", "value type 13"});
  b = {};
  ExpectGgufError(b.Array("k", 99, 0, ""), kCorrupt, {"metadata key k", "array type 99"});
  b = {};
  ExpectGgufError(b.Array("k", kGgufArray, 1, Raw<uint32_t>(0) + Raw<uint64_t>(0)), kUnsupported,
                  {"metadata key k", "array of arrays"});
  b = {};
  ExpectGgufError(b.Key("k", kGgufU64, Raw(uint64_t{1} << 63)), kUnsupported,
                  {"metadata key k", "9223372036854775808", "beyond 2^63 - 1"});
  b = {};
  ExpectGgufError(b.Numbers<uint64_t>("k", kGgufU64, {1, UINT64_MAX}), kUnsupported,
                  {"metadata key k", "beyond 2^63 - 1"});
  b = {};
  ExpectGgufError(b.Key("k", kGgufBool, "\2"), kCorrupt, {"metadata key k", "bool"});
  b = {};
  ExpectGgufError(b.Numbers<uint8_t>("k", kGgufBool, {1, 7}), kCorrupt, {"metadata key k", "bool"});
  b = {};
  ExpectGgufError(b.U32("same", 1).U32("same", 2), kCorrupt, {"metadata key same", "twice"});
  b = {};
  ExpectGgufError(b.U32("", 1), kCorrupt, {"metadata key 0", "plain text"});
  b = {};
  ExpectGgufError(b.U32(std::string("a\0b", 3), 1), kCorrupt, {"a\\x00b", "plain text"});
  b = {};
  ExpectGgufError(b.U32("\xC0\x80", 1), kCorrupt, {"\\xc0\\x80", "plain text"});
}

TEST(GgufError, Alignment) {
  for (uint32_t bad : {0u, 3u, 48u, 1u << 21, 0x80000000u}) {
    GgufBuilder b;
    b.U32("general.alignment", bad);
    ExpectGgufError(b, kCorrupt, {"general.alignment", std::to_string(bad)});
  }
  GgufBuilder b;
  ExpectGgufError(b.Text("general.alignment", "32"), kCorrupt, {"general.alignment", "integer"});
}

TEST(GgufError, Tensors) {
  const std::string data(4096, 'd');
  GgufBuilder b;
  ExpectGgufError(b.Tensor("t", {1, 1, 1, 1, 1}, 0, data), kCorrupt,
                  {"tensor t", "5 dimensions", "at most 4"});
  b = {};
  ExpectGgufError(b.Tensor("t", {4, 0}, 0, data), kCorrupt, {"tensor t", "a dimension of 0"});
  b = {};
  ExpectGgufError(b.Tensor("t", {uint64_t{1} << 63}, 0, data), kCorrupt,
                  {"tensor t", "a dimension of 9223372036854775808"});
  const uint64_t k32 = uint64_t{1} << 32, k62 = uint64_t{1} << 62;
  for (const std::vector<uint64_t>& dims :
       std::vector<std::vector<uint64_t>>{{k32, k32}, {k62}, {k62, 4}, {k32, 1u << 31, 1, 2}}) {
    b = {};
    ExpectGgufError(b.Tensor("t", dims, 0, data), kCorrupt, {"tensor t", "overflows"});
  }
  b = {};
  // Its elements overflow although its bytes would not: 144 bytes hold 256 elements.
  ExpectGgufError(b.Tensor("t", {256, uint64_t{1} << 55}, 12, data), kCorrupt,
                  {"tensor t", "overflows"});
  b = {};
  ExpectGgufError(b.Tensor("t", {33, 2}, 8, data), kCorrupt,
                  {"tensor t", "33", "no multiple of 32", "Q8_0"});
  b = {};
  ExpectGgufError(b.Tensor("t", {}, 8, data), kCorrupt, {"tensor t", "no multiple of 32"});
  b = {};
  ExpectGgufError(b.Tensor("t", {128}, 12, data), kCorrupt, {"tensor t", "no multiple of 256"});
  b = {};
  ExpectGgufError(b.Tensor("t", {4}, 1000, data), kCorrupt, {"tensor t", "type number 1000"});
  b = {};
  ExpectGgufError(b.Tensor("t", {4}, UINT32_MAX, data), kCorrupt,
                  {"tensor t", "type number 4294967295"});
  b = {};
  ExpectGgufError(b.Tensor("", {4}, 0, data), kCorrupt, {"tensor 0", "plain text"});
  b = {};
  ExpectGgufError(b.Tensor("a\nb", {4}, 0, data), kCorrupt, {"a\\x0ab", "plain text"});
}

TEST(GgufError, Ranges) {
  const std::string data(256, 'd');
  GgufBuilder b;
  ExpectGgufError(b.TensorAt("t", {4}, 0, 33).Tensor("u", {4}, 0, data), kCorrupt,
                  {"tensor t", "33", "alignment 32"});
  b = {};
  ExpectGgufError(b.Tensor("t", {1024}, 0, data), kCorrupt,
                  {"cut short", "tensor t", "3840 are missing"});
  b = {};
  ExpectGgufError(b.TensorAt("t", {4}, 0, uint64_t{1} << 40).Tensor("u", {4}, 0, data), kCorrupt,
                  {"cut short", "tensor t"});
  b = {};
  ExpectGgufError(b.TensorAt("t", {4}, 0, UINT64_MAX - 31), kCorrupt, {"tensor t", "offset"});
  b = {};
  ExpectGgufError(b.TensorAt("t", {4}, 0, static_cast<uint64_t>(INT64_MAX) - 31), kCorrupt,
                  {"tensor t", "offset"});
  b = {};
  ExpectGgufError(b.Tensor("t", {16}, 0, data).TensorAt("u", {16}, 0, 32), kCorrupt,
                  {"tensor u", "overlaps tensor t"});
  b = {};
  ExpectGgufError(b.Tensor("t", {16}, 0, data).TensorAt("u", {1}, 0, 0), kCorrupt, {"overlaps"});
  b = {};
  ExpectGgufError(b.Tensor("t", {4}, 0, data).Tensor("t", {4}, 0, data), kCorrupt,
                  {"tensor t", "twice"});
  // A type of which only the name is known: its offset is checked all the same.
  b = {};
  ExpectGgufError(b.TensorAt("t", {64}, 41, 4096).Tensor("u", {4}, 0, data), kCorrupt,
                  {"cut short", "tensor t"});
}

TEST(GgufError, PlaceHasFileTensorAndOffset) {
  TempFolder folder;
  GgufBuilder b;
  const std::string path =
      folder.Write("bad.gguf", b.Tensor("blk.0.w", {1024}, 0, std::string(64, 'd')).Build());
  const absl::Status status = ReadGguf(path).status();
  EXPECT_EQ(status.code(), kCorrupt);
  const ErrorPlace place = PlaceOf(status);
  EXPECT_EQ(place.file, path);
  EXPECT_EQ(place.tensor, "blk.0.w");
  EXPECT_GT(place.offset, 0);

  b = {};
  const ErrorPlace dims = PlaceOf(ParseGgufBytes(b.Tensor("t", {0}, 0, "").Build()).status());
  EXPECT_EQ(dims.tensor, "t");
  EXPECT_GE(dims.offset, 24);
}

TEST(Gguf, ReadsFromAFile) {
  TempFolder folder;
  const std::string path = folder.Write("ok.gguf", SampleGguf().Build());
  const absl::StatusOr<Gguf> gguf = ReadGguf(path);
  ASSERT_TRUE(gguf.ok()) << gguf.status();
  ASSERT_EQ(gguf->table.files.size(), 1u);
  EXPECT_EQ(gguf->table.files[0]->path(), path);
  std::string bytes(68, '\0');
  EXPECT_TRUE(
      gguf->table.files[0]->ReadAt(gguf->table.find("q8.weight")->offset, bytes.data(), 68).ok());
  EXPECT_EQ(bytes, std::string(68, '\3'));
  ExpectError(ReadGguf(folder.path() + "/none.gguf").status(), absl::StatusCode::kNotFound,
              {"none.gguf"});
}

TEST(Gguf, ReadsTheSharedFixtures) {
  const std::filesystem::path root = SCOUT_SOURCE_DIR "/../shared/fixtures/gguf";
  if (!std::filesystem::exists(root)) GTEST_SKIP() << "../shared/fixtures is not there";
  int n = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    if (entry.path().extension() != ".gguf") continue;
    const absl::StatusOr<Gguf> gguf = ReadGguf(entry.path());
    ASSERT_TRUE(gguf.ok()) << gguf.status();
    for (size_t file = 0; file < gguf->table.files.size(); ++file) {
      std::vector<TensorEntry> tensors;
      for (const TensorEntry& t : gguf->table.tensors) {
        if (static_cast<size_t>(t.file) == file) tensors.push_back(t);
      }
      EXPECT_EQ(TableFault(tensors, gguf->table.files[file]->size()), "") << entry.path();
    }
    EXPECT_EQ(gguf->table.files.size(),
              entry.path().parent_path().filename() == "split" ? size_t{3} : size_t{1});
    ++n;
  }
  EXPECT_GE(n, 10);
}

}  // namespace
}  // namespace scout::test
