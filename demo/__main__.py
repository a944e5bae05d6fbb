"""``python -m demo``: the whole chain on this machine, and a page that shows what came out."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from demo import own
from demo.annotators import AnnotatorError
from demo.pictures import PROJECT, PicturesError
from demo.report import Outcome, duration, figures, interval, render
from demo.run import Run
from demo.watch import StageError
from menulens.cli import unexpected
from menulens.cloud import LOCAL_STATE, CloudError
from menulens.local.cloud_state import CloudState
from menulens.local.lifecycle import LocalCloudError, stop
from menulens.settings import CONFIG_VARIABLE, SettingsError, load_settings
from menulens.storage import StorageError

INTERRUPTED = 130
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
    photos, report = photos and photos.resolve(), report.resolve()
    os.chdir(PROJECT)  # settings and state are the project's
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job begins with it ignored
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    code = 1
    try:
        found = None if photos is None else _use_own(photos)
        outcome = Run(LOCAL_STATE, count, found).execute()
        report.write_text(render(outcome), encoding="utf-8")
        _summary(outcome, report)
        code = 0
    except FAILURES as error:
        err.print(f"\n[bold red]The demo failed.[/] {escape(str(error))}", soft_wrap=True)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as error:
        err.print(f"\n[bold red]The demo failed.[/] {escape(unexpected(error))}", soft_wrap=True)
        err.print(f"The log of the local cloud is {LOCAL_STATE / 'server.log'}", soft_wrap=True)
    finally:
        _leave(code, keep=keep)
    sys.exit(code)


def _leave(code: int, *, keep: bool) -> None:
    """End the local cloud, or say that it stays; nobody interrupts this."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    cloud = CloudState(LOCAL_STATE)
    if code == INTERRUPTED:
        stop(cloud)
        err.print("\nInterrupted; nothing of the demo runs any more.")
    elif keep and cloud.cloud():
        err.print("The local cloud stays up: menulens similar PHOTO, menulens local status, menulens local down.")
    else:
        stop(cloud)


def _use_own(photos: Path) -> own.OwnPhotos:
    """Make settings for a person's own photos, and have every part of this run read them."""
    base, folder = PROJECT / "config" / "local.toml", LOCAL_STATE / "demo" / "config"
    found = own.find_photos(photos, load_settings(base).categories)
    own.write_settings(found, base, folder)
    os.environ[CONFIG_VARIABLE] = str(folder.resolve())
    kinds = f"in {len(found.categories)} folders that say what they show" if found.labeled else "for you to label"
    err.print(f"{len(found.files):,} photos {kinds}.")
    if found.left_out:
        endings = ", ".join(sorted({path.suffix.lower() or path.name for path in found.left_out}))
        err.print(f"Left out: {len(found.left_out)} files that are no JPEG or PNG, or in no folder ({endings}).")
    return found


def _summary(outcome: Outcome, report: Path) -> None:
    table = Table("stage", "took", "", title="menulens: one run of the chain", title_justify="left")
    for stage in outcome.stages:
        table.add_row(escape(stage.name), duration(stage.seconds), escape(stage.detail))
    out.print(table)
    card, evaluation = outcome.card, outcome.evaluation
    facts = Table(show_header=False, box=None)
    facts.add_row("photos", f"{outcome.photos:,}, of which {len(outcome.photo_rejects)} turned away before labeling")
    if outcome.people:
        given = sum(person.answered for person in outcome.people)
        wrong = sum(person.wrong for person in outcome.people) / max(1, given)
        facts.add_row("labels", f"{outcome.answers:,} answers, {wrong:.1%} of them wrong; agreed labels right: "
                                f"{outcome.consensus_right}/{outcome.consensus_all}")  # fmt: skip
    if effort := outcome.effort:
        alpha = "alpha {:.2f} [{:.2f}, {:.2f}]; ".format(*effort.alpha) if effort.alpha else ""
        facts.add_row("effort", f"{effort.spared:.0%} fewer answers than three for each photo; {alpha}log of "
                                f"{effort.log_lines:,} lines {'intact' if effort.intact else 'BROKEN'}")  # fmt: skip
    facts.add_row("dataset", f"{card['kept']} lines kept, {card['rejected']} rejected: {dict(card['reasons'])}")
    for bar in figures(evaluation):
        facts.add_row(bar.name, f"balanced accuracy {bar.value:.3f} {interval(bar)}")
    facts.add_row("vectors", f"{outcome.vectors:,} of {outcome.vector_width} numbers")
    for bar in outcome.alike_elsewhere or outcome.alike:
        facts.add_row(f"alike: {bar.name}", f"same category @10: {bar.value:.3f} {interval(bar)}")
    facts.add_row("in all", duration(outcome.seconds))
    out.print(facts)
    if outcome.composed:
        out.print("These are composed icons, not photos: the figures show that the chain works.")
    out.print(f"The page: [bold]{report}[/]", soft_wrap=True)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    app()
