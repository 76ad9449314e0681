// Any bytes as a file of the digest cache: nothing found, or the digest that a file with exactly
// these bytes keeps. SPDX-License-Identifier: Apache-2.0
//
// Sources: lib/model/digest_cache.* lib/util/digest.*
#include "lib/model/digest_cache.h"

#include <unistd.h>

#include <fstream>
#include <iterator>

#include "tests/fuzz/scratch.h"
#include "tests/fuzz/table_oracle.h"

namespace {

using scout::test::Require;

std::string ReadAll(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
}

// A cache for a file that was not changed lately: this program's own.
struct Fixture {
  scout::test::Scratch folder;
  scout::TensorTable table;
  scout::QuantConfig quant;
  scout::WeightPlan plan{table, quant};
  std::string name, right;  // of the cache's only file, and what it should say

  Fixture() {
    auto file = scout::File::Open("/proc/self/exe");
    Require(file.ok());
    table.files.push_back(*std::move(file));
    Require(Cache().Store(std::string(32, 'a')));
    for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
      name = entry.path().filename();
    }
    if (name.empty()) return;  // built a moment ago: there is nothing to look at yet
    right = ReadAll(folder.path() + "/" + name);
    Require(Cache().Find() == std::string(32, 'a'));
  }
  scout::DigestCache Cache() const { return scout::DigestCache(folder.path(), plan); }
};

}  // namespace

// An input is changes of the right file, two bytes each (offset, what is added to the byte), or
// behind a byte 255 the whole file.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Fixture* const fixture = [] {
    for (;;) {
      auto* made = new Fixture;
      if (!made->name.empty()) return made;
      delete made;
      sleep(1);
    }
  }();
  std::string bytes = fixture->right;
  if (size > 0 && data[0] == 255) {
    bytes.assign(reinterpret_cast<const char*>(data) + 1, size - 1);
  } else {
    for (size_t i = 0; i + 1 < size; i += 2) {
      char& byte = bytes[data[i] % bytes.size()];
      byte = static_cast<char>(byte + data[i + 1]);
    }
  }
  fixture->folder.Write(fixture->name.c_str(), bytes);
  const std::string digest = fixture->Cache().Find();
  if (digest.empty()) {
    Require(bytes != fixture->right);
    return 0;
  }
  Require(fixture->Cache().Store(digest));
  Require(ReadAll(fixture->folder.path() + "/" + fixture->name) == bytes);
  return 0;
}
