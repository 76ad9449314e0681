// scout bench: prefill and decode speed at given lengths and depths.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/commands.h"
#include "tools/open.h"
#include "tools/terminal.h"

namespace scout::tool {
namespace {

using Json = nlohmann::ordered_json;

struct Bench {
  explicit Bench(const Args& a) : args(a) {}
  const Args& args;
  std::vector<int64_t> prompts = {512}, depths = {0};
  int64_t gen = 32, reps = 5, warmup = 1;
  std::vector<int32_t> tokens;  // depth, then prompt
  scout_model_info info = {};
  Engine engine;
  Json results = Json::array();
  std::string table;
};

// SplitMix64: the same numbers on every machine for a seed.
uint64_t NextRandom(uint64_t* state) {
  uint64_t z = *state += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

int32_t StopOnInterrupt(void*, int64_t, int64_t) { return Interrupted() ? 1 : 0; }

Failure Prefill(Bench* bench, scout_session* session, int64_t from, int64_t count, bool logits) {
  if (count == 0) return Ok();
  scout_prefill_options options;
  scout_prefill_options_init(&options);
  options.progress = StopOnInterrupt;
  int64_t last = from + count - 1;
  std::vector<float> row;
  if (logits) {
    row.resize(bench->info.vocab_size);
    options.logit_rows = &last;
    options.n_logit_rows = 1;
    options.logits = row.data();
    options.logits_capacity = static_cast<int64_t>(row.size());
  }
  TOOL_CALL(scout_session_prefill, session, bench->tokens.data() + from, count, &options, nullptr);
  return Ok();
}

Failure Draw(scout_session* session, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    if (Interrupted()) return {kExitCancelled, "cancelled"};
    int32_t token = -1;
    TOOL_CALL(scout_session_decode, session, nullptr, &token);
  }
  return Ok();
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  size_t n = values.size();
  return n % 2 ? values[n / 2] : 0.5 * (values[n / 2 - 1] + values[n / 2]);
}

// Runs `body` on a fresh fork of `base` several times; `body` does its own preparation and returns
// the seconds of what is measured.
Failure Measure(Bench* bench, const char* test, int64_t depth, int64_t count, scout_session* base,
                int64_t room,
                const std::function<Failure(scout_session*, double*, scout_engine_stats*)>& body) {
  std::vector<double> seconds;
  int64_t flops = 0, rows = 0, groups = 0;
  for (int64_t rep = -bench->warmup; rep < bench->reps; ++rep) {
    scout_session* copy = nullptr;
    TOOL_CALL(scout_session_fork, base, depth + room, &copy);
    Session session(copy);
    scout_engine_stats before, after;
    double time = 0;
    TOOL_TRY(body(session.get(), &time, &before));
    TOOL_TRY(EngineStats(bench->engine.get(), &after));
    if (rep >= 0) seconds.push_back(time);
    flops = after.flops - before.flops;
    rows = after.expert_rows - before.expert_rows;
    groups = after.expert_groups - before.expert_groups;
  }
  double median = Median(seconds);
  double fastest = *std::min_element(seconds.begin(), seconds.end());
  double slowest = *std::max_element(seconds.begin(), seconds.end());
  double n = static_cast<double>(count);
  double per_expert = groups > 0 ? static_cast<double>(rows) / static_cast<double>(groups) : 0;
  bench->results.push_back(
      {{"test", test},
       {"depth", depth},
       {"tokens", count},
       {"tokens_per_second", {{"median", n / median}, {"min", n / slowest}, {"max", n / fastest}}},
       {"seconds", seconds},
       {"flops", flops},
       {"gflops_per_second", static_cast<double>(flops) / median * 1e-9},
       {"expert_rows", rows},
       {"expert_groups", groups},
       {"rows_per_expert", per_expert}});
  char line[200];
  std::snprintf(line, sizeof(line), "%-8s depth %8lld  tokens %6lld  %10s tokens/s (%s to %s)  ",
                test, static_cast<long long>(depth), static_cast<long long>(count),
                Fixed(n / median, 1).c_str(), Fixed(n / slowest, 1).c_str(),
                Fixed(n / fastest, 1).c_str());
  bench->table = line + Fixed(static_cast<double>(flops) * 1e-9, 3) + " GFLOP, " +
                 Fixed(static_cast<double>(flops) / median * 1e-9, 1) + " GFLOP/s, " +
                 Fixed(per_expert, 1) + " rows per expert\n";
  if (!bench->args.Has("quiet")) std::fputs(bench->table.c_str(), stderr);
  return Ok();
}

Failure BenchDepth(Bench* bench, int64_t depth) {
  scout_session_options options;
  scout_session_options_init(&options);
  // Decoding needs a token to begin with.
  int64_t start = std::max<int64_t>(depth, 1);
  for (bool decode : {false, true}) {
    int64_t held = decode ? start : depth;
    if (decode && bench->gen == 0) continue;
    if (!decode && bench->prompts.empty()) continue;
    options.max_tokens = start;
    scout_session* created = nullptr;
    TOOL_CALL(scout_session_create, bench->engine.get(), &options, &created);
    Session base(created);
    TOOL_TRY(Prefill(bench, base.get(), 0, held, false));
    if (decode) {
      TOOL_TRY(Measure(bench, "decode", held, bench->gen, base.get(), bench->gen + 1,
                       [&](scout_session* session, double* time, scout_engine_stats* before) {
                         // The first draw also computes the logits of the prefix.
                         TOOL_TRY(Draw(session, 1));
                         TOOL_TRY(EngineStats(bench->engine.get(), before));
                         Clock clock;
                         TOOL_TRY(Draw(session, bench->gen));
                         *time = clock.Seconds();
                         return Ok();
                       }));
      continue;
    }
    for (int64_t prompt : bench->prompts) {
      TOOL_TRY(Measure(bench, "prefill", held, prompt, base.get(), prompt,
                       [&](scout_session* session, double* time, scout_engine_stats* before) {
                         TOOL_TRY(EngineStats(bench->engine.get(), before));
                         Clock clock;
                         TOOL_TRY(Prefill(bench, session, held, prompt, true));
                         *time = clock.Seconds();
                         return Ok();
                       }));
    }
  }
  return Ok();
}

Failure RunBench(const Args& args) {
  TOOL_TRY(args.AtMost(0));
  Bench bench(args);
  constexpr int64_t kMost = int64_t{1} << 30;
  int64_t seed = 1;
  TOOL_TRY(args.IntList("prompt", 0, kMost, &bench.prompts));
  std::erase(bench.prompts, 0);
  TOOL_TRY(args.IntList("depth", 0, kMost, &bench.depths));
  TOOL_TRY(args.Int("gen", 0, kMost, &bench.gen));
  TOOL_TRY(args.Int("reps", 1, 100000, &bench.reps));
  TOOL_TRY(args.Int("warmup", 0, 100000, &bench.warmup));
  TOOL_TRY(args.Int("seed", 0, INT64_MAX, &seed));
  Model model;
  TOOL_TRY(LoadModel(args, 0, &model));
  TOOL_TRY(ModelInfo(model.get(), &bench.info));

  int64_t longest = std::max<int64_t>(1, bench.gen + 1);
  for (int64_t p : bench.prompts) longest = std::max(longest, p);
  int64_t deepest = *std::max_element(bench.depths.begin(), bench.depths.end());
  if (deepest + longest > bench.info.context_length) {  // before minutes are spent on the others
    return {kExitLimit, "--depth " + std::to_string(deepest) + " and " + std::to_string(longest) +
                            " tokens more (--prompt, --gen) pass the model's context of " +
                            std::to_string(bench.info.context_length)};
  }
  uint64_t state = static_cast<uint64_t>(seed);
  bench.tokens.resize(deepest + longest);
  for (int32_t& t : bench.tokens) {
    t = static_cast<int32_t>(NextRandom(&state) % static_cast<uint64_t>(bench.info.vocab_size));
  }
  // Room for the prefix and for one fork of it.
  TOOL_TRY(CreateEngine(args, model.get(), 2 * deepest + longest + 8192, &bench.engine));
  for (int64_t depth : bench.depths) TOOL_TRY(BenchDepth(&bench, depth));

  scout_engine_stats stats;
  TOOL_TRY(EngineStats(bench.engine.get(), &stats));
  Json json = {{"model", args.Get("model")},
               {"library", scout_version_string()},
               {"mode", args.Get("mode", "fast")},
               {"backend", stats.backend},
               {"isa", stats.isa},
               {"threads", stats.n_threads},
               {"weight_bytes", bench.info.weight_bytes},
               {"parameters", bench.info.n_parameters},
               {"seed", seed},
               {"repetitions", bench.reps},
               {"warmup", bench.warmup},
               {"results", bench.results}};
  return Out(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

}  // namespace

Command BenchCommand() {
  return {
      "bench",
      "-m PATH [options]",
      "measure prefill and decode speed; prints JSON",
      "Random token ids. Each repetition runs on a fork of a session that holds `depth` tokens;\n"
      "prefill ends with the logits of the last token, decode is greedy from the model itself.\n"
      "Reports medians and extremes, floating-point operations done, and how many rows each\n"
      "expert that was used had in a step.",
      Join({ModelOption(),
            {{'p', "prompt", "N,...", "lengths of prefill (default 512)"},
             {'n', "gen", "N", "tokens to decode (default 32; 0: none)"},
             {'d', "depth", "N,...", "tokens held before (default 0)"},
             {'r', "reps", "N", "measured repetitions (default 5)"},
             {0, "warmup", "N", "repetitions before that (default 1)"},
             {0, "seed", "N", "of the token ids (default 1)"}},
            EngineOptions(nullptr),  // the lengths given decide
            OverrideOptions()}),
      RunBench};
}

}  // namespace scout::tool
