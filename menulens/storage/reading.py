"""Streams: a range of a file, or of one version of an S3 object."""

from __future__ import annotations

import io
from typing import Any, BinaryIO

from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError
from botocore.exceptions import ConnectionError as BotocoreConnectionError

from menulens.storage.places import StorageError, explained, parse_s3_uri

READ_ATTEMPTS = 5


class Slice(io.RawIOBase):
    """The next ``length`` bytes of a file."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        self._file = file
        self._left = max(length, 0)

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Return up to ``size`` bytes, or all that are left; fewer only at the end."""
        wanted = self._left if size is None or size < 0 else min(size, self._left)
        data = self._file.read(wanted)
        self._left -= len(data)
        return data

    def readall(self) -> bytes:
        """Return all that is left."""
        return self.read()

    def close(self) -> None:
        """Let go of what is behind the stream."""
        self._file.close()
        super().close()


class S3Reader(io.RawIOBase):
    """Streams a range of one version of an object, and goes on after a broken connection."""

    def __init__(self, s3: Any, location: str, etag: str, start: int, stop: int) -> None:
        self._s3, self._location, self._etag = s3, location, etag
        self._place = parse_s3_uri(location)
        self._position, self._stop = start, stop
        self._body: Any = None

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Return up to ``size`` bytes, or all that are left; fewer only at the end."""
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
                raise explained(self._location, error) from error
            except (EOFError, OSError, HTTPClientError, IncompleteReadError, BotocoreConnectionError) as error:
                failures += 1
                self._drop()
                if failures == READ_ATTEMPTS:
                    raise StorageError(
                        f"{self._location}: reading broke off at byte {self._position} {READ_ATTEMPTS} times: {error}."
                    ) from error
                continue
            data += piece
            self._position += len(piece)
        return bytes(data)

    def readall(self) -> bytes:
        """Return all that is left."""
        return self.read()

    def close(self) -> None:
        """Let go of what is behind the stream."""
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
