// Errors with a place, kept as payloads. SPDX-License-Identifier: Apache-2.0
#include "lib/util/status.h"

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"

namespace scout {
namespace {
constexpr char kFile[] = "scout/file";
constexpr char kTensor[] = "scout/tensor";
constexpr char kOffset[] = "scout/offset";
}  // namespace

absl::Status AtPlace(absl::Status status, const ErrorPlace& place) {
  if (status.ok()) return status;
  if (!place.file.empty() && !status.GetPayload(kFile)) {
    status.SetPayload(kFile, absl::Cord(place.file));
  }
  if (!place.tensor.empty() && !status.GetPayload(kTensor)) {
    status.SetPayload(kTensor, absl::Cord(place.tensor));
  }
  if (place.offset >= 0 && !status.GetPayload(kOffset)) {
    status.SetPayload(kOffset, absl::Cord(absl::StrCat(place.offset)));
  }
  return status;
}

ErrorPlace PlaceOf(const absl::Status& status) {
  ErrorPlace place;
  if (auto p = status.GetPayload(kFile)) place.file = std::string(*p);
  if (auto p = status.GetPayload(kTensor)) place.tensor = std::string(*p);
  if (auto p = status.GetPayload(kOffset)) {
    if (!absl::SimpleAtoi(std::string(*p), &place.offset)) place.offset = -1;
  }
  return place;
}

}  // namespace scout
