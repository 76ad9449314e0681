"""Needles, records and questions about them, as token ids.

A needle states a six-digit value for a key ("The magic number for amber is 483920."); a record is the
same as a line of a list ("Entry amber: 483920"). They stand at random places of a haystack of real
text, alone on a line. A question asks for one key and is answered by the six digits, or by "not in
the text" where the key has none. Keys are single words, words of several tokens, and pairs of words;
one word in five is held out, which means that no training key contains it.

Everything is put together from pieces that the tokenizer would cut at the same places, so the ids are
those of the text (`tests.py` checks this).

SPDX-License-Identifier: Apache-2.0
"""
import hashlib
import re
import zlib
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

import vocabulary

DIGITS = 6
FACT_NOUNS = ["magic number", "pass key", "access code"]
RECORD_NOUN = "value"
STATEMENTS = ["The {noun} for {key} is {value}.", "The {noun} of {key} is {value}.",
              "Remember: the {noun} for {key} is {value}.", "Note that {key} has the {noun} {value}."]
RECORDS = ["Entry {key}: {value}", "- {key}: {value}"]
QUESTIONS = ["What is the {noun} for {key}?", "Which {noun} does {key} have?",
             "Tell me the {noun} of {key}.", "The text gives a {noun} for {key}. What is it?"]
# Shown in training too, but the tokenizer was made without them.
MORE_QUESTIONS = ["Please tell me the {noun} for {key}.", "Do you know the {noun} of {key}?",
                  "Give me the {noun} that the text has for {key}.",
                  "I am looking for the {noun} of {key}.", "What {noun} belongs to {key}?"]
# Never shown in training: how far does a question's wording matter?
UNSEEN_QUESTIONS = ["Find the {noun} that belongs to {key}.", "I need the {noun} for {key}, please."]
NOT_THERE = "not in the text"

TASK_WORDS = (STATEMENTS + RECORDS + QUESTIONS + FACT_NOUNS + [f"The {n}s" for n in FACT_NOUNS] +
              [NOT_THERE, f"the {RECORD_NOUN}", "user", "assistant"])


def held_out(word):
    return hashlib.sha256(word.encode()).digest()[0] < 52  # a fifth


@dataclass
class Key:
    words: tuple  # of text
    ids: list     # with the space before each word

    @property
    def text(self):
        return " ".join(self.words)

    @property
    def tag(self):
        """A number above 0 that keys of other words do not have, but for chance."""
        return zlib.crc32(self.text.encode()) + 1


@dataclass
class Fact:
    key: Key
    value: np.ndarray  # (DIGITS,) digits
    noun: str
    form: str
    at: int = -1       # position of its first token in the document
    key_at: int = -1   # of its key's first token
    value_at: int = -1  # of its first digit


@dataclass
class Question:
    prompt_end: int      # row that predicts the answer's first token
    key_at: int
    answer: list         # ids, with the end token
    fact: Fact | None    # None: the text does not say
    key: Key


@dataclass
class Sequence:
    ids: np.ndarray
    facts: list = field(default_factory=list)
    questions: list = field(default_factory=list)
    text_end: int = 0


