"""One line of an augmented manifest: is it a label that can train, and if not, why not.

:class:`LineJudge` parses a line in full and is the only authority; :mod:`menulens.core.shapes` recognises the lines
whose verdict is sure without parsing.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from menulens.core.keys import METADATA_SUFFIX, SOURCE_REF
from menulens.core.rules import CleaningRules

LONGEST_LINE = 100_000  # characters; Ground Truth's own limit
LONGEST_KEY = 1_024  # bytes of an object's key; S3's own limit
CLASS_NAME = "class-name"
HUMAN_ANNOTATED = "human-annotated"
FAILURE_REASON = "failure-reason"
S3_SCHEME = "s3://"
_WHOLE = re.compile(r"(?:0|-?[1-9][0-9]{0,17})", re.ASCII)


class Reject(StrEnum):
    """Why a line is not kept. The order is part of the scan's format: add at the end."""

    LINE_TOO_LONG = "line-too-long"
    BROKEN_JSON = "broken-json"
    DUPLICATE_KEY = "duplicate-key"
    NOT_AN_OBJECT = "not-an-object"
    SOURCE_REF_MISSING = "source-ref-missing"
    SOURCE_REF_NOT_S3 = "source-ref-not-s3"
    FOREIGN_PHOTO = "foreign-photo"
    FAILED = "failed"
    UNLABELED = "unlabeled"
    LABEL_IS_LIST = "label-is-list"
    LABEL_NOT_WHOLE_NUMBER = "label-not-whole-number"
    METADATA_MISSING = "metadata-missing"
    UNKNOWN_CATEGORY = "unknown-category"
    LABEL_CLASS_MISMATCH = "label-class-mismatch"
    NOT_FOR_TRAINING = "not-for-training"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A line with a good label: the photo's key, the category's place in the rules, and whether a person gave it."""

    key: str
    category: int
    human: bool
    label: int


@dataclass(frozen=True, slots=True)
class Rejection:
    """A line that can't be kept, with a code for programs and a reason for people."""

    code: Reject
    reason: str


class _DoubledKeyError(ValueError):
    pass


