"""One gateway to objects: S3 through a boto3 client that the caller gives, and local files under the same verbs.

A location is a string: ``s3://bucket/key``, or a local path. Nothing written here is visible before it is whole: an
S3 object appears when its upload completes, a local file when it is renamed into place.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol, cast

from botocore.exceptions import ClientError, HTTPClientError, ResponseStreamingError
from botocore.exceptions import ConnectionError as BotocoreConnectionError

SCHEME = "s3://"
BLOCK_BYTES = 1 << 20
SMALLEST_PART = 5 << 20  # S3 takes no smaller part, the last one excepted
MOST_PARTS = 10_000
LARGEST_COPY = 5 << 30  # CopyObject's limit; beyond it boto3's managed copy goes part by part
READ_ATTEMPTS = 5
_MISSING = frozenset({"404", "NoSuchKey", "NotFound", "NoSuchBucket"})


class StorageError(Exception):
    """An object that can't be read or written; the message names it."""


class S3UriError(StorageError):
    """Text that is no S3 location."""


class ObjectMissingError(StorageError):
    """An object or file that is not there."""


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


class AtomicWriter(Protocol):
    """Takes bytes; publishes them when its ``with`` block ends well, and leaves nothing when it does not."""

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Take the next bytes."""
        ...

    def publish(self) -> None:
        """Make everything written visible at once; the writer is closed after it."""
        ...

    def discard(self) -> None:
        """Forget everything written; nothing becomes visible."""
        ...

    def __enter__(self) -> AtomicWriter: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


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
                raise ObjectMissingError(f"{location}: no such file.")
            return path.stat().st_size
        return int(self._head(location)["ContentLength"])

    def open(self, location: str, start: int = 0, end: int | None = None) -> BinaryIO:
        """Open an object for streaming, whole or the bytes from ``start`` up to (without) ``end``.

        A broken connection is taken up again where it broke, on the same version of the object.
        """
        if not is_s3(location):
            self.size(location)
            file = Path(location).open("rb")  # noqa: SIM115 (the caller closes what this returns)
            file.seek(start)
            return file if end is None else cast(BinaryIO, _Slice(file, end - start))
        head = self._head(location)
        length = int(head["ContentLength"])
        stop = length if end is None else min(end, length)
        return cast(BinaryIO, _S3Reader(self._client(), location, head["ETag"], start, stop))

    def read_bytes(self, location: str, start: int = 0, end: int | None = None) -> bytes:
        """Return an object's bytes, or a range of them."""
        with self.open(location, start, end) as stream:
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
            raise _explained(location, error) from error

    def writer(self, location: str, content_type: str = "application/octet-stream") -> AtomicWriter:
        """Open an object for writing; it becomes visible, whole, when the ``with`` block ends well."""
        if not is_s3(location):
            return _FileWriter(Path(location))
        return _S3Writer(self._client(), parse_s3_uri(location), content_type, self._part_bytes)

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
            raise _explained(f"{source} to {target}", error) from error

    def delete(self, location: str) -> None:
        """Remove an object; one that is not there is fine."""
        if not is_s3(location):
            Path(location).unlink(missing_ok=True)
            return
        place = parse_s3_uri(location)
        try:
            self._client().delete_object(Bucket=place.bucket, Key=place.key)
        except ClientError as error:
            raise _explained(location, error) from error

    def _client(self) -> Any:
        if self._s3 is None:
            raise StorageError("An s3:// location was given, but no S3 client: pass one to Storage(client).")
        return self._s3

    def _head(self, location: str) -> dict[str, Any]:
        place = parse_s3_uri(location)
        try:
            return cast(dict[str, Any], self._client().head_object(Bucket=place.bucket, Key=place.key))
        except ClientError as error:
            raise _explained(location, error) from error


def _explained(location: str, error: ClientError) -> StorageError:
    """Turn a client's error into one that names the object."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    if code in _MISSING:
        return ObjectMissingError(f"{location}: no such object.")
    return StorageError(f"{location}: {error}")


class _Slice(io.RawIOBase):
    """The next ``length`` bytes of a file."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        self._file = file
        self._left = max(length, 0)

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        wanted = self._left if size is None or size < 0 else min(size, self._left)
        data = self._file.read(wanted)
        self._left -= len(data)
        return data

    def readall(self) -> bytes:
        return self.read()

    def close(self) -> None:
        self._file.close()
        super().close()


