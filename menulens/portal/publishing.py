"""The page's files and its configuration, from a function's asset into the bucket that CloudFront reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

PAGE_FOLDER: Final = "page"
CONFIGURATION: Final = "config.json"
# Nothing has its version in its name, so everything is asked for again, and answered with 304 while it is the same.
CACHE_CONTROL: Final = "no-cache"
CONTENT_TYPES: Final[Mapping[str, str]] = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}


class PublishingError(Exception):
    """A page that can't be published; the message names the file."""


def publish(folder: Path, configuration: Mapping[str, Any], *, bucket: str, s3: Any) -> list[str]:
    """Make a bucket hold a folder's files and ``config.json``, and nothing else; answers the keys.

    What names other files goes last, so that a page never asks for what is not there yet; files that are gone from the
    folder go from the bucket after that.

    Raises
    ------
    PublishingError
        If a file is of a type that browsers would not be told.
    """
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    strange = sorted(name for name, path in files.items() if path.suffix not in CONTENT_TYPES)
    if strange:
        raise PublishingError(f"{', '.join(strange)}: no content type is known for it; menulens.portal.publishing.")
    bodies = {name: path.read_bytes() for name, path in files.items()}
    bodies[CONFIGURATION] = json.dumps(dict(configuration), sort_keys=True, ensure_ascii=False).encode()
    keys = sorted(bodies, key=lambda name: (name.endswith((".html", ".webmanifest")), name == "index.html", name))
    for key in keys:
        s3.put_object(
            Bucket=bucket,
            Key=key,
            Body=bodies[key],
            ContentType=CONTENT_TYPES[Path(key).suffix],
            CacheControl=CACHE_CONTROL,
        )
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for found in page.get("Contents", []):
            if found["Key"] not in bodies:
                s3.delete_object(Bucket=bucket, Key=found["Key"])
    return keys
