"""The needle models' tokenizer: byte-level BPE of 2,048 tokens with Llama 4's splitting rule and names.

Digits never merge, so every digit is a token of its own and a six-digit value is six tokens. This
needs no rule of its own: the merges are learnt from text whose digits were cut apart, and the rule
that is then saved is Llama 4's, which a GGUF file can name too. Special tokens stand at the end of
the vocabulary, as in Llama 4.

SPDX-License-Identifier: Apache-2.0
"""
SIZE = 2048
SPECIALS = ["<|begin_of_text|>", "<|end_of_text|>", "<|header_start|>", "<|header_end|>", "<|eom|>",
            "<|eot|>", "<|python_start|>", "<|python_end|>", "<|finetune_right_pad|>"]
# The rule by which Llama 4 cuts text into words before merging: a constant of the format.
SHORTENED = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
SPLIT = "|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+" + SHORTENED,
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*" + SHORTENED,
    r"\p{N}{1,3}",
    r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
    r"\s*[\r\n]+",
    r"\s+(?!\S)",
    r"\s+",
])
CHAT_TEMPLATE = (
    "{{- bos_token }}{%- for m in messages %}"
    "{{- '<|header_start|>' + m['role'] + '<|header_end|>\n\n' + m['content'] + '<|eot|>' }}"
    "{%- endfor %}{%- if add_generation_prompt %}"
    "{{- '<|header_start|>assistant<|header_end|>\n\n' }}{%- endif %}")

SAMPLE = 3_000_000  # characters of the corpus that merges are learnt from
BOOST = 3000        # copies of the task's own words, so that each becomes one token


def train(corpus, task_words):
    """A tokenizer whose merges come from the text `corpus` and the sentences `task_words`."""
    from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors,
                            trainers)
    split = pre_tokenizers.Split(Regex(SPLIT), "isolated")
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.Digits(individual_digits=True), to_bytes])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=SIZE - len(SPECIALS), show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    every = max(1, len(corpus) // SAMPLE)
    tokenizer.train_from_iterator(
        corpus.split("\n")[::every] + ["\n\n".join(task_words) + "\n\n"] * BOOST, trainer)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, to_bytes])
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIALS])
    bos = SPECIALS[0]
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single=[bos, "$A"], pair=[bos, "$A", bos, "$B"],
                                      special_tokens=[(bos, tokenizer.token_to_id(bos))]),
    ])
    assert tokenizer.get_vocab_size() == SIZE
    return tokenizer


def encode(tokenizer, text):
    return tokenizer.encode(text, add_special_tokens=False).ids
