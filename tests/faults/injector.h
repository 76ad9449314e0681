// Fails the n-th allocation, read or thread creation of this process, by standing in for the C
// library's functions. The program exports its own malloc, pread and so on, which libscout.so finds
// before the C library's.
#pragma once

#include <cstdint>

namespace faults {

enum class Kind { kAllocation, kRead, kThread };

// From now on the n-th call (from 1) of this kind fails, once; 0 disarms.
void Arm(Kind kind, int64_t n);
// Calls of this kind since the last Arm.
int64_t Calls(Kind kind);
bool Fired();
// Allocations not yet freed. -1 where the build cannot count (address sanitizer).
int64_t LiveBlocks();

}  // namespace faults
