"""The gateway itself: one class for S3 and for local files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

from botocore.exceptions import ClientError

from menulens.storage.places import (
    BLOCK_BYTES,
    ObjectInfo,
    ObjectMissingError,
    S3Uri,
    StorageError,
    explained,
    is_s3,
    parse_s3_uri,
)
from menulens.storage.reading import S3Reader, Slice
from menulens.storage.writing import SMALLEST_PART, AtomicWriter, FileWriter, S3Writer

LARGEST_COPY = 5 << 30  # CopyObject's limit; beyond it boto3's managed copy goes part by part


class Storage:
    """Objects in S3 and files on disk.

    Parameters
    ----------
    s3
        A boto3 S3 client; not needed where every location is a local path.
    part_bytes
        Bytes of one uploaded part, at least 5 MiB: each open writer holds this much memory.
    """

    def __init__(self, s3: Any = None, *, part_bytes: int = SMALLEST_PART) -> None:
        if part_bytes < SMALLEST_PART:
            raise ValueError(f"part_bytes is {part_bytes}; S3 takes no part under {SMALLEST_PART} bytes")
        self._s3 = s3
        self._part_bytes = part_bytes

    def exists(self, location: str) -> bool:
        """Tell whether an object or file is there."""
        try:
            self.size(location)
        except ObjectMissingError:
            return False
        return True

    def size(self, location: str) -> int:
        """Return an object's bytes.

        Raises
        ------
        ObjectMissingError
            If it is not there.
        """
        if not is_s3(location):
            path = Path(location)
            if not path.is_file():
                what = "a folder, where a file is due" if path.is_dir() else "no such file"
                raise ObjectMissingError(f"{location}: {what}.")
            return path.stat().st_size
        return int(self._head(location)["ContentLength"])

    def identity(self, location: str) -> str:
        """Return a text that changes when an object is replaced: of ETag (or time and inode of a file) and size.

        Raises
        ------
        ObjectMissingError
            If it is not there.
        """
        if not is_s3(location):
            self.size(location)
            state = Path(location).stat()
            return f"{state.st_mtime_ns:x}-{state.st_ino:x}-{state.st_size}"
        head = self._head(location)
        return f"{head['ETag'].strip(chr(34))}-{head['ContentLength']}"

    def open(self, location: str, start: int = 0, end: int | None = None) -> BinaryIO:
        """Open an object for streaming, whole or the bytes from ``start`` up to (without) ``end``.

        A broken connection is taken up again where it broke, on the same version of the object.
        """
        if not is_s3(location):
            self.size(location)
            file = Path(location).open("rb")  # noqa: SIM115 (the caller closes what this returns)
            file.seek(start)
            return file if end is None else cast(BinaryIO, Slice(file, end - start))
        head = self._head(location)
        length = int(head["ContentLength"])
        stop = length if end is None else min(end, length)
        return cast(BinaryIO, S3Reader(self._client(), location, head["ETag"], start, stop))

    def read_bytes(self, location: str, start: int = 0, end: int | None = None) -> bytes:
        """Return an object's bytes, or a range of them."""
        with self.open(location, start, end) as stream:
            return stream.read()

    def read_version(self, location: str, etag: str, size: int) -> bytes:
        """Return the bytes of an S3 object as it was when it was listed with this ETag and size.

        Raises
        ------
        ObjectChangedError
            If it was replaced since.
        """
        with S3Reader(self._client(), location, f'"{etag}"', 0, size) as stream:
            return stream.read()

    def read_text(self, location: str) -> str:
        """Return an object's text, read as UTF-8."""
        return self.read_bytes(location).decode("utf-8")

    def read_json(self, location: str) -> Any:
        """Return what a JSON object in storage says.

        Raises
        ------
        StorageError
            If it is no JSON.
        """
        try:
            return json.loads(self.read_bytes(location))
        except ValueError as error:
            raise StorageError(f"{location}: not readable as JSON: {error}.") from None

    def lines(self, location: str) -> Iterator[bytes]:
        """Stream the lines of an object, each without its ``\\n`` (a ``\\r`` stays)."""
        rest = b""
        with self.open(location) as stream:
            while block := stream.read(BLOCK_BYTES):
                *whole, rest = (rest + block).split(b"\n")
                yield from whole
        if rest:
            yield rest

    def list(self, location: str) -> Iterator[ObjectInfo]:
        """List every object under a prefix (or every file under a folder) by key, page after page.

        Folder markers (empty objects whose key ends with a slash) are left out.
        """
        if not is_s3(location):
            root = Path(location)
            for path in sorted(path for path in root.rglob("*") if path.is_file()):
                state = path.stat()
                yield ObjectInfo(
                    str(path),
                    path.relative_to(root).as_posix(),
                    state.st_size,
                    f"{state.st_mtime_ns:x}-{state.st_size:x}",
                    datetime.fromtimestamp(state.st_mtime, UTC),
                )
            return
        place = parse_s3_uri(location)
        pages = self._client().get_paginator("list_objects_v2").paginate(Bucket=place.bucket, Prefix=place.key)
        try:
            for page in pages:
                for item in page.get("Contents", ()):
                    if item["Key"].endswith("/") and item["Size"] == 0:
                        continue
                    uri = str(S3Uri(place.bucket, item["Key"]))
                    yield ObjectInfo(uri, item["Key"], item["Size"], item["ETag"].strip('"'), item["LastModified"])
        except ClientError as error:
            raise explained(location, error) from error

    def writer(self, location: str, content_type: str = "application/octet-stream") -> AtomicWriter:
        """Open an object for writing; it becomes visible, whole, when the ``with`` block ends well."""
        if not is_s3(location):
            return FileWriter(Path(location))
        return S3Writer(self._client(), parse_s3_uri(location), content_type, self._part_bytes)

    def write_bytes(self, location: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        """Write an object in one go."""
        with self.writer(location, content_type) as writer:
            writer.write(data)

    def write_text(self, location: str, text: str, content_type: str = "text/plain; charset=utf-8") -> None:
        """Write text as UTF-8."""
        self.write_bytes(location, text.encode("utf-8"), content_type)

    def write_json(self, location: str, value: Any) -> None:
        """Write a value as JSON: keys as given, one line, ``\\n`` at its end."""
        self.write_text(location, json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n", "application/json")

    def copy(self, source: str, target: str) -> None:
        """Copy an object; inside S3 the bytes do not pass through here."""
        if not (is_s3(source) and is_s3(target)):
            with self.open(source) as stream, self.writer(target) as writer:
                while block := stream.read(BLOCK_BYTES):
                    writer.write(block)
            return
        origin, place = parse_s3_uri(source), parse_s3_uri(target)
        where = {"Bucket": origin.bucket, "Key": origin.key}
        try:
            if self.size(source) < LARGEST_COPY:
                self._client().copy_object(CopySource=where, Bucket=place.bucket, Key=place.key)
            else:
                self._client().copy(where, place.bucket, place.key)
        except ClientError as error:
            raise explained(f"{source} to {target}", error) from error

    def delete(self, location: str) -> None:
        """Remove an object; one that is not there is fine."""
        if not is_s3(location):
            Path(location).unlink(missing_ok=True)
            return
        place = parse_s3_uri(location)
        try:
            self._client().delete_object(Bucket=place.bucket, Key=place.key)
        except ClientError as error:
            raise explained(location, error) from error

    def _client(self) -> Any:
        if self._s3 is None:
            raise StorageError("An s3:// location was given, but no S3 client: pass one to Storage(client).")
        return self._s3

    def _head(self, location: str) -> dict[str, Any]:
        place = parse_s3_uri(location)
        try:
            return cast(dict[str, Any], self._client().head_object(Bucket=place.bucket, Key=place.key))
        except ClientError as error:
            raise explained(location, error) from error
