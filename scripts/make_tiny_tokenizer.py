#!/usr/bin/env python3
# Trains the small tokenizers of tests/golden/tokenizer on text of this repository, and writes what
# the `tokenizers` package makes of varied strings with them. SPDX-License-Identifier: Apache-2.0
"""Two vocabularies: `llama4` (Llama 4's splitting rule and special-token names, pieces that are
tokens taken whole) and `digits` (every digit alone, then the ByteLevel rule). The training text is
what tests/golden/tokenizer/training_text.txt holds, so that the result does not move with the
repository; --collect writes that file anew. Needs: pip install tokenizers."""
import argparse
import json
import pathlib

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

ROOT = pathlib.Path(__file__).resolve().parent.parent
LLAMA4_SPLIT = "|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])
SPECIAL = ["<|begin_of_text|>", "<|end_of_text|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>",
           "<|header_start|>", "<|header_end|>", "<|eom|>", "<|eot|>", "<|step|>", "<|python_start|>",
           "<|python_end|>", "<|finetune_right_pad|>", "<|image_start|>", "<|image_end|>",
           "<|tile_x_separator|>", "<|tile_y_separator|>", "<|image|>", "<|patch|>"]

TEXTS = [
    "", " ", "  ", "   ", "\n", "\t", "\r\n", "\r", "a", "A", "1", "'", "\u00e9", "\u0301",
    "The quick brown fox jumps over the lazy dog.", "the engine and its sessions",
    "I'm here; they'll say we've won, it's what you'd expect, isn't it? We're done.",
    "I'M HERE; THEY'LL SAY WE'VE WON, IT'S WHAT YOU'D EXPECT, ISN'T IT?",
    "x'S 'Re 'LL 'd'D a'\u017f b'\u017ft \u2019s don\u2019t", "'s", "''s", "A'b'c", "can'tell", "HE'LLO",
    "camelCaseWord HTTPServer XMLHttpRequest iPhone15Pro aBCdE ABCdefGHIjkl abcDEF mIxEd",
    "snake_case kebab-case path/to/file.txt C:\\dir\\file // comment /// more\n///\n//\r\n/x",
    "12", "123", "1234", "12345678901234567890", "3.14159e-10, 0x1F, 1_000_000, 50%",
    "\u0664\u0665\u0666\u0667 \u096a\u096b\u096c \u00bd\u00b2 \u2163 \U0001d7d8\U0001d7d9 \u3007",
    "a1b22c333d4444 5 55 555 5555", "line 1\n  2\n\t3  4   5", "9 lives, 7  seas and 10   commandments",
    "def f(x):\n    return [i ** 2 for i in range(x) if i % 3 == 0]\n",
    "for (int i = 0; i < n; ++i) { a[i] += b[i]; }\r\n", "#include <vector>\nint main() { return 0; }",
    "{\"key\": [1, 2.5, null, true], \"s\": \"\\u00e9\"}", "<html><body class=\"x\">&amp;</body></html>",
    "| a | b |\n|---|---|\n| 1 | 2 |\n", "key: value\n- item\n  - nested\n", "$100.00/\u20ac90/\u00a580",
    "a\r\nb\r\n\r\nc\rd", "line one  \n   line two\t\t\n\n\n   \n end   ", " leading", "trailing ",
    "   three leading", "trailing three   ", " \n", "\n ", "\n  x", " \n x", "  \n\n  \n  x", "\r\r\n\n\r",
    "a \n", "a  b   c    d", "\t\tx\t y \t z", "\u00a0nbsp\u2003em\u200bzero\u3000wide\u2028sep\u2029par\u0085nel",
    "x\u00a0\u00a0y", "x \u00a0y", "\u3000\u3000z", "\x0b\x0cform\x1c\x1d\x1e\x1fsep", "\u180e\ufeffbom",
    "Stra\u00dfe \u00fcber gr\u00f6\u00dfe", "\u00c9COLE \u00e9cole e\u0301cole E\u0301COLE", "na\u00efve caf\u00e9",
    "\u0130stanbul \u0131\u015f\u0131k", "\u1e9e\u00df\ufb01\ufb02 \u01c5\u01c8 titlecase", "\u00aa\u00ba \u02b0\u02b1 modifier",
    "aA\u0301B\u0301b", "a\u0308\u0323", "\u0301\u0301", "\u0301A", " \u0301x", "-\u0301", "1\u0301", "A\u00aaB\u00baC",
    "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440!", "\u0393\u03b5\u03b9\u03ac \u03a3\u039f\u03a5 \u039a\u03cc\u03c3\u03bc\u03b5",
    "\u4f60\u597d\uff0c\u4e16\u754c\uff01\u4eca\u5929\u5929\u6c14\u5f88\u597d\u3002", "\u7e41\u9ad4\u4e2d\u6587abc\u6df7\u5408ABC123",
    "\u3053\u3093\u306b\u3061\u306f\u4e16\u754c\u3001\u30ab\u30bf\u30ab\u30ca\u30fc", "\uc548\ub155\ud558\uc138\uc694 \uc138\uacc4",
    "\u0645\u0631\u062d\u0628\u0627\u064b \u0628\u0627\u0644\u0639\u0627\u0644\u0645", "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd",
    "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", "\u0928\u092e\u0938\u094d\u0924\u0947 \u0926\u0941\u0928\u093f\u092f\u093e", "\u10d2\u10d0\u10db\u10d0\u10e0\u10ef\u10dd\u10d1\u10d0",
    "\U0001f600\U0001f44d\U0001f3fd \U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f3f3\ufe0f\u200d\U0001f308 \u2764\ufe0f \U0001f1e9\U0001f1ea 5\ufe0f\u20e3",
    "\U0001d4d7\U0001d4ee\U0001d4f5\U0001d4f5\U0001d4f8 \uff26\uff55\uff4c\uff4c \u2460\u2461", "\u1c89\u1c8a \u0cf3 \U00010d50\U00010d70 \U0001e4d0",
    "\u2014\u2013\u2026\u201cquoted\u201d \u00ab\u00bb", "!!!???...;;;:::###$$$", "\x00\x01\x1f\x7f", "\ufffd", "\ue000\uf8ff \U0010ffff \U000e0041",
    "\u202eright\u202c", "https://example.org/a/b?c=d&e=f#g", "a/b//c///d\n/\n//\n", "...\n\n...", "?!/\n\r\n/ x",
    "<|eot|", "<|not_special|>", "<| eot |>", "|>", "<<<|||",
]
SPECIAL_TEXTS = ["<|begin_of_text|>", "x<|eot|>y<|eom|>z", "<|header_start|>user<|header_end|>\n\nHi<|eot|>",
                 "<|image|><|patch|><|patch|>", "a  <|eot|>  b", "<<|eot|>>", "<|eot|><|eot|>", "<|eot<|eot|>",
                 "1<|python_start|>f(1)<|python_end|>2", "  <|eot|>", "<|image_start|><|image|><|image_end|>"]
