// A test for each class of error that loaders of models were attacked through. The numbers are
// those of other projects' reports; docs/reliability.md has the whole table.
// SPDX-License-Identifier: Apache-2.0
#include <filesystem>

#include "tests/model/small_model.h"

namespace scout::test {
namespace {

constexpr auto kCorrupt = absl::StatusCode::kDataLoss;
constexpr auto kUnsupported = absl::StatusCode::kUnimplemented;
constexpr auto kNotFound = absl::StatusCode::kNotFound;

absl::Status LoadFolder(const SmallModel& small) {
  Folder folder;
  small.WriteFolder(folder);
  return Model::Load(folder.path(), {}).status();
}

absl::Status LoadGguf(const SmallModel& small) {
  Folder folder;
  return Model::Load(folder.Write("m.gguf", small.GgufBytes()), {}).status();
}

// CVE-2026-21869 and its kind: numbers of a JSON file used as sizes without a look.
TEST(Cve, NegativeAndHugeIntegersOfAConfiguration) {
  const SmallModel small = SmallModel::HuggingFace();
  ASSERT_TRUE(LoadFolder(small).ok());
  for (const char* key : {"hidden_size", "vocab_size", "num_hidden_layers", "num_attention_heads",
                          "num_key_value_heads", "head_dim", "max_position_embeddings",
                          "intermediate_size", "intermediate_size_mlp", "num_local_experts",
                          "num_experts_per_tok", "attention_chunk_size", "floor_scale"}) {
    for (const char* value : {"-1", "-9223372036854775808", "9223372036854775807",
                              "9223372036854775808", "18446744073709551617", "1e300", "-1e300"}) {
      SmallModel changed = small;
      changed.config[key] = value;
      ExpectError(LoadFolder(changed), kCorrupt, {});
    }
  }
  for (const char* value : {"[-1]", "[1.5]", "[[1]]", "[9223372036854775808]"}) {
    SmallModel changed = small;
    changed.config["moe_layers"] = value;
    ExpectError(LoadFolder(changed), kCorrupt, {"moe_layers"});
  }
}

// The loader of image parts in lmstudio#2289: sizes from the metadata, memory taken by them, and
// only then a look at the tensors. Here a tensor must have the size before anything is taken.
TEST(Cve, SizesFromTheFileDecideNothingAlone) {
  for (const char* key : {"embedding_length", "vocab_size", "feed_forward_length", "expert_count",
                          "expert_feed_forward_length", "attention.head_count", "block_count"}) {
    for (const char* value : {"1024", "4096"}) {
      SmallModel changed = SmallModel::Gguf();
      changed.config[key] = value;
      const absl::Status status = LoadGguf(changed);
      EXPECT_TRUE(status.code() == kCorrupt || status.code() == kNotFound) << key << ": " << status;
    }
  }
}

// CVE-2024-41130: what is missing is an error with the name of what is missing, not a null.
TEST(Cve, MissingTensorsAndKeys) {
  const SmallModel gguf = SmallModel::Gguf();
  for (const auto& [name, tensor] : gguf.tensors) {
    if (name == "output.weight" || name == "rope_freqs.weight") continue;  // may be missing
    SmallModel changed = gguf;
    changed.tensors.erase(name);
    ExpectError(LoadGguf(changed), kNotFound, {name});
  }
  const SmallModel hf = SmallModel::HuggingFace();
  for (const auto& [name, tensor] : hf.tensors) {
    SmallModel changed = hf;
    changed.tensors.erase(name);
    ExpectError(LoadFolder(changed), kNotFound, {name});
  }
}

// Pickle over sockets and in files (CVE-2025-32444, CVE-2024-50050, torch.load): nothing here reads
// one. What begins as one is refused by its first bytes.
TEST(Cve, PickleIsNotRead) {
  Folder folder;
  for (const std::string& bytes :
       {std::string("\x80\x02}q\x00.", 6), std::string("PK\x03\x04") + std::string(64, '\0')}) {
    const absl::Status file = Model::Load(folder.Write("model.bin", bytes), {}).status();
    EXPECT_FALSE(file.ok());
    EXPECT_FALSE(file.message().empty());
  }
  Folder checkpoint;  // a folder with nothing else
  checkpoint.Write("config.json", SmallModel::HuggingFace().ConfigJson());
  checkpoint.Write("pytorch_model.bin", "\x80\x02.");
  ExpectError(Model::Load(checkpoint.path(), {}).status(), kNotFound, {"model.safetensors"});
  // Nor does a configuration name code to run.
  SmallModel small = SmallModel::HuggingFace();
  small.config["auto_map"] = R"({"AutoModel":"modeling_x.Model"})";
  small.config["trust_remote_code"] = "true";
  EXPECT_TRUE(LoadFolder(small).ok());
}

// A quantisation that the file calls by an unknown name is not taken for a known one.
TEST(Cve, UnknownQuantisationIsRefused) {
  for (const char* value : {R"({"quant_method":"../awq"})", R"({"quant_method":7})", "[]", "1",
                            R"({"quant_method":"bitsandbytes","load_in_4bit":true})"}) {
    SmallModel small = SmallModel::HuggingFace();
    small.config["quantization_config"] = value;
    const absl::Status status = LoadFolder(small);
    EXPECT_TRUE(status.code() == kCorrupt || status.code() == kUnsupported) << value << status;
  }
}

}  // namespace
}  // namespace scout::test
