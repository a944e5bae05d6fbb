"""``menulens similar``: the photos most like one photo, as a table and as a page with the pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from menulens.cli._photos import LOCAL, Environment, Room, errors, open_room
from menulens.cloud import CloudError
from menulens.search.contact_sheet import Cell, PictureError, Strip, contact_sheet, display_copy
from menulens.search.index import ExactIndex, Hit, VectorIndexError, Vectors, normalised
from menulens.search.store import StoredVectors, Tag, photo_key
from menulens.storage import StorageError


def similar(
    photo: Annotated[str, typer.Argument(metavar="PHOTO", help="A file, or the key or URI of a photo in S3.")],
    k: Annotated[int, typer.Option("--k", "-k", min=1, max=1000, help="How many photos to find.")] = 10,
    html: Annotated[Path, typer.Option(help="Where the page with the pictures goes.")] = Path("similar.html"),
    environment: Environment = LOCAL,
) -> None:
    """Find the photos most like one photo."""
    room = open_room(environment)
    vector, tag, stored, own = _query(room, photo)
    try:
        index = ExactIndex(stored.ids, stored.vectors)
        hits = [hit for hit in index.search(vector, k + 1)[0] if hit.id != own][:k]
    except VectorIndexError as error:
        raise CloudError(f"The vectors of model {stored.model_version} can't be searched: {error}") from None
    tags = dict(zip(stored.ids, stored.tags, strict=True))
    table = Table("", "photo", "score", "category", "confidence", title=f"most like {escape(photo)}")
    for place, hit in enumerate(hits, 1):
        said = tags[hit.id]
        table.add_row(str(place), escape(hit.id), f"{hit.score:.4f}", said.category or "–", _percent(said.confidence))
    Console().print(table)
    strip = Strip(_cell(room, photo, tag, None), tuple(_cell(room, hit.id, tags[hit.id], hit) for hit in hits))
    facts = (
        ("model", stored.model_version),
        ("photos searched", f"{len(index):,}"),
        ("vector width", str(index.width)),
    )
    html.parent.mkdir(parents=True, exist_ok=True)
    html.write_text(contact_sheet("Photos most like this one", [strip], facts), encoding="utf-8")
    errors.print(f"The pictures: {html}", markup=False, soft_wrap=True)


def _query(room: Room, photo: str) -> tuple[Vectors, Tag, StoredVectors, str | None]:
    """Return the query's vector and tag, the vectors to search, and the query's own id among them."""
    if not Path(photo).is_file():
        tags = room.tags()
        if tags.row_of(photo) is not None:
            stored = room.vectors(tags.model_version)
            # Looked up once more: vectors that were stored since may lie in another order, or lack the photo.
            if (row := stored.row_of(photo)) is not None:
                return stored.vectors[row], stored.tags[row], stored, stored.ids[row]
    answer = next(room.embed([photo]))
    if answer.vector is None:
        raise CloudError(f"{photo}: {answer.error}.")
    # Vectors of two models can't be compared: search what this very model made.
    stored = room.vectors(answer.model_version)
    vector = normalised(np.asarray(answer.vector, np.float32))
    return vector, Tag(answer.category, answer.confidence), stored, None


def _cell(room: Room, photo: str, tag: Tag, hit: Hit | None) -> Cell:
    picture, problem = None, ""
    try:
        picture = display_copy(room.read(photo) if hit is None else room.storage.read_bytes(room.uri(photo)))
    except (PictureError, StorageError) as error:
        problem = str(error)
    score = None if hit is None else hit.score
    return Cell(photo_key(photo), picture, tag.category, tag.confidence, score, problem=problem)


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"