class Language:
    """Templates as token ids, and the pools of keys."""

    def __init__(self, tokenizer, corpus):
        self.tokenizer = tokenizer
        self.ids = lambda text: vocabulary.encode(tokenizer, text)
        self.bos, start, end, self.eot, self.pad = (
            tokenizer.token_to_id(f"<|{n}|>") for n in
            ("begin_of_text", "header_start", "header_end", "eot", "finetune_right_pad"))
        header = lambda role: [start, *self.ids(role), end, *self.ids("\n\n")]
        self.user, self.assistant = header("user"), header("assistant")
        self.digit = [self.ids(str(d))[0] for d in range(10)]
        self.newline = self.ids("\n")
        self.not_there = self.ids(NOT_THERE) + [self.eot]
        self.cache = {}
        self.short, self.long = self._words(corpus)

    def _words(self, corpus):
        """(words of one token, words of two to four tokens), sorted; none that the templates use."""
        used = set(re.findall(r"[a-z]+", " ".join(TASK_WORDS + MORE_QUESTIONS + UNSEEN_QUESTIONS).lower()))
        short = sorted(t[1:] for t in self.tokenizer.get_vocab()
                       if re.fullmatch("Ġ[a-z]{4,}", t) and t[1:] not in used)
        counts = Counter(re.findall(r"(?<= )[a-z]{5,12}(?=[ ,.])", corpus))
        common = sorted(w for w, n in counts.items() if n >= 6 and w not in used)
        long = [w for w in common if 2 <= len(self.ids(" " + w)) <= 4]
        return short, long

    def pieces(self, template, noun):
        """Ids before the key, between key and value (or the end), after the value."""
        if (template, noun) not in self.cache:
            parts = re.split(r" \{key\}|\{value\}", template.replace("{noun}", noun))
            self.cache[template, noun] = [self.ids(p) if p else [] for p in parts]
        return self.cache[template, noun]

    def statement(self, fact):
        """(ids of the line, offset of the key, offset of the first digit)."""
        is_record = fact.form in RECORDS
        before, between, after = self.pieces(fact.form + "\n", fact.noun)
        value_at = len(before) + len(fact.key.ids) + len(between)
        digits = [self.digit[d] for d in fact.value]
        assert not is_record or fact.noun == RECORD_NOUN
        return before + fact.key.ids + between + digits + after, len(before), value_at

    def question(self, form, noun, key):
        """(ids of the question, its end and the answer's header; offset of the key)."""
        before, after = self.pieces(form, noun)
        return before + key.ids + after + [self.eot, *self.assistant], len(before)


@dataclass(frozen=True)
class Mix:
    """What a batch is made of: the curriculum's stages differ in it."""
    length: int
    batch: int
    facts: int
    questions: int
    absent: float = 0.2     # share of questions without an answer
    long_keys: float = 0.25
    pair_keys: float = 0.35
    forms: int = 10         # how many of the question and statement templates
    records: float = 0.35   # share of sequences with a list of records


