"""JSON from strangers: no key twice, no number that JSON can't hold, no depth that breaks a reader, all text kept."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, Final

from menulens.portal.exchange.records import MOST_BYTES, MOST_RECORDS, ExchangeError

DEEPEST: Final = 100
_SPACE: Final = " \t\r\n"


class FaultyValueError(Exception):
    """A value that is JSON, but not one that could be given back as it came."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class _Fault:
    """Stands where a value can't be kept; found when the value is looked through."""

    def __init__(self, code: str, reason: str) -> None:
        self.code, self.reason = code, reason


def _pairs(pairs: list[tuple[str, Any]]) -> Any:
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [name for name, _ in pairs]
        doubled = sorted({name for name in names if names.count(name) > 1})
        return _Fault("double-key", f"The key {doubled[0]!r:.100} stands twice in one object; each may stand once.")
    return value


def _number(text: str) -> Any:
    value = float(text)
    return value if math.isfinite(value) else _Fault("number", f"{text:.40} is beyond what a number can hold.")


def _integer(text: str) -> Any:
    return int(text) if len(text) <= 400 else _Fault("number", f"A number of {len(text)} digits can't be kept.")


def _constant(text: str) -> Any:
    return _Fault("number", f"{text} is no JSON; leave the value out or write null.")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_float=_number, parse_int=_integer, parse_constant=_constant
)


def decode(data: bytes, where: str) -> str:
    """Return UTF-8 text without a byte order mark.

    Raises
    ------
    ExchangeError
        If it is too large or no UTF-8.
    """
    if len(data) > MOST_BYTES:
        raise ExchangeError(f"{where}: {len(data):,} bytes; up to {MOST_BYTES:,} are read. Divide the file.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ExchangeError(f"{where}: byte {error.start:,} is no UTF-8; save the file as UTF-8.") from None


def elements(text: str, where: str) -> Iterator[tuple[str, Any]]:
    """Yield each element of a JSON array with its text as it stands there; a lone object is an array of one.

    Raises
    ------
    ExchangeError
        If the text is no JSON: with line and column.
    """
    at = _next(text, 0)
    if text[at : at + 1] != "[":
        value, end = _value(text, at, where)
        if _next(text, end) != len(text):
            raise _broken(text, _next(text, end), where, "more follows after the value")
        yield text[at:end], value
        return
    at, count = _next(text, at + 1), 0
    if text[at : at + 1] == "]":
        _ended(text, at, where)
        return
    while True:
        value, end = _value(text, at, where)
        count += 1
        if count > MOST_RECORDS:
            raise ExchangeError(f"{where}: more than {MOST_RECORDS:,} records; divide the file.")
        yield text[at:end], value
        at = _next(text, end)
        mark = text[at : at + 1]
        if mark == "]":
            _ended(text, at, where)
            return
        if mark != ",":
            raise _broken(text, at, where, "a comma or ] is due")
        at = _next(text, at + 1)


def loads(text: str, where: str) -> Any:
    """Return one JSON value.

    Raises
    ------
    ExchangeError
        If the text is no JSON.
    FaultyValueError
        If it is JSON that could not be given back as it came.
    """
    at = _next(text, 0)
    value, end = _value(text, at, where)
    if _next(text, end) != len(text):
        raise _broken(text, _next(text, end), where, "more follows after the value")
    check(value)
    return value


def check(value: Any) -> None:
    """Look through a value.

    Raises
    ------
    FaultyValueError
        If a key stands twice, a number is none, or it goes too deep.
    """
    waiting = [(value, 1)]
    while waiting:
        item, depth = waiting.pop()
        if isinstance(item, _Fault):
            raise FaultyValueError(item.code, item.reason)
        if isinstance(item, dict | list):
            if depth > DEEPEST:
                raise FaultyValueError("too-deep", f"Values stand in one another over {DEEPEST} deep.")
            waiting.extend((inner, depth + 1) for inner in (item.values() if isinstance(item, dict) else item))


def dumps(value: Any, indent: int | None = None) -> str:
    """Return a value as JSON; what UTF-8 can't hold (half a surrogate pair) is escaped."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, ensure_ascii=True, allow_nan=False, indent=indent)
    return text


def _value(text: str, at: int, where: str) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        raise _broken(text, error.pos, where, error.msg) from None
    except RecursionError:
        raise ExchangeError(f"{where}: values stand in one another too deep to be read (over {DEEPEST}).") from None


def _next(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


def _ended(text: str, at: int, where: str) -> None:
    if _next(text, at + 1) != len(text):
        raise _broken(text, _next(text, at + 1), where, "more follows after the array")


def _broken(text: str, at: int, where: str, what: str) -> ExchangeError:
    line = text.count("\n", 0, at) + 1
    column = at - text.rfind("\n", 0, at)
    return ExchangeError(f"{where}: no JSON at line {line:,}, column {column:,}: {what}.")
