"""Where objects are, how they are told, and what goes wrong with them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from botocore.exceptions import ClientError

SCHEME = "s3://"
BLOCK_BYTES = 1 << 20
_MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
_CHANGED = frozenset({"412", "PreconditionFailed"})
_ARCHIVED = "InvalidObjectState"


class StorageError(Exception):
    """An object that can't be read or written; the message names it."""


class S3UriError(StorageError):
    """Text that is no S3 location."""


class ObjectMissingError(StorageError):
    """An object or file that is not there."""


class ObjectChangedError(StorageError):
    """An object that was replaced while it was being read."""


class ObjectArchivedError(StorageError):
    """An object that can't be read before it is restored from an archive."""


@dataclass(frozen=True, slots=True)
class S3Uri:
    """An object's (or prefix's) place; ``str()`` gives ``s3://bucket/key``."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One listed object: its location, key relative to nothing (as S3 tells it), bytes, ETag without quotes."""

    uri: str
    key: str
    size: int
    etag: str
    modified: datetime


def is_s3(location: str) -> bool:
    """Tell whether a location is in S3."""
    return location.startswith(SCHEME)


def parse_s3_uri(text: str) -> S3Uri:
    """Take ``s3://bucket/key`` apart; the key may be empty.

    Raises
    ------
    S3UriError
        If the text does not start with ``s3://`` or names no bucket.
    """
    if not is_s3(text):
        raise S3UriError(f"{text!r} is no S3 location; one starts with s3://, as in s3://bucket/key.")
    bucket, _, key = text[len(SCHEME) :].partition("/")
    if not bucket:
        raise S3UriError(f"{text!r} names no bucket; one is due after s3://, as in s3://bucket/key.")
    return S3Uri(bucket, key)


def join(folder: str, *names: str) -> str:
    """Return a location below a folder, with one slash between the parts."""
    return "/".join([folder.rstrip("/"), *(name.strip("/") for name in names)])


def explained(location: str, error: ClientError) -> StorageError:
    """Turn a client's error into one that names the object."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    if code == "NoSuchBucket":
        return ObjectMissingError(f"{location}: no such bucket.")
    if code in _MISSING:
        return ObjectMissingError(f"{location}: no such object.")
    if code in _CHANGED:
        return ObjectChangedError(f"{location}: replaced while it was being read; read it again from its start.")
    if code == _ARCHIVED:
        return ObjectArchivedError(f"{location}: archived; restore it to have it read.")
    return StorageError(f"{location}: {error}")
