"""Which photos still need a vector of a model, cut into packs that a transform job reads.

One round plans as many photos as one transform job should take and one state's data can name; the state machine comes
back for the rest. Photos that this model has done (same key, same ETag) are skipped by walking two sorted streams side
by side, the listing and the finished plans, so that memory does not grow with the bucket.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from menulens.search.layout import ARCHIVED, Layout, Photo, plan_line, whole_shards
from menulens.storage import ObjectInfo, ObjectMissingError, Storage

PHOTOS_A_ROUND: Final = 100_000
PACKS_A_ROUND: Final = 1_000  # their list travels as a state's data, of which Step Functions takes 256 KB
BYTES_A_PACK: Final = 48_000_000  # as base64 64 MB, which one function holds in memory


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack's number, and the bytes of the plan that name its photos."""

    number: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Plan:
    """One round.

    Attributes
    ----------
    plan
        Hash of what is in it; empty if no photo needs a vector.
    photos, skipped
        How many photos it packs, and how many listed ones were done before.
    cursor
        The last key that was looked at; where the next round starts.
    more
        Whether keys after the cursor were not looked at.
    """

    plan: str
    photos: int
    skipped: int
    packs: tuple[Pack, ...]
    cursor: str
    more: bool


def make_plan(
    s3: Any,
    storage: Storage,
    *,
    photos_bucket: str,
    prefix: str,
    layout: Layout,
    photos_per_pack: int,
    after: str = "",
    out_of_time: Callable[[], bool] = lambda: False,
) -> Plan:
    """List photos, leave out those done, and write the plan of one round.

    Parameters
    ----------
    layout
        Of the model, without a plan.
    after
        Key to start behind: the cursor of the round before.
    out_of_time
        Asked between pages of the listing; once it says yes the round ends with what it has.
    """
    done = _Done(storage, layout, after)
    packer = _Packer(photos_per_pack)
    skipped, cursor, more = 0, after, False
    for page in _pages(s3, photos_bucket, prefix, after):
        if packer.full or (cursor != after and out_of_time()):
            more = True
            break
        for photo in page:
            if packer.full:
                more = True
                break
            cursor = photo.key
            if done.has(photo):
                skipped += 1
            else:
                packer.add(photo)
    lines = packer.lines()
    if not lines:
        return Plan("", 0, skipped, (), cursor, more)
    digest = hashlib.sha256(layout.model_version.encode() + b"\n")
    for line in lines:
        digest.update(line)
    plan = digest.hexdigest()[:12]
    of_plan = Layout(layout.bucket, layout.model_version, plan)
    if plan in done.plans:
        # Done before, and all of it is due again: its card would say that there is nothing to collect.
        storage.delete(of_plan.done)
    storage.write_bytes(of_plan.planned, b"".join(lines), "application/jsonlines")
    return Plan(plan, packer.photos, skipped, _places(lines), cursor, more)


def _places(lines: list[bytes]) -> tuple[Pack, ...]:
    packs, start = [], 0
    for number, line in enumerate(lines):
        packs.append(Pack(number, start, start + len(line)))
        start += len(line)
    return tuple(packs)


def _pages(s3: Any, bucket: str, prefix: str, after: str) -> Iterator[list[Photo]]:
    """Yield pages of the listing in key order, which is the order of the keys' UTF-8 bytes."""
    arguments = {"Bucket": bucket, "Prefix": prefix, **({"StartAfter": after} if after else {})}
    for page in s3.get_paginator("list_objects_v2").paginate(**arguments):
        photos = [
            Photo(item["Key"], item["ETag"].strip('"'), item["Size"])
            for item in page.get("Contents", ())
            # An empty object whose name ends with a slash is a folder that the console made.
            if not (item["Key"].endswith("/") and item["Size"] == 0)
        ]
        if photos:
            yield photos


class _Packer:
    """Fills packs up to a number of photos and of bytes."""

    def __init__(self, photos_per_pack: int) -> None:
        self._per_pack = photos_per_pack
        self._most = min(PHOTOS_A_ROUND, PACKS_A_ROUND * photos_per_pack)
        self._lines: list[bytes] = []
        self._open: list[Photo] = []
        self._bytes = 0
        self.photos = 0

    @property
    def full(self) -> bool:
        """Whether the round takes no further photo."""
        return self.photos >= self._most or len(self._lines) >= PACKS_A_ROUND

    def add(self, photo: Photo) -> None:
        """Take a photo."""
        if self._open and (len(self._open) >= self._per_pack or self._bytes + photo.size > BYTES_A_PACK):
            self._close()
        self._open.append(photo)
        self._bytes += photo.size
        self.photos += 1

    def lines(self) -> list[bytes]:
        """Return the plan: a line a pack."""
        if self._open:
            self._close()
        return self._lines

    def _close(self) -> None:
        self._lines.append(plan_line(self._open))
        self._open, self._bytes = [], 0


class _Done:
    """The photos that finished plans of this model dealt with, walked in key order.

    What was written last of a photo counts, as it does for those who read the vectors: a photo may have been replaced,
    and restored since.
    """

    def __init__(self, storage: Storage, layout: Layout, after: str) -> None:
        self.plans: set[str] = set()
        streams: list[Iterator[_Dealt]] = []
        for item in storage.list(layout.all_done):
            try:
                card = storage.read_json(item.uri)
            except ObjectMissingError:
                continue  # another execution plans the same again
            of_plan = Layout(layout.bucket, layout.model_version, card["plan"])
            shards = whole_shards(storage, of_plan, card["shards"]) if card["last"] > after else None
            if shards is None:
                continue
            self.plans.add(of_plan.plan)
            streams.append(_of_shards(storage, of_plan, shards))
            streams.append(_lines(storage, of_plan.rejects, item))
        self._walk = heapq.merge(*streams)
        self._next = next(self._walk, None)

    def has(self, photo: Photo) -> bool:
        """Tell whether this very photo was done; photos must be asked for in key order."""
        while self._next is not None and self._next.key < photo.key:
            self._next = next(self._walk, None)
        last = None
        while self._next is not None and self._next.key == photo.key:
            last = self._next
            self._next = next(self._walk, None)
        return last is not None and last.etag == photo.etag


class _Dealt(NamedTuple):
    """One photo that a plan dealt with; sorts by key, then by age as :mod:`menulens.search.store` does."""

    key: str
    written: datetime
    place: str
    etag: str


def _of_shards(storage: Storage, layout: Layout, shards: list[ObjectInfo]) -> Iterator[_Dealt]:
    for number, shard in enumerate(shards):
        yield from _lines(storage, layout.shard(number, "ids.jsonl"), shard)


def _lines(storage: Storage, location: str, written: ObjectInfo) -> Iterator[_Dealt]:
    for line in storage.lines(location):
        value = json.loads(line)
        if value.get("code") != ARCHIVED:
            yield _Dealt(value["id"], written.modified, written.key, value["etag"])
