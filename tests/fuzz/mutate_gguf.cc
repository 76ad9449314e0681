// Mutations of GGUF files. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <vector>

#include "kernels/quant/types.h"
#include "tests/fuzz/mutators.h"

namespace scout::test {
namespace {

constexpr uint32_t kString = 8, kArray = 9;
constexpr uint64_t kTrue = UINT64_MAX - 7;  // as a length or count: what is really there

template <typename T>
std::string Raw(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

std::string Sized(const std::string& text, uint64_t length = kTrue) {
  return Raw(length == kTrue ? uint64_t{text.size()} : length) + text;
}

size_t ScalarBytes(uint32_t kind) {
  static constexpr size_t kBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  return kind < std::size(kBytes) ? kBytes[kind] : 0;
}

struct Key {
  std::string name;
  uint64_t name_length = kTrue;
  uint32_t kind = 4;
  uint32_t item_kind = 4;              // of an array
  std::vector<std::string> items{""};  // raw scalars, or texts; one unless an array
  uint64_t count = kTrue;              // of an array
  uint64_t text_length = kTrue;        // of the first text
};

struct Tensor {
  std::string name;
  uint64_t name_length = kTrue;
  std::vector<uint64_t> dims;
  uint32_t n_dims = 0xFFFFFFFF;  // that: what is really there
  uint32_t type = 0;
  uint64_t offset = 0;
};

class Cursor {
 public:
  explicit Cursor(std::string_view bytes) : bytes_(bytes) {}
  bool ok() const { return ok_; }
  size_t at() const { return at_; }
  template <typename T>
  T Read() {
    T value{};
    const std::string_view raw = Take(sizeof(T));
    if (raw.size() == sizeof(T)) std::memcpy(&value, raw.data(), sizeof(T));
    return value;
  }
  std::string Text() { return std::string(Take(Read<uint64_t>())); }
  std::string_view Take(uint64_t n) {
    if (!ok_ || n > bytes_.size() - at_) {
      ok_ = false;
      return {};
    }
    at_ += n;
    return bytes_.substr(at_ - n, n);
  }

 private:
  std::string_view bytes_;
  size_t at_ = 0;
  bool ok_ = true;
};

struct Draft {
  std::string magic = "GGUF";
  uint32_t version = 3;
  uint64_t n_tensors = kTrue, n_keys = kTrue;
  std::vector<Key> keys;
  std::vector<Tensor> tensors;
  uint64_t alignment = 32;
  std::string data;

  static Draft Read(std::string_view bytes) {
    Draft draft;
    Cursor in(bytes);
    in.Take(4);
    const uint32_t version = in.Read<uint32_t>();
    if (version == 2) draft.version = 2;
    const uint64_t n_tensors = in.Read<uint64_t>(), n_keys = in.Read<uint64_t>();
    for (uint64_t i = 0; i < n_keys && in.ok(); ++i) {
      Key key;
      key.name = in.Text();
      key.kind = in.Read<uint32_t>();
      ReadValue(in, &key);
      if (!in.ok()) break;
      if (key.name == "general.alignment" && key.kind == 4) {
        std::memcpy(&draft.alignment, key.items[0].data(), 4);
        if (draft.alignment == 0 || draft.alignment > 4096) draft.alignment = 32;
      }
      draft.keys.push_back(std::move(key));
    }
    for (uint64_t i = 0; i < n_tensors && in.ok(); ++i) {
      Tensor tensor;
      tensor.name = in.Text();
      const uint32_t n_dims = in.Read<uint32_t>();
      for (uint32_t d = 0; d < n_dims && d < 8; ++d) tensor.dims.push_back(in.Read<uint64_t>());
      tensor.type = in.Read<uint32_t>();
      tensor.offset = in.Read<uint64_t>();
      if (!in.ok()) break;
      draft.tensors.push_back(std::move(tensor));
    }
    const size_t start = (in.at() + draft.alignment - 1) / draft.alignment * draft.alignment;
    if (start < bytes.size()) draft.data = bytes.substr(start);
    return draft;
  }

  static void ReadValue(Cursor& in, Key* key) {
    if (key->kind == kString) {
      key->items[0] = in.Text();
    } else if (key->kind == kArray) {
      key->item_kind = in.Read<uint32_t>();
      const uint64_t count = in.Read<uint64_t>();
      key->items.clear();
      for (uint64_t i = 0; i < count && in.ok(); ++i) {
        key->items.push_back(key->item_kind == kString
                                 ? in.Text()
                                 : std::string(in.Take(ScalarBytes(key->item_kind))));
        if (key->item_kind != kString && ScalarBytes(key->item_kind) == 0) break;
      }
    } else {
      key->items[0] = std::string(in.Take(ScalarBytes(key->kind)));
    }
  }

  std::string Write() const {
    std::string out = magic + Raw(version) +
                      Raw(n_tensors == kTrue ? uint64_t{tensors.size()} : n_tensors) +
                      Raw(n_keys == kTrue ? uint64_t{keys.size()} : n_keys);
    for (const Key& key : keys) {
      out += Sized(key.name, key.name_length) + Raw(key.kind);
      if (key.kind == kArray) {
        out +=
            Raw(key.item_kind) + Raw(key.count == kTrue ? uint64_t{key.items.size()} : key.count);
      }
      const bool text = key.kind == kString || (key.kind == kArray && key.item_kind == kString);
      uint64_t length = key.text_length;
      for (const std::string& item : key.items) {
        out += text ? Sized(item, length) : item;
        length = kTrue;
      }
    }
    for (const Tensor& tensor : tensors) {
      out += Sized(tensor.name, tensor.name_length) +
             Raw(tensor.n_dims == 0xFFFFFFFF ? static_cast<uint32_t>(tensor.dims.size())
                                             : tensor.n_dims);
      for (uint64_t d : tensor.dims) out += Raw(d);
      out += Raw(tensor.type) + Raw(tensor.offset);
    }
    if (!data.empty()) {
      out.resize((out.size() + alignment - 1) / alignment * alignment, '\0');
      out += data;
    }
    return out;
  }

  // Every tensor behind the one before, and as much data as they need (of what fits in 64 KiB).
  void LayOut() {
    uint64_t end = 0;
    for (Tensor& tensor : tensors) {
      kernels::QuantType type;
      uint64_t elems = 1, bytes = 4, n = 1;
      if (kernels::quant_type_from_gguf(tensor.type, &type)) {
        elems = static_cast<uint64_t>(kernels::quant_traits(type).block_elems);
        bytes = static_cast<uint64_t>(kernels::quant_traits(type).block_bytes);
      }
      for (uint64_t d : tensor.dims) n *= d;
      tensor.offset = (end + alignment - 1) / alignment * alignment;
      end = tensor.offset + n / elems * bytes;
      if (end > 65536) return;
    }
    data.resize(end, '\1');
  }
};

// A number as a scalar of its kind.
std::string Scalar(uint32_t kind, uint64_t number) {
  if (kind == 6) return Raw(static_cast<float>(static_cast<double>(number)));
  if (kind == 12) return Raw(static_cast<double>(number));
  return Raw(number).substr(0, ScalarBytes(kind));
}

const std::vector<std::string>& KnownKeys() {
  static const std::vector<std::string> kKeys = {"general.alignment",
                                                 "general.architecture",
                                                 "split.no",
                                                 "split.count",
                                                 "split.tensors.count",
                                                 "llama4.block_count",
                                                 "llama4.embedding_length",
                                                 "llama4.attention.head_count",
                                                 "llama4.attention.head_count_kv",
                                                 "llama4.attention.key_length",
                                                 "llama4.attention.value_length",
                                                 "llama4.context_length",
                                                 "llama4.expert_count",
                                                 "llama4.expert_used_count",
                                                 "llama4.expert_feed_forward_length",
                                                 "llama4.feed_forward_length",
                                                 "llama4.interleave_moe_layer_step",
                                                 "llama4.vocab_size",
                                                 "llama4.rope.dimension_count",
                                                 "llama4.rope.freq_base",
                                                 "llama4.rope.scaling.type",
                                                 "llama4.attention.layer_norm_rms_epsilon",
                                                 "llama4.attention.sliding_window",
                                                 "llama4.attention.sliding_window_pattern",
                                                 "llama4.attention.temperature_scale",
                                                 "llama4.attention.temperature_length",
                                                 "llama4.expert_shared_feed_forward_length",
                                                 "tokenizer.ggml.model",
                                                 "tokenizer.ggml.pre",
                                                 "tokenizer.ggml.tokens",
                                                 "tokenizer.ggml.token_type",
                                                 "tokenizer.ggml.merges",
                                                 "tokenizer.ggml.bos_token_id",
                                                 "tokenizer.ggml.eos_token_id",
                                                 "tokenizer.ggml.eot_token_id",
                                                 "tokenizer.ggml.eom_token_id",
                                                 "tokenizer.chat_template"};
  return kKeys;
}

void ChangeItems(Key* key, Random& random) {
  const bool text = key->kind == kString || (key->kind == kArray && key->item_kind == kString);
  const uint32_t kind = key->kind == kArray ? key->item_kind : key->kind;
  if (key->kind == kArray && random.OneIn(2)) {  // how many, the count following
    if (!key->items.empty() && random.OneIn(2)) {
      key->items.erase(key->items.begin() +
                       static_cast<ptrdiff_t>(random.Below(key->items.size())));
    } else if (!key->items.empty()) {
      key->items.push_back(random.Of(key->items));
    } else {
      key->items.push_back(text ? "x" : Scalar(kind, EdgeNumber(random)));
    }
    return;
  }
  if (key->items.empty()) return;
  std::string& item = random.Of(key->items);
  if (!text) {
    item = Scalar(kind, EdgeNumber(random));
  } else if (random.OneIn(3)) {
    item = EdgeName(random);
  } else if (random.OneIn(2)) {
    item = random.Of(key->items) + random.Of(key->items);
  } else if (!item.empty()) {
    item[random.Below(item.size())] = static_cast<char>(random.Next());
  }
}

void ChangeKey(Draft* draft, Random& random) {
  std::vector<Key>& keys = draft->keys;
  if (keys.empty() || random.OneIn(8)) {
    Key key;
    key.name = random.Of(KnownKeys());
    static const std::vector<uint32_t> kKinds = {0, 4, 5, 6, 7, 8, 10, 11, 12};
    key.kind = random.Of(kKinds);
    key.items[0] = key.kind == kString ? EdgeName(random) : Scalar(key.kind, EdgeNumber(random));
    // In place of the key of that name, where there is one, so that it is not there twice.
    const auto same = std::find_if(keys.begin(), keys.end(),
                                   [&](const Key& other) { return other.name == key.name; });
    if (same != keys.end() && !random.OneIn(8)) {
      *same = key;
    } else {
      keys.push_back(key);
    }
    return;
  }
  const size_t at = random.Below(keys.size());
  Key& key = keys[at];
  switch (random.Below(9)) {
    case 0:
      key.kind = random.OneIn(4) ? static_cast<uint32_t>(EdgeNumber(random))
                                 : static_cast<uint32_t>(random.Below(14));
      break;
    case 1:
      key.item_kind = static_cast<uint32_t>(random.Below(14));
      break;
    case 2:
      key.count = EdgeNumber(random);
      break;
    case 3:
      key.text_length = EdgeNumber(random);
      break;
    case 4:
      if (random.OneIn(2)) {
        key.name_length = EdgeNumber(random);
      } else {
        key.name = random.OneIn(2) ? EdgeName(random) : random.Of(KnownKeys());
      }
      break;
    case 5:
      if (random.OneIn(2)) {
        keys.erase(keys.begin() + static_cast<ptrdiff_t>(at));
      } else {
        keys.push_back(Key(key));
      }
      break;
    default:
      ChangeItems(&key, random);
  }
}

void ChangeTensor(Draft* draft, Random& random) {
  std::vector<Tensor>& tensors = draft->tensors;
  if (tensors.empty() || random.OneIn(8)) {
    Tensor tensor;
    tensor.name = "t" + std::to_string(random.Below(100));
    tensor.dims = {random.Below(8) * 32, random.Below(4)};
    tensor.type = static_cast<uint32_t>(random.Below(42));
    tensors.push_back(tensor);
    return;
  }
  const size_t at = random.Below(tensors.size());
  Tensor& tensor = tensors[at];
  switch (random.Below(8)) {
    case 0:
      tensor.type = random.OneIn(4) ? static_cast<uint32_t>(EdgeNumber(random))
                                    : static_cast<uint32_t>(random.Below(42));
      break;
    case 1:
      tensor.offset = random.OneIn(2) ? EdgeNumber(random) : random.Of(tensors).offset;
      break;
    case 2:
      tensor.offset += draft->alignment * (random.Below(5) - 2);
      break;
    case 3:
      if (random.OneIn(2)) {
        tensor.n_dims = static_cast<uint32_t>(EdgeNumber(random));
      } else if (tensor.dims.size() < 6) {
        tensor.dims.push_back(random.OneIn(2) ? 1 : EdgeNumber(random));
      }
      break;
    case 4:
      tensor.name = random.OneIn(2) ? EdgeName(random) : random.Of(tensors).name;
      if (random.OneIn(4)) tensor.name_length = EdgeNumber(random);
      break;
    case 5:
      if (random.OneIn(2)) {
        tensors.erase(tensors.begin() + static_cast<ptrdiff_t>(at));
      } else {
        tensors.push_back(Tensor(tensor));
        tensors.back().name += "'";
      }
      break;
    default:
      if (!tensor.dims.empty()) random.Of(tensor.dims) = EdgeNumber(random);
  }
}

void ChangeHead(Draft* draft, Random& random) {
  switch (random.Below(6)) {
    case 0:
      draft->version = static_cast<uint32_t>(EdgeNumber(random));
      break;
    case 1:
      draft->n_tensors = random.OneIn(2) ? EdgeNumber(random) : draft->tensors.size() + 1;
      break;
    case 2:
      draft->n_keys = random.OneIn(2) ? EdgeNumber(random) : draft->keys.size() + 1;
      break;
    case 3:
      draft->magic[random.Below(4)] = static_cast<char>(random.Next());
      break;
    case 4:
      draft->data.resize(draft->data.size() / 2);
      break;
    default:
      draft->data.append(1 + random.Below(64), '\2');
  }
}

}  // namespace

std::string MutateGguf(std::string_view bytes, Random& random) {
  Draft draft = Draft::Read(bytes);
  for (size_t changes = 1 + random.Below(3); changes > 0; --changes) {
    switch (random.Below(8)) {
      case 0:
        ChangeHead(&draft, random);
        break;
      case 1:
      case 2:
      case 3:
        ChangeKey(&draft, random);
        break;
      default:
        ChangeTensor(&draft, random);
    }
  }
  if (random.OneIn(2)) draft.LayOut();
  return draft.Write();
}

}  // namespace scout::test
