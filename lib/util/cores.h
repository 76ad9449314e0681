// How many threads suit this process. SPDX-License-Identifier: Apache-2.0
#pragma once

namespace scout {

// Physical cores in this process's affinity mask, at least 1. SMT siblings count once; where the
// system does not tell siblings, every CPU counts.
int PhysicalCores();

}  // namespace scout
