// The files of a small batch, cut at every length and with every byte changed: a message per line,
// or a request; results taken, or refused and left as they are. SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <sstream>

#include "tests/fuzz/batch_oracle.h"
#include "tests/tools/run_command.h"

namespace scout::tool_test {
namespace {

const char kIn[] =
    R"({"id": ["a", {"b": -1.5e3}], "prompt": "caf\u00e9", "max_tokens": 7, "seed": 9}
{"messages": [{"role": "user", "content": "Hi"}], "stop": ["x", "yz"], "ignore_end": true}
{"id": null, "prompt": "p", "logit_bias": {"5": "-inf", "17": 2}, "top_p": 0.5, "top_k": 3}
)";
constexpr int64_t kLines = 3;

// Results of all lines, with what a result of the command has.
std::string Out() {
  std::istringstream lines(kIn);
  std::string out;
  int64_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    nlohmann::ordered_json result;
    result["line"] = ++number;
    result["id"] = {1, {{"x", "y"}}};
    result["text"] = "caf\xc3\xa9 \"\n";
    result["finish"] = "end";
    result["tokens"] = 5;
    result["input"] = tool::Hex(tool::Digest(line));
    result["settings"] = test::kBatchSettings;
    out += result.dump() + "\n";
  }
  return out;
}

class BatchDamage : public testing::Test {
 protected:
  // How many results were taken, -1 where they were refused.
  int64_t Answered(const std::string& in, const std::string& out) {
    int64_t answered = 0;
    EXPECT_EQ(test::CheckBatch(folder_.path("in"), in, folder_.path("out"), out, &answered), "");
    return answered;
  }
  // Calls body(changed bytes, place) for every changed byte.
  template <typename Body>
  void ForEachChange(const std::string& bytes, Body&& body) {
    for (size_t at = 0; at < bytes.size(); ++at) {
      for (const int mask : {1, 2, 4, 8, 16, 32, 64, 128, 255}) {
        std::string changed = bytes;
        changed[at] = static_cast<char>(changed[at] ^ mask);
        SCOPED_TRACE(std::to_string(at) + " ^ " + std::to_string(mask));
        body(changed, at);
      }
    }
  }

  Folder folder_;
  const std::string out_ = Out();
};

TEST_F(BatchDamage, WholeFilesAreTaken) {
  EXPECT_EQ(Answered(kIn, ""), 0);
  EXPECT_EQ(Answered(kIn, out_), kLines);
  std::istringstream lines(kIn);
  for (std::string line; std::getline(lines, line);) {
    tool::BatchRequest request;
    EXPECT_EQ(tool::ReadRequest(line, &request).text, "") << line;
  }
}

TEST_F(BatchDamage, RequestsCutAndChanged) {
  const std::string in = kIn;
  for (size_t size = 0; size < in.size(); ++size) {
    EXPECT_EQ(Answered(in.substr(0, size), ""), 0) << size;
    // Without its last newline the last line is the same.
    EXPECT_EQ(Answered(in.substr(0, size), out_), size + 1 == in.size() ? kLines : -1) << size;
  }
  ForEachChange(in, [this](const std::string& changed, size_t) {
    EXPECT_EQ(Answered(changed, ""), 0);
    EXPECT_EQ(Answered(changed, out_), -1);
  });
}

TEST_F(BatchDamage, ResultsCutAndChanged) {
  for (size_t size = 0; size < out_.size(); ++size) {
    const std::string cut = out_.substr(0, size);
    EXPECT_EQ(Answered(kIn, cut), std::count(cut.begin(), cut.end(), '\n')) << size;
  }
  int64_t refused = 0, changes = 0;
  ForEachChange(out_, [&](const std::string& changed, size_t at) {
    const int64_t answered = Answered(kIn, changed);
    ++changes;
    refused += answered < 0;
    if (answered >= 0) {
      EXPECT_EQ(answered, at + 1 == out_.size() ? kLines - 1 : kLines);
    }
  });
  EXPECT_GT(refused, changes / 4);
}

}  // namespace
}  // namespace scout::tool_test
