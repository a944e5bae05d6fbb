"""Cleaning in parts: what one process does in two passes, many do side by side, with the same bytes as result.

The steps, each a pure function of what stands in storage, so that any of them may be repeated:

1. :func:`plan_parts` cuts the manifest at lines' ends;
2. :func:`scan_part`, once a part, leaves verdicts, hashes and restaurants in the work folder;
3. :func:`join_parts` settles doubles over all parts and the split, and leaves final verdicts and the card;
4. :func:`write_part`, once a part, leaves its kept lines and rejects;
5. :func:`publish_parts` puts them together, and publishes the card last.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO

from menulens.core.blocks import BLOCK_BYTES, LONGEST_LINE_BYTES, Block, ManifestError, line_blocks
from menulens.core.manifest import (
    DATASET_MARK,
    Cleaned,
    Distributor,
    Publication,
    Store,
    Writer,
    unchanged,
)
from menulens.core.rules import CleaningRules
from menulens.core.scan import Scan, scan
from menulens.core.verdicts import card, dataset_name, decide

PART_BYTES = 256 << 20
_LOOK = 64 << 10


@dataclass(frozen=True, slots=True)
class Part:
    """A range of the manifest's bytes that starts and ends at lines' ends.

    ``identity`` tells which manifest was cut: every step refuses to go on with another under the same name.
    """

    index: int
    start: int
    end: int
    identity: str

    def to_json(self) -> dict[str, Any]:
        """Return what a Map state hands to its steps."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Part:
        """Read what :meth:`to_json` gave."""
        return cls(value["index"], value["start"], value["end"], value["identity"])

    def place(self, work: str, name: str) -> str:
        """Return the location of one of the part's files in the work folder."""
        return f"{work.rstrip('/')}/{name}-{self.index:05d}"


def plan_parts(store: Store, source: str, part_bytes: int = PART_BYTES) -> list[Part]:
    """Cut a manifest into parts of about ``part_bytes``, at lines' ends.

    Raises
    ------
    ManifestError
        If a line is longer than memory should hold.
    """
    identity = store.identity(source)
    size = store.size(source)
    borders = [0]
    while borders[-1] + part_bytes < size:
        border = _next_line(store, source, borders[-1] + part_bytes - 1, size)
        if border >= size:
            break
        borders.append(border)
    borders.append(size)
    with unchanged(store, source, identity):
        pass
    return [Part(index, borders[index], borders[index + 1], identity) for index in range(len(borders) - 1)]


def _next_line(store: Store, source: str, position: int, size: int) -> int:
    """Return where the first line after a position starts."""
    with store.open(source, position, size) as stream:
        start = position
        while piece := stream.read(_LOOK):
            found = piece.find(b"\n")
            if found >= 0:
                return position + found + 1
            position += len(piece)
            if position - start > LONGEST_LINE_BYTES:
                raise ManifestError(
                    f"A line is longer than {LONGEST_LINE_BYTES >> 20} MiB; a manifest has one JSON object a line."
                )
    return size


def scan_part(
    store: Store, source: str, rules: CleaningRules, part: Part, work: str, *, reindex: bool = False
) -> dict[str, Any]:
    """Scan one part; return its number of lines."""
    with unchanged(store, source, part.identity, part.start, part.end) as stream:
        scanned = scan(stream, rules, reindex)
    groups = array("Q", sorted(scanned.groups))
    _write(store, part.place(work, "codes"), scanned.codes)
    _write(store, part.place(work, "sums"), _little_endian(scanned.sums))
    _write(store, part.place(work, "groups"), _little_endian(groups))
    return {"index": part.index, "lines": len(scanned.codes)}


def join_parts(
    store: Store,
    source: str,
    rules: CleaningRules,
    parts: list[Part],
    work: str,
    *,
    name: str | None = None,
    reindex: bool = False,
) -> dict[str, Any]:
    """Decide over all parts; leave each part's final verdicts, and the card, in the work folder.

    Returns
    -------
    dict
        The card, as it will be published but for ``reindexed``, which the parts count.

    Raises
    ------
    DatasetTooSmallError
        If it can't be split, or a category is under the minimum.
    ManifestChangedError
        If the manifest is not the one that was cut into parts; the other steps raise it, too.
    """
    joined = Scan(bytearray(), array("I"), set(), _sha256(store, source, parts[0].identity))
    lengths = []
    for part in parts:
        codes = _read(store, part.place(work, "codes"))
        lengths.append(len(codes))
        joined.codes += codes
        joined.sums += _numbers("I", _read(store, part.place(work, "sums")))
        joined.groups.update(_numbers("Q", _read(store, part.place(work, "groups"))))

    def blocks() -> Iterator[Block]:
        with unchanged(store, source, parts[0].identity) as stream:
            yield from line_blocks(stream)

    verdicts = decide(joined, rules, reindex, blocks)
    first = 0
    for part, length in zip(parts, lengths, strict=True):
        head = first.to_bytes(8, "little")
        _write(store, part.place(work, "verdicts"), head + bytes(verdicts.codes[first : first + length]))
        first += length
    told = card(
        name=name or dataset_name(source),
        uri=source,
        sha256=joined.sha256,
        verdicts=verdicts,
        rules=rules,
        reindex=reindex,
        reindexed=0,
    )
    _write(store, f"{work.rstrip('/')}/card.json", json.dumps(told).encode())
    return told


