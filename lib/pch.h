// Headers that nearly every file of lib/ reads, compiled once. SPDX-License-Identifier: Apache-2.0
// Files still include what they use: the dev preset builds without this.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
