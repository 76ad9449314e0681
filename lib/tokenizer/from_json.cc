// Tokenizers of Hugging Face's tokenizer.json. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lib/tokenizer/byte_level.h"
#include "lib/tokenizer/impl.h"
#include "lib/tokenizer/shown.h"

namespace scout {
namespace {

bool AbsentOrNull(const Json* json) { return json == nullptr || json->is_null(); }

// The string member `key`, or an empty view.
std::string_view StringAt(const Json& json, std::string_view key) {
  const Json* member = json.find(key);
  return member != nullptr && member->is_string() ? std::string_view(member->as_string())
                                                  : std::string_view();
}

// The bool member `key`, or what the format takes where it is absent.
absl::StatusOr<bool> BoolAt(const Json& json, std::string_view key, bool otherwise) {
  const Json* member = json.find(key);
  if (AbsentOrNull(member)) return otherwise;
  if (!member->is_bool())
    return CorruptError(absl::StrCat(AbslView(key), " is neither true nor false"));
  return member->as_bool();
}

// The pre-tokenizers one after the other; a Sequence in a Sequence is not known.
std::vector<const Json*> PreTokenizerSteps(const Json& pre_tokenizer) {
  std::vector<const Json*> steps;
  const Json* list = pre_tokenizer.find("pretokenizers");
  if (StringAt(pre_tokenizer, "type") != "Sequence" || list == nullptr || !list->is_array()) {
    steps.push_back(&pre_tokenizer);
    return steps;
  }
  for (const Json& step : list->items()) steps.push_back(&step);
  return steps;
}

absl::StatusOr<SplitRule> RuleOfSplitStep(const Json& split) {
  SCOUT_ASSIGN_OR_RETURN(const bool invert, BoolAt(split, "invert", false));
  if (invert || StringAt(split, "behavior") != "Isolated") {
    return UnsupportedError("a Split pre_tokenizer other than Isolated, or inverted");
  }
  const Json* pattern = split.find("pattern");
  const Json* regex = pattern == nullptr ? nullptr : pattern->find("Regex");
  if (regex == nullptr || !regex->is_string()) {
    return UnsupportedError("a Split pre_tokenizer without a Regex");
  }
  return SplitRuleOfRegex(regex->as_string());
}

absl::StatusOr<SplitRule> ReadRule(const Json& json) {
  const Json* pre_tokenizer = json.find("pre_tokenizer");
  if (AbsentOrNull(pre_tokenizer)) return UnsupportedError("no pre_tokenizer");
  const std::vector<const Json*> steps = PreTokenizerSteps(*pre_tokenizer);
  std::string types;
  for (const Json* step : steps) {
    absl::StrAppend(&types, types.empty() ? "" : " + ", Shown(StringAt(*step, "type")));
  }
  if (steps.empty() || steps.size() > 2 || StringAt(*steps.back(), "type") != "ByteLevel") {
    return UnsupportedError(absl::StrCat("unknown pre_tokenizer: ", types));
  }
  SCOUT_ASSIGN_OR_RETURN(const bool prefix_space, BoolAt(*steps.back(), "add_prefix_space", true));
  SCOUT_ASSIGN_OR_RETURN(const bool use_regex, BoolAt(*steps.back(), "use_regex", true));
  if (prefix_space) return UnsupportedError("a ByteLevel pre_tokenizer with add_prefix_space");
  if (steps.size() == 1 && use_regex) return SplitRule::kGpt2;
  if (steps.size() == 2 && !use_regex && StringAt(*steps[0], "type") == "Split") {
    return RuleOfSplitStep(*steps[0]);
  }
  if (steps.size() == 2 && use_regex && StringAt(*steps[0], "type") == "Digits") {
    SCOUT_ASSIGN_OR_RETURN(const bool each, BoolAt(*steps[0], "individual_digits", false));
    return each ? SplitRule::kDigitsGpt2 : SplitRule::kNumberRunsGpt2;
  }
  return UnsupportedError(absl::StrCat("unknown pre_tokenizer: ", types,
                                       use_regex ? " (use_regex)" : " (no use_regex)"));
}

absl::Status ReadAddedTokens(const Json& json, TokenizerSource* source) {
  const Json* added = json.find("added_tokens");
  if (AbsentOrNull(added)) return absl::OkStatus();
  if (!added->is_array()) return CorruptError("added_tokens is no array");
  for (const Json& entry : added->items()) {
    const Json* id = entry.find("id");
    const Json* content = entry.find("content");
    if (id == nullptr || !id->is_int() || content == nullptr || !content->is_string()) {
      return CorruptError("an entry of added_tokens has no id or no content");
    }
    for (const char* flag : {"single_word", "lstrip", "rstrip"}) {
      SCOUT_ASSIGN_OR_RETURN(const bool set, BoolAt(entry, flag, false));
      if (!set) continue;
      return UnsupportedError(
          absl::StrCat("added token \"", Shown(content->as_string()), "\" with ", flag));
    }
    SCOUT_ASSIGN_OR_RETURN(const bool special, BoolAt(entry, "special", false));
    source->tokens.push_back(
        {id->as_int(), special ? TokenKind::kSpecial : TokenKind::kAdded, content->as_string()});
  }
  return absl::OkStatus();
}

// model.vocab, after the added tokens: one that is in both lists is an added one.
absl::Status ReadVocab(const Json& model, TokenizerSource* source) {
  const Json* vocab = model.find("vocab");
  if (vocab == nullptr || !vocab->is_object()) return CorruptError("model.vocab is no object");
  struct Added {
    std::string_view name;
    int64_t id;
  };
  std::vector<Added> added;
  for (const VocabToken& t : source->tokens) added.push_back({t.bytes, t.id});
  std::sort(added.begin(), added.end(),
            [](const Added& a, const Added& b) { return a.name < b.name; });
  bool starts[256] = {};  // first bytes of added tokens, which most names do not have
  for (const Added& a : added) starts[a.name.empty() ? 0 : static_cast<uint8_t>(a.name[0])] = true;
  const auto find_added = [&](std::string_view name) -> const Added* {
    if (!starts[name.empty() ? 0 : static_cast<uint8_t>(name[0])]) return nullptr;
    const auto it =
        std::lower_bound(added.begin(), added.end(), name,
                         [](const Added& a, std::string_view wanted) { return a.name < wanted; });
    return it != added.end() && it->name == name ? &*it : nullptr;
  };

  std::vector<VocabToken> ordinary;
  ordinary.reserve(vocab->items().size());
  for (size_t i = 0; i < vocab->items().size(); ++i) {
    const std::string& name = vocab->names()[i];
    const Json& id = vocab->items()[i];
    if (!id.is_int()) {
      return CorruptError(absl::StrCat("the id of \"", Shown(name), "\" is no integer"));
    }
    if (const Added* same = find_added(name); same != nullptr) {
      if (same->id == id.as_int()) continue;
      return CorruptError(absl::StrCat("\"", Shown(name), "\" has the id ", id.as_int(),
                                       " in model.vocab and ", same->id, " in added_tokens"));
    }
    VocabToken token{id.as_int(), TokenKind::kOrdinary, {}};
    if (!BytesFromByteLevel(name, &token.bytes)) {
      return CorruptError(absl::StrCat("token \"", Shown(name),
                                       "\" has characters outside the byte-level alphabet"));
    }
    ordinary.push_back(std::move(token));
  }
  // Views into source->tokens are not used beyond this point.
  source->tokens.insert(source->tokens.end(), std::make_move_iterator(ordinary.begin()),
                        std::make_move_iterator(ordinary.end()));
  return absl::OkStatus();
}

// "a b" or ["a", "b"].
absl::Status ReadMerges(const Json& model, TokenizerSource* source) {
  const Json* merges = model.find("merges");
  if (merges == nullptr || !merges->is_array()) return CorruptError("model.merges is no array");
  source->merges.reserve(merges->items().size());
  for (size_t i = 0; i < merges->items().size(); ++i) {
    const Json& entry = merges->items()[i];
    std::string_view left, right;
    if (entry.is_string()) {
      const std::string_view text = entry.as_string();
      const size_t space = std::min(text.find(' '), text.size());
      left = text.substr(0, space);
      right = text.substr(std::min(space + 1, text.size()));
    } else if (entry.is_array() && entry.items().size() == 2 && entry.items()[0].is_string() &&
               entry.items()[1].is_string()) {
      left = entry.items()[0].as_string();
      right = entry.items()[1].as_string();
    }
    MergeText merge;
    if (left.empty() || right.empty() || !BytesFromByteLevel(left, &merge.left) ||
        !BytesFromByteLevel(right, &merge.right)) {
      return CorruptError(absl::StrCat("merge ", i, " is not two byte-level strings"));
    }
    source->merges.push_back(std::move(merge));
  }
  return absl::OkStatus();
}

absl::Status ReadModel(const Json& json, TokenizerSource* source) {
  const Json* model = json.find("model");
  if (model == nullptr || !model->is_object()) return CorruptError("no model object");
  const Json* type = model->find("type");
  if (!AbsentOrNull(type) && StringAt(*model, "type") != "BPE") {
    return UnsupportedError(absl::StrCat("tokenizer model \"", Shown(StringAt(*model, "type")),
                                         "\"; only byte-level BPE is known"));
  }
  if (!AbsentOrNull(model->find("dropout"))) return UnsupportedError("BPE with dropout");
  for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const Json* value = model->find(affix);
    if (!AbsentOrNull(value) && !(value->is_string() && value->as_string().empty())) {
      return UnsupportedError(absl::StrCat("BPE with ", affix));
    }
  }
  SCOUT_ASSIGN_OR_RETURN(const bool byte_fallback, BoolAt(*model, "byte_fallback", false));
  if (byte_fallback) return UnsupportedError("BPE with byte_fallback");
  SCOUT_ASSIGN_OR_RETURN(source->ignore_merges, BoolAt(*model, "ignore_merges", false));
  SCOUT_RETURN_IF_ERROR(ReadVocab(*model, source));
  return ReadMerges(*model, source);
}

// Name of the token that the post-processor puts before a text, or empty.
std::string_view BosOfTemplate(const Json& processor) {
  const Json* chosen = &processor;
  if (const Json* parts = processor.find("processors"); parts != nullptr) {
    for (const Json& part : parts->items()) {
      if (StringAt(part, "type") == "TemplateProcessing") chosen = &part;
    }
  }
  const Json* single = chosen->find("single");
  if (StringAt(*chosen, "type") != "TemplateProcessing" || single == nullptr ||
      single->items().empty()) {
    return {};
  }
  const Json* first = single->items()[0].find("SpecialToken");
  return first == nullptr ? std::string_view() : StringAt(*first, "id");
}

// A token of tokenizer_config.json: its name, or an object with the name as content.
std::string_view NamedToken(const Json* config, std::string_view key) {
  if (config == nullptr) return {};
  const Json* value = config->find(key);
  if (value == nullptr) return {};
  return value->is_string() ? std::string_view(value->as_string()) : StringAt(*value, "content");
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Tokenizer>> Tokenizer::FromJson(const Json& json,
                                                                     const Json* config,
                                                                     const char* template_kind) {
  if (!json.is_object()) return CorruptError("a tokenizer.json is an object");
  if (const Json* normalizer = json.find("normalizer"); !AbsentOrNull(normalizer)) {
    return UnsupportedError(absl::StrCat("normalizer \"", Shown(StringAt(*normalizer, "type")),
                                         "\"; only texts taken as they are are known"));
  }
  TokenizerSource source;
  SCOUT_ASSIGN_OR_RETURN(source.rule, ReadRule(json));
  SCOUT_RETURN_IF_ERROR(ReadAddedTokens(json, &source));
  SCOUT_RETURN_IF_ERROR(ReadModel(json, &source));
  source.bos = NamedToken(config, "bos_token");
  if (source.bos.empty()) {
    const Json* processor = json.find("post_processor");
    if (!AbsentOrNull(processor)) source.bos = BosOfTemplate(*processor);
  }
  if (const std::string_view eos = NamedToken(config, "eos_token"); !eos.empty()) {
    source.ends.emplace_back(eos);
  }
  SCOUT_ASSIGN_OR_RETURN(auto impl, Impl::Build(std::move(source)));
  const Json* in_config = config == nullptr ? nullptr : config->find("chat_template");
  if (template_kind != nullptr) {
    impl->chat_template = template_kind;
  } else if (!AbsentOrNull(in_config)) {  // a list of templates with names is no known one
    impl->chat_template =
        in_config->is_string() ? ChatTemplateKind(in_config->as_string()) : kOtherTemplate;
  }
  return std::shared_ptr<const Tokenizer>(new Tokenizer(std::move(impl)));
}

}  // namespace scout
