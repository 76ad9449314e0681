// Parsing with a limit on nesting. SPDX-License-Identifier: Apache-2.0
#include "tools/json_line.h"

#include <cstddef>
#include <set>
#include <string>
#include <vector>

namespace scout::tool {
namespace {

using Json = nlohmann::json;

// Stops where a text is nested too deeply or names a key of an object twice, of which a reader
// would have to choose one. (A callback of Json::parse could do it too, but with one each object
// that ends looks through all that came before it in its list.)
class Shape : public nlohmann::json_sax<Json> {
 public:
  bool too_deep() const { return keys_.size() > kMostNesting; }
  const std::string& twice() const { return twice_; }  // the key in quotes, or ""

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool key(string_t& name) override {
    if (keys_.back().insert(name).second) return true;
    twice_ = "\"" + Printable(name, 80) + "\"";
    return false;
  }
  bool start_object(std::size_t) override { return Begin(); }
  bool start_array(std::size_t) override { return Begin(); }
  bool end_object() override { return End(); }
  bool end_array() override { return End(); }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override {
    return false;
  }

 private:
  bool Begin() {
    keys_.emplace_back();
    return !too_deep();
  }
  bool End() {
    keys_.pop_back();
    return true;
  }
  std::vector<std::set<std::string>> keys_;  // of the objects that are open; lists have none
  std::string twice_;
};

}  // namespace

Failure ParseJson(std::string_view text, Json* json) {
  Shape shape;
  if (!Json::sax_parse(text.begin(), text.end(), &shape)) {
    if (shape.too_deep()) {
      return BadInput("lists and objects are nested more than " + std::to_string(kMostNesting) +
                      " deep");
    }
    if (!shape.twice().empty()) return BadInput(shape.twice() + " is there twice");
  }
  try {
    *json = Json::parse(text.begin(), text.end());
  } catch (const Json::parse_error& e) {
    if (e.byte > text.size()) return BadInput("not JSON: the line ends before the JSON does");
    return BadInput("not JSON: byte " + std::to_string(e.byte) + " of the line is unexpected");
  } catch (const Json::out_of_range&) {
    return BadInput("not JSON: a number is out of range");
  }
  return Ok();
}

}  // namespace scout::tool
