// scout pack: files and trees as one prompt. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "tools/commands.h"
#include "tools/open.h"
#include "tools/output_file.h"
#include "tools/pack_files.h"
#include "tools/pack_text.h"
#include "tools/terminal.h"

namespace scout::tool {
namespace {

constexpr size_t kMostReported = 100;  // lines of what rules left out; the budget's are all shown

const char* StateName(Why why) {
  switch (why) {
    case Why::kPacked:
      return "packed";
    case Why::kCut:
      return "cut";
    case Why::kBudget:
      return "budget";
    case Why::kTooLarge:
      return "large";
    case Why::kBinary:
      return "binary";
    case Why::kIgnored:
      return "ignored";
    case Why::kSkipped:
      return "skipped";
    case Why::kLink:
      return "special";
    case Why::kRepeated:
      return "repeated";
    case Why::kUnreadable:
      return "unreadable";
  }
  return "?";
}

std::string Count(int64_t n, const std::string& what) {
  return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
}

// What the report says of a file that was packed.
std::string Notes(const ReadBytes& read, const PackText& clean, int64_t escaped,
                  const std::string& how) {
  std::string notes;
  auto note = [&notes](const std::string& text) { notes += (notes.empty() ? "" : "; ") + text; };
  if (read.changed) note("changed while it was read");
  if (clean.utf16) note("was UTF-16");
  if (clean.replaced > 0) {
    note(Count(clean.replaced, "sequence") + " not UTF-8 became U+FFFD");
  }
  if (escaped > 0) note(Count(escaped, "line") + " like a header got a backslash");
  if (!how.empty()) note(how);
  return notes;
}

class Pack {
 public:
  explicit Pack(const Args& args) : args_(args), quiet_(args.Has("quiet")) {}
  Failure Run();

 private:
  struct Placed {
    size_t begin;  // in prompt_
    size_t entry;
  };
  // A section with about so many bytes of the file; "" where nothing is left.
  using Cut = std::function<std::string(size_t)>;
  Failure ReadOptions();
  Failure Count(std::string_view text, int64_t* tokens) const;
  Failure Place(Entry* entry);
  Failure Fit(const Cut& cut, double most, double guess, int64_t limit, std::string* section,
              int64_t* section_tokens, size_t* bytes) const;
  Failure PlaceSlices(Entry* entry, const ReadBytes& read, int64_t limit);
  void Take(Entry* entry, const std::string& section, const std::string& notes);
  Failure HoldBudget();
  std::string List() const;
  void Report() const;
  Failure Verdict() const;

