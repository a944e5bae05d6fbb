"""Bring manifests of one label attribute together: every photo (or text) once, no label lost."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from menulens.core.keys import METADATA_SUFFIX, SOURCE, SOURCE_REF
from menulens.core.lines import is_text
from menulens.storage import Storage


@dataclass(slots=True)
class Merged:
    """What came together.

    Attributes
    ----------
    lines
        In the order in which photos first appear.
    labeled
        How many of them carry a label.
    unreadable
        Lines that are no record of a photo or a text; kept at the end, verbatim, for cleaning to reject.
    """

    lines: list[bytes] = field(default_factory=list)
    labeled: int = 0
    unreadable: int = 0

    @property
    def sha256(self) -> str:
        """The hash of the manifest's bytes."""
        digest = hashlib.sha256()
        for line in self.lines:
            digest.update(line + b"\n")
        return digest.hexdigest()

    def write(self, place: str, storage: Storage) -> None:
        """Write the manifest, whole or not at all."""
        with storage.writer(place, "application/jsonl") as writer:
            for line in self.lines:
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


def merge(manifests: Iterable[Iterable[bytes]], attribute: str) -> Merged:
    """Merge manifests, oldest first.

    A photo's line is the last labeled one; where no manifest labels it, the last one. A person's later answer replaces
    an earlier one, and an unlabeled line never replaces a labeled one. Kept lines are the bytes that came in.
    """
    kept: dict[tuple[str, str], tuple[bytes, bool]] = {}
    unreadable: dict[bytes, None] = {}
    for manifest in manifests:
        for line in _stripped(manifest):
            value = record(line)
            if value is None:
                unreadable[line] = None
                continue
            labeled = is_labeled(value, attribute)
            _, had_label = kept.get(subject(value), (b"", False))
            if labeled or not had_label:
                kept[subject(value)] = (line, labeled)
    return Merged(
        lines=[*(line for line, _ in kept.values()), *unreadable],
        labeled=sum(labeled for _, labeled in kept.values()),
        unreadable=len(unreadable),
    )


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


def _stripped(lines: Iterable[bytes]) -> Iterator[bytes]:
    for line in lines:
        if bare := line.rstrip(b"\r\n"):
            yield bare
