// Lines of a batch's input: JSON objects with known fields. SPDX-License-Identifier: Apache-2.0
#include "tools/batch_request.h"

#include <cmath>
#include <functional>
#include <map>

#include "tools/json_line.h"

namespace scout::tool {
namespace {

using Json = nlohmann::json;

Failure Wrong(const std::string& name, const char* rule) {
  return BadInput("\"" + Printable(name, 80) + "\" is not " + rule);
}

Failure ReadInt(const std::string& name, const Json& value, int64_t least, int64_t most,
                int64_t* out) {
  if (!value.is_number_integer() ||
      (value.is_number_unsigned() && value.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX))) {
    return Wrong(name, "a whole number");
  }
  const auto number = value.get<int64_t>();
  if (number < least || number > most) {
    return BadInput("\"" + name + "\" is " + std::to_string(number) + ", not from " +
                    std::to_string(least) + " to " + std::to_string(most));
  }
  *out = number;
  return Ok();
}

Failure ReadFloat(const std::string& name, const Json& value, float* out) {
  if (!value.is_number()) return Wrong(name, "a number");
  const auto number = value.get<double>();
  if (!(std::abs(number) <= 3e38)) return Wrong(name, "a number within the range of float");
  *out = static_cast<float>(number);  // its range is the library's to check
  return Ok();
}

Failure ReadString(const std::string& name, const Json& value, std::string* out) {
  if (!value.is_string()) return Wrong(name, "a string");
  *out = value.get<std::string>();
  return Ok();
}

Failure ReadMessages(const Json& value, BatchRequest* request) {
  if (!value.is_array() || value.empty()) return Wrong("messages", "a list of messages");
  request->chat = true;
  for (const Json& message : value) {
    if (!message.is_object() || message.size() != 2 || !message.contains("role") ||
        !message.contains("content")) {
      return Wrong("messages", "a list of {\"role\", \"content\"}");
    }
    std::string role, content;
    TOOL_TRY(ReadString("role", message["role"], &role));
    TOOL_TRY(ReadString("content", message["content"], &content));
    request->messages.emplace_back(std::move(role), std::move(content));
  }
  return Ok();
}

Failure ReadStop(const Json& value, BatchRequest* request) {
  request->stop.clear();
  for (const Json& text : value.is_array() ? value : Json::array({value})) {
    std::string stop;
    TOOL_TRY(ReadString("stop", text, &stop));
    if (stop.empty() || stop.find('\0') != std::string::npos) {
      return Wrong("stop", "a text without NUL, or a list of such");
    }
    request->stop.push_back(std::move(stop));
  }
  return Ok();
}

// {"123": -1.5, "7": "-inf"}
Failure ReadBias(const Json& value, BatchRequest* request) {
  if (!value.is_object()) return Wrong("logit_bias", "an object of biases by token id");
  request->sampling.bias.clear();
  for (const auto& [key, bias] : value.items()) {
    int64_t id = 0;
    float number = -INFINITY;
    if (!ParseInt(key, &id) || id < 0 || id > INT32_MAX) {
      return Wrong(key, "a token id, the key of a logit_bias");
    }
    if (bias != "-inf") TOOL_TRY(ReadFloat("logit_bias", bias, &number));
    request->sampling.bias.push_back({static_cast<int32_t>(id), number});
  }
  return Ok();
}

using Reader = std::function<Failure(const std::string&, const Json&, BatchRequest*)>;

Reader Float(float scout_sampling_options::*field) {
  return [field](const std::string& name, const Json& value, BatchRequest* r) {
    return ReadFloat(name, value, &(r->sampling.operator->()->*field));
  };
}

const std::map<std::string, Reader>& Readers() {
  using Name = const std::string&;
  using Value = const Json&;
  static const std::map<std::string, Reader> readers = {
      {"id", [](Name, Value, BatchRequest*) { return Ok(); }},
      {"prompt", [](Name n, Value v, BatchRequest* r) { return ReadString(n, v, &r->prompt); }},
      {"messages", [](Name, Value v, BatchRequest* r) { return ReadMessages(v, r); }},
      {"max_tokens",
       [](Name n, Value v, BatchRequest* r) {
         r->max_tokens_given = true;
         return ReadInt(n, v, 0, INT64_MAX, &r->max_tokens);
       }},
      {"ignore_end",
       [](Name n, Value v, BatchRequest* r) {
         if (!v.is_boolean()) return Wrong(n, "true or false");
         r->ignore_end = v.get<bool>();
         return Ok();
       }},
      {"stop", [](Name, Value v, BatchRequest* r) { return ReadStop(v, r); }},
      {"logit_bias", [](Name, Value v, BatchRequest* r) { return ReadBias(v, r); }},
      {"seed",
       [](Name n, Value v, BatchRequest* r) {
         int64_t seed = 0;
         TOOL_TRY(ReadInt(n, v, 0, INT64_MAX, &seed));
         r->sampling->seed = static_cast<uint64_t>(seed);
         return Ok();
       }},
      {"top_k",
       [](Name n, Value v, BatchRequest* r) {
         int64_t k = 0;
         TOOL_TRY(ReadInt(n, v, 0, INT32_MAX, &k));
         r->sampling->top_k = static_cast<int32_t>(k);
         return Ok();
       }},
      {"penalty_window",
       [](Name n, Value v, BatchRequest* r) {
         return ReadInt(n, v, 0, INT64_MAX, &r->sampling->penalty_window);
       }},
      {"temperature", Float(&scout_sampling_options::temperature)},
      {"top_p", Float(&scout_sampling_options::top_p)},
      {"min_p", Float(&scout_sampling_options::min_p)},
      {"repetition_penalty", Float(&scout_sampling_options::repetition_penalty)},
      {"frequency_penalty", Float(&scout_sampling_options::frequency_penalty)},
      {"presence_penalty", Float(&scout_sampling_options::presence_penalty)},
  };
  return readers;
}

}  // namespace

Failure ReadRequest(const std::string& line, BatchRequest* request) {
  request->id = Json(Json::value_t::discarded);
  Json json;
  TOOL_TRY(ParseJson(line, &json));
  if (!json.is_object()) return BadInput("not a JSON object");
  if (json.contains("id")) request->id = json["id"];
  if (json.contains("prompt") == json.contains("messages")) {
    return BadInput(json.contains("prompt") ? "has both \"prompt\" and \"messages\": give one"
                                            : "needs one of \"prompt\" and \"messages\"");
  }
  for (const auto& [name, value] : json.items()) {
    auto reader = Readers().find(name);
    if (reader == Readers().end()) {
      return BadInput("\"" + Printable(name, 80) + "\" is no field of a request");
    }
    TOOL_TRY(reader->second(name, value, request));
  }
  return Ok();
}

}  // namespace scout::tool
