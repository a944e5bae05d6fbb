"""Join a job's parts to its index, with photos that show the same thing in one group: they are shown once."""

from __future__ import annotations

import base64
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from menulens.portal import display_index
from menulens.portal.near_duplicates import LEAST_QUALITY, MOST_APART, colour_grids, hash_words, leaders
from menulens.storage import Storage


@dataclass(frozen=True, slots=True)
class Joined:
    """The index that was written.

    Attributes
    ----------
    records, rejected
        Lines of the manifest, and those that no one can be shown.
    items
        Groups: what there is to ask about. ``records - rejected - items`` answers are spared.
    reasons
        Code to number of rejects.
    """

    uri: str
    records: int
    rejected: int
    items: int
    reasons: dict[str, int]


@dataclass(slots=True)
class _Photos:
    """What groups are made from: of the first photo with each content, and of every line the content."""

    hashes: list[str] = field(default_factory=list)
    colours: list[bytes] = field(default_factory=list)
    qualities: list[int] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    by_content: dict[str, int] = field(default_factory=dict)


def join(
    storage: Storage,
    *,
    bucket: str,
    job: str,
    parts: int,
    lines: int,
    most_apart: int = MOST_APART,
    least_quality: int = LEAST_QUALITY,
) -> Joined:
    """Write a job's index from its parts, with groups of near-duplicates.

    Photos of the same bytes are one group; so are photos that agree (:mod:`menulens.portal.near_duplicates`), if both
    are of ``least_quality`` or more. The same parts give the same bytes.

    Parameters
    ----------
    parts, lines
        Chunks that the manifest was cut into, and its lines.
    most_apart
        Bits in which hashes that agree may differ; 0: only photos of the same bytes are grouped.

    Raises
    ------
    menulens.portal.display_index.DisplayIndexError
        If a part lacks a line or has one twice, or lines are missing at the end; nothing is written then.
    menulens.storage.ObjectMissingError
        If a part is missing.
    """
    places = [display_index.part(bucket, job, number) for number in range(parts)]
    group_of = _groups(_photos(storage, places), most_apart, least_quality)
    uri = display_index.index(bucket, job)
    records, items, reasons = 0, 0, Counter[str]()
    with storage.writer(uri, "application/jsonl") as writer:
        for record in display_index.checked(storage, places):
            records += 1
            line = record["line"]
            record.pop("colours", None)
            if "reject" in record:
                reasons[record["reject"]["code"]] += 1
            else:
                record["group"] = group_of.get(record.get("sha256", ""), line)
                items += record["group"] == line
            writer.write(display_index.dumped(record))
        if records != lines:
            raise display_index.DisplayIndexError(
                f"{job}: its {parts} parts have {records:,} records, its manifest {lines:,} lines. "
                "Run prepare_display again for all chunks of one plan."
            )
    return Joined(uri, records, reasons.total(), items, dict(sorted(reasons.items())))


def _photos(storage: Storage, places: list[str]) -> _Photos:
    photos = _Photos()
    for record in display_index.checked(storage, places):
        content = record.get("sha256")
        if "reject" in record or content is None or content in photos.by_content:
            continue
        photos.by_content[content] = len(photos.lines)
        photos.lines.append(record["line"])
        photos.hashes.append(record["hash"])
        photos.colours.append(base64.b64decode(record["colours"]))
        photos.qualities.append(record["quality"])
    return photos


def _groups(photos: _Photos, most_apart: int, least_quality: int) -> dict[str, int]:
    """Return the line of the leader for each content."""
    lead = np.arange(len(photos.lines))
    telling = np.flatnonzero(np.asarray(photos.qualities, np.int64) >= least_quality)
    if most_apart and len(telling):
        words = hash_words([photos.hashes[place] for place in telling])
        grids = colour_grids([photos.colours[place] for place in telling])
        lead[telling] = telling[leaders(words, grids, most_apart)]
    return {content: photos.lines[lead[place]] for content, place in photos.by_content.items()}
