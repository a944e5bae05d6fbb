"""``menulens label``: a labeling job's life, from its opening to its labels, on the local cloud and in an account.

Owners' commands work with AWS credentials, as every other command does: on the table, the buckets and the state
machines. There is no password to keep on this machine, and what a person may do is what their role may do.
"""

from __future__ import annotations

import getpass
import time
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from menulens.cli import _label_exchange as exchange
from menulens.cli import _label_show as show
from menulens.cli._label_add import add
from menulens.cli._label_app import FAILURES, Environment, JobName, app, err, fail, out
from menulens.cli._label_cloud import Labeling, open_labeling
from menulens.cli.audit import audit
from menulens.cli.automate import automate
from menulens.portal import blocking, decisions, gold, jobs, review, stats, verify, work
from menulens.portal.context import Portal
from menulens.portal.model import Job, PortalError

__all__ = ["app"]

Wait = Annotated[bool, typer.Option("--wait", help="Stay until it is done.")]
TAMPERED = 3
"""Exit code of ``verify`` for a log that is not as it was written."""


@app.command()
def create(  # noqa: PLR0917 (typer reads the options from the signature)
    photos: Annotated[str | None, typer.Argument(help="Prefix of the photos, as photos/tanuki/ or s3://….")] = None,
    manifest: Annotated[str | None, typer.Option(help="A manifest instead of a prefix: s3://….")] = None,
    name: Annotated[str | None, typer.Option(help="The job's name; it follows from the photos if not given.")] = None,
    resume_from: Annotated[str | None, typer.Option(help="Ask only what this job left unlabeled.")] = None,
    max_photos: Annotated[int | None, typer.Option(min=1, help="Ask about so many at most.")] = None,
    wait: Wait = False,
    environment: Environment = "local",
) -> None:
    """Ask people about photos."""
    given = {
        "photos": photos, "manifest": manifest, "job_name": name, "resume_from": resume_from, "max_photos": max_photos,
    }  # fmt: skip
    try:
        labeling = open_labeling(environment)
        execution = labeling.start("label", {key: value for key, value in given.items() if value is not None})
        with _spinner("Making display copies") as progress:
            job = labeling.opened(execution, lambda text: progress.update(progress.task_ids[0], description=text))
        told = jobs.progress(labeling.portal, job)
        out.print(f"{job.name}: {job.state}, {told.total:,} to ask about, of {job.lines:,} lines")
        if wait:
            _wait_for_end(labeling, job)
    except FAILURES as error:
        raise fail(error) from None


def _wait_for_end(labeling: Labeling, job: Job) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err) as progress:
        task = progress.add_task(job.name, total=job.asked)
        while job.state in ("open", "paused"):
            told = jobs.progress(labeling.portal, job)
            progress.update(task, completed=told.done, total=told.total, description=f"{job.name} ({job.state})")
            time.sleep(2)
            job = jobs.get(labeling.portal, job.name)
    out.print(f"{job.name}: {job.state}")


def _spinner(text: str) -> Progress:
    progress = Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=err)
    progress.add_task(text, total=None)
    return progress


@app.command()
def status(
    job: Annotated[str | None, typer.Argument(help="A job; without one all jobs are listed.")] = None,
    environment: Environment = "local",
) -> None:
    """Show jobs, or how one is going."""
    try:
        labeling = open_labeling(environment)
        portal = labeling.portal
        if job is None:
            show.job_list(out, [(one, jobs.progress(portal, one)) for one in jobs.list_jobs(portal)])
            return
        found = jobs.get(portal, job)
        counted = stats.look(jobs.items(portal, found), found.created_at)
        people = stats.annotators(counted, labeling.people(job), portal.clock())
        show.job(out, found, counted, jobs.progress(portal, found), portal.clock())
        show.people(out, people)
    except FAILURES as error:
        raise fail(error, job) from None


@app.command()
def pause(job: JobName, environment: Environment = "local") -> None:
    """Hand out no more work; answers to what is handed out are taken."""
    _move(environment, job, jobs.pause)


@app.command()
def resume(job: JobName, environment: Environment = "local") -> None:
    """Hand out work again."""
    _move(environment, job, jobs.resume)


@app.command()
def stop(job: JobName, environment: Environment = "local") -> None:
    """End a job as it is: its labels so far become a dataset; it can be reopened."""
    _move(environment, job, jobs.stop)


@app.command()
def reopen(job: JobName, environment: Environment = "local") -> None:
    """Go on with a job that ended."""
    _move(environment, job, jobs.reopen)


def _move(environment: str, name: str, move: Callable[[Any, str], Job]) -> None:
    try:
        job = move(open_labeling(environment).portal, name)
    except FAILURES as error:
        raise fail(error, name) from None
    out.print(f"{job.name}: {job.state}")


