// Statuses with a place. SPDX-License-Identifier: Apache-2.0
#include "lib/util/status.h"

#include <gtest/gtest.h>

namespace scout {
namespace {

absl::StatusOr<int> Half(int n) {
  if (n % 2 != 0) return CorruptError("odd");
  return n / 2;
}

absl::StatusOr<int> Quarter(int n) {
  SCOUT_ASSIGN_OR_RETURN(const int half, Half(n));
  SCOUT_ASSIGN_OR_RETURN(const int quarter, Half(half));
  return quarter;
}

absl::Status OnlyEven(int n) {
  SCOUT_RETURN_IF_ERROR(Half(n).status());
  return absl::OkStatus();
}

TEST(Status, PlaceIsKept) {
  const absl::Status status =
      AtPlace(CorruptError("bad"), {.file = "a.gguf", .tensor = "w", .offset = 12});
  EXPECT_EQ(status.message(), "bad");
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  const ErrorPlace place = PlaceOf(status);
  EXPECT_EQ(place.file, "a.gguf");
  EXPECT_EQ(place.tensor, "w");
  EXPECT_EQ(place.offset, 12);
}

TEST(Status, TheInnermostPlaceStays) {
  absl::Status status = AtPlace(CorruptError("bad"), {.tensor = "inner", .offset = 0});
  status = AtPlace(status, {.file = "f", .tensor = "outer", .offset = 99});
  const ErrorPlace place = PlaceOf(status);
  EXPECT_EQ(place.file, "f");
  EXPECT_EQ(place.tensor, "inner");
  EXPECT_EQ(place.offset, 0);
}

TEST(Status, NoPlace) {
  EXPECT_TRUE(AtPlace(absl::OkStatus(), {.file = "f"}).ok());
  const ErrorPlace place = PlaceOf(AtPlace(CorruptError("bad"), {}));
  EXPECT_EQ(place.file, "");
  EXPECT_EQ(place.tensor, "");
  EXPECT_EQ(place.offset, -1);
}

TEST(Status, Codes) {
  EXPECT_EQ(CorruptError("m").code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(UnsupportedError("m").code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(IoError("m").code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(CapacityError("m").code(), absl::StatusCode::kResourceExhausted);
}

TEST(Status, Macros) {
  EXPECT_EQ(*Quarter(12), 3);
  EXPECT_EQ(Quarter(6).status().message(), "odd");
  EXPECT_EQ(Quarter(5).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(OnlyEven(2).ok());
  EXPECT_FALSE(OnlyEven(3).ok());
}

}  // namespace
}  // namespace scout
