"""Read the vectors that the vectorise machine wrote.

They lie below ``<model version>/shards/`` as ``<plan>-<number>.npy`` with ``.ids.jsonl`` beside each; a plan counts
when its card ``<model version>/done/<plan>.json``, written last, is there.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from menulens.storage import ObjectInfo, Storage, is_s3, join

SHARDS = "shards"
DONE = "done"


class VectorStoreError(Exception):
    """Vectors that are missing or don't fit together; the message names the file and what makes it right."""


@dataclass(frozen=True, slots=True)
class Tag:
    """What the model said of a photo when it was vectorised."""

    category: str | None = None
    confidence: float | None = None
    etag: str | None = None


@dataclass(frozen=True)
class StoredTags:
    """What one model version said of its photos, without their vectors.

    Attributes
    ----------
    ids, tags
        A photo and what was said of it, in the same order.
    shards
        How many files this was read from.
    replaced
        How many answers are left out, for the photo was vectorised again.
    """

    model_version: str
    ids: tuple[str, ...]
    tags: tuple[Tag, ...]
    shards: int
    replaced: int = 0

    @cached_property
    def _rows(self) -> dict[str, int]:
        rows = {}
        for row, name in enumerate(self.ids):
            rows[name] = rows[photo_key(name)] = row
        return rows

    def row_of(self, photo: str) -> int | None:
        """Return the row of a photo by its id, with or without ``s3://bucket/`` before the key; None if unknown."""
        return self._rows.get(photo, self._rows.get(photo_key(photo)))


@dataclass(frozen=True, kw_only=True)
class StoredVectors(StoredTags):
    """All vectors of one model version: row ``i`` of ``vectors`` (float32 [n, d]) belongs to ``ids[i]``."""

    vectors: NDArray[np.float32]


def photo_key(photo: str) -> str:
    """Return the key of ``s3://bucket/key``; any other text as it is."""
    return photo.partition("://")[2].partition("/")[2] if is_s3(photo) else photo


def model_versions(storage: Storage, root: str) -> list[str]:
    """Return the model versions that have vectors under ``root``, the one written last at the end."""
    newest: dict[str, ObjectInfo] = {}
    for item in _shards(storage, root):
        version = _version(item)
        if version not in newest or item.modified > newest[version].modified:
            newest[version] = item
    return sorted(newest, key=lambda version: newest[version].modified)


def load_tags(storage: Storage, root: str, model_version: str | None = None) -> StoredTags:
    """Read what one model version said of its photos; parameters and errors as in :func:`load_vectors`."""
    found = _catalogue(storage, root, model_version)
    return StoredTags(found.model_version, found.ids, found.tags, len(found.shards), found.replaced)


def load_vectors(storage: Storage, root: str, model_version: str | None = None) -> StoredVectors:
    """Read every shard of one model version; a photo vectorised again counts with its newest vector.

    Beside the vectors themselves one shard is in memory at a time.

    Parameters
    ----------
    root
        ``s3://<vectors bucket>`` or a folder with the same layout.
    model_version
        Which model's vectors; None: the version written last.

    Raises
    ------
    VectorStoreError
        If there are none, a shard is damaged, or its rows and ids differ in number or width.
    """
    found = _catalogue(storage, root, model_version)
    together: NDArray[np.float32] | None = None
    for place, shard in enumerate(found.shards):
        vectors = _read_rows(storage, shard)
        if together is None:
            together = np.empty((len(found.ids), vectors.shape[1]), np.float32)
        if vectors.shape[1] != together.shape[1]:
            raise VectorStoreError(
                f"{shard.uri}: vectors of {vectors.shape[1]} numbers stand beside shards of {together.shape[1]}; "
                "one model version has one width."
            )
        here = np.flatnonzero(found.places[:, 0] == place)
        together[here] = vectors[found.places[here, 1]]
    return StoredVectors(
        model_version=found.model_version,
        ids=found.ids,
        tags=found.tags,
        shards=len(found.shards),
        replaced=found.replaced,
        vectors=np.empty((0, 0), np.float32) if together is None else together,
    )


