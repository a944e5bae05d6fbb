"""How the commands of ``menulens label`` show jobs and people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from menulens.labeling import agreement
from menulens.portal import gold as gold_
from menulens.portal import stats
from menulens.portal.model import Item, Job, Progress


def job_list(out: Console, rows: Sequence[tuple[Job, Progress]]) -> None:
    """Print a row for each job."""
    if not rows:
        out.print("No jobs. Start one: menulens label create photos/")
        return
    table = Table("job", "state", title="Labeling jobs", title_justify="left")
    for heading in ("items", "done", "open", "in review", "answers"):
        table.add_column(heading, justify="right")
    for one, told in rows:
        numbers = (told.total, told.done, told.open, told.review, told.answers)
        table.add_row(escape(one.name), one.state, *(f"{number:,}" for number in numbers))
    out.print(table)


def job(out: Console, found: Job, counted: stats.Stats, told: Progress, now: float) -> None:
    """Print how a job is going."""
    facts = Table(show_header=False, box=None, title=f"{escape(found.name)}: {found.state}", title_justify="left")
    seen = stats.overview(counted, found, told, now)
    facts.add_row("done", f"{told.done:,} of {told.total:,} ({_share(told.done / told.total if told.total else 1.0)})")
    facts.add_row("in review", f"{told.review:,}")
    facts.add_row("answers", f"{told.answers:,}, {seen['answers_per_hour']:,.0f} an hour")
    facts.add_row("time left", duration(seen["seconds_left"]))
    alpha = agreement.krippendorff(counted.votes)
    if alpha.alpha is not None:
        span = "" if alpha.low is None else f" [{alpha.low:.2f}, {alpha.high:.2f}]"
        facts.add_row("agreement", f"Krippendorff's alpha {alpha.alpha:.2f}{span} on {alpha.items:,} items")
    facts.add_row("in dispute", f"{len(counted.disputed):,}")
    out.print(facts)
    table = Table("category", "日本語", "English", title_justify="left")
    table.add_column("items", justify="right")
    for one in found.categories:
        table.add_row(escape(one.key), escape(one.ja), escape(one.en), f"{counted.counts[one.index]:,}")
    out.print(table)


def people(out: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print a row for each person."""
    if not rows:
        out.print("Nobody has had work of this job.")
        return
    table = Table()
    table.add_column("person", overflow="fold", ratio=1)
    for heading in ("answers", "agreement", "gold", "seconds", "holds"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for row in rows:
        gold_told = "" if row["gold_accuracy"] is None else f"{_share(row['gold_accuracy'])} of {row['gold_seen']}"
        agreed = "" if row["agreement"] is None else f"{_share(row['agreement'])} of {row['compared']}"
        pace = "" if row["median_seconds"] is None else f"{row['median_seconds']:.1f}"
        state = f"blocked ({row['blocked_reason']})" if row["blocked"] else ""
        table.add_row(
            escape(row["name"]), f"{row['answers']:,}", agreed, gold_told, pace,
            str(row["held"]), escape(state),
        )  # fmt: skip
    out.print(table)


def gold(out: Console, found: Job, items: Sequence[Item]) -> None:
    """Print the items that are known."""
    if not items:
        out.print("No item is known. Mark one: menulens label gold JOB --mark 0000012=meal")
        return
    table = Table("item", "category", "photo or text")
    table.add_column("right", justify="right")
    table.add_column("wrong", justify="right")
    for item in items:
        right, wrong = gold_.right_and_wrong(item)
        known = found.categories[item.gold].key if item.gold is not None else ""
        table.add_row(item.id, escape(known), escape(item.text[:60] or item.display), str(right), str(wrong))
    out.print(table)


def duration(seconds: float | None) -> str:
    """Return a time as a person says it; nobody knows it while nobody answers."""
    if seconds is None:
        return "not known: nobody has answered in the last hour"
    minutes = round(seconds / 60)
    if minutes < 1:
        return "under a minute"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min"


def _share(value: float) -> str:
    return f"{value:.0%}"
