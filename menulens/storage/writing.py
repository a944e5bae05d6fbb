"""Writers: nothing they take is visible before it is whole."""

from __future__ import annotations

import os
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from botocore.exceptions import ClientError

from menulens.storage.places import BLOCK_BYTES, S3Uri, explained

SMALLEST_PART = 5 << 20  # S3 takes no smaller part, the last one excepted
MOST_PARTS = 10_000


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


class _Writer(ABC):
    """What both writers share: the ``with`` block."""

    @abstractmethod
    def write(self, data: bytes | bytearray | memoryview) -> int: ...

    @abstractmethod
    def publish(self) -> None: ...

    @abstractmethod
    def discard(self) -> None: ...

    def __enter__(self) -> AtomicWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.publish()
        else:
            self.discard()


class FileWriter(_Writer):
    """Writes beside the target, then renames."""

    def __init__(self, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        self._target = target
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        self._temporary = Path(name)
        self._file = os.fdopen(handle, "wb", buffering=BLOCK_BYTES)
        self._open = True

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Take the next bytes."""
        return self._file.write(data)

    def publish(self) -> None:
        """Make everything written visible."""
        if not self._open:
            return
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            # mkstemp makes a private file; the published one gets what a plain open() would have given.
            mask = os.umask(0)
            os.umask(mask)
            self._temporary.chmod(0o666 & ~mask)
            self._temporary.replace(self._target)
        except BaseException:
            self.discard()
            raise
        self._open = False

    def discard(self) -> None:
        """Forget everything written, unless it is published."""
        if self._open:
            self._open = False
            self._temporary.unlink(missing_ok=True)
            self._file.close()


class S3Writer(_Writer):
    """Uploads part by part; small objects go in one PutObject."""

    def __init__(self, s3: Any, place: S3Uri, content_type: str, part_bytes: int) -> None:
        self._s3, self._place, self._content_type = s3, place, content_type
        self._part_bytes = part_bytes
        self._buffer = bytearray()
        self._upload: str | None = None
        self._parts: list[dict[str, Any]] = []
        self._open = True

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Take the next bytes."""
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
        """Make everything written visible."""
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
            raise explained(str(self._place), error) from error
        except BaseException:
            self.discard()
            raise
        self._open = False
        self._buffer.clear()

    def discard(self) -> None:
        """Forget everything written, unless it is published."""
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
            raise explained(str(self._place), error) from error
        self._parts.append({"PartNumber": number, "ETag": part["ETag"]})
        self._buffer.clear()
