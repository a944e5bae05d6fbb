"""Read the vectors that the vectorise machine wrote.

They lie below ``<model version>/shards/`` as ``<plan>-<number>.npy`` with ``.ids.jsonl`` beside each; a plan counts
when its card ``<model version>/done/<plan>.json``, written last, is there.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field

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
class StoredVectors:
    """All vectors of one model version: row ``i`` of ``vectors`` (float32 [n, d]) belongs to ``ids[i]``."""

    model_version: str
    ids: tuple[str, ...]
    vectors: NDArray[np.float32]
    tags: tuple[Tag, ...]
    shards: int
    replaced: int = 0
    _rows: dict[str, int] = field(default_factory=dict, repr=False)

    def row_of(self, photo: str) -> int | None:
        """Return the row of a photo by its id, with or without ``s3://bucket/`` before the key; None if unknown."""
        if not self._rows:
            for row, name in enumerate(self.ids):
                self._rows[name] = row
                self._rows[photo_key(name)] = row
        return self._rows.get(photo, self._rows.get(photo_key(photo)))


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


def load_vectors(storage: Storage, root: str, model_version: str | None = None) -> StoredVectors:
    """Read every shard of one model version; a photo vectorised again counts with its newest vector.

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
    if model_version is None:
        versions = model_versions(storage, root)
        if not versions:
            raise VectorStoreError(f"{root} holds no vectors yet.")
        model_version = versions[-1]
    shards = [item for item in _shards(storage, root) if _version(item) == model_version]
    if not shards:
        raise VectorStoreError(f"{root} holds no vectors of model {model_version}.")
    rows: dict[str, tuple[int, int]] = {}
    pieces: list[NDArray[np.float32]] = []
    tags: dict[str, Tag] = {}
    seen = 0
    for item in sorted(shards, key=lambda shard: (shard.modified, shard.key)):
        vectors, names, shard_tags = _read_shard(storage, item.uri)
        if pieces and vectors.shape[1] != pieces[0].shape[1]:
            raise VectorStoreError(
                f"{item.uri}: vectors of {vectors.shape[1]} numbers stand beside shards of {pieces[0].shape[1]}; "
                "one model version has one width."
            )
        for row, (name, tag) in enumerate(zip(names, shard_tags, strict=True)):
            rows[name] = (len(pieces), row)
            tags[name] = tag
        seen += len(names)
        pieces.append(vectors)
    starts = np.cumsum([0, *(len(piece) for piece in pieces)])
    ids = tuple(sorted(rows))
    chosen = np.array([starts[rows[name][0]] + rows[name][1] for name in ids], np.int64)
    together = np.concatenate(pieces)[chosen]
    return StoredVectors(
        model_version, ids, together, tuple(tags[name] for name in ids), len(pieces), replaced=seen - len(ids)
    )


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


def _read_shard(storage: Storage, uri: str) -> tuple[NDArray[np.float32], list[str], list[Tag]]:
    try:
        vectors = np.load(io.BytesIO(storage.read_bytes(uri)), allow_pickle=False)
    except ValueError as error:
        raise VectorStoreError(f"{uri}: no readable .npy file: {error}.") from None
    if vectors.ndim != 2 or vectors.dtype.kind != "f":
        raise VectorStoreError(f"{uri}: {vectors.dtype} {vectors.shape} was found; float [photos, width] is due.")
    ids_uri = join(uri.removesuffix(".npy") + ".ids.jsonl")
    names, tags = [], []
    for number, line in enumerate(storage.lines(ids_uri), 1):
        try:
            entry = json.loads(line)
            names.append(str(entry["id"]))
            tags.append(Tag(entry.get("category"), entry.get("confidence"), entry.get("etag")))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise VectorStoreError(f'{ids_uri}, line {number}: an object with "id" is due: {error!r}.') from None
    if len(names) != len(vectors):
        raise VectorStoreError(
            f"{uri} has {len(vectors):,} rows but {ids_uri} names {len(names):,}; remove both and vectorise again."
        )
    return vectors.astype(np.float32, copy=False), names, tags
