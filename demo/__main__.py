"""``python -m demo``: the whole chain on this machine, and a page that shows what came out."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from demo import own
from demo.annotators import AnnotatorError
from demo.pictures import PROJECT, PicturesError
from demo.report import Outcome, duration, figures, render
from demo.run import Run
from demo.watch import StageError
from menulens.cli import local
from menulens.cloud import LOCAL_STATE, CloudError
from menulens.local.lifecycle import LocalCloudError
from menulens.settings import CONFIG_VARIABLE, SettingsError
from menulens.storage import StorageError

REPORT = PROJECT / "demo" / "report.html"
FAILURES = (
    StageError, AnnotatorError, PicturesError, own.OwnPhotosError, CloudError, LocalCloudError, SettingsError,
    StorageError,
)  # fmt: skip

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def main(
    photos: Annotated[
        Path | None, typer.Option(help="A folder of your own photos: subfolders name what they show.")
    ] = None,
    count: Annotated[int, typer.Option(min=100, max=20_000, help="How many pictures to make.")] = 800,
    report: Annotated[Path, typer.Option(help="Where the page goes.")] = REPORT,
    keep: Annotated[bool, typer.Option(help="Leave the local cloud up, to look at it or to go on.")] = False,
) -> None:
    """Run the chain from photos to similar photos, then end the local cloud."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # its notices would break the progress bars
    os.chdir(PROJECT)  # settings and state are the project's
    state = LOCAL_STATE
    signal.signal(signal.SIGTERM, _interrupt)
    code = 1
    try:
        if photos is not None:
            _use_own(photos, state)
        outcome = Run(state, count, photos).execute()
        report.write_text(render(outcome), encoding="utf-8")
        _summary(outcome, report)
        code = 0
    except FAILURES as error:
        err.print(f"\n[bold red]The demo failed.[/] {escape(str(error))}", soft_wrap=True)
    except KeyboardInterrupt:
        err.print("\nInterrupted.")
        code = 130
    finally:
        if keep:
            err.print("The local cloud stays up: menulens similar PHOTO, menulens local status, menulens local down.")
        else:
            local.down(state=state)
    sys.exit(code)


def _use_own(photos: Path, state: Path) -> None:
    """Make settings for a person's own photos, and have every part of this run read them."""
    folder = state / "demo" / "config"
    own.write_settings(own.find_photos(photos), PROJECT / "config" / "local.toml", folder)
    os.environ[CONFIG_VARIABLE] = str(folder.resolve())


def _summary(outcome: Outcome, report: Path) -> None:
    table = Table("stage", "took", "", title="menulens: one run of the chain", title_justify="left")
    for stage in outcome.stages:
        table.add_row(escape(stage.name), duration(stage.seconds), escape(stage.detail))
    out.print(table)
    card, evaluation = outcome.card, outcome.evaluation
    facts = Table(show_header=False, box=None)
    facts.add_row("photos", f"{outcome.photos:,}, of which {len(outcome.photo_rejects)} turned away before labeling")
    if outcome.people:
        wrong = sum(person.wrong for person in outcome.people) / max(1, outcome.answers)
        facts.add_row("labels", f"{outcome.answers:,} answers, {wrong:.1%} of them wrong; agreed labels right: "
                                f"{outcome.consensus_right}/{outcome.consensus_all}")  # fmt: skip
    facts.add_row("dataset", f"{card['kept']} lines kept, {card['rejected']} rejected: {dict(card['reasons'])}")
    for bar in figures(evaluation):
        facts.add_row(bar.name, f"balanced accuracy {bar.value:.3f} [{bar.low:.3f}, {bar.high:.3f}]")
    facts.add_row("vectors", f"{outcome.vectors:,} of {outcome.vector_width} numbers")
    if outcome.same_at_10 is not None:
        facts.add_row("similar photos", f"same category @10: {outcome.same_at_10:.3f}; at other restaurants: "
                                        f"{outcome.same_elsewhere_at_10:.3f}")  # fmt: skip
    facts.add_row("in all", duration(outcome.seconds))
    out.print(facts)
    if outcome.composed:
        out.print("These are composed icons, not photos: the figures show that the chain works.")
    out.print(f"The page: [bold]{report}[/]", soft_wrap=True)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    typer.run(main)
