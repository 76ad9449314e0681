// Measures what docs/engine.md promises, on a model: how soon a cancelled load or job ends, how
// much faster sessions decode together than one alone, and that memory stays flat over many jobs.
// SPDX-License-Identifier: Apache-2.0
//
// usage: engine_bench MODEL [cancel|cancel-load|together|memory]... [NAME=N]...
// All four where none is named. moments: of each kind to cancel at (1000); prompt: tokens of a
// prefill that is cancelled (2048); tokens: to decode in each measurement (128).
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "include/scout.h"

namespace {

using Clock = std::chrono::steady_clock;

// Of all threads, user and system: what the work costs when other programs share the cores.
double CpuSeconds() {
  rusage r{};
  getrusage(RUSAGE_SELF, &r);
  return static_cast<double>(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
         1e-6 * static_cast<double>(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}

double Since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

void Must(scout_status status, scout_error* error, const char* what) {
  if (status == SCOUT_OK) return;
  std::fprintf(stderr, "%s: %s: %s\n", what, scout_status_name(status), scout_error_message(error));
  std::exit(1);
}
#define MUST(call, ...)                      \
  do {                                       \
    scout_error* e_ = nullptr;               \
    Must(call(__VA_ARGS__, &e_), e_, #call); \
  } while (0)

struct Bench {
  std::string path;
  scout_model* model = nullptr;
  scout_model_info info = {};
  std::mt19937_64 rng{1};
  int64_t moments = 1000, prompt = 2048, tokens = 128;

  std::vector<int32_t> Random(int64_t n) {
    std::vector<int32_t> ids(static_cast<size_t>(n));
    for (int32_t& id : ids) {
      id = static_cast<int32_t>(rng() % static_cast<uint64_t>(info.vocab_size));
    }
    return ids;
  }
  scout_engine* Engine() {
    scout_engine* engine = nullptr;
    MUST(scout_engine_create, model, nullptr, &engine);
    return engine;
  }
  scout_session* Session(scout_engine* engine, int64_t max_tokens) {
    scout_session_options o;
    scout_session_options_init(&o);
    o.max_tokens = max_tokens;
    scout_session* session = nullptr;
    MUST(scout_session_create, engine, &o, &session);
    return session;
  }
};

scout_job_options Options(int64_t max_new) {
  scout_job_options o;
  scout_job_options_init(&o);
  o.flags = SCOUT_JOB_IGNORE_END;
  o.max_new_tokens = max_new;
  o.event_capacity = 4096;
  return o;
}

scout_event Wait(scout_job* job) {
  scout_event event{};
  event.struct_size = sizeof event;
  MUST(scout_job_wait, job, -1, &event);
  return event;
}

scout_engine_stats Stats(scout_engine* engine) {
  scout_engine_stats s{};
  s.struct_size = sizeof s;
  MUST(scout_engine_get_stats, engine, &s);
  return s;
}

// Times from a wish to stop until its end was seen, and what bounds them.
struct Cancels {
  std::vector<double> seconds;
  double longest_look = -1;  // seconds, between two looks for jobs that should end; -1: not known
  int64_t too_late = 0;      // wishes that came when the work was done
};

void Print(const char* what, Cancels c) {
  std::vector<double>& s = c.seconds;
  if (s.empty()) return;
  std::sort(s.begin(), s.end());
  std::printf("%-22s %6zu %10.2f %10.2f %10.2f", what, s.size(), s[s.size() / 2] * 1e3,
              s[s.size() * 99 / 100] * 1e3, s.back() * 1e3);
  if (c.longest_look >= 0) {
    std::printf(" %14.2f", c.longest_look * 1e3);
  } else {
    std::printf(" %14s", "");
  }
  std::printf(" %9lld\n", static_cast<long long>(c.too_late));
  std::fflush(stdout);
}

// From the wish to stop until the load has returned.
Cancels CancelLoad(Bench* b) {
  Clock::time_point begin = Clock::now();
  scout_model* model = nullptr;
  MUST(scout_model_load, b->path.c_str(), nullptr, &model);
  scout_model_free(model);
  const double whole = Since(begin);
  Cancels cancels;
  const auto wanted = static_cast<size_t>(b->moments);
  // Of a small model many end before they see the wish.
  for (int64_t i = 0; cancels.seconds.size() < wanted && i < 40 * b->moments; ++i) {
    std::atomic<bool> stop{false};
    Clock::time_point asked;
    scout_model_options o;
    scout_model_options_init(&o);
    o.progress_user = &stop;
    o.progress = [](void* user, int64_t, int64_t) -> int32_t {
      return static_cast<std::atomic<bool>*>(user)->load() ? 1 : 0;
    };
    const double at = whole * static_cast<double>(b->rng() % 1000) / 1000;
    std::thread stopper([&] {
      std::this_thread::sleep_for(std::chrono::duration<double>(at));
      asked = Clock::now();
      stop.store(true);
    });
    model = nullptr;
    const scout_status status = scout_model_load(b->path.c_str(), &o, &model, nullptr);
    const Clock::time_point end = Clock::now();
    stopper.join();
    if (status == SCOUT_CANCELLED) {
      cancels.seconds.push_back(std::chrono::duration<double>(end - asked).count());
    } else if (end > asked) {
      ++cancels.too_late;  // asked after the last piece: the load ended by itself
    }
    scout_model_free(model);
  }
  return cancels;
}

// From scout_job_cancel until the final event is read; moments spread over the job's time. beside:
// another session prefills all the time, and the job comes after it.
Cancels CancelJobs(Bench* b, int64_t prompt, int64_t max_new, bool beside) {
  scout_engine* engine = b->Engine();
  scout_session* session = b->Session(engine, prompt + max_new + 1);
  scout_session* other = beside ? b->Session(engine, prompt) : nullptr;
  scout_job* other_job = nullptr;
  scout_job_options o = Options(max_new);
  if (beside) o.priority = -8;
  const scout_job_options prefill = Options(0);
  Cancels cancels;
  double whole = 0;
  const auto wanted = static_cast<size_t>(b->moments);
  for (int64_t i = -2; cancels.seconds.size() < wanted && i < 3 * b->moments; ++i) {
    if (beside && scout_job_state(other_job) == SCOUT_JOB_OVER) {
      scout_job_free(other_job);
      MUST(scout_session_rewind, other, 0);
      MUST(scout_job_submit, other, b->Random(prompt).data(), prompt, &prefill, &other_job);
    }
    MUST(scout_session_rewind, session, 0);
    const std::vector<int32_t> ids = b->Random(prompt);
    scout_job* job = nullptr;
    const Clock::time_point begin = Clock::now();
    MUST(scout_job_submit, session, ids.data(), prompt, &o, &job);
    if (i < 0) {
      Wait(job);
      whole = Since(begin);
      if (beside) whole /= 2;  // most of it while the other's prefill still runs
    } else {
      const double at = whole * static_cast<double>(b->rng() % 1000) / 1000;
      std::this_thread::sleep_for(std::chrono::duration<double>(at));
      const Clock::time_point asked = Clock::now();
      MUST(scout_job_cancel, job);
      if (Wait(job).reason == SCOUT_DONE_CANCELLED) {
        cancels.seconds.push_back(Since(asked));
      } else {
        ++cancels.too_late;
      }
    }
    scout_job_free(job);
  }
  cancels.longest_look = Stats(engine).seconds_longest_look;
  scout_job_free(other_job);
  scout_session_free(other);
  scout_session_free(session);
  scout_engine_free(engine);
  return cancels;
}

void PrintCancelHead() {
  std::printf("cancel, milliseconds until the end is seen\n%-22s %6s %10s %10s %10s %14s %9s\n",
              "during", "n", "median", "99 %", "worst", "between looks", "too late");
}

void Cancel(Bench* b) {
  const int64_t prompt = std::min<int64_t>(b->prompt, b->info.context_length / 2);
  const int64_t max_new = std::min<int64_t>(b->tokens, b->info.context_length - prompt - 1);
  PrintCancelHead();
  Print("prefill", CancelJobs(b, prompt, 0, false));
  Print("behind another", CancelJobs(b, prompt, 0, true));
  Print("decode", CancelJobs(b, 1, max_new, false));
  std::printf("\n");
}

// Tokens per second of n sessions that decode together, each from a prompt of its own.
double Decode(Bench* b, int n, int64_t tokens, double* experts, double* rows, double* cpu) {
  scout_engine* engine = b->Engine();
  std::vector<scout_session*> sessions;
  std::vector<scout_job*> jobs(static_cast<size_t>(n));
  const scout_job_options prefill = Options(0);
  scout_job_options o = Options(tokens);
  scout_sampling_options sampling;
  scout_sampling_options_init(&sampling);
  sampling.temperature = 1;
  o.sampling = &sampling;
  o.flags |= SCOUT_JOB_APPEND;
  const int64_t prompt = 32;
  for (int i = 0; i < n; ++i) {
    sessions.push_back(b->Session(engine, prompt + tokens + 1));
    const std::vector<int32_t> ids = b->Random(prompt);
    MUST(scout_job_submit, sessions[i], ids.data(), prompt, &prefill, &jobs[i]);
    Wait(jobs[i]);
    scout_job_free(jobs[i]);
  }
  const scout_engine_stats before = Stats(engine);
  const Clock::time_point begin = Clock::now();
  const double cpu_before = CpuSeconds();
  for (int i = 0; i < n; ++i) {
    sampling.seed = static_cast<uint64_t>(i);
    MUST(scout_job_submit, sessions[i], nullptr, 0, &o, &jobs[i]);
  }
  for (int i = 0; i < n; ++i) {
    Wait(jobs[i]);
    scout_job_free(jobs[i]);
  }
  const double seconds = Since(begin);
  *cpu = (CpuSeconds() - cpu_before) / static_cast<double>(n * tokens);
  const scout_engine_stats after = Stats(engine);
  const double steps = static_cast<double>(after.steps - before.steps);
  *experts = static_cast<double>(after.expert_groups - before.expert_groups) / steps /
             std::max(1, b->info.n_moe_layers);
  *rows = static_cast<double>(after.tokens_computed - before.tokens_computed) / steps;
  for (scout_session* s : sessions) scout_session_free(s);
  scout_engine_free(engine);
  return static_cast<double>(n * tokens) / seconds;
}

void Together(Bench* b) {
  const int64_t tokens = std::min<int64_t>(b->tokens, b->info.context_length - 40);
  std::printf("decode together, random prompts, temperature 1; median of 5\n");
  std::printf("%-10s %12s %8s %14s %8s %12s %22s\n", "sessions", "tokens/s", "ratio",
              "CPU ms/token", "ratio", "rows/step", "experts/step and layer");
  double alone = 0, cpu_alone = 0;
  for (int n : {1, 2, 4, 8}) {
    std::vector<double> rates, cpus;
    double experts = 0, rows = 0, cpu = 0;
    for (int i = 0; i < 5; ++i) {
      rates.push_back(Decode(b, n, tokens, &experts, &rows, &cpu));
      cpus.push_back(cpu);
    }
    std::sort(rates.begin(), rates.end());
    std::sort(cpus.begin(), cpus.end());
    if (n == 1) alone = rates[2], cpu_alone = cpus[2];
    std::printf("%-10d %12.1f %8.2f %14.2f %8.2f %12.2f %22.2f\n", n, rates[2], rates[2] / alone,
                cpus[2] * 1e3, cpu_alone / cpus[2], rows, experts);
    std::fflush(stdout);
  }
  std::printf("\n");
}

int64_t ResidentBytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  long long total = 0, resident = 0;
  if (file == nullptr || std::fscanf(file, "%lld %lld", &total, &resident) != 2) std::exit(1);
  std::fclose(file);
  return resident * sysconf(_SC_PAGESIZE);
}

void Memory(Bench* b) {
  scout_engine* engine = b->Engine();
  std::vector<scout_session*> sessions;
  for (int i = 0; i < 4; ++i) sessions.push_back(b->Session(engine, 64));
  const scout_job_options o = Options(4);
  std::printf("memory over jobs of four sessions\n%-10s %14s\n", "jobs", "resident MiB");
  for (int64_t done = 0; done <= 10000;) {
    if (done % 2000 == 0) {
      std::printf("%-10lld %14.2f\n", static_cast<long long>(done),
                  static_cast<double>(ResidentBytes()) / (1 << 20));
      std::fflush(stdout);
    }
    scout_job* jobs[4];
    for (int i = 0; i < 4; ++i) {
      const std::vector<int32_t> ids = b->Random(8);
      MUST(scout_job_submit, sessions[i], ids.data(), 8, &o, &jobs[i]);
    }
    for (scout_job* job : jobs) {
      Wait(job);
      scout_job_free(job);
    }
    done += 4;
  }
  std::printf("\n");
  for (scout_session* s : sessions) scout_session_free(s);
  scout_engine_free(engine);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr,
                 "usage: engine_bench MODEL [cancel|cancel-load|together|memory]... "
                 "[moments=N] [prompt=N] [tokens=N]\n");
    return 2;
  }
  Bench bench;
  bench.path = argv[1];
  MUST(scout_model_load, argv[1], nullptr, &bench.model);
  bench.info.struct_size = sizeof bench.info;
  MUST(scout_model_get_info, bench.model, &bench.info);
  bool all = true;
  std::vector<std::string> kinds;
  for (int i = 2; i < argc; ++i) {
    const std::string a = argv[i];
    const size_t equals = a.find('=');
    int64_t* value = a.substr(0, equals) == "moments"  ? &bench.moments
                     : a.substr(0, equals) == "prompt" ? &bench.prompt
                     : a.substr(0, equals) == "tokens" ? &bench.tokens
                                                       : nullptr;
    if (equals != std::string::npos && value != nullptr) {
      *value = std::atoll(a.c_str() + equals + 1);
      if (*value > 0) continue;
    } else if (a == "cancel" || a == "cancel-load" || a == "together" || a == "memory") {
      kinds.push_back(a);
      all = false;
      continue;
    }
    std::fprintf(stderr, "engine_bench: %s is no measurement and no setting\n", a.c_str());
    return 2;
  }
  auto asked = [&](const char* name) {
    return all || std::find(kinds.begin(), kinds.end(), name) != kinds.end();
  };
  if (asked("cancel")) Cancel(&bench);
  if (asked("cancel-load")) {
    PrintCancelHead();
    Print("load", CancelLoad(&bench));
    std::printf("\n");
  }
  if (asked("together")) Together(&bench);
  if (asked("memory")) Memory(&bench);
  scout_model_free(bench.model);
  return 0;
}
