"""How items come into a job: at its opening and while it runs; a kill half-way is made good by the same call."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from menulens.core.keys import SOURCE_REF
from menulens.portal import categories as categories_
from menulens.portal import entries, intake, keys
from menulens.portal.context import Portal
from menulens.portal.intake import Intake
from menulens.portal.lifecycle import announce, conclude
from menulens.portal.model import Category, InputPart, Item, Job, JobOptions, OutputBy, PortalError, Texts, iso
from menulens.portal.reading import get
from menulens.portal.table import ConditionError, Put, Update

_NAME: Final = re.compile(r"[A-Za-z0-9](-?[A-Za-z0-9]){0,62}")
_AT_ONCE: Final = 50  # items in one transaction
_ATTEMPTS: Final = 20


def open_job(
    portal: Portal,
    settings: Mapping[str, Any],
    *,
    name: str,
    manifest: str,
    display: str = "",
    task_token: str = "",
) -> Job:
    """Open the job that the ``label`` state machine waits for, as an environment's settings have it.

    Parameters
    ----------
    settings
        :meth:`menulens.settings.Settings.model_dump`.
    """
    labeling, asked = settings["labeling"], settings.get("portal", {})
    said = {field: labeling[field] for field in Texts().to_json() if labeling.get(field)}
    texts = Texts.from_json({"title_ja": name, "title_en": name} | said)
    return create(
        portal,
        name=name,
        manifest=manifest,
        display=display,
        attribute=labeling["label_attribute"],
        categories=[Category.from_json(one) for one in settings["categories"]],
        options=JobOptions.from_json({"max_answers": labeling["workers_per_photo"], "team": _team(labeling)} | asked),
        texts=texts,
        task_token=task_token,
    )


def _team(labeling: Mapping[str, Any]) -> int:
    """Return how many people label; 0 where settings don't tell, as a pool that is imported has others."""
    return 0 if labeling.get("workforce_arn") else len(set(labeling.get("members", ())))


def create(
    portal: Portal,
    *,
    name: str,
    manifest: str,
    display: str = "",
    attribute: str,
    categories: Sequence[Category],
    options: JobOptions | None = None,
    texts: Texts | None = None,
    task_token: str = "",
    output: OutputBy = "portal",
) -> Job:
    """Create a job and open it; the same call again goes on where a killed one stopped, or gives the job as it is.

    Parameters
    ----------
    manifest, display
        Where the input manifest and the index of its display copies are; copies of both are kept beside the log.
    task_token
        What a state machine waits with; several may wait for one job.
    output
        ``caller``: the job's end is told to nobody and its output is not written; who created it sees to both.

    Raises
    ------
    PortalError
        If the name is taken by a job of another input, or something given can't be used.
    """
    if not _NAME.fullmatch(name):
        raise PortalError("name", f"{name!r} is no job name; 1 to 63 letters, digits and single hyphens are due.")
    options = options or JobOptions()
    part, read = _part(portal, manifest, display, job=name, attribute=attribute, options=options)
    job = Job(
        name=name,
        state="creating",
        kind=read.kind,
        attribute=attribute,
        categories=tuple(replace(one, index=place) for place, one in enumerate(categories)),
        options=options,
        texts=texts or Texts(),
        created_at=iso(portal.clock()),
        photo_key=secrets.token_hex(32),
        task_tokens=frozenset({task_token} if task_token else ()),
        output=output,
        queues=keys.queues_for(len(read.items)),
    )
    categories_.check(job.categories)
    body = job.to_json() | {"photo_key": None, "task_tokens": None, "first": part.sha256}
    try:
        portal.table.transact(
            [
                Put(keys.meta(name), job.to_json() | {"first": part.sha256}, new=True),
                Put(keys.listed(name), {"created_at": job.created_at}),
                entries.waiting(name, "job", body, now=portal.clock()),
            ]
        )
    except ConditionError:
        job = _existing(portal, name, part, task_token)
    if job.state == "creating":
        _put_items(portal, job, read.items)
        done = {"parts": [part.to_json()], "lines": part.lines, "asked": len(read.items), "state": "open"}
        try:
            portal.table.transact(
                [
                    Update(keys.meta(name), set=done, add={"version": 1}, when={"state": "creating"}),
                    entries.waiting(name, "items", part.to_json(), now=portal.clock()),
                    entries.waiting(name, "state", {"state": "open"}, now=portal.clock()),
                ]
            )
        except ConditionError:
            return get(portal, name)
        announce(portal, get(portal, name))
    if not read.items:
        conclude(portal, get(portal, name))
    return get(portal, name)


