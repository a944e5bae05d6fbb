"""The log: what the outbox holds goes to S3 once, in segments of lines each of which holds the hash of the line before.

A segment's name is the number of its first line, and S3 takes a name once (``If-None-Match: *``), so of two sealers at
the same time one writes. Before a sealer reads the outbox it removes from it what the last segment holds: a sealer
killed anywhere leaves nothing that the next one would lose or write twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from botocore.exceptions import ClientError

from menulens.core import keys as names
from menulens.portal import entries, keys
from menulens.portal.context import Portal
from menulens.portal.table import ConditionError, Update

MOST_LINES: Final = 1_000
"""Lines of one segment."""

_TAKEN: Final = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409"})


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a log.

    Attributes
    ----------
    seq
        Number of the last line; -1 of an empty log.
    digest
        Its hash.
    segment
        Name of the last segment; empty for an empty log.
    """

    seq: int = -1
    digest: str = entries.FIRST_PREV
    segment: str = ""


def folder(portal: Portal, job: str) -> str:
    """Return where a job's log lies."""
    return f"s3://{portal.answers_bucket}/log/{job}/"


def segment_name(first_seq: int) -> str:
    """Return the name of a segment."""
    return f"{first_seq:012d}.jsonl"


def segments(portal: Portal, job: str, after: str = "") -> list[str]:
    """Return the names of a job's segments in order, those after a name only."""
    prefix = f"log/{job}/"
    pages = portal.s3.get_paginator("list_objects_v2").paginate(
        Bucket=portal.answers_bucket, Prefix=prefix, **({"StartAfter": prefix + after} if after else {})
    )
    return [item["Key"].removeprefix(prefix) for page in pages for item in page.get("Contents", ())]


def read_segment(portal: Portal, job: str, name: str) -> list[bytes]:
    """Return the lines of a segment, without their endings."""
    return portal.storage.read_bytes(folder(portal, job) + name).split(b"\n")[:-1]


def lines(portal: Portal, job: str) -> Iterator[bytes]:
    """Yield all lines of a job's log."""
    for name in segments(portal, job):
        yield from read_segment(portal, job, name)


def seal(portal: Portal, job: str) -> int:
    """Move the outbox of a job into its log; return how many lines were written by this call.

    When it returns, every entry that was in the outbox when it was called is in the log.
    """
    written = 0
    while True:
        head = _clean_head(portal, job)
        waiting = list(islice(portal.table.query(keys.outbox(job)[0]), MOST_LINES))
        if not waiting:
            return written
        body, end = _segment(job, head, waiting)
        if not _put(portal, job, end.segment, body):
            continue  # another sealer was faster: look again from its segment
        _finish_segment(portal, job, end, body.split(b"\n")[:-1])
        written += len(waiting)


def head_of(portal: Portal, job: str) -> Head:
    """Return the end of a job's log, read from the log itself."""
    known = _known_head(portal, job)
    newer = segments(portal, job, after=known.segment)
    return _end_of(portal, job, newer[-1]) if newer else known


def _known_head(portal: Portal, job: str) -> Head:
    """Return the end of the log as the table has it: as it is, or as it was a moment ago."""
    found = portal.table.get(keys.head(job))
    return Head() if found is None else Head(found["seq"], found["digest"], found["segment"])


def _end_of(portal: Portal, job: str, segment: str) -> Head:
    last = read_segment(portal, job, segment)[-1]
    return Head(json.loads(last)["seq"], entries.digest(last), segment)


def _clean_head(portal: Portal, job: str) -> Head:
    """Return the end of the log, after everything that the table does not know to be in it has left the outbox."""
    head = _known_head(portal, job)
    for name in segments(portal, job, after=head.segment):
        told = read_segment(portal, job, name)
        last = json.loads(told[-1])
        head = Head(last["seq"], entries.digest(told[-1]), name)
        _finish_segment(portal, job, head, told)
    return head


def _finish_segment(portal: Portal, job: str, end: Head, sealed: list[bytes]) -> None:
    """Tell who must hear of a segment's lines, take them from the outbox, then note that this is done."""
    told = [json.loads(line) for line in sealed]
    for line in told:
        body = line["body"]
        if line["kind"] == "person" and (why := body.get("gold") or body.get("worth")):
            # Perhaps more than once, for a sealer may be killed here; who tells people knows the entry.
            person = {names.PERSON: body["person"], names.ENTRY: line["id"]}
            portal.emit(names.ANNOTATOR_BLOCKED, {names.JOB_NAME: job, **person, **why})
    portal.table.delete_many(entries.key_of(line) for line in told)
    try:
        portal.table.write(
            Update(
                keys.head(job),
                set={"seq": end.seq, "digest": end.digest, "segment": end.segment},
                below={"seq": end.seq},
            )
        )
    except ConditionError:
        return  # another sealer is further


def _segment(job: str, head: Head, waiting: list[dict[str, Any]]) -> tuple[bytes, Head]:
    made: list[bytes] = []
    seq, prev = head.seq, head.digest
    for entry in waiting:
        seq += 1
        line = entries.line_of(entry, job=job, seq=seq, prev=prev)
        made.append(line)
        prev = entries.digest(line)
    return b"".join(line + b"\n" for line in made), Head(seq, prev, segment_name(head.seq + 1))


def _put(portal: Portal, job: str, name: str, body: bytes) -> bool:
    """Write a segment, unless there is one of its name."""
    try:
        portal.s3.put_object(
            Bucket=portal.answers_bucket,
            Key=f"log/{job}/{name}",
            Body=body,
            ContentType="application/jsonl",
            IfNoneMatch="*",
        )
    except ClientError as error:
        if str(error.response["Error"]["Code"]) in _TAKEN:
            return False
        raise
    return True
