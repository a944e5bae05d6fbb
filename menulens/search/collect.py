"""A finished transform job's answers, turned into shards: vectors, ids, and the photos that have none.

Every planned photo ends in exactly one place, a shard or the rejects, or collecting fails. Shards, rejects and the card
have the same bytes whenever they are collected again; the card is written last.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from menulens.core.vectors import FLOAT_BYTES, npy_header
from menulens.search.layout import Layout, Photo, json_line, pack_file, read_plan_line, reject_line, whole_shards
from menulens.storage import ObjectMissingError, Storage

VECTORS_A_SHARD: Final = 10_000  # at 2,048 numbers 82 MB, which one function holds in memory
LINES: Final = "application/jsonlines"
OUT: Final = ".out"


class CollectError(Exception):
    """Answers of a transform job that do not account for every planned photo."""


@dataclass(frozen=True, slots=True)
class Collected:
    """How many photos of a plan got a vector, and how many did not."""

    vectors: int
    rejected: int
    width: int


def collect(storage: Storage, layout: Layout, *, model_package: str) -> Collected:
    """Write the shards, the rejects and the card of a plan; a plan that has its card is left as it is.

    Raises
    ------
    CollectError
        If a pack has no answer, an answer has no photo, a photo has none, or vectors differ in width.
    """
    collected = _finished(storage, layout)
    if collected is None:
        try:
            collected = _collected(storage, layout, model_package)
        except (CollectError, ObjectMissingError):
            # Another execution may have collected meanwhile, and tidied.
            collected = _finished(storage, layout)
            if collected is None:
                raise
    _tidy(storage, layout)
    return collected


def _finished(storage: Storage, layout: Layout) -> Collected | None:
    """Return what the card says, if it is there and its shards are."""
    if not storage.exists(layout.done):
        return None
    card = storage.read_json(layout.done)
    if whole_shards(storage, layout, card["shards"]) is None:
        return None
    return Collected(card["vectors"], card["rejected"], card["width"])


def _collected(storage: Storage, layout: Layout, model_package: str) -> Collected:
    shards = _Shards(storage, layout)
    rejects: dict[str, bytes] = {}
    answers = {item.uri.rsplit("/", 1)[-1]: item.uri for item in storage.list(layout.answers)}
    planned, first, last = 0, "", ""
    for number, line in enumerate(storage.lines(layout.planned)):
        photos = read_plan_line(line)
        first, last = first or photos[0].key, photos[-1].key
        planned += len(photos)
        turned_away = dict(_rejects_of_pack(storage, layout.pack_reject(number)))
        rejects |= turned_away
        asked = [photo for photo in photos if photo.key not in turned_away]
        location = answers.get(pack_file(number) + OUT)
        told = _answers_of_pack(storage, location, {photo.key for photo in asked}, layout.pack(number))
        # In the order of the keys, whatever the order of the answers: planning walks shards in key order.
        for photo in asked:
            answer = told[photo.key]
            if "error" in answer:
                rejects[photo.key] = reject_line(photo, "not-served", str(answer["error"]))
            else:
                shards.add(photo, answer, str(location))
    shards.close()
    if shards.written + len(rejects) != planned:
        raise CollectError(
            f"{layout.planned}: {planned} photos, but {shards.written} vectors and {len(rejects)} rejects."
        )
    storage.write_bytes(layout.rejects, b"".join(rejects[key] for key in sorted(rejects)), LINES)
    storage.write_json(
        layout.done,
        {
            "format": 1,
            "plan": layout.plan,
            "model_version": layout.model_version,
            "model_package": model_package,
            "photos": planned,
            "vectors": shards.written,
            "rejected": len(rejects),
            "width": shards.width,
            "shards": shards.number,
            "first": first,
            "last": last,
        },
    )
    return Collected(shards.written, len(rejects), shards.width)


def _rejects_of_pack(storage: Storage, location: str) -> Iterator[tuple[str, bytes]]:
    try:
        for line in storage.lines(location):
            yield json.loads(line)["id"], line + b"\n"
    except ObjectMissingError:
        raise CollectError(f"{location}: missing; the pack was never finished.") from None


def _answers_of_pack(storage: Storage, location: str | None, asked: set[str], pack: str) -> dict[str, dict[str, Any]]:
    """Return the answer to each photo that was asked; no more and no fewer."""
    if location is None:
        if asked:
            raise CollectError(f"{pack}: no answer, though {len(asked)} photos were asked.")
        return {}
    answers: dict[str, dict[str, Any]] = {}
    for value in _values(storage, location):
        key = value.get("id")
        if key not in asked or key in answers:
            raise CollectError(f"{location}: answers {key!r}, which was not asked, or answers it twice.")
        answers[key] = value
    if missing := sorted(asked - answers.keys()):
        raise CollectError(
            f"{location}: {len(missing)} photos were asked and not answered, among them {', '.join(missing[:3])}."
        )
    return answers


def _values(storage: Storage, location: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(storage.lines(location), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            raise CollectError(f"{location}: line {number} is no JSON: {error}.") from None
        if not isinstance(value, dict):
            raise CollectError(f"{location}: line {number} is no JSON object.")
        yield value


class _Shards:
    """Writes vectors in the order given, so many to a file."""

    def __init__(self, storage: Storage, layout: Layout) -> None:
        self._storage, self._layout = storage, layout
        self._vectors, self._ids = bytearray(), bytearray()
        self._rows = 0
        self.number, self.written, self.width = 0, 0, 0

    def add(self, photo: Photo, answer: dict[str, Any], where: str) -> None:
        """Take a photo's vector."""
        version = answer.get("model_version")
        if version != self._layout.model_version:
            raise CollectError(
                f"{where}: {photo.key} is answered by {version!r}; {self._layout.model_version!r} is due."
            )
        try:
            data = base64.b64decode(answer["vector_b64"], validate=True)
            tags = {"category": answer["category"], "confidence": answer["confidence"]}
        except (KeyError, binascii.Error) as error:
            raise CollectError(f"{where}: the answer for {photo.key} is not readable: {error!r}.") from None
        width, rest = divmod(len(data), FLOAT_BYTES)
        self.width = self.width or width
        if rest or width != self.width or not width:
            raise CollectError(
                f"{where}: the vector of {photo.key} has {len(data)} bytes; {self.width * FLOAT_BYTES} are due."
            )
        self._vectors += data
        self._ids += json_line({"id": photo.key, "etag": photo.etag, **tags})
        self._rows += 1
        self.written += 1
        if self._rows == VECTORS_A_SHARD:
            self._flush()

    def close(self) -> None:
        """Write what is left."""
        if self._rows:
            self._flush()

    def _flush(self) -> None:
        with self._storage.writer(self._layout.shard(self.number, "npy")) as writer:
            writer.write(npy_header(self._rows, self.width))
            writer.write(self._vectors)
        # The ids follow their vectors: a reader that finds ids finds the vectors, too.
        self._storage.write_bytes(self._layout.shard(self.number, "ids.jsonl"), bytes(self._ids), LINES)
        self._vectors, self._ids, self._rows = bytearray(), bytearray(), 0
        self.number += 1


def _tidy(storage: Storage, layout: Layout) -> None:
    """Remove the work in between, once the card is there."""
    for prefix in (layout.packs, layout.answers, layout.pack_rejects):
        for item in storage.list(prefix):
            storage.delete(item.uri)
