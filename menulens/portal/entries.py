"""What the log is told: entries that a write leaves in the outbox, in the same transaction as what they tell of."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from typing import Any, Final, Literal

from menulens.portal import keys
from menulens.portal.model import iso
from menulens.portal.table import Put

Kind = Literal["job", "items", "category", "state", "answer", "review", "gold", "group", "machine", "judged", "person"]

FIRST_PREV: Final = "0" * 64
"""What the first line of a log has instead of the hash of the line before it."""


def waiting(job: str, kind: Kind, body: Mapping[str, Any], *, now: float, entry_id: str = "") -> Put:
    """Return the write that puts an entry into the outbox.

    Parameters
    ----------
    body
        JSON. One that tells of an item has ``item`` and ``v``, the item's version after the write: the order of an
        item's entries is the order of their ``v``.
    entry_id
        The answer's id for an answer; others get one.
    """
    entry_id, at = entry_id or str(uuid.uuid4()), iso(now)
    return Put(
        keys.outbox(job, f"{at}#{entry_id}"),
        {"at": at, "id": entry_id, "kind": kind, "body": canonical(body)},
        new=True,
    )


def canonical(value: Any) -> str:
    """Return the one JSON text of a value: keys sorted, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def line_of(entry: Mapping[str, Any], *, job: str, seq: int, prev: str) -> bytes:
    """Return an outbox entry as its line of the log, without the line ending."""
    value = {
        "seq": seq,
        "prev": prev,
        "at": entry["at"],
        "job": job,
        "kind": entry["kind"],
        "id": entry["id"],
        "body": json.loads(entry["body"]),
    }
    return canonical(value).encode()


def digest(line: bytes) -> str:
    """Return the hash of a line, which the next one holds."""
    return hashlib.sha256(line).hexdigest()


def key_of(line: Mapping[str, Any]) -> tuple[str, str]:
    """Return where the entry of a log line stands in the outbox, if it still does."""
    return keys.outbox(line["job"], f"{line['at']}#{line['id']}")
