"""S3 objects that jobs read and write."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from menulens.local.errors import JobFailedError, invalid

_MISSING = ("NoSuchKey", "NoSuchBucket", "404", "NotFound")


def split_uri(uri: str) -> tuple[str, str]:
    """Return bucket and key of ``s3://bucket/key``.

    Raises
    ------
    ServiceError
        If it is no such address.
    """
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise invalid(f"{uri!r} is no S3 address; s3://bucket/key is due.")
    return bucket, key


def list_keys(s3: Any, uri: str) -> list[str]:
    """Return every key under a prefix.

    Raises
    ------
    JobFailedError
        If there is none, in AWS's words.
    """
    bucket, prefix = split_uri(uri)
    try:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        keys = [item["Key"] for part in pages for item in part.get("Contents", ()) if not item["Key"].endswith("/")]
    except ClientError as error:
        raise JobFailedError(f"ClientError: Data download failed: {error} ({uri})") from None
    if not keys:
        raise JobFailedError(
            f'ClientError: No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the '
            "bucket exists in the selected region, and that objects exist under that S3 prefix."
        )
    return keys


def read(s3: Any, uri: str) -> bytes:
    """Return an object.

    Raises
    ------
    JobFailedError
        If it is not there.
    """
    bucket, key = split_uri(uri)
    try:
        body: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        code = error.response["Error"]["Code"]
        what = "no such object" if code in _MISSING else str(error)
        raise JobFailedError(f"ClientError: Data download failed: {uri}: {what}") from None
    return body


def write(s3: Any, uri: str, body: bytes, content_type: str = "application/octet-stream") -> None:
    """Write an object."""
    bucket, key = split_uri(uri)
    s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type)


def exists(s3: Any, uri: str) -> bool:
    """Return whether an object is there."""
    bucket, key = split_uri(uri)
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] in _MISSING:
            return False
        raise
    return True


def resolve_source(s3: Any, data_type: str, uri: str) -> list[tuple[str, str, str]]:
    """Return what an ``S3Prefix`` or a ``ManifestFile`` names, as (bucket, key, path below its prefix)."""
    bucket, prefix = split_uri(uri)
    if data_type == "ManifestFile":
        return list(_manifest_entries(read(s3, uri), uri))
    keys = list_keys(s3, uri)
    folder = _folder_of(prefix, keys)
    return [(bucket, key, key[len(folder) :]) for key in keys]


def _folder_of(prefix: str, keys: list[str]) -> str:
    """Return what is cut from keys to get paths: the prefix as a folder if it is one, its parent otherwise."""
    if not prefix or prefix.endswith("/"):
        return prefix
    if all(key.startswith(prefix + "/") for key in keys):
        return prefix + "/"
    return prefix[: prefix.rfind("/") + 1]


def _manifest_entries(text: bytes, uri: str) -> Iterator[tuple[str, str, str]]:
    try:
        head, *names = json.loads(text)
        base_bucket, base = split_uri(head["prefix"])
    except (ValueError, TypeError, KeyError) as error:
        raise JobFailedError(
            f'ClientError: {uri} is no S3 manifest; [{{"prefix": "s3://…"}}, "name", …] is due ({error!r}).'
        ) from None
    for name in names:
        yield base_bucket, base + name, name


def download(s3: Any, data_type: str, uri: str, folder: Path) -> int:
    """Download what a data source names into a folder; return the number of files."""
    sources = resolve_source(s3, data_type, uri)
    for bucket, key, path in sources:
        target = (folder / path).resolve()
        if not target.is_relative_to(folder.resolve()):
            raise JobFailedError(f"ClientError: Data download failed: key {key!r} leads out of the channel's folder.")
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            s3.download_fileobj(bucket, key, file)
    return len(sources)


def unpack(archive: bytes, folder: Path, what: str) -> None:
    """Unpack a tar.gz into a folder, refusing members that lead out of it.

    Raises
    ------
    JobFailedError
        If it is no such archive.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:*") as tar:
            tar.extractall(folder, filter="data")
    except tarfile.TarError as error:
        raise JobFailedError(f"ClientError: {what} is no usable tar.gz: {error}") from None


def pack(folder: Path) -> bytes:
    """Return a folder's contents as tar.gz."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, arcname=path.name)
    return buffer.getvalue()