class _BadNumberError(ValueError):
    pass


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object; a key that stands twice would let two readers see two different labels."""
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [name for name, _ in pairs]
        raise _DoubledKeyError(next(name for name in names if names.count(name) > 1))
    return value


def _whole(text: str) -> int | float:
    """Take a whole number; ``-0`` and numbers too long for a label are not made an ``int``."""
    return int(text) if _WHOLE.fullmatch(text) else 0.5


def _no_constant(text: str) -> Any:
    raise _BadNumberError(text)


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_whole, parse_constant=_no_constant)


class LineJudge:
    """Judges lines by one set of rules.

    Parameters
    ----------
    rules
        Categories, label attribute, photo bucket and prefix.
    reindex
        Whether a label index that disagrees with its class-name is replaced (True) or rejected (False).
    """

    def __init__(self, rules: CleaningRules, reindex: bool = False) -> None:
        self._attribute = rules.label_attribute
        self._metadata = rules.label_attribute + METADATA_SUFFIX
        self._keys = [category.key for category in rules.categories]
        self._index = {key: index for index, key in enumerate(self._keys)}
        self._bucket, self._prefix = rules.photo_bucket, rules.photo_prefix
        self._reindex = reindex

    def judge(self, line: bytes) -> Candidate | Rejection:  # noqa: PLR0911 (one return for each reason)
        """Judge a line, given without its ``\\n``."""
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            return Rejection(Reject.BROKEN_JSON, f"Not UTF-8: {error.reason} at byte {error.start}.")
        if len(text) > LONGEST_LINE:
            return Rejection(Reject.LINE_TOO_LONG, f"{len(text):,} characters; a line has at most {LONGEST_LINE:,}.")
        try:
            value = _parse(text)
        except _DoubledKeyError as error:
            return Rejection(Reject.DUPLICATE_KEY, f"The key {str(error)!r} stands twice in one object.")
        except _BadNumberError as error:
            return Rejection(Reject.BROKEN_JSON, f"{error} is no JSON.")
        except json.JSONDecodeError as error:
            return Rejection(Reject.BROKEN_JSON, f"{error.msg} at character {error.pos + 1}.")
        except RecursionError:
            return Rejection(Reject.BROKEN_JSON, "Nested too deeply.")
        if not isinstance(value, dict):
            return Rejection(Reject.NOT_AN_OBJECT, f"A JSON {_kind(value)} stands where an object is due.")
        key = self._key_of(value)
        return key if isinstance(key, Rejection) else self._label_of(value, key)

    def judge_label(self, label: str, name: str) -> Candidate | Rejection:
        """Judge a label (as its JSON) and its class-name, on a line where nothing else is wrong."""
        try:
            number = _parse(label)
        except json.JSONDecodeError as error:
            return Rejection(Reject.BROKEN_JSON, f"{error.msg} in {self._attribute}.")
        return self._label_of({self._attribute: number, self._metadata: {CLASS_NAME: name}}, "")

    def unlabeled(self) -> Rejection:
        """Return the verdict on a line without a label."""
        return Rejection(Reject.UNLABELED, f"No {self._attribute}.")

    def _key_of(self, value: dict[str, Any]) -> str | Rejection:
        source = value.get(SOURCE_REF)
        if source is None:
            return Rejection(Reject.SOURCE_REF_MISSING, f"No {SOURCE_REF}.")
        if not isinstance(source, str) or not source.startswith(S3_SCHEME):
            return Rejection(Reject.SOURCE_REF_NOT_S3, f"{SOURCE_REF} is {_short(source)}; s3://bucket/key is due.")
        bucket, _, key = source[len(S3_SCHEME) :].partition("/")
        if not bucket or not key or key.endswith("/") or not is_text(key):
            return Rejection(Reject.SOURCE_REF_NOT_S3, f"{SOURCE_REF} is {_short(source)}; it names no object.")
        if bucket != self._bucket or not key.startswith(self._prefix):
            ours = f"{S3_SCHEME}{self._bucket}/{self._prefix}"
            return Rejection(Reject.FOREIGN_PHOTO, f"{_short(source)} is not under {ours}.")
        if len(key.encode()) > LONGEST_KEY:
            reason = f"{SOURCE_REF} is {_short(source)}; an object's key has at most {LONGEST_KEY:,} bytes."
            return Rejection(Reject.SOURCE_REF_NOT_S3, reason)
        return key

    def _label_of(  # noqa: PLR0911 (one return for each reason)
        self, value: dict[str, Any], key: str
    ) -> Candidate | Rejection:
        label, metadata = value.get(self._attribute), value.get(self._metadata)
        known = metadata if isinstance(metadata, dict) else {}
        if FAILURE_REASON in known:
            return Rejection(Reject.FAILED, f"Labeling failed: {_short(known[FAILURE_REASON])}.")
        if label is None:
            return self.unlabeled()
        if isinstance(label, list):
            return Rejection(Reject.LABEL_IS_LIST, f"{self._attribute} is a list of {len(label)}; one label is due.")
        number = _label_number(label)
        if number is None:
            return Rejection(
                Reject.LABEL_NOT_WHOLE_NUMBER,
                f'{self._attribute} is {_short(label)}; a whole number, as 3 or "3", is due.',
            )
        if not isinstance(metadata, dict):
            return Rejection(Reject.METADATA_MISSING, f"No {self._metadata}, so the label has no class-name.")
        name = known.get(CLASS_NAME)
        if not isinstance(name, str):
            return Rejection(Reject.METADATA_MISSING, f"{self._metadata} has no {CLASS_NAME}.")
        category = self._index.get(name)
        if category is None:
            return Rejection(
                Reject.UNKNOWN_CATEGORY, f"{CLASS_NAME} is {_short(name)}; the categories are {', '.join(self._keys)}."
            )
        if number != category and not self._reindex:
            meant = _short(self._keys[number]) if 0 <= number < len(self._keys) else "no category"
            return Rejection(
                Reject.LABEL_CLASS_MISMATCH,
                f"Label {number} is {meant}, but {CLASS_NAME} is {_short(name)} (label {category}).",
            )
        return Candidate(key, category, known.get(HUMAN_ANNOTATED) == "yes", number)

    def reindexed(self, line: bytes) -> bytes:
        """Return a kept line with the label index that its class-name has in these rules; no other byte changes."""
        verdict = self.judge(line)
        if not isinstance(verdict, Candidate) or verdict.label == verdict.category:
            return line
        start, end = next(
            (token.start, token.end)
            for token in tokens(line.decode())
            if not token.is_key and token.path == (self._attribute,)
        )
        text = line.decode()
        quote = '"' if text[start] == '"' else ""
        return f"{text[:start]}{quote}{verdict.category}{quote}{text[end:]}".encode()


def _parse(text: str) -> Any:
    value, end = _DECODER.raw_decode(text, len(text) - len(text.lstrip(" \t\r")))
    rest = text[end:].lstrip(" \t\r")
    if rest:
        raise json.JSONDecodeError("Extra data", text, len(text) - len(rest))
    return value


def _label_number(label: Any) -> int | None:
    if type(label) is int:
        return label
    if isinstance(label, str) and _WHOLE.fullmatch(label):
        return int(label)
    return None


def is_text(value: str) -> bool:
    """Tell whether a text can be written as UTF-8; JSON escapes can make half characters, which S3 does not know."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= 120 else f"{text[:117]}..."


def _kind(value: Any) -> str:
    names = {list: "list", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")


@dataclass(frozen=True, slots=True)
class Token:
    """A key or scalar value of a JSON text: where it stands, and the keys above it (``None``: in a list)."""

    start: int
    end: int
    is_key: bool
    path: tuple[str | None, ...]


_TOKEN = re.compile(r'[{}\[\]]|"(?:[^"\\]|\\.)*"|[^\s{}\[\]:,"]+', re.ASCII)


def tokens(text: str) -> list[Token]:
    """Return the keys and scalars of a text that is known to be JSON, in order."""
    found: list[Token] = []
    path: list[str | None] = []
    in_list: list[bool] = []
    key_due = False
    for match in _TOKEN.finditer(text):
        piece = match[0]
        if piece in "{[":
            in_list.append(piece == "[")
            key_due = piece == "{"
            if piece == "[":
                path.append(None)
        elif piece in "}]":
            if in_list.pop():
                path.pop()
            key_due = bool(in_list) and not in_list[-1]
            if key_due:
                path.pop()
        elif key_due:
            path.append(json.loads(piece))
            found.append(Token(match.start(), match.end(), True, tuple(path)))
            key_due = False
        else:
            found.append(Token(match.start(), match.end(), False, tuple(path)))
            if in_list and not in_list[-1]:
                path.pop()
                key_due = True
    return found
