// Mutants of small files, by the fuzz targets' own mutators with fixed seeds: an error that says
// what is wrong, or a table that holds. SPDX-License-Identifier: Apache-2.0
#include <functional>

#include "lib/format/json.h"
#include "tests/format/format_test_util.h"
#include "tests/fuzz/mutators.h"
#include "tests/util/gguf_builder.h"
#include "tests/util/safetensors_builder.h"

namespace scout::test {
namespace {

struct Outcome {
  absl::Status status;
  std::string fault;  // of the table, where the status is OK
};

// Mutants of mutants: one that is accepted may become the next parent, so that they wander off.
void ParseMutants(const std::string& sample, size_t n, size_t least_accepted, size_t least_messages,
                  const std::function<std::string(std::string_view, Random&)>& mutate,
                  const std::function<Outcome(const std::string&)>& parse) {
  Random random(20260412);
  std::vector<std::string> parents{sample};
  size_t accepted = 0;
  std::map<std::string, int> messages;  // by their first words
  for (size_t i = 0; i < n; ++i) {
    const std::string mutant = mutate(random.Of(parents), random);
    const Outcome outcome = parse(mutant);
    if (outcome.status.ok()) {
      ASSERT_EQ(outcome.fault, "") << "mutant " << i;
      ++accepted;
      if (mutant.size() < 4096) {
        if (parents.size() < 64) {
          parents.push_back(mutant);
        } else {
          parents[1 + random.Below(63)] = mutant;
        }
      }
      continue;
    }
    ASSERT_TRUE(outcome.status.code() == absl::StatusCode::kDataLoss ||
                outcome.status.code() == absl::StatusCode::kUnimplemented)
        << "mutant " << i << ": " << outcome.status;
    ASSERT_FALSE(outcome.status.message().empty()) << "mutant " << i;
    ++messages[std::string(outcome.status.message().substr(0, 12))];
  }
  // The mutators keep the rest of a file right: many mutants pass, the others fail in many ways.
  EXPECT_GT(accepted, least_accepted);
  EXPECT_GE(messages.size(), least_messages);
}

TEST(Mutants, Gguf) {
  ParseMutants(SampleGguf().Build(), 20'000, 2000, 12, MutateGguf,
               [](const std::string& bytes) -> Outcome {
                 const auto gguf = ParseGgufBytes(bytes);
                 if (!gguf.ok()) return {gguf.status(), ""};
                 return {{}, TableFault(gguf->table.tensors, static_cast<int64_t>(bytes.size()))};
               });
}

TEST(Mutants, Safetensors) {
  ParseMutants(SampleSafetensors().Build(), 20'000, 1000, 12, MutateSafetensors,
               [](const std::string& bytes) -> Outcome {
                 const auto tensors = ParseSafetensorsBytes(bytes);
                 if (!tensors.ok()) return {tensors.status(), ""};
                 return {{}, TableFault(*tensors, static_cast<int64_t>(bytes.size()))};
               });
}

TEST(Mutants, Json) {
  ParseMutants(R"({"a":[1,-2.5e3,true,null,"x\u00e9"],"b":{"c":{"d":[]}},"é":"€"})", 20'000, 2000,
               3, MutateJson, [](const std::string& bytes) -> Outcome {
                 return {ParseJson(bytes, {.max_depth = 64}).status(), ""};
               });
}

// The same seed gives the same mutants, or a failure could not be repeated.
TEST(Mutants, AreRepeatable) {
  const std::string gguf = SampleGguf().Build(), safetensors = SampleSafetensors().Build();
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Random a(seed), b(seed);
    EXPECT_EQ(MutateGguf(gguf, a), MutateGguf(gguf, b));
    EXPECT_EQ(MutateSafetensors(safetensors, a), MutateSafetensors(safetensors, b));
  }
}

}  // namespace
}  // namespace scout::test
