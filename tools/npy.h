// NumPy's .npy files: writing float32 matrices piece by piece, reading lists of integers.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/failure.h"
#include "tools/output_file.h"

namespace scout::tool {

// Writes a (rows, columns) float32 array, format version 1.0, as an OutputFile.
class NpyWriter {
 public:
  Failure Open(const std::string& path, int64_t rows, int64_t columns);
  Failure Write(const float* values, int64_t count);
  // Flushes and gives the file its name. Every value must have been written.
  Failure Finish();

 private:
  OutputFile file_;
  int64_t missing_ = 0;  // values not yet written
};

// The header of such an array: magic, version, length, dictionary, padded to 64 bytes.
std::string NpyHeader(int64_t rows, int64_t columns);

// True where `bytes` begins as a .npy file does.
bool IsNpy(const std::string& bytes);
// The values of a one-dimensional array of integers in any common width.
Failure ReadNpyInts(const std::string& bytes, const std::string& path,
                    std::vector<int64_t>* values);

}  // namespace scout::tool
