"""What is known of every record of a job's input manifest: what it shows, or why no one is shown it.

``inputs/<job>/display/part-00000.jsonl`` … are written by :mod:`menulens.portal.display`, one line for each line of the
manifest, in order. :mod:`menulens.portal.display_groups` joins them to ``inputs/<job>/display.jsonl``, with groups of
photos that nearly agree.

A line of the index is one of::

    {"line": 0, "source_ref": "s3://…", "display": "display/ab/ab….jpg", "width": 1600, "height": 1200, "sha256": "ab…",
     "hash": "64 hexadecimal digits", "quality": 97, "group": 0, "context": {"genre": "ramen"}}
    {"line": 1, "source": "季節の天ぷら", "group": 1, "context": {}}
    {"line": 2, "source_ref": "s3://…", "context": {}, "reject": {"code": "animated", "reason": "…"}}

``line`` counts from 0, without empty lines; ``group`` is the line of the group's leader. Parts have no groups yet, and
the colours of the photo's fingerprint, which groups are made from.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from menulens.labeling import layout
from menulens.storage import Storage

DISPLAY: Final = "display/"
INDEX: Final = "display.jsonl"

CHUNK_LINES: Final = 100  # even if each took the decoder's longest, one function's 15 minutes are enough
MOST_CHUNKS: Final = 1000  # a chunk is some 90 bytes of the state, in which 256 KiB have room


class DisplayIndexError(Exception):
    """Parts that are not one line for each line of the manifest; the message names the part and the line."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some lines of a manifest.

    Attributes
    ----------
    number
        From 0; names the chunk's part.
    start, end
        Lines from ``start`` up to (without) ``end``, counted from 0; empty ones are not counted.
    offset, size
        The bytes that hold them.
    """

    number: int
    start: int
    end: int
    offset: int
    size: int

    def to_json(self) -> dict[str, int]:
        """Return the chunk as the state machine carries it."""
        return asdict(self)

    @staticmethod
    def from_json(value: Mapping[str, int]) -> Chunk:
        """Read what :meth:`to_json` gave."""
        return Chunk(value["number"], value["start"], value["end"], value["offset"], value["size"])


def part(bucket: str, job: str, number: int) -> str:
    """Return where a part of a job's index is."""
    return f"{layout.inputs(bucket, job)}/{DISPLAY}part-{number:05d}.jsonl"


def index(bucket: str, job: str) -> str:
    """Return where a job's index is."""
    return f"{layout.inputs(bucket, job)}/{INDEX}"


def copy_key(sha256: str) -> str:
    """Return the key of a display copy in the bucket of labels, named by the source's bytes."""
    return f"{DISPLAY}{sha256[:2]}/{sha256}.jpg"


def read(storage: Storage, location: str) -> Iterator[dict[str, Any]]:
    """Yield the records of an index or a part of one."""
    for line in storage.lines(location):
        record: dict[str, Any] = json.loads(line)
        yield record


def dumped(record: dict[str, Any]) -> bytes:
    """Return a record as a line of a part or an index: keys in a fixed order, so that a rerun gives the same bytes."""
    known = (
        "line",
        "source_ref",
        "source",
        "display",
        "width",
        "height",
        "sha256",
        "hash",
        "quality",
        "colours",
        "group",
        "context",
    )
    ordered = {key: record[key] for key in (*known, "reject") if key in record}
    return (json.dumps(ordered, ensure_ascii=False) + "\n").encode()


def plan(storage: Storage, manifest: str, *, lines: int = CHUNK_LINES, most_chunks: int = MOST_CHUNKS) -> list[Chunk]:
    """Cut a manifest into chunks of so many lines; of more, where there would be too many chunks."""
    ends: list[int] = []
    position = 0
    for line in storage.lines(manifest):
        position += len(line) + 1
        if line.removesuffix(b"\r"):
            ends.append(position)
    lines = max(lines, -(-len(ends) // most_chunks))
    chunks = []
    for number, start in enumerate(range(0, len(ends), lines)):
        end = min(start + lines, len(ends))
        offset = ends[start - 1] if start else 0
        chunks.append(Chunk(number, start, end, offset, ends[end - 1] - offset))
    return chunks


def checked(storage: Storage, places: list[str]) -> Iterator[dict[str, Any]]:
    """Yield the records of parts, one for each line of the manifest.

    Raises
    ------
    DisplayIndexError
        If a line is missing or stands twice.
    """
    due = 0
    for place in places:
        for record in read(storage, place):
            if record["line"] != due:
                raise DisplayIndexError(
                    f"{place}: line {record['line']} of the manifest stands where line {due} is due. "
                    "Run prepare_display again for all chunks of one plan."
                )
            due += 1
            yield record
