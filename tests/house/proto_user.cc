// Uses the distribution's protobuf; becomes a shared object that the host links or opens.
// SPDX-License-Identifier: Apache-2.0
#include <google/protobuf/util/json_util.h>

#include <string>

#include "tests/house/host.pb.h"

// 1 where a message survives the way to bytes, to JSON and back.
extern "C" __attribute__((visibility("default"))) int host_round_trip(void) {
  host::Note note;
  note.set_text("both protobufs at work");
  for (int i = 0; i < 1000; ++i) note.add_numbers(int64_t{i} << 32);
  (*note.mutable_details()->mutable_fields())["key"].set_string_value("value");

  host::Note from_bytes, from_json;
  std::string json;
  if (!from_bytes.ParseFromString(note.SerializeAsString())) return 0;
  if (!google::protobuf::util::MessageToJsonString(from_bytes, &json).ok()) return 0;
  if (!google::protobuf::util::JsonStringToMessage(json, &from_json).ok()) return 0;
  return from_json.SerializeAsString().size() == note.SerializeAsString().size() &&
         from_json.text() == note.text() && from_json.numbers(999) == note.numbers(999);
}
