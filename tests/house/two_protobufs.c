/* libscout beside the distribution's protobuf in one process. SPDX-License-Identifier: Apache-2.0
 *
 *   two_protobufs MODEL                  both are linked, in the order of the link line
 *   two_protobufs_open MODEL FIRST SECOND   both are opened (RTLD_GLOBAL), in this order
 *
 * The order decides whose symbols the dynamic linker finds first. scout_model_describe prints JSON
 * with the protobuf inside libscout; host_round_trip works with the distribution's. */
#include <scout.h>
#include <stdio.h>
#include <string.h>

#ifdef OPEN
#include <dlfcn.h>
#else
extern int host_round_trip(void);
#endif

typedef scout_status (*load_fn)(const char*, const scout_model_options*, scout_model**,
                                scout_error**);
typedef scout_status (*describe_fn)(const scout_model*, char*, int64_t, int64_t*, scout_error**);
typedef void (*free_fn)(scout_model*);
typedef int (*host_fn)(void);

static load_fn load;
static describe_fn describe;
static free_fn release;
static host_fn host;

#ifdef OPEN
static void* handles[2];

/* The function of either object; the copy keeps within ISO C, where no cast does. */
static int find(const char* name, void* function) {
  int i;
  for (i = 0; i < 2; ++i) {
    void* symbol = dlsym(handles[i], name);
    if (symbol != NULL) {
      memcpy(function, &symbol, sizeof(symbol));
      return 1;
    }
  }
  fprintf(stderr, "%s is missing\n", name);
  return 0;
}

static int resolve(char** paths) {
  int i;
  for (i = 0; i < 2; ++i) {
    handles[i] = dlopen(paths[i], RTLD_NOW | RTLD_GLOBAL);
    if (handles[i] == NULL) {
      fprintf(stderr, "%s\n", dlerror());
      return 0;
    }
  }
  return find("scout_model_load", &load) && find("scout_model_describe", &describe) &&
         find("scout_model_free", &release) && find("host_round_trip", &host);
}
#else
static int resolve(char** paths) {
  (void)paths;
  load = scout_model_load;
  describe = scout_model_describe;
  release = scout_model_free;
  host = host_round_trip;
  return 1;
}
#endif

static int describe_works(const char* path) {
  static char json[1 << 20];
  scout_model* model = NULL;
  int64_t size = 0;
  int good;
  if (load(path, NULL, &model, NULL) != SCOUT_OK) return 0;
  good = describe(model, json, sizeof(json) - 1, &size, NULL) == SCOUT_OK && size > 2 &&
         json[0] == '{' && strstr(json, "llama4") != NULL;
  release(model);
  return good;
}

int main(int argc, char** argv) {
  int round;
#ifdef OPEN
  if (argc != 4) return 2;
#else
  if (argc != 2) return 2;
#endif
  if (!resolve(argv + 2)) return 1;
  for (round = 0; round < 2; ++round) { /* each before and after the other */
    if (!host()) {
      fprintf(stderr, "the host's protobuf fails in round %d\n", round);
      return 1;
    }
    if (!describe_works(argv[1])) {
      fprintf(stderr, "scout_model_describe fails in round %d\n", round);
      return 1;
    }
  }
  puts("both work");
  return 0;
}