RUNS = [("a", 3000), (" ", 3000), ("\n", 1000), ("ab ", 500), ("=", 600), ("\u4f60", 700), ("0", 1000),
        ("\U0001f600", 300), ("-\n", 500), ("\t", 257), ("x1", 500), ("\u0e01", 500), ("A", 26000),
        ("theand", 5000), (" \n", 500), ("\u0301", 400), ("Aa", 4000), ("'s", 300), ("/", 700), (" the", 700)]


def collect():
    parts = [(ROOT / "LICENSE"), (ROOT / "include/scout.h")] + sorted((ROOT / "lib/util").glob("*.h"))
    text = "\n".join(p.read_text(encoding="utf-8") for p in parts if p.exists())
    return text[:40000] + "\n" + "\n".join(TEXTS[14:])


def train(name, text, vocab_size):
    tokenizer = Tokenizer(models.BPE(ignore_merges=name == "llama4"))
    if name == "llama4":
        steps = [pre_tokenizers.Split(Regex(LLAMA4_SPLIT), behavior="isolated", invert=False),
                 pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    else:
        steps = [pre_tokenizers.Digits(individual_digits=True),
                 pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    tokenizer.decoder = decoders.ByteLevel()
    special = [AddedToken(t, special=True, normalized=False) for t in SPECIAL]
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, show_progress=False, min_frequency=2,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                  special_tokens=special if name == "digits" else [])
    tokenizer.train_from_iterator([text], trainer)
    tokenizer.add_special_tokens(special)  # behind the others, or those there already
    bos = tokenizer.token_to_id(SPECIAL[0])
    if name == "llama4":
        tokenizer.post_processor = processors.TemplateProcessing(
            single=[SPECIAL[0], "$A"], pair=[SPECIAL[0], "$A", SPECIAL[0], "$B"],
            special_tokens=[(SPECIAL[0], bos)])
    return tokenizer


def write_json(path, value):
    lines = json.dumps(value, ensure_ascii=True, indent=None, separators=(",", ":"))
    path.write_text(lines.replace('},{"', '},\n{"') + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default=str(ROOT / "tests/golden/tokenizer"))
    parser.add_argument("--collect", action="store_true", help="take the training text anew")
    args = parser.parse_args()
    out = pathlib.Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    training = out / "training_text.txt"
    if args.collect:
        training.write_bytes(collect().encode("utf-8"))
    text = training.read_bytes().decode("utf-8")
    for name, vocab_size in (("llama4", 493), ("digits", 512)):
        folder = out / name
        folder.mkdir(exist_ok=True)
        tokenizer = train(name, text, vocab_size)
        tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
        write_json(folder / "tokenizer_config.json", {
            "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|begin_of_text|>",
            "eos_token": "<|eot|>", "pad_token": "<|finetune_right_pad|>", "model_max_length": 131072})
        cases = []
        for t in TEXTS:
            cases.append({"text": t, "special": False})
        for t in SPECIAL_TEXTS:
            cases.append({"text": t, "special": True})
        for piece, times in RUNS:
            cases.append({"repeat": piece, "times": times, "special": False})
        for case in cases:
            whole = case["text"] if "text" in case else case["repeat"] * case["times"]
            # The package always finds special tokens; texts without `special` hold none.
            ids = tokenizer.encode(whole, add_special_tokens=False).ids
            assert tokenizer.decode(ids, skip_special_tokens=False) == whole or "\ufffd" in whole
            if "repeat" in case:
                case.update({"count": len(ids), "head": ids[:12], "fnv1a64": fnv1a64(ids)})
            else:
                case["ids"] = ids
        write_json(folder / "encodings.json", {"cases": cases})
        print(name, tokenizer.get_vocab_size(), len(cases), "cases")


def fnv1a64(ids):
    """Of the ids as little-endian 32-bit numbers; enough to compare long results."""
    value = 0xCBF29CE484222325
    for byte in b"".join(i.to_bytes(4, "little") for i in ids):
        value = (value ^ byte) * 0x100000001B3 % (1 << 64)
    return f"{value:016x}"


if __name__ == "__main__":
    main()
