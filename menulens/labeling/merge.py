"""Bring manifests of one label attribute together: every photo (or text) once, no label lost."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any
from zlib import crc32

from menulens.core.keys import METADATA_SUFFIX, SOURCE, SOURCE_REF
from menulens.core.lines import is_text
from menulens.storage import ObjectChangedError, Storage


@dataclass(frozen=True, slots=True)
class Stored:
    """The lines of a manifest in storage; each pass over them reads it anew."""

    storage: Storage
    place: str

    def __iter__(self) -> Iterator[bytes]:
        """Return the manifest's lines, from its first."""
        return self.storage.lines(self.place)


@dataclass(frozen=True, slots=True)
class Merged:
    """What came together: each pass over its lines goes through the manifests, and holds none of them.

    Attributes
    ----------
    labeled
        How many lines carry a label.
    unreadable
        Lines that are no record of a photo or a text; kept verbatim, for cleaning to reject.
    """

    labeled: int
    unreadable: int
    _manifests: Sequence[Iterable[bytes]]
    _kept: bytearray  # for each line, whether it is kept
    _checksum: int

    def __len__(self) -> int:
        """Return how many lines are kept."""
        return self._kept.count(1)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the lines that are kept, in the order of their manifests, each without its line ending.

        Raises
        ------
        ObjectChangedError
            After the last of them, if the manifests are no longer those that were merged.
        """
        lines = checksum = 0
        for line in _stripped(self._manifests):
            checksum = crc32(line, checksum)
            if lines < len(self._kept) and self._kept[lines]:
                yield line
            lines += 1
        if (lines, checksum) != (len(self._kept), self._checksum):
            raise ObjectChangedError("A manifest was replaced while it was merged; merge again.")

    @property
    def sha256(self) -> str:
        """The hash of the manifest's bytes."""
        digest = hashlib.sha256()
        for line in self:
            digest.update(line + b"\n")
        return digest.hexdigest()

    def write(self, place: str, storage: Storage) -> None:
        """Write the manifest, whole or not at all."""
        with storage.writer(place, "application/jsonl") as writer:
            for line in self:
                writer.write(line + b"\n")


def record(line: bytes) -> dict[str, Any] | None:
    """Return a manifest line as a record, of a photo (``source-ref``) or a text (``source``); None where it is none.

    One whose location or text holds half a character, as JSON's escapes can, is none: it could not be asked for.
    """
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    about = value.get(SOURCE_REF, value.get(SOURCE))
    return value if isinstance(about, str) and is_text(about) else None


def subject(value: dict[str, Any]) -> tuple[str, str]:
    """Return what a record is about: the key, and the photo's location or the text under it."""
    key = SOURCE_REF if SOURCE_REF in value else SOURCE
    return key, value[key]


def is_labeled(value: dict[str, Any], attribute: str) -> bool:
    """Tell whether a record has a label; one that failed has only metadata."""
    return value.get(attribute) is not None


def merge(manifests: Sequence[Iterable[bytes]], attribute: str) -> Merged:
    """Merge manifests, oldest first.

    A photo's line is the last labeled one; where no manifest labels it, the last one. A person's later answer replaces
    an earlier one, and an unlabeled line never replaces a labeled one. Kept lines are the bytes that came in.

    Parameters
    ----------
    manifests
        Each gives the same lines whenever it is gone through (a list, :class:`Stored`). What is remembered of a line is
        a digest of what it is about and its place: some 175 bytes.
    """
    kept = bytearray()
    places: dict[bytes, int] = {}  # twice the place of a subject's line, and one more if it has a label
    unreadable = checksum = 0
    for line in _stripped(manifests):
        checksum = crc32(line, checksum)
        value = record(line)
        labeled = value is not None and is_labeled(value, attribute)
        about = _digest("", line) if value is None else _digest(*subject(value))
        before = places.get(about)
        unreadable += value is None and before is None
        chosen = before is None or labeled or not before & 1
        if chosen:
            if before is not None:
                kept[before >> 1] = False
            places[about] = len(kept) << 1 | labeled
        kept.append(chosen)
    return Merged(sum(place & 1 for place in places.values()), unreadable, manifests, kept, checksum)


def _digest(key: str, about: str | bytes) -> bytes:
    """Return sixteen bytes instead of a key and what stands under it."""
    text = about.encode() if isinstance(about, str) else about
    return hashlib.blake2b(text, digest_size=16, person=key.encode()).digest()


def without_label(value: dict[str, Any], attribute: str) -> bytes:
    """Return a record as the line that asks for its label again: no failure of the last attempt stays in it.

    Raises
    ------
    RecursionError
        If it is nested so deeply that it could just be read.
    """
    asked = {key: item for key, item in value.items() if key not in (attribute, attribute + METADATA_SUFFIX)}
    # Half a character, which UTF-8 can't hold, is written as the escape that it came as.
    return json.dumps(asked, ensure_ascii=False).encode("utf-8", "backslashreplace")


def _stripped(manifests: Iterable[Iterable[bytes]]) -> Iterator[bytes]:
    for line in chain.from_iterable(manifests):
        if bare := line.rstrip(b"\r\n"):
            yield bare
