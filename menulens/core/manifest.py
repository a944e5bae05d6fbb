r"""Cleaning: an augmented manifest in; training and evaluation manifests, rejects and a card out.

Two passes (a third where photos are doubled, more where the split of a small dataset must be evened out), each
streaming: memory holds five bytes a line, and as many again while doubles are looked for. Kept lines are the input's
bytes; a last line without ``\n`` gets one. What is published is published whole, ``card.json`` last: where there is a
card, everything beside it is finished.

The gateway to files and objects is given by the caller (:class:`menulens.storage.Storage` fits), because this package
imports nothing but the standard library and numpy.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from json.encoder import encode_basestring
from typing import Any, BinaryIO, Protocol, Self

import numpy as np

from menulens.core.blocks import Block, ManifestError, line_blocks
from menulens.core.keys import CARD, EVAL_MANIFEST, REJECTS, TRAIN_MANIFEST
from menulens.core.lines import LineJudge, Reject, Rejection
from menulens.core.rules import CleaningRules
from menulens.core.scan import CODE_OF, EVAL_BIT, FIRST_REJECT, REJECT_CODES, scan
from menulens.core.verdicts import DatasetTooSmallError, card, dataset_id, dataset_name, decide, final_table
from menulens.core.words import Bytes

__all__ = [
    "Cleaned",
    "DatasetTooSmallError",
    "ManifestChangedError",
    "ManifestError",
    "Store",
    "clean",
    "dataset_id",
    "dataset_name",
]

DATASET_MARK = "{dataset}"
JSON_LINES = "application/x-ndjson"
_STATIC_REASONS = {
    CODE_OF[Reject.NOT_FOR_TRAINING]: "Its category does not train.",
    CODE_OF[Reject.DUPLICATE]: "This photo stands on an earlier line with the same label; that line is kept.",
    CODE_OF[Reject.CONFLICT]: "This photo stands on several lines with different labels.",
}


class ManifestChangedError(ManifestError):
    """A manifest that was changed while it was being cleaned."""


class Writer(Protocol):
    """Takes bytes and publishes them when told to."""

    def write(self, data: bytes, /) -> int:
        """Take the next bytes."""
        ...

    def publish(self) -> None:
        """Make everything written visible."""
        ...

    def discard(self) -> None:
        """Forget everything written, unless it is published."""
        ...


class Store(Protocol):
    """What cleaning needs of storage."""

    def open(self, location: str, start: int = 0, end: int | None = None) -> BinaryIO:
        """Open an object, or a range of its bytes, for streaming."""
        ...

    def writer(self, location: str, content_type: str = ...) -> Any:
        """Open an object for writing; it has the methods of :class:`Writer`."""
        ...

    def exists(self, location: str) -> bool:
        """Tell whether an object is there."""
        ...

    def size(self, location: str) -> int:
        """Return an object's bytes."""
        ...

    def identity(self, location: str) -> str:
        """Return a text that changes when an object is replaced."""
        ...

    def delete(self, location: str) -> None:
        """Remove an object."""
        ...


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A published dataset: its id, the folder it stands in, and its card."""

    dataset: str
    folder: str
    card: dict[str, Any]


def clean(
    source: str, rules: CleaningRules, destination: str, *, store: Store, name: str | None = None, reindex: bool = False
) -> Cleaned:
    """Clean a manifest into a dataset.

    Parameters
    ----------
    source
        The manifest: a path or an ``s3://`` location.
    rules
        What is kept.
    destination
        The folder for the four files; ``{dataset}`` in it becomes the dataset's id.
    store
        The gateway to files and objects.
    name
        First part of the dataset's id; without it the manifest's own name.
    reindex
        Replace a label index that disagrees with its class-name, instead of rejecting the line.

    Returns
    -------
    Cleaned
        The same bytes for the same manifest, rules and flag, every time.

    Raises
    ------
    DatasetTooSmallError
        If it can't be split, or a category is under the minimum. Nothing is published.
    ManifestError
        If the object is no manifest, or changes meanwhile. Nothing is published.
    """
    name = name or dataset_name(source)
    identity = store.identity(source)
    with unchanged(store, source, identity) as stream:
        scanned = scan(stream, rules, reindex)

    def blocks() -> Iterator[Block]:
        with unchanged(store, source, identity) as stream:
            yield from line_blocks(stream)

    verdicts = decide(scanned, rules, reindex, blocks)
    dataset = dataset_id(name, scanned.sha256, rules, reindex)
    folder = destination.replace(DATASET_MARK, dataset).rstrip("/")
    with Publication(store, folder) as publication:
        distributor = Distributor(rules, reindex, publication)
        distributor.take(blocks(), verdicts.codes)
        told = card(
            name=name,
            uri=source,
            sha256=scanned.sha256,
            verdicts=verdicts,
            rules=rules,
            reindex=reindex,
            reindexed=distributor.reindexed,
        )
        publication.finish(told)
    return Cleaned(dataset, folder, told)


@contextmanager
def unchanged(
    store: Store, source: str, identity: str, start: int = 0, end: int | None = None
) -> Generator[BinaryIO, None, None]:
    """Open a manifest that must be the one of an earlier step.

    Parameters
    ----------
    identity
        What :meth:`Store.identity` told then.
    start, end
        The range of bytes to read.

    Raises
    ------
    ManifestChangedError
        If it is another now, or becomes another while it is read.
    """
    with store.open(source, start, end) as stream:
        # Asked after opening: a stream that was opened on an older version can't be taken for the right one.
        _check_identity(store, source, identity)
        yield stream
        _check_identity(store, source, identity)


def _check_identity(store: Store, source: str, identity: str) -> None:
    found = store.identity(source)
    if found != identity:
        raise ManifestChangedError(
            f"{source} was changed while it was being cleaned (it was {identity}, now it is {found}); clean it again."
        )


class Publication:
    """The files of a dataset: all of them become visible, or none."""

    def __init__(self, store: Store, folder: str) -> None:
        self._store, self._folder = store, folder
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.train = self._open(TRAIN_MANIFEST, JSON_LINES)
        self.eval = self._open(EVAL_MANIFEST, JSON_LINES)
        self.rejects = self._open(REJECTS, JSON_LINES)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def finish(self, told: dict[str, Any]) -> None:
        """Publish the manifests and rejects, then the card."""
        location = f"{self._folder}/{CARD}"
        text = json.dumps(told, ensure_ascii=False, indent=1).encode() + b"\n"
        if self._store.exists(location):
            with self._store.open(location) as stream:
                if stream.read() != text:
                    # Another dataset stood here: its card must not vouch for the new files while they appear.
                    self._store.delete(location)
        writer = self._open(CARD, "application/json")
        writer.write(text)
        for file in (self.train, self.eval, self.rejects, writer):
            file.publish()

    def _open(self, name: str, content_type: str) -> Writer:
        writer: Writer = self._store.writer(f"{self._folder}/{name}", content_type)
        self._stack.callback(writer.discard)
        return writer


class Files(Protocol):
    """Where lines go."""

    train: Writer
    eval: Writer
    rejects: Writer


class Distributor:
    """Sends every line where its verdict says.

    Attributes
    ----------
    reindexed
        Lines whose label index was replaced.
    """

    def __init__(self, rules: CleaningRules, reindex: bool, files: Files) -> None:
        self._judge = LineJudge(rules, reindex)
        self._reindex = reindex
        self._files = files
        self._table = final_table(rules)
        reasons = _STATIC_REASONS | {CODE_OF[Reject.UNLABELED]: self._judge.unlabeled().reason}
        self._between = {code: _between(code, reason) for code, reason in reasons.items()}
        self.reindexed = 0

    def take(self, blocks: Iterable[Block], codes: bytes | bytearray | memoryview, first_line: int = 1) -> None:
        """Distribute lines.

        Parameters
        ----------
        blocks
            Whole lines.
        codes
            A verdict byte for each of them.
        first_line
            Number of the first line, as people count.
        """
        done = 0
        for block in blocks:
            final = np.frombuffer(bytes(codes[done : done + len(block)]).translate(self._table), np.uint8)
            if len(final) != len(block):
                break
            self._keep(self._files.train, block.runs(final == 0))
            self._keep(self._files.eval, block.runs(final == EVAL_BIT))
            self._reject(block, final, first_line + done)
            done += len(block)
        else:
            if done == len(codes):
                return
        raise ManifestChangedError("The manifest was changed while it was being cleaned; clean it again.")

    def _keep(self, file: Writer, runs: list[memoryview]) -> None:
        data = b"".join(runs)
        if self._reindex:
            before = data.split(b"\n")[:-1]
            after = list(map(self._judge.reindexed, before))
            self.reindexed += sum(map(bytes.__ne__, before, after))
            data = b"".join([line + b"\n" for line in after])
        if data:
            file.write(data)

    def _reject(self, block: Block, final: Bytes, first_line: int) -> None:
        """Write the rejects of a block whose first line has the number given."""
        rejected = final >= FIRST_REJECT
        rows = np.flatnonzero(rejected)
        if not len(rows):
            return
        lines = Block(*block.runs(rejected))
        told = []
        for row, number, code, original in zip(
            range(len(rows)), (rows + first_line).tolist(), final.take(rows).tolist(), _originals(lines), strict=True
        ):
            between = self._between.get(code) or _between(code, self._reason(number, lines.line(row), code))
            told.append(f'{{"line": {number}{between}{original}}}\n')
        self._files.rejects.write("".join(told).encode())

    def _reason(self, number: int, line: bytes, code: int) -> str:
        verdict = self._judge.judge(line)
        if not isinstance(verdict, Rejection) or CODE_OF[verdict.code] != code:
            raise ManifestChangedError(f"Line {number} was changed while the manifest was being cleaned.")
        return verdict.reason


def _between(code: int, reason: str) -> str:
    """Return what stands between a reject's number and its line."""
    return f', "code": "{REJECT_CODES[code - FIRST_REJECT]}", "reason": {encode_basestring(reason)}, '


def _originals(lines: Block) -> list[str]:
    """Return rejected lines as their rejects tell them."""
    if lines.plain.all() and b"\r" not in lines.data:
        # Nothing but quotation marks is to be escaped: in all lines at once.
        quoted = lines.data.decode().replace('"', '\\"').split("\n")
        return [f'"original": "{text}"' for text in quoted[: len(lines)]]
    return [_original(line) for line in lines.chosen(slice(None))]


def _original(line: bytes) -> str:
    try:
        return f'"original": {encode_basestring(line.decode())}'
    except UnicodeDecodeError:
        return f'"original_base64": "{base64.b64encode(line).decode("ascii")}"'