class _S3Reader(io.RawIOBase):
    """Streams a range of one version of an object, and goes on after a broken connection."""

    def __init__(self, s3: Any, location: str, etag: str, start: int, stop: int) -> None:
        self._s3, self._location, self._etag = s3, location, etag
        self._place = parse_s3_uri(location)
        self._position, self._stop = start, stop
        self._body: Any = None

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        left = max(self._stop - self._position, 0)
        wanted = left if size is None or size < 0 else min(size, left)
        data = bytearray()
        failures = 0
        while len(data) < wanted:
            try:
                if self._body is None:
                    self._body = self._get()
                piece = self._body.read(wanted - len(data))
                if not piece:
                    raise EOFError("the answer ended early")
            except ClientError as error:
                raise _explained(self._location, error) from error
            except (EOFError, OSError, HTTPClientError, ResponseStreamingError, BotocoreConnectionError) as error:
                failures += 1
                self._drop()
                if failures == READ_ATTEMPTS:
                    raise StorageError(
                        f"{self._location}: reading broke off at byte {self._position} "
                        f"{READ_ATTEMPTS} times in a row: {error}."
                    ) from error
                continue
            data += piece
            self._position += len(piece)
        return bytes(data)

    def readall(self) -> bytes:
        return self.read()

    def close(self) -> None:
        self._drop()
        super().close()

    def _get(self) -> Any:
        span = f"bytes={self._position}-{self._stop - 1}"
        place = self._place
        return self._s3.get_object(Bucket=place.bucket, Key=place.key, Range=span, IfMatch=self._etag)["Body"]

    def _drop(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None


class _Writer:
    """What both writers share: the ``with`` block."""

    def write(self, data: bytes | bytearray | memoryview) -> int:
        raise NotImplementedError

    def publish(self) -> None:
        raise NotImplementedError

    def discard(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> AtomicWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.publish()
        else:
            self.discard()


class _FileWriter(_Writer):
    """Writes beside the target, then renames."""

    def __init__(self, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        self._target = target
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        self._temporary = Path(name)
        self._file = os.fdopen(handle, "wb", buffering=BLOCK_BYTES)
        self._open = True

    def write(self, data: bytes | bytearray | memoryview) -> int:
        return self._file.write(data)

    def publish(self) -> None:
        if not self._open:
            return
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        # mkstemp makes a private file; the published one gets what a plain open() would have given.
        mask = os.umask(0)
        os.umask(mask)
        self._temporary.chmod(0o666 & ~mask)
        self._temporary.replace(self._target)
        self._open = False

    def discard(self) -> None:
        if self._open:
            self._open = False
            self._file.close()
            self._temporary.unlink(missing_ok=True)


class _S3Writer(_Writer):
    """Uploads part by part; small objects go in one PutObject."""

    def __init__(self, s3: Any, place: S3Uri, content_type: str, part_bytes: int) -> None:
        self._s3, self._place, self._content_type = s3, place, content_type
        self._part_bytes = part_bytes
        self._buffer = bytearray()
        self._upload: str | None = None
        self._parts: list[dict[str, Any]] = []
        self._open = True

    def write(self, data: bytes | bytearray | memoryview) -> int:
        view = memoryview(data)
        taken = 0
        while taken < len(view):
            piece = view[taken : taken + self._wanted() - len(self._buffer)]
            self._buffer += piece
            taken += len(piece)
            if len(self._buffer) >= self._wanted():
                self._send()
        return len(view)

    def publish(self) -> None:
        if not self._open:
            return
        target = {"Bucket": self._place.bucket, "Key": self._place.key}
        try:
            if self._upload is None:
                self._s3.put_object(**target, Body=bytes(self._buffer), ContentType=self._content_type)
            else:
                if self._buffer:
                    self._send()
                self._s3.complete_multipart_upload(
                    **target, UploadId=self._upload, MultipartUpload={"Parts": self._parts}
                )
        except ClientError as error:
            self.discard()
            raise _explained(str(self._place), error) from error
        except BaseException:
            self.discard()
            raise
        self._open = False
        self._buffer.clear()

    def discard(self) -> None:
        if self._open:
            self._open = False
            self._buffer.clear()
            if self._upload is not None:
                self._s3.abort_multipart_upload(Bucket=self._place.bucket, Key=self._place.key, UploadId=self._upload)

    def _wanted(self) -> int:
        # Parts grow, so that 10,000 of them reach S3's 5 TiB: ×2 for every 1,000 sent.
        return self._part_bytes << (len(self._parts) * 10 // MOST_PARTS)

    def _send(self) -> None:
        target = {"Bucket": self._place.bucket, "Key": self._place.key}
        try:
            if self._upload is None:
                answer = self._s3.create_multipart_upload(**target, ContentType=self._content_type)
                self._upload = answer["UploadId"]
            number = len(self._parts) + 1
            part = self._s3.upload_part(**target, UploadId=self._upload, PartNumber=number, Body=bytes(self._buffer))
        except ClientError as error:
            raise _explained(str(self._place), error) from error
        self._parts.append({"PartNumber": number, "ETag": part["ETag"]})
        self._buffer.clear()