  const Args& args_;
  const bool quiet_;
  WalkOptions walk_;
  CutStyle style_ = CutStyle::kEnds;
  int64_t budget_ = INT64_MAX, file_tokens_ = INT64_MAX, file_bytes_ = int64_t{64} << 20;
  bool count_each_ = false;
  Tokenizer tokenizer_;
  std::vector<Entry> entries_;
  std::vector<std::string> notes_;  // of the walk
  std::vector<Placed> placed_;
  std::string prompt_;
  int64_t used_ = 0;    // sum of the sections' tokens
  int64_t tokens_ = 0;  // of the whole prompt
};

Failure Pack::ReadOptions() {
  if (args_.positional().empty()) return Usage("PATH is missing (see --help)");
  TOOL_TRY(args_.Int("max-tokens", 1, INT64_MAX, &budget_));
  TOOL_TRY(args_.Int("max-file-tokens", 1, INT64_MAX, &file_tokens_));
  TOOL_TRY(args_.Int("max-file-bytes", 1, int64_t{1} << 40, &file_bytes_));
  int32_t style = static_cast<int32_t>(style_);
  TOOL_TRY(args_.Choice("cut",
                        {{"ends", static_cast<int32_t>(CutStyle::kEnds)},
                         {"head", static_cast<int32_t>(CutStyle::kHead)},
                         {"tail", static_cast<int32_t>(CutStyle::kTail)},
                         {"spread", static_cast<int32_t>(CutStyle::kSpread)}},
                        &style));
  style_ = static_cast<CutStyle>(style);
  for (const char* name : {"max-tokens", "max-file-tokens"}) {
    if (args_.Has(name) && !args_.Has("model")) {
      return Usage(std::string("--") + name + " needs -m PATH, whose tokenizer counts");
    }
  }
  for (bool include : {true, false}) {
    const char* name = include ? "include" : "exclude";
    for (const std::string& text : args_.GetAll(name)) {
      Glob glob;
      if (text.find('\n') != std::string::npos || !Glob::FromLine(text, &glob) || glob.negated()) {
        return Usage(std::string("--") + name + " '" + text + "' is not a pattern");
      }
      (include ? walk_.include : walk_.exclude).push_back(std::move(glob));
    }
  }
  if (args_.Has("output") && args_.Get("output").empty()) return Usage("--output is empty");
  walk_.ignore_files = !args_.Has("no-ignore");
  walk_.follow = args_.Has("follow");
  walk_.output = args_.Has("list") ? "" : args_.Get("output");
  count_each_ = args_.Has("model") &&
                (args_.Has("list") || args_.Has("max-tokens") || args_.Has("max-file-tokens"));
  return Ok();
}

Failure Pack::Count(std::string_view text, int64_t* tokens) const {
  *tokens = -1;
  if (tokenizer_ == nullptr) return Ok();
  return CountTokens(tokenizer_.get(), text, tokens);
}

// The largest cut, of about *bytes of at most `most`, with at most `limit` tokens; an empty section
// where not even one piece fits. `guess` is how many bytes may do.
Failure Pack::Fit(const Cut& cut, double most, double guess, int64_t limit, std::string* section,
                  int64_t* section_tokens, size_t* bytes) const {
  section->clear();
  double low = 0, high = most;
  // Token counts are near proportional to bytes, so a guess and a few halvings come close; nothing
  // is gained below a handful of bytes per piece.
  for (int step = 0; step < 16 && high - low > high / 128 && guess >= 32; ++step) {
    std::string candidate = cut(static_cast<size_t>(guess));
    int64_t count = 0;
    TOOL_TRY(Count(candidate, &count));
    if (count <= limit && !candidate.empty()) {
      low = guess;
      *bytes = static_cast<size_t>(guess);
      *section = std::move(candidate);
      *section_tokens = count;
      guess = std::min(low * 1.1, 0.5 * (low + high));
    } else {
      high = guess;
      guess = low > 0 ? 0.5 * (low + high) : high * 0.8;
    }
  }
  return Ok();
}

void Pack::Take(Entry* entry, const std::string& section, const std::string& notes) {
  entry->detail = notes;
  placed_.push_back({prompt_.size(), static_cast<size_t>(entry - entries_.data())});
  prompt_ += section;
}

// A file that is too large to be held is cut from slices of it.
Failure Pack::PlaceSlices(Entry* entry, const ReadBytes& read, int64_t limit) {
  entry->bytes = read.size;
  std::string held;
  for (const Slice& slice : read.slices) held += slice.bytes;
  const double most = static_cast<double>(held.size());
  PackText clean = ReadableText(std::move(held));
  clean.text = std::string();  // pieces are made clean one by one
  if (!clean.why_not.empty()) {
    entry->why = Why::kBinary;
    entry->detail = clean.why_not;
    return Ok();
  }
  int64_t* escaped = nullptr;
  const Cut cut = [&](size_t bytes) {
    return SlicedSection(ShownPath(entry->shown), read.slices, read.size, style_, bytes, escaped);
  };
  constexpr size_t kSample = 1 << 16;
  const std::string sample = cut(kSample);
  int64_t sample_tokens = 0, tokens = 0, n_escaped = 0;
  TOOL_TRY(Count(sample, &sample_tokens));
  const double rate =
      static_cast<double>(sample.size()) / static_cast<double>(std::max<int64_t>(sample_tokens, 1));
  std::string section;
  size_t bytes = 0;
  TOOL_TRY(Fit(cut, most, std::min(most, rate * static_cast<double>(limit)), limit, &section,
               &tokens, &bytes));
  if (section.empty()) {
    entry->why = Why::kBudget;
    entry->detail = "does not fit";
    return Ok();
  }
  escaped = &n_escaped;
  cut(bytes);
  entry->why = Why::kCut;
  entry->tokens = tokens;
  used_ += tokens;
  Take(entry, section,
       Notes(read, clean, n_escaped, "cut from " + std::to_string(read.size) + " bytes"));
  return Ok();
}

Failure Pack::Place(Entry* entry) {
  Accept accept = entry->named ? Accept::kAll : walk_.follow ? Accept::kLinks : Accept::kPlain;
  const int64_t room = budget_ - used_;
  // Only what was named itself is cut to what the budget still has.
  const int64_t limit = std::min(file_tokens_, entry->cut ? room : INT64_MAX);
  const bool sliced = entry->cut && (args_.Has("max-tokens") || args_.Has("max-file-tokens"));
  ReadBytes read = ReadFileBytes(entry->path, file_bytes_, accept, sliced ? &style_ : nullptr);
  if (!read.error.empty()) {
    if (Interrupted()) return {kExitCancelled, "cancelled"};
    entry->why = read.too_large ? Why::kTooLarge : Why::kUnreadable;
    entry->detail = read.error;
    if (read.too_large && entry->cut && !sliced) entry->detail += " (--max-tokens cuts it)";
    return Ok();
  }
  if (!read.slices.empty()) return PlaceSlices(entry, read, limit);
  entry->bytes = static_cast<int64_t>(read.bytes.size());
  PackText clean = ReadableText(std::move(read.bytes));
  if (!clean.why_not.empty()) {
    entry->why = Why::kBinary;
    entry->detail = clean.why_not;
    return Ok();
  }
  const std::string shown = ShownPath(entry->shown);
  int64_t escaped = 0;
  std::string section = Section(shown, clean.text, {{0, clean.text.size()}}, &escaped);
  std::string how;
  if (count_each_) {
    TOOL_TRY(Count(section, &entry->tokens));
    int64_t whole = entry->tokens;
    if (whole > limit) {
      const Cut make = [&](size_t bytes) {
        std::vector<Piece> pieces = ChoosePieces(clean.text, style_, bytes);
        return pieces.empty() ? "" : Section(shown, clean.text, pieces, nullptr);
      };
      const auto most = static_cast<double>(clean.text.size());
      std::string cut;
      int64_t cut_tokens = 0;
      size_t bytes = 0;
      TOOL_TRY(Fit(make, most, most * static_cast<double>(limit) / static_cast<double>(whole),
                   limit, &cut, &cut_tokens, &bytes));
      if (!cut.empty()) {
        section = std::move(cut);
        entry->tokens = cut_tokens;
        entry->why = Why::kCut;
        how = "cut from " + std::to_string(whole) + " tokens";
      }
    }
    if (entry->tokens > room || entry->tokens > file_tokens_) {
      entry->tokens = whole;
      entry->why = Why::kBudget;
      entry->detail = "does not fit";
      return Ok();
    }
    used_ += entry->tokens;
  }
  Take(entry, section, Notes(read, clean, escaped, how));
  return Ok();
}

// Sections begin behind a line break, where the vocabulary's splitting rule never joins, so their
// counts add up; should another vocabulary's not, the last ones give way.
Failure Pack::HoldBudget() {
  TOOL_TRY(Count(prompt_, &tokens_));
  while (tokens_ > budget_ && !placed_.empty()) {
    Entry& last = entries_[placed_.back().entry];
    last.why = Why::kBudget;
    last.detail = "does not fit";
    prompt_.resize(placed_.back().begin);
    placed_.pop_back();
    TOOL_TRY(Count(prompt_, &tokens_));
  }
  return Ok();
}

std::string Pack::List() const {
  std::string text;
  for (const Entry& e : entries_) {
    bool read = !e.folder && e.why != Why::kUnreadable;
    text += std::string(StateName(e.why)) + '\t' +
            (e.tokens >= 0 ? std::to_string(e.tokens) : "-") + '\t' +
            (read ? std::to_string(e.bytes) : "-") + '\t' +
            ShownPath(e.shown.empty() ? "./" : e.shown) + '\t' + Printable(e.detail) + '\n';
  }
  return text;
}

void Pack::Report() const {
  std::string text;
  int64_t files = 0, cut = 0, over = 0, over_tokens = 0, others = 0;
  const bool listed = args_.Has("list");  // then each file has its line there
  for (const Entry& e : entries_) {
    bool in = e.why == Why::kPacked || e.why == Why::kCut, budget = e.why == Why::kBudget;
    files += in;
    cut += e.why == Why::kCut;
    over += budget;
    if (budget) over_tokens += std::max<int64_t>(e.tokens, 0);
    if (listed || (in && e.detail.empty())) continue;
    if (!in && !budget && static_cast<size_t>(++others) > kMostReported) continue;
    text += std::string("scout: pack: ") + (in ? "note: " : "left out: ") +
            ShownPath(e.shown.empty() ? "./" : e.shown);
    if (budget && e.tokens >= 0) text += ": " + tool::Count(e.tokens, "token");
    if (!e.folder &&
        (e.why == Why::kBinary || e.why == Why::kTooLarge || (budget && e.tokens < 0))) {
      text += ": " + tool::Count(e.bytes, "byte");
    }
    if (!e.detail.empty()) text += ": " + Printable(e.detail);
    text += '\n';
  }
  for (size_t i = 0; i < std::min(notes_.size(), kMostReported); ++i) {
    text += "scout: pack: note: " + notes_[i] + "\n";
  }
  if (static_cast<size_t>(others) > kMostReported) {
    text +=
        "scout: pack: left out: " + std::to_string(static_cast<size_t>(others) - kMostReported) +
        " more (--list shows all)\n";
  }
  if (over > 0) {
    text += "scout: pack: " + tool::Count(over, "file") + " with " +
            tool::Count(over_tokens, "token") +
            " did not fit in --max-tokens or --max-file-tokens\n";
  }
  text += "scout: pack: packed " + tool::Count(files, "file");
  if (cut > 0) text += " (" + std::to_string(cut) + " cut)";
  text += ", " + tool::Count(static_cast<int64_t>(prompt_.size()), "byte");
  text += tokenizer_ != nullptr ? ", " + tool::Count(tokens_, "token")
                                : ", tokens not counted (-m PATH counts them)";
  if (args_.Has("max-tokens")) text += " of at most " + std::to_string(budget_);
  std::fputs((text + "\n").c_str(), stderr);
}

// What could not be read makes the command fail, behind a complete output of the rest.
Failure Pack::Verdict() const {
  int64_t unreadable = 0, over = 0;
  const Entry* first = nullptr;
  for (const Entry& e : entries_) {
    over += e.why == Why::kBudget;
    if (e.why != Why::kUnreadable) continue;
    if (++unreadable == 1) first = &e;
  }
  if (first != nullptr) {
    std::string name = first->shown + (first->detail.empty() ? "" : ": " + first->detail);
    if (unreadable > 1) name += " (and " + std::to_string(unreadable - 1) + " more)";
    return BadInput(name);
  }
  if (placed_.empty() && over > 0) {
    return {kExitLimit, "no file fits in the tokens allowed"};
  }
  if (placed_.empty()) return BadInput("no text file to pack");
  return Ok();
}

Failure Pack::Run() {
  TOOL_TRY(ReadOptions());
  if (args_.Has("model")) TOOL_TRY(LoadTokenizer(args_, &tokenizer_));
  TOOL_TRY(Walk(args_.positional(), walk_, quiet_, &entries_, &notes_));
  {
    Progress progress("packing", Progress::Unit::kFiles, !quiet_);
    int64_t done = 0, total = static_cast<int64_t>(entries_.size());
    for (Entry& entry : entries_) {
      if (Progress::Callback(&progress, done++, total) != 0) return {kExitCancelled, "cancelled"};
      if (entry.why == Why::kPacked && !entry.folder) TOOL_TRY(Place(&entry));
    }
  }
  TOOL_TRY(HoldBudget());
  OutputFile file;
  TOOL_TRY(file.Open(args_.Get("output", "-")));
  TOOL_TRY(file.Write(args_.Has("list") ? List() : prompt_));
  TOOL_TRY(file.Finish());
  if (!quiet_) Report();
  return Verdict();
}

Failure RunPack(const Args& args) { return Pack(args).Run(); }

}  // namespace

Command PackCommand() {
  return {
      "pack",
      "PATH... [-m PATH] [options]",
      "turn files and trees into one prompt",
      "Each file becomes '### FILE: path', its text and an empty line. Left out are version\n"
      "control, folders of dependencies and build output, what .gitignore, .ignore and\n"
      ".scoutignore say, binary files and symbolic links; stderr tells what and why, and the\n"
      "number of tokens of the whole. PATH '-' is standard input. See docs/pack.md.",
      Join({{{'m', "model", "PATH",
              "count tokens with its tokenizer: a folder, a .gguf file\n"
              "or a tokenizer.json"},
             {'o', "output", "FILE", "write there (default: standard output)"},
             {0, "list", nullptr, "only list what would be packed and left out"},
             {0, "max-tokens", "N",
              "most tokens of the whole; what does not fit is left out,\n"
              "a file that is a PATH itself is cut"},
             {0, "max-file-tokens", "N", "cut longer files to N tokens"},
             {0, "max-file-bytes", "N",
              "leave larger files out (default 67108864); of a PATH that\n"
              "is cut hold only so much"},
             {0, "cut", "ends|head|tail|spread", "what of a cut file stays (default ends: both)"},
             {0, "include", "PATTERN", "take it in spite of rules; may be repeated"},
             {0, "exclude", "PATTERN", "leave it out; may be repeated"},
             {0, "no-ignore", nullptr, "read no ignore files"},
             {0, "follow", nullptr, "follow symbolic links"}},
            TalkOptions()}),
      RunPack};
}

}  // namespace scout::tool
