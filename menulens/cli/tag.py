"""``menulens tag``: the predicted category of every photo, as JSON lines for other jobs."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from menulens.cli._photos import LOCAL, Environment, Room, errors, open_room, progress
from menulens.cloud import CloudError
from menulens.search.store import StoredTags
from menulens.storage import ObjectInfo, is_s3


def tag(
    prefix: Annotated[
        str, typer.Argument(metavar="PREFIX", help="A prefix of the photo bucket, or s3://bucket/prefix.")
    ],
    again: Annotated[
        bool, typer.Option("--again", help="Ask the endpoint for every photo, also the vectorised.")
    ] = False,
    environment: Environment = LOCAL,
) -> None:
    """Write category and confidence of every photo under a prefix: one line each, an error where there is none.

    A photo that is vectorised has its answer already (same key, same ETag); the endpoint is asked for the others.
    """
    room = open_room(environment)
    photos = list(room.storage.list(prefix if is_s3(prefix) else f"{room.photos}/{prefix}"))
    if not photos:
        raise CloudError(f"No photo lies under {room.uri(prefix)}.")
    stored = None if again else _stored(room)
    known = {item.uri: row for item in photos if stored is not None and (row := _row(stored, item)) is not None}
    answers = room.embed(item.uri for item in photos if item.uri not in known)
    failed = 0
    with progress() as bar:
        task = bar.add_task("tagging", total=len(photos))
        for item in photos:
            line: dict[str, object] = {"id": item.key}
            row = known.get(item.uri)
            if stored is not None and row is not None:
                said = stored.tags[row]
                line |= {
                    "category": said.category,
                    "confidence": said.confidence,
                    "model_version": stored.model_version,
                }
            else:
                answer = next(answers)
                if answer.error:
                    failed += 1
                    line |= {"error": answer.error}
                else:
                    line |= {
                        "category": answer.category, "confidence": answer.confidence,
                        "model_version": answer.model_version,
                    }  # fmt: skip
            sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
            bar.advance(task)
    errors.print(
        f"{len(photos):,} photos: {len(photos) - failed:,} tagged ({len(known):,} of them when they were vectorised), "
        f"{failed:,} errors.",
        soft_wrap=True,
    )


def _stored(room: Room) -> StoredTags | None:
    try:
        return room.tags()
    except CloudError:
        return None  # nothing vectorised yet: the endpoint knows


def _row(stored: StoredTags, item: ObjectInfo) -> int | None:
    row = stored.row_of(item.key)
    if row is None or stored.tags[row].category is None:
        return None
    return row if stored.tags[row].etag in (None, item.etag) else None
