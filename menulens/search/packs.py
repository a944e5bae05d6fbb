"""One pack: photos fetched, looked at, and written as the JSON lines that a transform job reads."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from menulens.core.photos import PhotoError, inspect
from menulens.search.layout import ARCHIVED, Layout, Photo, json_line, read_plan_line, reject_line
from menulens.storage import (
    ObjectArchivedError,
    ObjectChangedError,
    ObjectMissingError,
    S3Uri,
    Storage,
    parse_s3_uri,
)

FETCHERS: Final = 8
LINES: Final = "application/jsonlines"
# The bucket's lifecycle rule removes what an execution that broke off left behind.
PACK_TAG: Final = "menulens=pack"


@dataclass(frozen=True, slots=True)
class Packed:
    """How many photos of a pack were written, and how many were turned away."""

    photos: int
    rejected: int


def write_pack(
    s3: Any,
    storage: Storage,
    *,
    photos_bucket: str,
    layout: Layout,
    number: int,
    first: int,
    last: int,
    caps: Mapping[str, int],
) -> Packed:
    """Write one pack and its rejects.

    Parameters
    ----------
    first, last
        Bytes of the plan that name the pack's photos.
    caps
        ``max_bytes`` and ``max_pixels`` of a photo.
    """
    photos = read_plan_line(storage.read_bytes(layout.planned, first, last))
    lines, rejects = [], []
    for photo, data, fault in _fetched(storage, photos_bucket, photos, caps):
        if fault is None:
            lines.append(json_line({"id": photo.key, "b64": base64.b64encode(data).decode("ascii")}))
        else:
            rejects.append(reject_line(photo, *fault))
    storage.write_bytes(layout.pack_reject(number), b"".join(rejects), LINES)
    if lines:
        place = parse_s3_uri(layout.pack(number))
        s3.put_object(Bucket=place.bucket, Key=place.key, Body=b"".join(lines), ContentType=LINES, Tagging=PACK_TAG)
    return Packed(len(lines), len(rejects))


def _fetched(
    storage: Storage, bucket: str, photos: list[Photo], caps: Mapping[str, int]
) -> Iterator[tuple[Photo, bytes, tuple[str, str] | None]]:
    """Yield each photo with its bytes, or with why it is turned away; in the order given."""
    with ThreadPoolExecutor(FETCHERS) as pool:
        for photo, (data, fault) in zip(
            photos, pool.map(lambda photo: _fetch(storage, bucket, photo, caps), photos), strict=True
        ):
            yield photo, data, fault


def _fetch(
    storage: Storage, bucket: str, photo: Photo, caps: Mapping[str, int]
) -> tuple[bytes, tuple[str, str] | None]:
    """Return a photo's bytes, or why it is turned away; what is too large is not fetched."""
    if photo.size > caps["max_bytes"]:
        return b"", _fault(b"", photo.size, caps)
    try:
        # The photo that was planned, or none: its ETag is what a later run compares.
        data = storage.read_version(str(S3Uri(bucket, photo.key)), photo.etag, photo.size)
    except ObjectMissingError:
        return b"", ("gone", "Deleted after it was listed.")
    except ObjectChangedError:
        return b"", ("changed", "Replaced after it was listed; the next run takes the new one.")
    except ObjectArchivedError:
        return b"", (ARCHIVED, "Archived; a run after it is restored takes it.")
    return data, _fault(data, len(data), caps)


def _fault(data: bytes, size: int, caps: Mapping[str, int]) -> tuple[str, str] | None:
    try:
        inspect(data, size, max_bytes=caps["max_bytes"], max_pixels=caps["max_pixels"])
    except PhotoError as error:
        return str(error.code), error.reason
    return None
