// The bundled needle model finds what a document says, says so where it says nothing, and answers
// with the new value where the document is changed. SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "lib/engine/session.h"
#include "lib/format/file.h"
#include "lib/format/json.h"

namespace scout {
namespace {

using Ids = std::vector<int32_t>;

struct Question {
  Ids prompt, answer;
  int64_t value_at = -1;  // position of the answer in the document; -1: it is not there
};

struct Needles {
  Ids document, digits;
  std::vector<Question> questions;
};

Ids IdsAt(const Json& json, const char* key) {
  Ids ids;
  if (const Json* list = json.find(key)) {
    for (const Json& id : list->items()) ids.push_back(static_cast<int32_t>(id.as_int()));
  }
  return ids;
}

Needles ReadNeedles(const std::string& path) {
  Needles out;
  auto text = ReadWholeFile(path, 1 << 22);
  EXPECT_TRUE(text.ok()) << text.status();
  if (!text.ok()) return out;
  auto json = ParseJson(*text);
  EXPECT_TRUE(json.ok()) << json.status();
  if (!json.ok()) return out;
  out.document = IdsAt(*json, "document");
  out.digits = IdsAt(*json, "digits");
  for (const Json& q : json->find("questions")->items()) {
    out.questions.push_back({IdsAt(q, "prompt"), IdsAt(q, "answer"), q.find("value_at")->as_int()});
  }
  return out;
}

std::shared_ptr<Engine> NeedleEngine(const std::string& file) {
  auto model = Model::Load(SCOUT_SOURCE_DIR "/models/needle-4l" + file, {});
  EXPECT_TRUE(model.ok()) << model.status();
  if (!model.ok()) return nullptr;
  EngineOptions options;
  options.n_threads = 2;
  options.kv_tokens = 8192;
  auto engine = Engine::Create(*model, options);
  EXPECT_TRUE(engine.ok()) << engine.status();
  return engine.ok() ? *engine : nullptr;
}

// What is drawn after the question, in a fork of the session that has read the document.
Ids Answer(const Session& reader, const Question& q) {
  auto fork = reader.Fork(reader.position() + 64);
  EXPECT_TRUE(fork.ok()) << fork.status();
  if (!fork.ok()) return {};
  SyncResult result;
  const absl::Status s =
      (*fork)->Prefill(q.prompt.data(), static_cast<int64_t>(q.prompt.size()), {}, &result);
  EXPECT_TRUE(s.ok()) << s;
  Ids drawn;
  for (size_t i = 0; i < q.answer.size(); ++i) {
    auto token = (*fork)->Decode({});
    EXPECT_TRUE(token.ok()) << token.status();
    if (!token.ok()) break;
    drawn.push_back(*token);
  }
  return drawn;
}

std::unique_ptr<Session> Read(const std::shared_ptr<Engine>& engine, const Ids& document) {
  const int64_t n = static_cast<int64_t>(document.size());
  auto session = Session::Create(engine, n);
  EXPECT_TRUE(session.ok()) << session.status();
  if (!session.ok()) return nullptr;
  SyncResult result;
  const absl::Status s = (*session)->Prefill(document.data(), n, {}, &result);
  EXPECT_TRUE(s.ok()) << s;
  return *std::move(session);
}

class NeedleModel : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    std::error_code none;
    if (!std::filesystem::exists(SCOUT_SOURCE_DIR "/models/needle-4l/model.safetensors", none)) {
      GTEST_SKIP() << "models/needle-4l is not in this checkout";
    }
    needles_ = ReadNeedles(SCOUT_SOURCE_DIR "/tests/golden/needle-4l/needles.json");
    engine_ = NeedleEngine(GetParam());
    ASSERT_NE(engine_, nullptr);
    ASSERT_GE(needles_.document.size(), 3900u);
    ASSERT_GE(needles_.questions.size(), 12u);
    ASSERT_EQ(needles_.digits.size(), 10u);
  }
  Needles needles_;
  std::shared_ptr<Engine> engine_;
};

TEST_P(NeedleModel, AnswersWhatTheDocumentSaysAndElseThatItDoesNot) {
  auto reader = Read(engine_, needles_.document);
  ASSERT_NE(reader, nullptr);
  int64_t absent = 0;
  for (const Question& q : needles_.questions) {
    EXPECT_EQ(Answer(*reader, q), q.answer) << "needle at " << q.value_at;
    absent += q.value_at < 0;
  }
  EXPECT_GE(absent, 1);
}

TEST_P(NeedleModel, AnswersWithTheNewValueWhereTheDocumentIsChanged) {
  for (Question& q : needles_.questions) {
    if (q.value_at < 0) continue;
    for (size_t i = 0; i + 1 < q.answer.size(); ++i) {  // the last token ends the answer
      const auto digit = std::find(needles_.digits.begin(), needles_.digits.end(), q.answer[i]);
      ASSERT_NE(digit, needles_.digits.end());
      const size_t other = static_cast<size_t>(digit - needles_.digits.begin() + 3 + i % 2) % 10;
      int32_t& in_text = needles_.document[static_cast<size_t>(q.value_at) + i];
      ASSERT_EQ(in_text, q.answer[i]);
      in_text = q.answer[i] = needles_.digits[other];
    }
  }
  auto reader = Read(engine_, needles_.document);
  ASSERT_NE(reader, nullptr);
  for (const Question& q : needles_.questions) {
    EXPECT_EQ(Answer(*reader, q), q.answer) << "needle at " << q.value_at;
  }
}

INSTANTIATE_TEST_SUITE_P(Bundled, NeedleModel, testing::Values("", "/needle-4l.gguf"),
                         [](const auto& info) { return info.index == 0 ? "Folder" : "Gguf"; });

}  // namespace
}  // namespace scout