class _PartFiles:
    """The three files of a part."""

    train: Writer
    eval: Writer
    rejects: Writer


def write_part(
    store: Store, source: str, rules: CleaningRules, part: Part, work: str, *, reindex: bool = False
) -> dict[str, int]:
    """Write one part's kept lines and rejects into the work folder; return how many were re-indexed."""
    verdicts = _read(store, part.place(work, "verdicts"))
    files = _PartFiles()
    with ExitStack() as stack:
        for name in ("train", "eval", "rejects"):
            writer = store.writer(part.place(work, name), "application/octet-stream")
            stack.callback(writer.discard)
            setattr(files, name, writer)
        distributor = Distributor(rules, reindex, files)
        first = int.from_bytes(verdicts[:8], "little") + 1
        with unchanged(store, source, part.identity, part.start, part.end) as stream:
            distributor.take(line_blocks(stream), memoryview(verdicts)[8:], first)
        for file in (files.train, files.eval, files.rejects):
            file.publish()
    return {"index": part.index, "reindexed": distributor.reindexed}


def publish_parts(store: Store, parts: list[Part], work: str, destination: str, *, reindexed: int = 0) -> Cleaned:
    """Put the parts' files together under the destination, the card last.

    Parameters
    ----------
    store, parts, work
        As in the steps before.
    destination
        The folder for the four files; ``{dataset}`` in it becomes the dataset's id.
    reindexed
        The sum of what the parts re-indexed.
    """
    told = json.loads(_read(store, f"{work.rstrip('/')}/card.json"))
    told["reindexed"] = reindexed
    folder = destination.replace(DATASET_MARK, told["dataset"]).rstrip("/")
    with Publication(store, folder) as publication:
        for part in parts:
            for name, file in (
                ("train", publication.train),
                ("eval", publication.eval),
                ("rejects", publication.rejects),
            ):
                with store.open(part.place(work, name)) as stream:
                    _copy(stream, file)
        publication.finish(told)
    return Cleaned(told["dataset"], folder, told)


def clean_in_parts(
    source: str,
    rules: CleaningRules,
    destination: str,
    *,
    store: Store,
    work: str,
    name: str | None = None,
    reindex: bool = False,
    part_bytes: int = PART_BYTES,
) -> Cleaned:
    """Take all the steps one after the other: what a distributed Map does, in one process."""
    parts = plan_parts(store, source, part_bytes)
    for part in parts:
        scan_part(store, source, rules, part, work, reindex=reindex)
    join_parts(store, source, rules, parts, work, name=name, reindex=reindex)
    written = [write_part(store, source, rules, part, work, reindex=reindex) for part in parts]
    return publish_parts(store, parts, work, destination, reindexed=sum(one["reindexed"] for one in written))


def _sha256(store: Store, source: str, identity: str) -> str:
    digest = hashlib.sha256()
    with unchanged(store, source, identity) as stream:
        while piece := stream.read(BLOCK_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def _copy(stream: BinaryIO, file: Writer) -> None:
    while piece := stream.read(BLOCK_BYTES):
        file.write(piece)


def _read(store: Store, location: str) -> bytes:
    with store.open(location) as stream:
        return stream.read()


def _write(store: Store, location: str, data: bytes | bytearray) -> None:
    writer = store.writer(location, "application/octet-stream")
    try:
        writer.write(bytes(data))
        writer.publish()
    finally:
        writer.discard()


def _little_endian(numbers: array[int]) -> bytes:
    """Return numbers as bytes; scan and join may run on machines of different make."""
    numbers = numbers[:]
    if array("H", [1]).tobytes() == b"\0\1":
        numbers.byteswap()
    return numbers.tobytes()


def _numbers(kind: str, data: bytes) -> array[int]:
    numbers = array(kind)
    numbers.frombytes(data)
    if array("H", [1]).tobytes() == b"\0\1":
        numbers.byteswap()
    return numbers
