"""Prepare what annotators see: a display copy of every photo of a job's input manifest, chunk by chunk.

A copy is named by the SHA-256 of the photo it shows, and what is known of it stands beside it (``….json``, written
after the copy): whatever was made once, by whichever job or half-finished run, is not made again. A chunk's part
appears whole or not at all, and the same chunk gives the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Protocol

from menulens.core import keys, photos
from menulens.portal import display_index
from menulens.portal.decoding import Caps, DisplayCopy, DisplayFault, NotShownError
from menulens.portal.display_index import Chunk
from menulens.portal.sandbox import memory_for
from menulens.storage import ObjectArchivedError, ObjectMissingError, Storage

THREADS: Final = 8  # photos on their way from and to storage at once
OWN_MEMORY: Final = 256 << 20  # beside the photos themselves and their decoding
FORMAT: Final = 1
"""Of the copies: raise it when they are made in another way, and all are made anew."""
LONGEST_TEXT: Final = 20_000
LONGEST_CONTEXT: Final = 500
SOURCE: Final = "source"

_TOLD: Final = ("width", "height", "hash", "quality", "colours")  # of a photo, on its copy's card

# What turns the direction of the text around it: a name could show as another.
_DIRECTIONS: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_UNSEEN: Final = frozenset({"Cc", "Cs", "Cn"})  # control characters, halves of characters, no characters


class Decodes(Protocol):
    """What makes copies: :class:`menulens.portal.sandbox.Decoders`."""

    def decode(self, data: bytes) -> DisplayCopy:
        """Make a photo's display copy, or raise NotShownError."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where things are.

    Attributes
    ----------
    manifest
        The job's input manifest.
    photos
        What every photo's location starts with, as in ``s3://bucket/photos/``; no other is opened.
    labels_bucket
        Receives copies and parts.
    """

    manifest: str
    job: str
    photos: str
    labels_bucket: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """What became of a chunk: records = shown + rejected, where made of the shown are new copies."""

    records: int
    shown: int
    rejected: int
    made: int


def at_once(caps: Caps, memory_bytes: int | None) -> int:
    """Return how many photos are decoded at once: one a processor, as far as memory goes for the largest photos.

    Parameters
    ----------
    memory_bytes
        What there is in all; None: enough.
    """
    processors = len(os.sched_getaffinity(0))
    if memory_bytes is None:
        return processors
    room = (memory_bytes - OWN_MEMORY - THREADS * caps.max_bytes) // memory_for(caps.max_pixels)
    return max(1, min(processors, room))


def prepare(
    chunk: Chunk, place: Place, caps: Caps, *, decoders: Decodes, storage: Storage, context_keys: Iterable[str] = ()
) -> Prepared:
    """Make the display copies of a chunk, and write its part of the index.

    Parameters
    ----------
    context_keys
        Keys of a manifest line that are shown beside its photo, in this order.

    Returns
    -------
    Prepared
        A photo that can't be shown is a reject with its reason, never an error.

    Raises
    ------
    menulens.storage.StorageError
        If storage fails (beside a photo that is not there).
    """
    preparer = _Preparer(place, caps, decoders, storage, tuple(context_keys))
    with ThreadPoolExecutor(THREADS) as pool:
        done = list(pool.map(preparer.record, *zip(*_lines(chunk, place.manifest, storage), strict=True)))
    records = [record for record, _ in done]
    content = b"".join(display_index.dumped(record) for record in records)
    storage.write_bytes(display_index.part(place.labels_bucket, place.job, chunk.number), content, "application/jsonl")
    rejected = sum("reject" in record for record in records)
    return Prepared(len(records), len(records) - rejected, rejected, sum(made for _, made in done))


def _lines(chunk: Chunk, manifest: str, storage: Storage) -> Iterator[tuple[int, bytes]]:
    content = storage.read_bytes(manifest, chunk.offset, chunk.offset + chunk.size)
    found = [line for raw in content.split(b"\n") if (line := raw.removesuffix(b"\r"))]
    return zip(range(chunk.start, chunk.end), found, strict=True)


class _Preparer:
    """Takes one line after the other, from several threads."""

    def __init__(
        self, place: Place, caps: Caps, decoders: Decodes, storage: Storage, context_keys: tuple[str, ...]
    ) -> None:
        self._place, self._caps, self._decoders, self._storage = place, caps, decoders, storage
        self._context_keys = context_keys
        self._way = {"format": FORMAT, "longest_side": caps.longest_side, "quality": caps.quality}

    def record(self, number: int, line: bytes) -> tuple[dict[str, Any], bool]:
        """Return a line's record in the index, and whether a copy was made."""
        record: dict[str, Any] = {"line": number}
        try:
            value = _parsed(line)
            record["context"] = _context(value, self._context_keys)
            if keys.SOURCE_REF not in value:
                record["source"] = _text(value[SOURCE])
                return record, False
            record["source_ref"] = value[keys.SOURCE_REF]
            shown, made = self._shown(value[keys.SOURCE_REF])
            return record | shown, made
        except NotShownError as fault:
            return record | {"reject": {"code": str(fault.code), "reason": fault.reason}}, False

    def _shown(self, uri: str) -> tuple[dict[str, Any], bool]:
        data = self._fetched(uri)
        digest = hashlib.sha256(data).hexdigest()
        key = display_index.copy_key(digest)
        location = f"s3://{self._place.labels_bucket}/{key}"
        card = f"{location.removesuffix('.jpg')}.json"
        known = self._known(card)
        made = known is None
        if known is None:
            copy = self._decoders.decode(data)
            known = {
                "made": self._way,
                "width": copy.width,
                "height": copy.height,
                "hash": copy.fingerprint.bits,
                "quality": copy.fingerprint.quality,
                "colours": base64.b64encode(copy.fingerprint.colours).decode(),
            }
            self._storage.write_bytes(location, copy.jpeg, "image/jpeg")
            # Last: who finds the card finds the copy.
            self._storage.write_json(card, known)
        return {"display": key, "sha256": digest} | {name: known[name] for name in _TOLD}, made

    def _known(self, card: str) -> dict[str, Any] | None:
        """Return what is known of a copy; None if there is none, or one that was made in another way."""
        try:
            known: dict[str, Any] = self._storage.read_json(card)
        except ObjectMissingError:
            return None
        return known if known.get("made") == self._way and known.keys() >= set(_TOLD) else None

    def _fetched(self, uri: str) -> bytes:
        if not uri.startswith(self._place.photos):
            raise NotShownError(DisplayFault.NOT_OURS, f"A photo in {self._place.photos} is due.")
        try:
            data = self._storage.read_bytes(uri, 0, self._caps.max_bytes + 1)
        except ObjectMissingError:
            raise NotShownError(DisplayFault.MISSING, f"{uri}: no such object.") from None
        except ObjectArchivedError as error:
            raise NotShownError(DisplayFault.ARCHIVED, str(error)) from None
        if len(data) > self._caps.max_bytes:
            raise NotShownError(
                photos.PhotoFault.TOO_LARGE, f"It has more than the {self._caps.max_bytes:,} bytes that are taken."
            )
        return data


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
        source = value.get(keys.SOURCE_REF, value.get(SOURCE)) if isinstance(value, dict) else None
        if isinstance(source, str):
            if keys.SOURCE_REF in value:
                source.encode()  # half a character names no object
            found: dict[str, Any] = value
            return found
    except (ValueError, RecursionError) as error:
        raise NotShownError(DisplayFault.NOT_READABLE, f"It is not readable as JSON: {error!s:.200}.") from None
    raise NotShownError(
        DisplayFault.NOT_READABLE, f"A JSON object with a text under {keys.SOURCE_REF} or {SOURCE} is due."
    )


def _text(source: str) -> str:
    text = _seen(source)
    if all(unicodedata.category(character)[0] in "CZ" for character in text):  # spaces, marks without a shape
        raise NotShownError(DisplayFault.EMPTY_TEXT, "There is nothing to read in it.")
    if len(text) > LONGEST_TEXT:
        raise NotShownError(
            DisplayFault.TEXT_TOO_LONG, f"It has {len(text):,} characters; at most {LONGEST_TEXT:,} are shown."
        )
    return text


def _context(value: Mapping[str, Any], wanted: tuple[str, ...]) -> dict[str, str]:
    """Return what stands beside a photo: texts and numbers, cut to a length that a phone has room for."""
    context = {}
    for key in wanted:
        told = value.get(key)
        if isinstance(told, str | int | float) and not isinstance(told, bool) and (text := _seen(str(told))):
            context[key] = text if len(text) <= LONGEST_CONTEXT else text[: LONGEST_CONTEXT - 1] + "…"
    return context


def _seen(text: str) -> str:
    """Return a text without what is not seen or changes how others are seen."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    kept = (
        character
        for character in lines
        if character in "\n\t" or not (character in _DIRECTIONS or unicodedata.category(character) in _UNSEEN)
    )
    return "".join(kept).strip()
