"""Feeds one Pipe channel, as SageMaker does: a FIFO an epoch, a record an attribute, objects streamed from S3.

Run as ``python -m menulens.local.feeder ORDER``; ORDER is JSON with channel, folder, endpoint_url, region, account.
It ends by itself only when it can't go on; the last line of its error stream says why.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import stat
import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from menulens.core.recordio import frame
from menulens.local import objects
from menulens.local.errors import JobFailedError

_PIPE_BYTES = 1 << 20
_AHEAD = 32  # objects fetched before they are due
_FETCHERS = 4
_CACHE_BYTES = 512 << 20  # objects kept for the next epoch
_REF = "-ref"

Fetch = Callable[[str], bytes]


def make_fifo(path: Path) -> None:
    """Make a FIFO unless it is there."""
    try:
        os.mkfifo(path)
    except FileExistsError:
        if not stat.S_ISFIFO(path.stat().st_mode):
            raise


def attribute_records(line: str, attributes: list[str], where: str) -> list[str | bytes]:
    """Return a manifest line's records, in the order of the attributes.

    Returns
    -------
    list
        A string where the object at that address is due (attributes that end in ``-ref``), bytes where they are given.

    Raises
    ------
    JobFailedError
        If the line is no JSON object or lacks an attribute; names are case-sensitive.
    """
    try:
        values = json.loads(line)
    except ValueError as error:
        raise JobFailedError(f"{where} is no JSON: {error}") from None
    if not isinstance(values, dict):
        raise JobFailedError(f"{where} is no JSON object.")
    records: list[str | bytes] = []
    for name in attributes:
        if name not in values:
            have = ", ".join(values) or "none"
            raise JobFailedError(
                f"{where} has no attribute {name!r} (its attributes: {have}). Every line of an augmented manifest must "
                "have every attribute in AttributeNames, spelled alike."
            )
        value = values[name]
        if name.endswith(_REF):
            if not isinstance(value, str) or not value.startswith("s3://"):
                raise JobFailedError(f"{where}: attribute {name!r} is {value!r}; an s3:// address is due.")
            records.append(value)
        else:
            records.append((value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).encode())
    return records


def epoch_order(count: int, seed: int | None, epoch: int) -> list[int]:
    """Return the order of lines in one epoch: as they stand without a seed, shuffled anew each epoch with one."""
    order = list(range(count))
    if seed is not None:
        random.Random(f"{seed}/{epoch}").shuffle(order)  # noqa: S311 (an order, no secret)
    return order


class Source:
    """What a channel streams."""

    def __init__(self, channel: dict[str, Any], s3: Any) -> None:
        source = channel["DataSource"]["S3DataSource"]
        self._s3 = s3
        self._framed = channel.get("RecordWrapperType", "None") == "RecordIO"
        self._seed: int | None = channel.get("ShuffleConfig", {}).get("Seed")
        self._cache: dict[str, bytes] = {}
        self._cached = 0
        self._lines: list[list[str | bytes]]
        uri = source["S3Uri"]
        if source["S3DataType"] == "AugmentedManifestFile":
            text = objects.read(s3, uri).decode("utf-8")
            lines = [line for line in text.replace("\r\n", "\n").split("\n") if line]
            if not lines:
                raise JobFailedError(f"{uri} has no lines.")
            names = source["AttributeNames"]
            self._lines = [
                attribute_records(line, names, f"line {number} of {uri}") for number, line in enumerate(lines, 1)
            ]
        else:
            found = objects.resolve_source(s3, source["S3DataType"], uri)
            self._lines = [[f"s3://{bucket}/{key}"] for bucket, key, _ in found]

    def blocks(self, epoch: int) -> Iterator[bytes]:
        """Yield what goes down the pipe in one epoch, a line at a time."""
        with ThreadPoolExecutor(_FETCHERS) as pool:
            due: deque[Future[bytes]] = deque()
            try:
                for index in epoch_order(len(self._lines), self._seed, epoch):
                    due.append(pool.submit(self._block, self._lines[index]))
                    if len(due) > _AHEAD:
                        yield due.popleft().result()
                while due:
                    yield due.popleft().result()
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _block(self, records: list[str | bytes]) -> bytes:
        payloads = [self._fetch(record) if isinstance(record, str) else record for record in records]
        return b"".join(frame(payload) if self._framed else payload for payload in payloads)

    def _fetch(self, uri: str) -> bytes:
        body = self._cache.get(uri)
        if body is None:
            body = objects.read(self._s3, uri)
            if self._cached + len(body) <= _CACHE_BYTES:
                self._cache[uri] = body
                self._cached += len(body)
        return body


def feed(source: Source, folder: Path, channel: str) -> None:
    """Feed epoch after epoch; the next FIFO is made when the one before it is opened. Ends by a signal only."""
    epoch = 0
    while True:
        path = folder / f"{channel}_{epoch}"
        make_fifo(path)
        pipe = os.open(path, os.O_WRONLY)  # waits for the reader
        make_fifo(folder / f"{channel}_{epoch + 1}")
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        try:
            with os.fdopen(pipe, "wb", buffering=_PIPE_BYTES) as file:
                for block in source.blocks(epoch):
                    file.write(block)
        except BrokenPipeError:
            pass  # a reader may close before the epoch's end
        path.unlink(missing_ok=True)
        epoch += 1


def main(order: str) -> int:
    """Feed the channel that the order describes; return 1 when it can't go on."""
    given = json.loads(order)
    s3 = boto3.Session(
        aws_access_key_id=given["account"], aws_secret_access_key=given["account"], region_name=given["region"]
    ).client(
        "s3",
        endpoint_url=given["endpoint_url"],
        config=Config(max_pool_connections=_FETCHERS, s3={"addressing_style": "path"}),
    )
    try:
        feed(Source(given["channel"], s3), Path(given["folder"]), given["channel"]["ChannelName"])
    except (JobFailedError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
