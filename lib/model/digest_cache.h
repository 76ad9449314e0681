// Digests of weights that were computed before, kept in a folder of the caller.
// SPDX-License-Identifier: Apache-2.0
//
// One small file per model, named by the digest of its key: path, size, times of change, inode and
// device of each of the model's files, and which tensors are bound. It holds the key itself, the
// digest of the weights and a digest of the whole, so that a torn, damaged or foreign file is
// nothing but a miss. Whoever may write to the folder may of course say what the digest is: a
// folder of another user, or one that others may write to, is not used. Links in it are not
// followed.
#pragma once

#include <string>

#include "lib/model/weights.h"

namespace scout {

class DigestCache {
 public:
  // An empty folder name: nothing is found or kept.
  DigestCache(const std::string& folder, const WeightPlan& plan);

  // Why the folder is not used, or empty. Nothing is found or kept then.
  const std::string& fault() const { return fault_; }

  // 32 hex digits, or empty.
  std::string Find() const;
  // Keeps a digest, by a temporary file (mode 0600) that is renamed. The folder is made where it is
  // missing, its parent is not. False where that failed; true without a folder, and where a file
  // of the model was changed so lately that its time need not show the next change: not kept then.
  bool Store(const std::string& digest) const;

 private:
  std::string Text(const std::string& digest) const;
  std::string folder_, key_, path_, fault_;
  bool settled_ = true;  // every file was changed some time ago
};

}  // namespace scout