@dataclass(frozen=True, slots=True)
class _Shard:
    uri: str
    rows: int


@dataclass(frozen=True, slots=True)
class _Catalogue:
    """Photos in order; ``places`` (int64 [n, 2]) tells for each its shard and its row there."""

    model_version: str
    ids: tuple[str, ...]
    tags: tuple[Tag, ...]
    places: NDArray[np.int64]
    shards: tuple[_Shard, ...]
    replaced: int


def _catalogue(storage: Storage, root: str, model_version: str | None) -> _Catalogue:
    if model_version is None:
        versions = model_versions(storage, root)
        if not versions:
            raise VectorStoreError(f"{root} holds no vectors yet.")
        model_version = versions[-1]
    shards: list[_Shard] = []
    found: dict[str, tuple[int, int, Tag]] = {}
    listed = [item for item in _shards(storage, root) if _version(item) == model_version]
    for item in sorted(listed, key=lambda shard: (shard.modified, shard.key)):
        entries = _read_tags(storage, item.uri)
        for row, (name, tag) in enumerate(entries):
            found[name] = len(shards), row, tag
        shards.append(_Shard(item.uri, len(entries)))
    if not shards:
        raise VectorStoreError(f"{root} holds no vectors of model {model_version}.")
    ids = tuple(sorted(found))
    places = np.array([found[name][:2] for name in ids], np.int64).reshape(-1, 2)
    tags = tuple(found[name][2] for name in ids)
    return _Catalogue(model_version, ids, tags, places, tuple(shards), sum(one.rows for one in shards) - len(ids))


def _shards(storage: Storage, root: str) -> list[ObjectInfo]:
    """List the shards of every finished plan."""
    found: list[ObjectInfo] = []
    finished: set[tuple[str, str]] = set()
    for item in storage.list(root.rstrip("/") + "/" if is_s3(root) else root):
        parts = item.key.split("/")
        if len(parts) != 3:
            continue
        version, room, name = parts
        if room == DONE and name.endswith(".json"):
            finished.add((version, name.removesuffix(".json")))
        elif room == SHARDS and name.endswith(".npy"):
            found.append(item)
    return [item for item in found if (_version(item), _plan(item)) in finished]


def _version(item: ObjectInfo) -> str:
    return item.key.split("/")[0]


def _plan(item: ObjectInfo) -> str:
    return item.key.split("/")[2].removesuffix(".npy").rpartition("-")[0]


def _ids_uri(uri: str) -> str:
    return join(uri.removesuffix(".npy") + ".ids.jsonl")


def _read_tags(storage: Storage, uri: str) -> list[tuple[str, Tag]]:
    """Read what stands beside a shard: a photo and its tag for each of its rows."""
    entries = []
    for number, line in enumerate(storage.lines(_ids_uri(uri)), 1):
        try:
            entry = json.loads(line)
            tag = Tag(entry.get("category"), entry.get("confidence"), entry.get("etag"))
            entries.append((str(entry["id"]), tag))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise VectorStoreError(f'{_ids_uri(uri)}, line {number}: an object with "id" is due: {error!r}.') from None
    return entries


def _read_rows(storage: Storage, shard: _Shard) -> NDArray[np.float32]:
    """Read a shard's vectors: float32 [rows, d]."""
    uri = shard.uri
    try:
        vectors = np.load(io.BytesIO(storage.read_bytes(uri)), allow_pickle=False)
    except ValueError as error:
        raise VectorStoreError(f"{uri}: no readable .npy file: {error}.") from None
    if vectors.ndim != 2 or vectors.dtype.kind != "f":
        raise VectorStoreError(f"{uri}: {vectors.dtype} {vectors.shape} was found; float [photos, width] is due.")
    if shard.rows != len(vectors):
        raise VectorStoreError(
            f"{uri} has {len(vectors):,} rows but {_ids_uri(uri)} names {shard.rows:,}; "
            "remove both and vectorise again."
        )
    rows: NDArray[np.float32] = vectors.astype(np.float32, copy=False)
    return rows
