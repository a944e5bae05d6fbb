"""``menulens embed``: photos in, feature vectors out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from menulens.cli._photos import LOCAL, Environment, errors, open_room, progress
from menulens.search.embedding import Embedded


def embed(
    photos: Annotated[list[str], typer.Argument(metavar="PHOTO…", help="Files, or keys or URIs of photos in S3.")],
    out: Annotated[
        Path | None,
        typer.Option(help="A .npy file for the vectors, with .ids.jsonl beside it; without it JSON lines on stdout."),
    ] = None,
    environment: Environment = LOCAL,
) -> None:
    """Ask the endpoint for the feature vector of each photo."""
    if out is not None and out.suffix != ".npy":
        raise typer.BadParameter(f"{out}: a name that ends in .npy is due", param_hint="--out")
    room = open_room(environment)
    good: list[Embedded] = []
    failed = 0
    with progress() as bar:
        task = bar.add_task("embedding", total=len(photos))
        for answer in room.embed(photos):
            bar.advance(task)
            if answer.error:
                failed += 1
                errors.print(f"{answer.id}: {answer.error}", style="red", markup=False, soft_wrap=True)
            elif out is not None:
                good.append(answer)
            if out is None:
                sys.stdout.write(json.dumps(_line(answer), ensure_ascii=False) + "\n")
    if out is not None and good:
        out.parent.mkdir(parents=True, exist_ok=True)
        np.save(out, np.stack([answer.vector for answer in good if answer.vector is not None]))
        lines = (
            json.dumps({"id": answer.id, "category": answer.category, "confidence": answer.confidence,
                        "model_version": answer.model_version}, ensure_ascii=False) + "\n"
            for answer in good
        )  # fmt: skip
        out.with_suffix(".ids.jsonl").write_text("".join(lines), encoding="utf-8")
        errors.print(
            f"{len(good)} vectors in {out}, their ids in {out.with_suffix('.ids.jsonl')}.", markup=False, soft_wrap=True
        )
    if failed:
        errors.print(f"{len(photos)} photos: {len(photos) - failed} vectors, {failed} errors.")
        raise typer.Exit(1)


def _line(answer: Embedded) -> dict[str, object]:
    if answer.error or answer.vector is None:
        return {"id": answer.id, "error": answer.error}
    return {
        "id": answer.id,
        "model_version": answer.model_version,
        "category": answer.category,
        "confidence": answer.confidence,
        "vector": answer.vector.tolist(),
    }
