#include "lib/util/cores.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace scout {
namespace {

// First CPU of a sysfs list such as "0,64" or "0-1"; -1 where it cannot be read.
int FirstSibling(int cpu) {
  const std::string path =
      absl::StrCat("/sys/devices/system/cpu/cpu", cpu, "/topology/thread_siblings_list");
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  char text[64];
  const ssize_t n = ::read(fd, text, sizeof text);
  ::close(fd);
  ssize_t end = 0;
  while (end < n && text[end] >= '0' && text[end] <= '9') ++end;
  int first = -1;
  return absl::SimpleAtoi(absl::string_view(text, static_cast<size_t>(end)), &first) ? first : -1;
}

}  // namespace

int PhysicalCores() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof mask, &mask) != 0) return 1;
  cpu_set_t cores;  // the first sibling of every allowed CPU
  CPU_ZERO(&cores);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &mask)) continue;
    const int first = FirstSibling(cpu);
    CPU_SET(first >= 0 && first < CPU_SETSIZE ? first : cpu, &cores);
  }
  return std::max(1, CPU_COUNT(&cores));
}

}  // namespace scout
