// Tensors of the files that the text model has no place for. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "lib/model/weights.h"
#include "lib/util/log.h"

namespace scout {

// Tensors known to be no part of the text model's arithmetic (image encoder, tables that are
// computed here, scales of a quantised cache or of activations, an optimiser's state) make one line
// in the log at info level, with their number and some names. Others outside the model's layers
// make one at warning level. Unsupported, with its name, for one that stands beside weights in use
// or in a layer of the model: leaving it out would change the results.
absl::Status CheckUnused(const WeightPlan& plan, int64_t n_layers, const Logger& logger);

}  // namespace scout
