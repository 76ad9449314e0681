// Cost of drawing one token from the vocabulary of Llama 4 (202,048 ids), as JSON on stdout.
// SPDX-License-Identifier: Apache-2.0
//
// One thread, in its own CPU time. Each figure is the median of 100 draws over logits shaped like a
// model's (normal, standard deviation 3, one token in a hundred draws far ahead), and for the worst
// case over equal logits.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <random>
#include <vector>

#include "lib/sample/sampler.h"
#include "lib/sample/stop_matcher.h"

namespace {

constexpr int64_t kVocab = 202048;

double thread_seconds() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

void Report(const char* name, const std::function<void(int)>& f) {
  f(0);
  std::vector<double> times;
  for (int i = 1; i <= 100; ++i) {
    const double start = thread_seconds();
    f(i);
    times.push_back(thread_seconds() - start);
  }
  std::nth_element(times.begin(), times.begin() + 50, times.end());
  static bool first = true;
  printf("%s\n  {\"name\": \"%s\", \"us\": %.1f}", first ? "" : ",", name, times[50] * 1e6);
  first = false;
}

}  // namespace

int main() {
  std::mt19937_64 rng(1);
  std::normal_distribution<float> normal(0, 3);
  std::vector<float> bell(kVocab), flat(kVocab, 1.0f);
  for (float& l : bell) l = normal(rng);
  std::vector<int32_t> tokens(1 << 20);
  for (int32_t& t : tokens) t = static_cast<int32_t>(rng() % kVocab);
  scout::Sampler sampler;
  int64_t sink = 0;
  auto draw = [&](const char* name, const std::vector<float>& logits,
                  const scout::SamplingOptions& options, int64_t history) {
    Report(name, [&, history](int i) {
      scout::SamplingOptions o = options;
      o.seed = static_cast<uint64_t>(i);
      sink += *sampler.Sample(logits.data(), kVocab, o, {tokens.data(), history, history / 2});
    });
  };
  printf("{\"results\": [");
  draw("greedy", bell, {}, 0);
  draw("temperature", bell, {.temperature = 1}, 0);
  draw("top_k=40", bell, {.top_k = 40, .temperature = 1}, 0);
  draw("top_p=0.9,temperature=0.6", bell, {.temperature = 0.6f, .top_p = 0.9f}, 0);
  draw("top_k=40,top_p=0.9", bell, {.top_k = 40, .temperature = 1, .top_p = 0.9f}, 0);
  draw("min_p=0.05", bell, {.temperature = 1, .min_p = 0.05f}, 0);
  draw("greedy,penalties,4096 tokens", bell,
       {.repetition_penalty = 1.1f, .frequency_penalty = 0.5f}, 4096);
  draw("greedy,repetition,1048576 tokens", bell, {.repetition_penalty = 1.1f}, 1 << 20);
  draw("equal logits,temperature", flat, {.temperature = 1}, 0);
  draw("equal logits,top_k=1000", flat, {.top_k = 1000, .temperature = 1}, 0);
  draw("equal logits,top_p=0.9", flat, {.temperature = 1, .top_p = 0.9f}, 0);
  std::vector<scout::TokenLogProb> top;
  Report("log-probabilities,top 20",
         [&](int i) { sink += *sampler.LogProbs(bell.data(), kVocab, i, 20, &top) < 0; });
  auto matcher = *scout::StopMatcher::Create({"\n\nUser:", "<|eot|>", "###"});
  std::string out;
  Report("stop strings,1 MB of text in pieces of 5 bytes", [&](int) {
    for (int i = 0; i < 200000; ++i) sink += matcher.Push(i % 3 ? "Use\n " : "\n\nUse", &out);
    out.clear();
  });
  printf("\n]}\n");
  return sink == 42;
}
