#include "tests/faults/injector.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace faults {
namespace {

std::atomic<int64_t> g_calls[3];
std::atomic<int64_t> g_fail_at[3];
std::atomic<bool> g_fired{false};
std::atomic<int64_t> g_live{0};

// Whether this call is the one to fail.
bool Hit(Kind kind) {
  const int k = static_cast<int>(kind);
  const int64_t call = g_calls[k].fetch_add(1, std::memory_order_relaxed) + 1;
  const int64_t at = g_fail_at[k].load(std::memory_order_relaxed);
  if (at == 0 || call != at) return false;
  g_fired.store(true);
  return true;
}

}  // namespace

void Arm(Kind kind, int64_t n) {
  g_calls[static_cast<int>(kind)].store(0);
  g_fail_at[static_cast<int>(kind)].store(n);
  if (n != 0) g_fired.store(false);
}
int64_t Calls(Kind kind) { return g_calls[static_cast<int>(kind)].load(); }
bool Fired() { return g_fired.load(); }

#if defined(__SANITIZE_ADDRESS__)

// The sanitizer owns malloc; operator new is replaced instead, and leaks are the sanitizer's to
// find.
int64_t LiveBlocks() { return -1; }

#else

int64_t LiveBlocks() { return g_live.load(); }

#endif
}  // namespace faults

#pragma GCC visibility push(default)
extern "C" {

ssize_t pread(int fd, void* buffer, size_t n, off_t offset) {
  if (faults::Hit(faults::Kind::kRead)) {
    errno = EIO;
    return -1;
  }
  return syscall(SYS_pread64, fd, buffer, n, offset);
}
ssize_t pread64(int fd, void* buffer, size_t n, off64_t offset) {
  return pread(fd, buffer, n, offset);
}
ssize_t read(int fd, void* buffer, size_t n) {
  if (faults::Hit(faults::Kind::kRead)) {
    errno = EIO;
    return -1;
  }
  return syscall(SYS_read, fd, buffer, n);
}

using CreateFn = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
int pthread_create(pthread_t* thread, const pthread_attr_t* attr, void* (*start)(void*),
                   void* arg) {
  static const CreateFn real = reinterpret_cast<CreateFn>(dlsym(RTLD_NEXT, "pthread_create"));
  if (faults::Hit(faults::Kind::kThread)) return EAGAIN;
  return real(thread, attr, start, arg);
}

#if !defined(__SANITIZE_ADDRESS__)

void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
void __libc_free(void*);

static void* Count(void* p) {
  if (p != nullptr) faults::g_live.fetch_add(1, std::memory_order_relaxed);
  return p;
}
static bool HitAllocation() {
  if (!faults::Hit(faults::Kind::kAllocation)) return false;
  errno = ENOMEM;
  return true;
}

void* malloc(size_t n) { return HitAllocation() ? nullptr : Count(__libc_malloc(n)); }
void* calloc(size_t n, size_t size) {
  return HitAllocation() ? nullptr : Count(__libc_calloc(n, size));
}
void* realloc(void* p, size_t n) {
  if (HitAllocation()) return nullptr;
  void* q = __libc_realloc(p, n);
  return p == nullptr ? Count(q) : q;
}
void* memalign(size_t align, size_t n) {
  return HitAllocation() ? nullptr : Count(__libc_memalign(align, n));
}
void* aligned_alloc(size_t align, size_t n) { return memalign(align, n); }
int posix_memalign(void** out, size_t align, size_t n) {
  void* p = memalign(align, n);
  if (p == nullptr) return ENOMEM;
  *out = p;
  return 0;
}
void free(void* p) {
  if (p != nullptr) faults::g_live.fetch_sub(1, std::memory_order_relaxed);
  __libc_free(p);
}

#endif
}  // extern "C"
#pragma GCC visibility pop

#if defined(__SANITIZE_ADDRESS__)

namespace {
void* New(size_t n, size_t align) {
  if (faults::Hit(faults::Kind::kAllocation)) return nullptr;
  void* p = nullptr;
  return posix_memalign(&p, align < sizeof(void*) ? sizeof(void*) : align, n == 0 ? 1 : n) == 0
             ? p
             : nullptr;
}
void* NewOrThrow(size_t n, size_t align) {
  void* p = New(n, align);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}
}  // namespace

void* operator new(size_t n) { return NewOrThrow(n, 16); }
void* operator new[](size_t n) { return NewOrThrow(n, 16); }
void* operator new(size_t n, std::align_val_t a) { return NewOrThrow(n, static_cast<size_t>(a)); }
void* operator new[](size_t n, std::align_val_t a) { return NewOrThrow(n, static_cast<size_t>(a)); }
void* operator new(size_t n, const std::nothrow_t&) noexcept { return New(n, 16); }
void* operator new[](size_t n, const std::nothrow_t&) noexcept { return New(n, 16); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }
void operator delete[](void* p, size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, size_t, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, size_t, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { std::free(p); }
void operator delete[](void* p, const std::nothrow_t&) noexcept { std::free(p); }

#endif
