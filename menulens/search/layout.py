"""Where the vectors of one model lie, and what the files between planning and collecting hold."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from menulens.storage import ObjectInfo, Storage

ARCHIVED: Final = "archived"  # turned away for now alone: the photo is the same once it is restored


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo as it was when it was listed."""

    key: str
    etag: str
    size: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Locations of one plan in the vectors bucket.

    Everything of a model lies below its version. ``done/<plan>.json`` is written last: a plan without it does not
    count.
    """

    bucket: str
    model_version: str
    plan: str = ""

    @property
    def _root(self) -> str:
        return f"s3://{self.bucket}/{self.model_version}"

    @property
    def shards(self) -> str:
        """Prefix of every shard of this model."""
        return f"{self._root}/shards/"

    @property
    def all_done(self) -> str:
        """Prefix of every finished plan's card."""
        return f"{self._root}/done/"

    @property
    def planned(self) -> str:
        """The plan: one line a pack, which photos are in it."""
        return f"{self._root}/plans/{self.plan}.jsonl"

    @property
    def packs(self) -> str:
        """Prefix of what the transform job reads."""
        return f"{self._root}/packs/{self.plan}/"

    @property
    def answers(self) -> str:
        """Prefix of what the transform job writes."""
        return f"{self._root}/transform/{self.plan}/"

    @property
    def pack_rejects(self) -> str:
        """Prefix of the photos that packing turned away, one file a pack."""
        return f"{self._root}/rejects/{self.plan}/"

    @property
    def rejects(self) -> str:
        """The photos of the plan that have no vector, each with its reason."""
        return f"{self._root}/rejects/{self.plan}.jsonl"

    @property
    def done(self) -> str:
        """The card of the finished plan."""
        return f"{self.all_done}{self.plan}.json"

    def pack(self, number: int) -> str:
        """Return the pack of a number."""
        return f"{self.packs}{pack_file(number)}"

    def pack_reject(self, number: int) -> str:
        """Return the rejects of a pack."""
        return f"{self.pack_rejects}{pack_file(number)}"

    def shard(self, number: int, ending: str) -> str:
        """Return a shard's file: ``npy`` or ``ids.jsonl``."""
        return f"{self.shards}{self.plan}-{number:05}.{ending}"


def pack_file(number: int) -> str:
    """Return a pack's file name."""
    return f"pack-{number:05}.jsonl"


def plan_line(photos: list[Photo]) -> bytes:
    """Return one line of a plan: the photos of one pack."""
    rows = [[photo.key, photo.etag, photo.size] for photo in photos]
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def read_plan_line(line: bytes) -> list[Photo]:
    """Return the photos that :func:`plan_line` wrote."""
    return [Photo(key, etag, size) for key, etag, size in json.loads(line)]


def json_line(value: dict[str, Any]) -> bytes:
    """Return a value as one JSON line."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def reject_line(photo: Photo, code: str, reason: str) -> bytes:
    """Return the line of a photo that gets no vector."""
    return json_line({"id": photo.key, "etag": photo.etag, "code": code, "reason": reason})


def whole_shards(storage: Storage, layout: Layout, count: int) -> list[ObjectInfo] | None:
    """Return a finished plan's shards in order, their vectors; None if any file is missing: someone may remove some."""
    there = {item.uri: item for item in storage.list(f"{layout.shards}{layout.plan}-")}
    if any(layout.shard(number, ending) not in there for number in range(count) for ending in ("npy", "ids.jsonl")):
        return None
    return [there[layout.shard(number, "npy")] for number in range(count)]