def add_items(portal: Portal, name: str, manifest: str, display: str = "") -> Job:
    """Add the items of another manifest; a manifest that is there already changes nothing.

    An adding that a kill broke off is finished first.

    Raises
    ------
    PortalError
        If the manifest can't be used, or others change the job all the time.
    """
    for _ in range(_ATTEMPTS):
        entry = portal.table.get(keys.meta(name))
        if entry is None:
            raise PortalError("no-job", "There is no such job.", 404)
        job = Job.from_json(entry)
        if job.state == "creating":
            raise PortalError("state", f"{name} is being created; add items when it is open.", 409)
        if begun := entry.get("adding"):
            _finish_adding(portal, job, InputPart.from_json(begun))
            continue
        part, _ = _read_next(portal, job, manifest, display)
        if any(one.sha256 == part.sha256 for one in job.parts):
            return job
        try:
            portal.table.write(
                Update(keys.meta(name), set={"adding": part.to_json()}, absent=["adding"], when={"lines": job.lines})
            )
        except ConditionError:
            continue
    raise PortalError("busy", f"{name}: others add to it all the time; try again.", 409)


def _finish_adding(portal: Portal, job: Job, part: InputPart) -> None:
    """Write the items of a part, then make it part of the job; whoever does the same meanwhile does it once with us."""
    _, read = _read_next(portal, job, part.manifest, part.display)
    asked = job.asked + len(read.items)
    # Never fewer: an item stays in the queue that its own number gives, and is looked for in all of the job's.
    queues = max(job.queues, keys.queues_for(asked))
    _put_items(portal, replace(job, queues=queues), read.items)
    parts = [*(one.to_json() for one in job.parts), part.to_json()]
    done = {"parts": parts, "lines": job.lines + part.lines, "asked": asked, "queues": queues}
    try:
        portal.table.transact(
            [
                Update(
                    keys.meta(job.name),
                    set=done,
                    remove=["adding"],
                    add={"version": 1},
                    when={"lines": job.lines, "asked": job.asked, "adding": part.to_json()},
                ),
                entries.waiting(job.name, "items", part.to_json(), now=portal.clock()),
            ]
        )
    except ConditionError:
        return  # someone else was faster, or a group was split: the caller looks again
    announce(portal, get(portal, job.name))


def _read_next(portal: Portal, job: Job, manifest: str, display: str) -> tuple[InputPart, Intake]:
    return _part(
        portal,
        manifest,
        display,
        job=job.name,
        attribute=job.attribute,
        options=job.options,
        first_line=job.lines,
        known=frozenset(_refs(portal, job)),
    )


def _existing(portal: Portal, name: str, part: InputPart, task_token: str) -> Job:
    found = portal.table.get(keys.meta(name)) or {}
    if found.get("first") != part.sha256:
        raise PortalError(
            "name-taken",
            f"{name}: a job of this name was made from another manifest; choose another name, or leave it out and "
            "the name follows from the photos.",
            409,
        )
    if task_token:
        portal.table.write(Update(keys.meta(name), add={"task_tokens": frozenset({task_token})}, exists=True))
    return get(portal, name)


def _part(
    portal: Portal,
    manifest: str,
    display: str,
    *,
    job: str,
    attribute: str,
    options: JobOptions,
    first_line: int = 0,
    known: frozenset[str] = frozenset(),
) -> tuple[InputPart, Intake]:
    """Read an input manifest, and keep it beside the log."""
    content = portal.storage.read_bytes(manifest)
    shown = portal.storage.read_bytes(display) if display else b""
    read = intake.read(
        content, shown, job=job, attribute=attribute, first_line=first_line, context_keys=options.context_keys,
        known=known,
    )  # fmt: skip
    sha256, shown_sha256 = (hashlib.sha256(one).hexdigest() for one in (content, shown))
    folder = f"s3://{portal.answers_bucket}/inputs/{job}"
    place, shown_place = f"{folder}/{sha256}.manifest", f"{folder}/{shown_sha256}.display.jsonl" if display else ""
    for target, data in ((place, content), (shown_place, shown)):
        if target and not portal.storage.exists(target):
            portal.storage.write_bytes(target, data, "application/jsonl")
    part = InputPart(place, sha256, shown_place, shown_sha256 if display else "", first_line, len(read.lines), manifest)
    return part, read


def _put_items(portal: Portal, job: Job, all_items: Sequence[Item]) -> None:
    """Write items that are not there; an item that is there may have answers, and stays."""
    now = portal.clock()
    for start in range(0, len(all_items), _AT_ONCE):
        some = [replace(it, queues=job.queues) for it in all_items[start : start + _AT_ONCE]]
        batch = [
            Put(keys.item(it.job, it.id), it.to_json() | keys.queue_of(it, wanted=1, now=now), new=True) for it in some
        ]
        try:
            portal.table.transact(batch)
        except ConditionError as error:
            for place, put in enumerate(batch):
                if place not in error.failed:
                    _put_one(portal, put)


def _put_one(portal: Portal, put: Put) -> None:
    try:
        portal.table.write(put)
    except ConditionError:
        return  # it came in meanwhile


def _refs(portal: Portal, job: Job) -> Iterable[str]:
    for part in job.parts:
        for line in intake.split_lines(portal.storage.read_bytes(part.manifest)):
            ref = intake.parse(line).get(SOURCE_REF)
            if isinstance(ref, str):
                yield ref
