"""A small byte-level BPE vocabulary of this project's own making, of any size above 280.

256 single bytes, then pieces learnt by byte-pair merging from the text below (and, where that ends,
pairs of letters), then special tokens with Llama 4's names. The same size gives the same vocabulary.
SPDX-License-Identifier: Apache-2.0
"""
import re
import string

SPECIALS = [
    "<|begin_of_text|>", "<|end_of_text|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>",
    "<|header_start|>", "<|header_end|>", "<|eom|>", "<|eot|>", "<|step|>", "<|python_start|>",
    "<|python_end|>", "<|finetune_right_pad|>", "<|image_start|>", "<|image_end|>",
    "<|tile_x_separator|>", "<|tile_y_separator|>", "<|image|>", "<|patch|>",
    "<|reasoning_thinking_start|>", "<|reasoning_thinking_end|>", "<|reserved_special_token_0|>",
    "<|reserved_special_token_1|>", "<|reserved_special_token_2|>",
]

# The rule by which Llama 4 cuts text into words before merging: a constant of the format.
SPLIT = "|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}",
    r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
    r"\s*[\r\n]+",
    r"\s+(?!\S)",
    r"\s+",
])

TEXT = """
The library reads a model from its files and answers inside the process of the caller. The caller
hands over the whole text that the session should hold, and the session keeps what it already has,
drops what no longer fits and computes the rest. A layer that rotates its keys looks back to the
start of the current chunk, and a layer that does not rotate looks back to the first token. Every
token goes through a shared expert and through one expert that the router chooses for it. Weights
are read once and shared by all engines, while each session owns the pages of its keys and values.
When a file is cut short, when a number in it is too large, or when a tensor has the wrong shape,
loading ends with an error that names the file, the tensor and the reason, and nothing is left behind.
A long document is read in pieces. The pieces may be of any size, and the numbers that come out are
the same numbers, because each key segment is summed by itself and the sums are joined from left to
right. In the morning the river was quiet and the boats lay along the wall. The children counted them:
one, two, three, four, five, six, seven, eight, nine and ten. Their mother asked what they had seen,
and they told her about the heron, the red boat, the green boat and the man who was painting the
third one white. In the evening there was wind from the north, and all the boats were turned the
other way round. "What will happen when the water rises?" asked the youngest. "Then they will float
a little higher," said the eldest, "and nothing else will change." The next day it rained.
"""


def byte_chars():
    """The printable stand-in of each byte value, as byte-level vocabularies write them."""
    keep = set(range(0x21, 0x7F)) | set(range(0xA1, 0xAD)) | set(range(0xAE, 0x100))
    others = iter(range(256, 512))
    return [chr(b) if b in keep else chr(next(others)) for b in range(256)]


def learn_merges(count):
    """`count` pairs, most frequent first, equal ones in alphabetical order."""
    chars = byte_chars()
    words = {}
    for word in re.findall(r" ?[A-Za-z]+|[^A-Za-z]", TEXT.replace("\n", " ")):
        parts = tuple(chars[b] for b in word.encode())
        words[parts] = words.get(parts, 0) + 1
    merges = []
    while len(merges) < count:
        pairs = {}
        for parts, n in words.items():
            for pair in zip(parts, parts[1:]):
                pairs[pair] = pairs.get(pair, 0) + n
        if not pairs:
            break
        best = min(pairs, key=lambda p: (-pairs[p], p))
        merges.append(best)
        joined = {}
        for parts, n in words.items():
            out, i = [], 0
            while i < len(parts):
                step = 2 if parts[i:i + 2] == best else 1
                out.append("".join(parts[i:i + step]))
                i += step
            joined[tuple(out)] = joined.get(tuple(out), 0) + n
        words = joined
    known = {a + b for a, b in merges}
    for a in string.ascii_letters:  # the text is used up: any pair of letters will do
        for b in string.ascii_letters:
            if len(merges) < count and a + b not in known:
                merges.append((a, b))
    assert len(merges) == count
    return merges


def build(size):
    """(tokens, merges, id of the first special token)."""
    merges = learn_merges(size - 256 - len(SPECIALS))
    tokens = byte_chars() + [a + b for a, b in merges] + SPECIALS
    assert len(tokens) == size == len(set(tokens))
    return tokens, merges, size - len(SPECIALS)


def tokenizer_json(size):
    """The text of a Hugging Face tokenizer.json with this vocabulary."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors

    tokens, merges, first_special = build(size)
    vocab = {token: i for i, token in enumerate(tokens[:first_special])}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, fuse_unk=False, byte_fallback=False,
                                     ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SPLIT), behavior="isolated", invert=False),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIALS])
    bos = SPECIALS[0]
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single=[bos, "$A"], pair=[bos, "$A", bos, "$B"],
                                      special_tokens=[(bos, first_special)]),
    ])
    assert tokenizer.get_vocab_size() == size
    return tokenizer.to_str(pretty=False) + "\n"
