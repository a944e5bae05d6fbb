"""What is written to the table, in DynamoDB's form: keys, values, expressions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

PK: Final = "pk"
SK: Final = "sk"
QUEUE: Final = "queue"
ORDER: Final = "order"
WHO: Final = "who"
"""Of an item: who has answered it; in the index as well, so that nobody's own answers are read again."""
EXPIRES: Final = "expires"

Key = tuple[str, str]
Values = Mapping[str, Any]


class TableError(Exception):
    """The table can't be read or written; the message says what was tried."""


@dataclass(frozen=True, slots=True)
class Put:
    """Writes an entry whole; ``new``: only if there is none of its key."""

    key: Key
    values: Values
    new: bool = False


@dataclass(frozen=True, slots=True)
class Update:
    """Changes attributes of an entry.

    Attributes
    ----------
    set, remove, add, take
        Attributes to set; to remove; numbers or sets to add to; sets to take members from.
    when, unless, below, absent
        Attributes that must equal these values; be missing or other than these; be missing or lower; be missing.
    exists
        Whether the entry must be there (True), must not (False), or may (None).
    """

    key: Key
    set: Values | None = None
    remove: Sequence[str] = ()
    add: Values | None = None
    take: Values | None = None
    when: Values | None = None
    unless: Values | None = None
    below: Values | None = None
    absent: Sequence[str] = ()
    exists: bool | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """Removes an entry; one that is not there is fine."""

    key: Key


Write = Put | Update | Delete


def key_of(key: Key) -> dict[str, Any]:
    """Return a key."""
    return {PK: {"S": key[0]}, SK: {"S": key[1]}}


def request_of(table: str, write: Write) -> tuple[str, dict[str, Any]]:
    """Return a write's operation and its parameters."""
    if isinstance(write, Delete):
        return "Delete", {"TableName": table, "Key": key_of(write.key)}
    if isinstance(write, Put):
        item = key_of(write.key) | {name: encode(value) for name, value in write.values.items() if not _empty(value)}
        body: dict[str, Any] = {"TableName": table, "Item": item}
        if write.new:
            body |= {"ConditionExpression": "attribute_not_exists(#pk)", "ExpressionAttributeNames": {"#pk": PK}}
        return "Put", body
    return "Update", _Expression().update(table, write)


class _Expression:
    """Collects the names and values of one update."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._values: dict[str, Any] = {}

    def update(self, table: str, write: Update) -> dict[str, Any]:
        setting = {name: value for name, value in (write.set or {}).items() if not _empty(value)}
        removing = [*write.remove, *(name for name, value in (write.set or {}).items() if _empty(value))]
        clauses = [
            ("SET", [f"{self._name(name)} = {self._value(value)}" for name, value in setting.items()]),
            ("REMOVE", [self._name(name) for name in removing]),
            ("ADD", [f"{self._name(name)} {self._value(value)}" for name, value in (write.add or {}).items()]),
            ("DELETE", [f"{self._name(name)} {self._value(value)}" for name, value in (write.take or {}).items()]),
        ]
        conditions = [f"{self._name(name)} = {self._value(value)}" for name, value in (write.when or {}).items()]
        for sign, bounds in (("<>", write.unless), ("<", write.below)):
            for name, value in (bounds or {}).items():
                alias = self._name(name)
                conditions.append(f"(attribute_not_exists({alias}) OR {alias} {sign} {self._value(value)})")
        conditions += [f"attribute_not_exists({self._name(name)})" for name in write.absent]
        if write.exists is not None:
            conditions.append(f"attribute_{'exists' if write.exists else 'not_exists'}({self._name(PK)})")
        body: dict[str, Any] = {"TableName": table, "Key": key_of(write.key)}
        if expression := " ".join(f"{verb} {', '.join(parts)}" for verb, parts in clauses if parts):
            body["UpdateExpression"] = expression
        if conditions:
            body["ConditionExpression"] = " AND ".join(conditions)
        if self._names:
            body["ExpressionAttributeNames"] = self._names
        if self._values:
            body["ExpressionAttributeValues"] = self._values
        return body

    def _name(self, name: str) -> str:
        alias = next((one for one, known in self._names.items() if known == name), f"#n{len(self._names)}")
        self._names[alias] = name
        return alias

    def _value(self, value: Any) -> str:
        alias = f":v{len(self._values)}"
        self._values[alias] = encode(value)
        return alias


def _empty(value: Any) -> bool:
    """Tell whether a value is left out: nothing, or a set without members, which DynamoDB does not have."""
    return value is None or (isinstance(value, (set, frozenset)) and not value)


def encode(value: Any) -> dict[str, Any]:  # noqa: PLR0911 (one type a line)
    """Return a value in DynamoDB's form."""
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, (int, float)):
        return {"N": repr(value)}
    if isinstance(value, (set, frozenset)):
        return {"SS": sorted(value)}
    if isinstance(value, Mapping):
        return {"M": {str(name): encode(one) for name, one in value.items()}}
    if isinstance(value, (list, tuple)):
        return {"L": [encode(one) for one in value]}
    raise TableError(f"{value!r}: no value of this type goes into the table.")


def decode(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry's values."""
    return {name: _decode_one(value) for name, value in item.items()}


def _decode_one(value: Mapping[str, Any]) -> Any:
    [(kind, content)] = value.items()
    if kind == "N":
        return int(content) if content.lstrip("-").isdecimal() else float(content)
    if kind == "M":
        return decode(content)
    if kind == "L":
        return [_decode_one(one) for one in content]
    if kind == "SS":
        return frozenset(content)
    return None if kind == "NULL" else content