@app.command()
def snapshot(job: JobName, wait: Wait = False, environment: Environment = "local") -> None:
    """Make a dataset of the labels so far; the job goes on."""
    try:
        labeling = open_labeling(environment)
        jobs.get(labeling.portal, job)
        execution = labeling.start("snapshot", {"job_name": job})
        if not wait:
            out.print(f"Started: {execution}", soft_wrap=True)
            return
        with _spinner("Taking the snapshot"):
            answer = labeling.ended(execution)
        out.print(f"Dataset: {answer.get('dataset_uri') or answer.get('dataset') or answer}", soft_wrap=True)
    except FAILURES as error:
        raise fail(error, job) from None


@app.command("verify")
def verify_log(job: JobName, environment: Environment = "local") -> None:
    """Look for lines of the log that were changed, taken out or put in; each is named. Exit code 3 if there are any."""
    try:
        portal = open_labeling(environment).portal
        found = verify.verify(portal, jobs.get(portal, job).name)
    except FAILURES as error:
        raise fail(error, job) from None
    if not found.findings:
        out.print(f"{job}: the log is as it was written: {found.lines:,} lines in {found.segments:,} segments")
        return
    for one in found.findings:
        out.print(f"[bold red]{one.problem}[/] {escape(one.message)}", soft_wrap=True)
    raise typer.Exit(TAMPERED)


@app.command()
def people(  # noqa: PLR0917 (typer reads the options from the signature)
    job: JobName,
    release: Annotated[str | None, typer.Option(help="Hand back what this person holds (someone who left).")] = None,
    block: Annotated[str | None, typer.Option(help="Give this person no more work.")] = None,
    unblock: Annotated[str | None, typer.Option(help="Give this person work again.")] = None,
    reason: Annotated[str, typer.Option(help="Why they are blocked.")] = "",
    environment: Environment = "local",
) -> None:
    """Show who labels, or change who gets work; a person is named by id or by name."""
    try:
        labeling = open_labeling(environment)
        portal = labeling.portal
        found = jobs.get(portal, job)
        known = labeling.people(job)
        for wanted, change in ((block, "block"), (unblock, "unblock"), (release, "release")):
            if wanted is None:
                continue
            person = next((one for one in known if wanted in (one.id, one.name)), None)
            if person is None:
                raise PortalError("no-person", f"{job} knows no {wanted!r}.")
            if change == "block":
                blocking.block(portal, found, person.id, reason)
            elif change == "unblock":
                blocking.unblock(portal, found, person.id)
            else:
                out.print(f"{work.release(portal, found, person.id, person.held)} leases handed back")
        counted = stats.look(jobs.items(portal, found), found.created_at)
        show.people(out, stats.annotators(counted, labeling.people(job), portal.clock()))
    except FAILURES as error:
        raise fail(error, job) from None


@app.command("gold")
def gold_items(
    job: JobName,
    mark: Annotated[list[str] | None, typer.Option(help="ITEM=CATEGORY, as 0000012=meal; may be repeated.")] = None,
    unmark: Annotated[list[str] | None, typer.Option(help="An item that is known no longer.")] = None,
    environment: Environment = "local",
) -> None:
    """Show, mark and unmark items whose category is known; they tell how often people are right."""
    by = f"cli:{getpass.getuser()}"
    try:
        portal = open_labeling(environment).portal
        found = jobs.get(portal, job)
        marks = [_mark(portal, found, one) for one in mark or []]
        unmarks = [_item(portal, found, one) for one in unmark or []]
        for item, category in marks:
            decisions.set_gold(portal, job, item, by=by, label=category)
        for item in unmarks:
            decisions.unset_gold(portal, job, item, by=by)
        show.gold(out, found, gold.known_items(portal, found))
    except FAILURES as error:
        raise fail(error, job) from None


def _mark(portal: Portal, job: Job, given: str) -> tuple[str, int]:
    """Return an item's id and the index of its category, of ``ITEM=CATEGORY``."""
    item, equals, key = given.partition("=")
    if not equals:
        raise PortalError("mark", f"--mark {given}: ITEM=CATEGORY is due, as 0000012=meal.")
    return _item(portal, job, item), review.category_index(job, key)


def _item(portal: Portal, job: Job, given: str) -> str:
    """Return an item's id, if the job has such an item."""
    try:
        return jobs.get_item(portal, job.name, given).id
    except PortalError:
        raise PortalError(
            "no-item", f"{job.name} has no item {given!r}; an item is named by its seven digits, as 0000012."
        ) from None


app.command("add")(add)
app.command("automate")(automate)
app.command("audit")(audit)
app.command("import")(exchange.import_labels)
app.command("export")(exchange.export_labels)
