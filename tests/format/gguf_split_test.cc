// GGUF models in several files: any part gives the whole, and parts that do not belong together.
// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <functional>

#include "lib/format/gguf.h"
#include "tests/format/format_test_util.h"
#include "tests/util/gguf_builder.h"

namespace scout::test {
namespace {

constexpr auto kCorrupt = absl::StatusCode::kDataLoss;
constexpr auto kUnsupported = absl::StatusCode::kUnimplemented;

std::string PartName(int number, int count) {
  return "m-0000" + std::to_string(number + 1) + "-of-0000" + std::to_string(count) + ".gguf";
}

GgufBuilder& SplitKeys(GgufBuilder& b, int number, int count, int tensors) {
  return b.Key("split.no", kGgufU16, Raw(static_cast<uint16_t>(number)))
      .Key("split.count", kGgufU16, Raw(static_cast<uint16_t>(count)))
      .Key("split.tensors.count", kGgufI32, Raw(static_cast<int32_t>(tensors)));
}

// Three parts; the first has the metadata and no tensor, the others two tensors each.
struct Parts {
  GgufBuilder parts[3];
  Parts() {
    parts[0].Text("general.architecture", "llama4").U32("llama4.block_count", 7);
    for (int i = 0; i < 3; ++i) SplitKeys(parts[i], i, 3, 4);
    parts[1].Tensor("a", {4}, 0, std::string(16, 'a')).Tensor("b", {4}, 0, std::string(16, 'b'));
    parts[2].Tensor("c", {4}, 0, std::string(16, 'c')).Tensor("d", {4}, 0, std::string(16, 'd'));
  }
  void Write(const TempFolder& folder) const {
    for (int i = 0; i < 3; ++i) folder.Write(PartName(i, 3), parts[i].Build());
  }
};

// The error of every part given, after `change`; its place names the file `at`.
void ExpectSplitError(const std::function<void(Parts*)>& change, absl::StatusCode code,
                      std::initializer_list<std::string> texts, int at) {
  TempFolder folder;
  Parts parts;
  change(&parts);
  parts.Write(folder);
  const absl::Status status = ReadGguf(folder.path() + "/" + PartName(0, 3)).status();
  ExpectError(status, code, texts);
  EXPECT_EQ(PlaceOf(status).file, folder.path() + "/" + PartName(at, 3)) << status;
  for (int given = 1; given < 3; ++given) {
    EXPECT_FALSE(ReadGguf(folder.path() + "/" + PartName(given, 3)).ok()) << given;
  }
}

TEST(GgufSplit, AnyPartGivesTheWhole) {
  TempFolder folder;
  Parts().Write(folder);
  for (int given = 0; given < 3; ++given) {
    const auto gguf = ReadGguf(folder.path() + "/" + PartName(given, 3));
    ASSERT_TRUE(gguf.ok()) << gguf.status();
    EXPECT_EQ(*gguf->find_int("llama4.block_count"), 7);
    ASSERT_EQ(gguf->table.files.size(), 3u);
    ASSERT_EQ(gguf->table.tensors.size(), 4u);
    for (const char* name : {"a", "b", "c", "d"}) {
      const TensorEntry* entry = gguf->table.find(name);
      ASSERT_NE(entry, nullptr) << name;
      std::string bytes(16, '\0');
      ASSERT_TRUE(gguf->table.files[static_cast<size_t>(entry->file)]
                      ->ReadAt(entry->offset, bytes.data(), 16)
                      .ok());
      EXPECT_EQ(bytes, std::string(16, name[0]));
    }
  }
}

TEST(GgufSplit, APartOfOneIsWhole) {
  TempFolder folder;
  GgufBuilder b;
  SplitKeys(b, 0, 1, 1).Tensor("a", {4}, 0, std::string(16, 'a'));
  EXPECT_TRUE(ReadGguf(folder.Write("any.gguf", b.Build())).ok());
  GgufBuilder zero;
  zero.Key("split.count", kGgufU16, Raw<uint16_t>(0));
  EXPECT_TRUE(ReadGguf(folder.Write("zero.gguf", zero.Build())).ok());
  // A name alone makes no part.
  GgufBuilder whole;
  EXPECT_TRUE(ReadGguf(folder.Write(PartName(1, 3), whole.Build())).ok());
}

TEST(GgufSplit, AMissingPartIsNamed) {
  for (int missing = 0; missing < 3; ++missing) {
    TempFolder folder;
    Parts().Write(folder);
    std::filesystem::remove(folder.path() + "/" + PartName(missing, 3));
    for (int given = 0; given < 3; ++given) {
      if (given == missing) continue;
      const absl::Status status = ReadGguf(folder.path() + "/" + PartName(given, 3)).status();
      ExpectError(
          status, absl::StatusCode::kNotFound,
          {"part " + std::to_string(missing + 1) + " of 3", "missing", PartName(missing, 3)});
      EXPECT_EQ(PlaceOf(status).file, folder.path() + "/" + PartName(missing, 3));
    }
  }
}

TEST(GgufSplit, ADamagedPartIsNamed) {
  TempFolder folder;
  const Parts parts;
  parts.Write(folder);
  const std::string bytes = parts.parts[2].Build();
  folder.Write(PartName(2, 3), bytes.substr(0, bytes.size() - 1));
  const absl::Status status = ReadGguf(folder.path() + "/" + PartName(1, 3)).status();
  ExpectError(status, kCorrupt, {"cut short", "tensor d"});
  EXPECT_EQ(PlaceOf(status).file, folder.path() + "/" + PartName(2, 3));
}

TEST(GgufSplit, PartsThatDoNotBelongTogether) {
  ExpectSplitError([](Parts* p) { SplitKeys(p->parts[1] = {}, 1, 4, 4); }, kCorrupt,
                   {"4 parts", "the first one says 3", "different models"}, 1);
  ExpectSplitError([](Parts* p) { SplitKeys(p->parts[1] = {}, 2, 3, 4); }, kCorrupt,
                   {"named part 2 of 3", "is part 3"}, 1);
  ExpectSplitError([](Parts* p) { SplitKeys(p->parts[2] = {}, 2, 3, 5); }, kCorrupt,
                   {"5 tensors, the first one says 4", "different models"}, 2);
  ExpectSplitError([](Parts* p) { p->parts[2].U32("llama4.block_count", 8); }, kCorrupt,
                   {"llama4.block_count", "different models"}, 2);
  ExpectSplitError([](Parts* p) { p->parts[2].U32("only.here", 8); }, kCorrupt,
                   {"only.here", "different models"}, 2);
  ExpectSplitError([](Parts* p) { p->parts[2].Tensor("a", {4}, 0, std::string(16, 'a')); },
                   kCorrupt, {"tensor a is in two parts", PartName(1, 3)}, 2);
  ExpectSplitError([](Parts* p) { p->parts[0].Tensor("e", {4}, 0, std::string(16, 'e')); },
                   kCorrupt, {"5 tensors", "split.tensors.count says 4"}, 0);
  ExpectSplitError([](Parts* p) { SplitKeys(p->parts[2] = {}, 2, 3, 4); }, kCorrupt,
                   {"2 tensors", "split.tensors.count says 4"}, 0);
}

// A key that the others repeat with the first part's value is none of these.
TEST(GgufSplit, RepeatedMetadata) {
  TempFolder folder;
  Parts parts;
  parts.parts[1].Text("general.architecture", "llama4");
  parts.parts[2].Text("general.architecture", "llama4").Alignment(32);
  parts.Write(folder);
  EXPECT_TRUE(ReadGguf(folder.path() + "/" + PartName(1, 3)).ok());
}

TEST(GgufSplit, HostileKeys) {
  TempFolder folder;
  const auto error = [&](const std::function<void(GgufBuilder*)>& build, absl::StatusCode code,
                         std::initializer_list<std::string> texts) {
    GgufBuilder b;
    build(&b);
    const std::string path = folder.Write(PartName(0, 3), b.Build());
    const absl::Status status = ReadGguf(path).status();
    ExpectError(status, code, texts);
    EXPECT_EQ(PlaceOf(status).file, path);
  };
  error([](GgufBuilder* b) { SplitKeys(*b, 0, 65535, 4); }, kUnsupported,
        {"65535 parts", "more than 1024"});
  error([](GgufBuilder* b) { b->Key("split.count", kGgufU64, Raw(~uint64_t{0} >> 1)); }, kCorrupt,
        {"split.count is 9223372036854775807"});
  error([](GgufBuilder* b) { b->Key("split.count", kGgufI32, Raw(int32_t{-3})); }, kCorrupt,
        {"split.count is -3"});
  error([](GgufBuilder* b) { b->Text("split.count", "3"); }, kCorrupt,
        {"split.count is no integer"});
  error([](GgufBuilder* b) { SplitKeys(*b, 3, 3, 4); }, kCorrupt, {"split.no is 3", "[0, 2]"});
  error([](GgufBuilder* b) { SplitKeys(*b, 1, 1, 4); }, kCorrupt, {"split.no is 1", "[0, 0]"});
  error([](GgufBuilder* b) { SplitKeys(*b, 0, 3, -1); }, kCorrupt, {"split.tensors.count is -1"});
  error([](GgufBuilder* b) { b->U32("split.count", 3); }, kCorrupt, {"split.no is missing"});
  error([](GgufBuilder* b) { b->U32("split.count", 3).U32("split.no", 0); }, kCorrupt,
        {"split.tensors.count is missing"});
  error([](GgufBuilder* b) { SplitKeys(*b, 0, 1, 9); }, kCorrupt, {"0 tensors", "says 9"});
  error([](GgufBuilder* b) { SplitKeys(*b, 1, 3, 4); }, kCorrupt,
        {"part 2 of 3", "-00002-of-00003.gguf"});
}

TEST(GgufSplit, TheNameMustLeadToTheOthers) {
  TempFolder folder;
  const Parts parts;
  parts.Write(folder);
  for (const char* name : {"renamed.gguf", "m-2-of-3.gguf"}) {
    const std::string path = folder.Write(name, parts.parts[1].Build());
    ExpectError(ReadGguf(path).status(), kCorrupt, {"part 2 of 3", "cannot be found"});
  }
}

}  // namespace
}  // namespace scout::test