class Tasks:
    """Draws sequences from one split of the text and one part of the key words."""

    def __init__(self, language, tokens, rng, words_held_out):
        self.lang, self.tokens, self.rng = language, tokens.astype(np.int64), rng
        keep = lambda words: [w for w in words if held_out(w) == words_held_out]
        self.short, self.long = keep(language.short), keep(language.long)
        self.newline_first = np.array(language.newline[:1])
        text = [language.tokenizer.id_to_token(i) for i in range(vocabulary.SIZE)]
        self.ends_line = np.array([t.endswith("Ċ") for t in text])
        self.starts_word = np.array([bool(re.match("Ġ[A-Za-z]", t)) for t in text])
        self.ends_word = np.array([bool(re.search("[A-Za-z]$", t)) for t in text])
        self.line_starts = np.flatnonzero(self.ends_line[self.tokens[:-1]]) + 1

    def haystack(self, length):
        """At most `length` tokens of text from a line's start on, and the places where lines start and
        where a line break may be put: both leave the tokens around them as they are."""
        start = self.line_starts[self.rng.integers(len(self.line_starts))]
        hay = np.take(self.tokens, np.arange(start, start + length + 1), mode="wrap")
        before = np.concatenate((self.newline_first, hay[:-1]))
        line = self.ends_line[before]
        cuts = np.flatnonzero(line | (self.starts_word[hay] & self.ends_word[before]))
        hay = hay[:cuts[-1]]
        return hay, np.append(np.flatnonzero(line[:len(hay)]), len(hay)), cuts

    def key(self, mix, near=None):
        """A key; of a pair, one word may come from the key `near` (the hardest distractor)."""
        kind = self.rng.random()
        word = lambda: self.short[self.rng.integers(len(self.short))]
        if kind < mix.pair_keys:
            words = [word(), word()]
            if near is not None and len(near.words) == 2:
                side = self.rng.integers(2)
                words[side] = near.words[side]
        elif kind < mix.pair_keys + mix.long_keys:
            words = [self.long[self.rng.integers(len(self.long))]]
        else:
            words = [word()]
        return Key(tuple(words), [i for w in words for i in self.lang.ids(" " + w)])

    def new_key(self, mix, used, near=None):
        while True:
            key = self.key(mix, near)
            if key.words not in used and len(set(key.words)) == len(key.words):
                used.add(key.words)
                return key

    def facts(self, mix, used):
        """Facts in the order of the text; records, where there are any, follow each other."""
        rng, n = self.rng, mix.facts
        records = int(rng.integers(3, n // 2 + 1)) if n >= 6 and rng.random() < mix.records else 0
        record_form = RECORDS[rng.integers(len(RECORDS))]
        nouns = FACT_NOUNS if rng.random() < 0.5 else [FACT_NOUNS[rng.integers(3)]]
        out = []
        for i in range(n):
            near = out[rng.integers(len(out))].key if out and rng.random() < 0.25 else None
            noun, form = RECORD_NOUN, record_form
            if i >= records:
                noun = nouns[rng.integers(len(nouns))]
                form = STATEMENTS[rng.integers(min(mix.forms, len(STATEMENTS)))]
            out.append(Fact(self.new_key(mix, used, near), rng.integers(0, 10, DIGITS), noun, form))
        return out, records

    def document(self, length, facts, records, any_word=0.5):
        """Ids of about `length` tokens of text with the facts in it; fills in their positions.

        The first `records` facts form one list. A place is a random token offset, moved to the next
        line start, or (with the share `any_word`) to the next word, where the line is broken.
        """
        rng, lang = self.rng, self.lang
        lines = [lang.statement(f) for f in facts]
        room = length - sum(len(ids) + 1 for ids, _, _ in lines) - 1
        hay, line_starts, cuts = self.haystack(max(room, 8))
        offsets = rng.integers(0, len(hay) + 1, len(facts))
        offsets[:records] = offsets[:1]
        places = []
        for i, x in enumerate(offsets):
            where = cuts if i >= records and rng.random() < any_word else line_starts
            places.append(where[np.searchsorted(where, x)])
        parts, size, done = [], 0, 0

        def put(ids):
            nonlocal size
            parts.append(np.asarray(ids, dtype=np.int64))
            size += len(ids)

        def end_line():
            # A document follows a header's empty line, so its start counts as a line's.
            if size and not self.ends_line[next(p for p in reversed(parts) if len(p))[-1]]:
                put(lang.newline)

        for i in np.argsort(places, kind="stable"):
            put(hay[done:places[i]])
            end_line()
            done = places[i]
            ids, key_at, value_at = lines[i]
            fact = facts[i]
            fact.at, fact.key_at, fact.value_at = size, size + key_at, size + value_at
            put(ids)
        put(hay[done:])
        end_line()
        return np.concatenate(parts)

    def ask(self, fact, mix=None, form=None, used=None, near=None):
        """(ids of the question and the answer's header, offset of the key, answer's ids, key).

        Without a fact: about a key that is not in `used`.
        """
        rng, lang = self.rng, self.lang
        if form is None:
            forms = (QUESTIONS + MORE_QUESTIONS)[:mix.forms]
            form = forms[rng.integers(len(forms))]
        if fact is None:
            nouns = FACT_NOUNS + [RECORD_NOUN]
            noun, key = nouns[rng.integers(len(nouns))], self.new_key(mix, used, near)
            answer = lang.not_there
        else:
            noun, key = fact.noun, fact.key
            answer = [lang.digit[d] for d in fact.value] + [lang.eot]
        prompt, key_at = lang.question(form, noun, key)
        return prompt, key_at, answer, key

    def sequence(self, mix, used):
        """One training sequence: a user's document with a first question, then more turns."""
        rng, lang = self.rng, self.lang
        facts, records = self.facts(mix, used)
        order = list(rng.permutation(len(facts))[:mix.questions])
        turns = []
        for i in order:
            absent = rng.random() < mix.absent
            near = facts[rng.integers(len(facts))].key if absent and rng.random() < 0.5 else None
            turns.append((None if absent else facts[i],
                          *self.ask(None if absent else facts[i], mix, None, used, near)))
        tail = sum(len(p) + len(a) + len(lang.user) for _, p, _, a, _ in turns)
        head = [lang.bos, *lang.user]
        ids = [np.array(head), self.document(mix.length - tail - len(head), facts, records)]
        size = len(head) + len(ids[1])
        for fact in facts:
            fact.at, fact.key_at, fact.value_at = (
                x + len(head) for x in (fact.at, fact.key_at, fact.value_at))
        out = Sequence(None, facts, [], size)
        for n, (fact, prompt, key_at, answer, key) in enumerate(turns):
            turn = (lang.user if n else []) + prompt
            out.questions.append(Question(size + len(turn) - 1, size + len(turn) - len(prompt) + key_at,
                                          answer, fact, key))
            ids.append(np.array(turn + answer))
            size += len(ids[-1])
        out.ids = np.concatenate(ids)
        return out


def cut_by_border(start, last, chunk):
    """Does a border of the chunked layers lie between the tokens `start` and `last`?"""
    return start // chunk != last // chunk


def fact_is_cut(fact, chunk):
    return cut_by_border(fact.key_at, fact.value_at + DIGITS - 1, chunk)


def question_is_cut(question, chunk):
    return cut_by_border(question.key_at, question.prompt_end + len(question.answer) - 1, chunk)


@dataclass
class Batch:
    """(B, L) ids; per sequence R rows whose next token counts, padded with rows of weight 0."""
    ids: np.ndarray
    rows: np.ndarray       # (B, R)
    target: np.ndarray     # (B, R) next token
    weight: np.ndarray     # (B, R) of the answer's loss
    text: np.ndarray       # (B, R) 1: the row counts for the language model's loss
    key: np.ndarray        # (B, R) position that the global layers must look at, or -1
    first: np.ndarray      # (B, R) 1: the row predicts an answer's first token
    question: np.ndarray   # (B, R) number of the question in the batch, or -1
    absent: np.ndarray     # (questions,) bool
    hay: np.ndarray        # (B, L) bool: neither needle nor question
    tag: np.ndarray        # (B, R) Key.tag of the row's question
    digits: np.ndarray     # (N,) flat positions b * L + p of all needles' digits
    digit_tags: np.ndarray  # (N,) Key.tag of their needles


WEIGHTS = [4.0, 1.5] + [1.0] * (DIGITS - 2)  # of an answer's tokens; the end token counts END_WEIGHT
END_WEIGHT = 0.5


def make_batch(tasks, mix, chunk, text_share):
    """A batch of sequences whose keys all differ. Needles and questions cut by a border, which the
    chunked layers cannot read as a whole, are in the text but not in the loss."""
    rng, length = tasks.rng, mix.length
    used, built, absent, digits, digit_tags = set(), [], [], [], []
    ids = np.full((mix.batch, length), tasks.lang.pad, dtype=np.int64)
    hay = np.zeros((mix.batch, length), dtype=bool)
    n_text = int(length * text_share)
    for b in range(mix.batch):
        s = tasks.sequence(mix, used)
        n = min(length, len(s.ids))
        ids[b, :n] = s.ids[:n]
        hay[b, :s.text_end] = True
        for f in s.facts:
            hay[b, f.at:f.value_at + DIGITS + 1] = False
            if not fact_is_cut(f, chunk):
                digits += [b * length + f.value_at + j for j in range(DIGITS)]
                digit_tags += [f.key.tag] * DIGITS
        rows = []  # position, target, weight, text, key, first, question, tag
        for q in s.questions:
            cut = question_is_cut(q, chunk) or (q.fact and fact_is_cut(q.fact, chunk))
            if cut or q.prompt_end + len(q.answer) >= n:
                continue
            # The second digit that attention is supervised on differs from question to question.
            also = int(rng.integers(1, DIGITS))
            for j, token in enumerate(q.answer):
                last = j == len(q.answer) - 1
                key = -1
                if q.fact is not None and j in (0, also):
                    key = q.fact.value_at + j
                elif q.fact is None and j == 0:
                    key = 0  # the begin token: what a question without an answer rests on
                rows.append((q.prompt_end + j, token, END_WEIGHT if last else WEIGHTS[j], 0, key,
                             int(j == 0), len(absent), q.key.tag))
            absent.append(q.fact is None)
        free = np.flatnonzero(hay[b, :-1] & hay[b, 1:])
        for p in rng.choice(free, min(n_text, len(free)), replace=False):
            rows.append((p, ids[b, p + 1], 0.0, 1, -1, 0, -1, 0))
        built.append(rows)
    width = max(map(len, built))
    table = np.zeros((mix.batch, width, 8))
    table[:, :, 4] = table[:, :, 6] = -1
    for b, rows in enumerate(built):
        if rows:
            table[b, :len(rows)] = rows
    column = lambda i, kind=np.int64: table[:, :, i].astype(kind)
    return Batch(ids, column(0), column(1), column(2, np.float32), column(3, np.float32), column(4),
                 column(5), column(6), np.array(absent, dtype=bool), hay, column(7),
                 np.array(digits, dtype=np.int64), np.array(digit_tags, dtype=np.int64))
