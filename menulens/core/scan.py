"""The first pass over a manifest: a byte of verdict and a hash of 32 bits for each line.

A verdict byte holds a good label (category, human, side of the split) or a reject code. Two lines of one photo share
the hash of its key, so every possible double is found in four bytes a line; :mod:`menulens.core.doubles` settles each
of them exactly.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from menulens.core.blocks import Block, ManifestError, Reads, line_blocks
from menulens.core.lines import Candidate, LineJudge, Reject
from menulens.core.rules import CleaningRules
from menulens.core.shapes import Fit, Shape, learn, simple_group
from menulens.core.split import border, grouper, unit_number
from menulens.core.words import WORD, Bits, Bytes, Memo, Numbers, as_words, hashes, leading, word_count, words_of

MOST_CATEGORIES = 54
FIRST_REJECT = MOST_CATEGORIES << 2
REJECT_CODES = list(Reject)
CODE_OF = {reject: FIRST_REJECT + place for place, reject in enumerate(REJECT_CODES)}
HUMAN_BIT, EVAL_BIT = 2, 1
MOST_GROUPS = 250_000  # beyond it, restaurants are not counted: a set of them all would be the largest thing in memory
_UNLABELED = CODE_OF[Reject.UNLABELED]
_UNSURE = 255  # only parsing can tell
_YES = np.uint64(int.from_bytes(b"yes", "little"))
_MOST_CACHED = 1 << 16
_SHAPES = 8
_MOST_SKIPPED = 127
_LESSON = 64  # lines of the first block that teach shapes
_NAME_WORDS = 4  # a longer class-name is parsed
_LABEL_BITS = 10
_GROUP_WORDS = 8  # a longer restaurant's side is looked up by itself
_GROUP_BITS = 17  # of the table for restaurants of up to eight bytes


class _Answers(dict[bytes, int]):
    """Answers that are worked out once, and forgotten when there are too many."""

    def __init__(self, answer: Callable[[bytes], int]) -> None:
        self._answer = answer

    def __missing__(self, text: bytes) -> int:
        if len(self) >= _MOST_CACHED:
            self.clear()
        answer = self[text] = self._answer(text)
        return answer


@dataclass(frozen=True, slots=True)
class Judged:
    """What is known of a block's lines before they are put on a side.

    Attributes
    ----------
    codes
        One verdict byte a line, without the side.
    start, size
        Where each good line's photo key stands, from the end of the rules' prefix, if it was not parsed.
    parsed
        Photo keys of the good lines that were parsed.
    """

    codes: Bytes
    start: Numbers
    size: Numbers
    parsed: dict[int, str]


class KeyReader:
    """Judges lines, most of them without parsing, and finds the unit of the split a photo belongs to."""

    def __init__(self, rules: CleaningRules, reindex: bool = False) -> None:
        if len(rules.categories) > MOST_CATEGORIES:
            raise ManifestError(f"{len(rules.categories)} categories; at most {MOST_CATEGORIES} can be told apart.")
        self.rules = rules
        self.groups: set[int] = set()
        self._judge = LineJudge(rules, reindex)
        self._group = grouper(rules)
        self._simple_group = simple_group(rules)
        self._border = border(rules)
        self._sides = _Answers(self._side_of_group)
        self._shapes: list[Shape] = []
        self._patience = self._skipped = 0
        self._prefix = rules.photo_prefix.encode()
        self._labels = {
            is_string: [Memo(1 + words, _LABEL_BITS, answers) for words in range(_NAME_WORDS + 1)]
            for is_string, answers in ((is_string, _Answers(self._code_of(is_string))) for is_string in (False, True))
        }
        self._known_groups: dict[int, Memo] = {}

    def unit(self, key: str) -> int:
        """Return the number of the unit a photo belongs to."""
        group = self._group(key)
        return unit_number(key, is_group=False) if group is None else unit_number(group, is_group=True)

    def keys(self, block: Block) -> list[bytes | None]:
        """Return the photo key of each line; None where it has no good label."""
        judged = self._judged(block)
        prefix, data = self._prefix, block.data
        places = zip(judged.codes.tolist(), judged.start.tolist(), judged.size.tolist(), strict=True)
        found = [prefix + data[at : at + size] if code < FIRST_REJECT else None for code, at, size in places]
        for row, key in judged.parsed.items():
            found[row] = key.encode()
        return found

    def teach(self, block: Block) -> None:
        """Learn shapes from the first lines of a block, without keeping any verdict."""
        for line in block.chosen(slice(_LESSON)):
            self._parse(line)

    def block(self, block: Block) -> tuple[Bytes, npt.NDArray[np.uint32]]:
        """Judge a block of lines: a verdict byte for each, and the hash of its photo's key (0: it has none)."""
        if not self._shapes:
            self.teach(block)
        judged = self._judged(block)
        codes, sums = judged.codes, np.zeros(len(block), np.uint32)
        rows = np.flatnonzero(judged.size)
        if len(rows):
            start, size = judged.start.take(rows), judged.size.take(rows)
            codes[rows] |= self._sides_of(block, start, size)
            sums[rows] = hashes(block.words, start, size)
        if judged.parsed:
            parsed = list(judged.parsed)
            codes[parsed] |= np.array([self._side(key) for key in judged.parsed.values()], np.uint8)
            sums[parsed] = self._hashes([key.encode() for key in judged.parsed.values()])
        return codes, sums

    def _judged(self, block: Block) -> Judged:
        codes = np.full(len(block), _UNSURE, np.uint8)
        start, size = np.zeros(len(block), np.int64), np.zeros(len(block), np.int64)
        left = block.plain.copy()
        for shape in self._shapes:
            fit = shape.fit(block, left)
            if fit is not None:
                found = self._codes(shape, fit, block.words)
                codes[fit.rows] = found
                good = found < FIRST_REJECT
                start[fit.rows], size[fit.rows] = fit.key.start, np.where(good, fit.key.size, 0)
                left[fit.rows] = False
        parsed: dict[int, str] = {}
        unsure = np.flatnonzero(codes == _UNSURE)
        for row, line in zip(unsure.tolist(), block.chosen(unsure), strict=True):
            codes[row], key = self._parse(line)
            if key is not None:
                parsed[row] = key
        return Judged(codes, start, size, parsed)

    def _codes(self, shape: Shape, fit: Fit, text: Bits) -> Bytes:
        """Return verdict bytes without the side; some may be left unsure."""
        label, name, human = fit.label, fit.name, fit.human
        if label is None or name is None:
            return np.full(len(fit.rows), _UNLABELED, np.uint8)
        count = min(_NAME_WORDS, word_count(name.size))
        words = words_of(text, label.start, label.size, 1) + words_of(text, name.start, name.size, count)
        codes = self._labels[shape.label_is_string][count].look(words)
        codes[(label.size > WORD) | (name.size > WORD * _NAME_WORDS)] = _UNSURE
        if human is not None:
            (word,) = words_of(text, human.start, human.size, 1)
            codes |= np.where((word == _YES) & (codes < FIRST_REJECT), HUMAN_BIT, 0).astype(np.uint8)
        return codes

    def _code_of(self, is_string: bool) -> Callable[[bytes], int]:
        """Return what judges a label (in eight bytes) and the class-name behind it."""

        def code_of(text: bytes) -> int:
            # A text that is longer than its words is not decided here, but may come without its end.
            label, name = (part.rstrip(b"\0").decode(errors="replace") for part in (text[:WORD], text[WORD:]))
            if len(label) > 3 or not (label.isascii() and label.isdigit()):
                return _UNSURE
            verdict = self._judge.judge_label(f'"{label}"' if is_string else label, name)
            return verdict.category << 2 if isinstance(verdict, Candidate) else CODE_OF[verdict.code]

        return code_of

    def _parse(self, line: bytes) -> tuple[int, str | None]:
        """Return verdict byte, without the side, and photo key of one line, and learn its shape."""
        verdict = self._judge.judge(line)
        if isinstance(verdict, Candidate):
            self._learn(line, labeled=True)
            return verdict.category << 2 | verdict.human << 1, verdict.key
        if verdict.code is Reject.UNLABELED:
            self._learn(line, labeled=False)
        return CODE_OF[verdict.code], None

    def _learn(self, line: bytes, *, labeled: bool) -> None:
        if self._skipped < self._patience:
            self._skipped += 1
        elif sum(shape.labeled == labeled for shape in self._shapes) < _SHAPES:
            learned = learn(line, self.rules, labeled=labeled)
            if learned and all(shape.pattern != learned.pattern for shape in self._shapes):
                self._shapes.append(learned)
                self._patience = 0
            else:
                # Learning takes longer than parsing: lines that teach nothing are asked less and less often.
                self._patience = min(2 * self._patience + 1, _MOST_SKIPPED)
            self._skipped = 0

    def _hashes(self, keys: list[bytes]) -> npt.NDArray[np.uint32]:
        """Hash keys as they are hashed in a block: without the rules' prefix."""
        rests = [key[len(self._prefix) :] for key in keys]
        size = np.array([len(rest) for rest in rests], np.int64)
        return hashes(as_words(b"".join(rests) + bytes(2 * WORD)), np.cumsum(size) - size, size)

    def _sides_of(self, block: Block, start: Numbers, size: Numbers) -> Bytes:
        """Return the side of each photo, given where its key stands."""
        sides = np.zeros(len(start), np.uint8)
        odd = np.arange(len(start))
        if self._simple_group:
            length, words = leading(block.words, start, size, ord("/"), _GROUP_WORDS)
            some, odd = np.flatnonzero(length), np.flatnonzero(length == 0)
            if len(some):
                words = [word.take(some) for word in words] if len(odd) else words
                sides[some] = self._look_groups_up(words)
        if len(odd):
            places = zip(start.take(odd).tolist(), size.take(odd).tolist(), strict=True)
            # No key holds a line's end (the shape forbids it), so one decoding serves them all.
            text = b"\n".join([self._prefix + block.data[at : at + length] for at, length in places]).decode()
            sides[odd] = [self._side(key) for key in text.split("\n")]
        return sides

    def _look_groups_up(self, words: list[Bits]) -> Bytes:
        # 1, 2, 4 or 8 words: few tables, each of them of the same bytes.
        doublings = (len(words) - 1).bit_length()
        if doublings not in self._known_groups:
            self._known_groups[doublings] = Memo(1 << doublings, _GROUP_BITS - doublings, self._sides)
        nothing = np.zeros(len(words[0]), np.uint64)
        return self._known_groups[doublings].look(words + [nothing] * ((1 << doublings) - len(words)))

    def _side(self, key: str) -> int:
        group = self._group(key)
        if group is None:
            return unit_number(key, is_group=False) < self._border
        return self._sides[group.encode("utf-8", "surrogatepass")]

    def _side_of_group(self, group: bytes) -> int:
        number = unit_number(group.decode("utf-8", "surrogatepass"), is_group=True)
        if len(self.groups) <= MOST_GROUPS:
            self.groups.add(number)
        return int(number < self._border)


@dataclass(slots=True)
class Scan:
    """What the first pass over a manifest, or over a part of one, found.

    Attributes
    ----------
    codes
        One verdict byte a line.
    sums
        Hash of each line's photo key; 0 where the line has no good label.
    groups
        Numbers of the restaurants that labeled photos belong to.
    sha256
        Of the bytes read.
    """

    codes: bytearray
    sums: array[int]
    groups: set[int]
    sha256: str


def scan(stream: Reads, rules: CleaningRules, reindex: bool = False) -> Scan:
    """Judge every line of a stream.

    Raises
    ------
    ManifestError
        If a line is longer than memory should hold, or the rules have too many categories.
    """
    codes, sums = bytearray(), array("I")
    digest, reader = hashlib.sha256(), KeyReader(rules, reindex)
    for block in line_blocks(stream, digest.update):
        found, hashed = reader.block(block)
        codes += found.data
        sums.frombytes(hashed.tobytes())
    return Scan(codes, sums, reader.groups, digest.hexdigest())
