// Parsing with a limit on nesting. SPDX-License-Identifier: Apache-2.0
#include "tools/json_line.h"

#include <cstddef>
#include <string>

namespace scout::tool {
namespace {

using Json = nlohmann::json;

// Stops where a text is nested too deeply. (A callback of Json::parse could do it too, but with one
// each object that ends looks through all that came before it in its list.)
class Depth : public nlohmann::json_sax<Json> {
 public:
  bool too_deep() const { return depth_ > kMostNesting; }

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool key(string_t&) override { return true; }
  bool start_object(std::size_t) override { return ++depth_ <= kMostNesting; }
  bool start_array(std::size_t) override { return ++depth_ <= kMostNesting; }
  bool end_object() override { return End(); }
  bool end_array() override { return End(); }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override {
    return false;
  }

 private:
  bool End() {
    --depth_;
    return true;
  }
  int depth_ = 0;
};

}  // namespace

Failure ParseJson(std::string_view text, Json* json) {
  Depth depth;
  if (!Json::sax_parse(text.begin(), text.end(), &depth) && depth.too_deep()) {
    return BadInput("lists and objects are nested more than " + std::to_string(kMostNesting) +
                    " deep");
  }
  try {
    *json = Json::parse(text.begin(), text.end());
  } catch (const Json::parse_error& e) {
    return BadInput("not JSON: byte " + std::to_string(e.byte) + " of the line is unexpected");
  } catch (const Json::out_of_range&) {
    return BadInput("not JSON: a number is out of range");
  }
  return Ok();
}

}  // namespace scout::tool
