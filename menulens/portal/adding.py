"""Add photos to a job that runs: what it lacks is selected, copied, grouped, and handed to it, in one call.

The call decodes photos where it runs, in the sandbox: it is the command line's, for an owner who adds hundreds, not a
hundred thousand; a folder of any size can be a job of its own. A call that broke off is made good by the same: copies
that exist are not made again, and a manifest that the job has is not added again. Near-duplicates are found among the
photos that are added, not between these and the job's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from menulens.core import keys
from menulens.labeling import input_manifest, layout, merge
from menulens.labeling.input_manifest import Candidate, Reject, Selection, Selector
from menulens.portal import display, display_groups, display_index, intake, jobs
from menulens.portal.context import Portal
from menulens.portal.decoding import Caps
from menulens.portal.model import Job, PortalError
from menulens.portal.sandbox import Decoders


@dataclass(frozen=True, slots=True)
class Added:
    """What came of it: asked + rejected + had = records, and items, the groups that people are asked about."""

    job: Job
    records: int
    had: int
    asked: int
    rejected: int
    items: int
    rejects: str


def add(
    portal: Portal,
    name: str,
    *,
    settings: Mapping[str, Any],
    photo_bucket: str,
    photos: str | None = None,
    manifest: str | None = None,
) -> Added:
    """Add what lies under a prefix of the photo bucket, or what a manifest names, to a job.

    Parameters
    ----------
    photos, manifest
        One of them: ``s3://bucket/prefix``, or the manifest's location.
    settings
        The environment's, as functions have them.

    Raises
    ------
    PortalError
        If there is no such job, it takes no items now, or is about texts where these are photos (or the reverse).
    """
    job, storage = jobs.get(portal, name), portal.storage
    prefix = settings["photos"]["prefix"]
    candidates: Iterable[Candidate | Reject] = ()
    if photos is not None:
        candidates = input_manifest.listed(photos, storage)
    elif manifest is not None:
        candidates = input_manifest.given(storage.lines(manifest), job.attribute, photo_bucket, prefix)
    limits = input_manifest.Caps(settings["photos"]["max_bytes"], settings["photos"]["max_pixels"])
    most = settings["labeling"]["max_photos_per_job"]
    selection = Selector(storage, limits, most, frozenset(_subjects(portal, job))).select(candidates)
    if not selection.asked:
        return Added(job, selection.records, selection.labeled_before, 0, len(selection.rejects), 0, "")
    if job.kind != selection.kind:
        raise PortalError("mixed", f"{name} asks about a {job.kind}; these are about a {selection.kind}.")
    return _handed_over(portal, job, selection, settings, f"s3://{photo_bucket}/{prefix}")


def _subjects(portal: Portal, job: Job) -> Iterator[tuple[str, str]]:
    for part in job.parts:
        for line in intake.split_lines(portal.storage.read_bytes(part.manifest)):
            value = merge.record(line)
            if value is not None:
                yield merge.subject(value)


def _handed_over(portal: Portal, job: Job, selection: Selection, settings: Mapping[str, Any], photos: str) -> Added:
    storage, bucket = portal.storage, portal.labels_bucket
    content = b"".join(line + b"\n" for line in selection.asked)
    # A folder of its own in the job's: the same photos have the same, so a repeated call finds what is there.
    work = f"{job.name}/added/{hashlib.sha256(content).hexdigest()[:12]}"
    folder = layout.inputs(bucket, work)
    manifest, rejects = f"{folder}/{layout.INPUT_MANIFEST}", f"{folder}/{keys.REJECTS}"
    storage.write_bytes(manifest, content, "application/jsonl")
    storage.write_text(rejects, "".join(reject.to_json() + "\n" for reject in selection.rejects), "application/jsonl")
    photo_caps, looks = settings["photos"], settings["portal"]
    caps = Caps(photo_caps["max_bytes"], photo_caps["max_pixels"], looks["display_pixels"], looks["display_quality"])
    chunks = display_index.plan(storage, manifest)
    place = display.Place(manifest, work, photos, bucket)
    with Decoders(display.at_once(caps, None), caps) as decoders:
        for chunk in chunks:
            display.prepare(chunk, place, caps, decoders=decoders, storage=storage, context_keys=looks["context_keys"])
    joined = display_groups.join(
        storage,
        bucket=bucket,
        job=work,
        parts=len(chunks),
        lines=len(selection.asked),
        most_apart=looks["near_duplicate_bits"],
    )
    grown = jobs.add_items(portal, job.name, manifest, joined.uri)
    return Added(
        job=grown,
        records=selection.records,
        had=selection.labeled_before,
        asked=len(selection.asked),
        rejected=len(selection.rejects),
        items=joined.items,
        rejects=rejects,
    )
