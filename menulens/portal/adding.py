"""Add photos to a job that runs: what it lacks is selected, copied, grouped, and handed to it, in one call.

The call decodes photos where it runs, in the sandbox: it is for an owner who adds hundreds, not a hundred thousand; a
folder of any size can be a job of its own. How far it is, the owner's page shows (:mod:`menulens.portal.additions`).
A call that broke off is made good by the same: copies that exist are not made again, and a manifest that the job has is
not added again. Near-duplicates are found among the photos that are added, not between these and the job's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from menulens.core import keys
from menulens.labeling import input_manifest, layout, merge
from menulens.labeling.input_manifest import Candidate, Reject, Selection, Selector
from menulens.portal import additions, display, display_groups, display_index, intake, jobs
from menulens.portal.context import Portal
from menulens.portal.decoding import Caps
from menulens.portal.display_index import Chunk
from menulens.portal.model import Job, PortalError
from menulens.portal.sandbox import Decoders

_KNOWN_BEFORE: Final = ("records", "had", "left", "asked", "rejected", "rejects")
"""Of what came of it: what is known before the photos are made ready."""


@dataclass(frozen=True, slots=True)
class Added:
    """What came of it: asked + rejected + had + left = records, and items, the groups that people are asked about."""

    job: Job
    records: int
    had: int
    left: int
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
    addition: str | None = None,
    memory_bytes: int | None = None,
    most: int | None = None,
) -> Added:
    """Add what lies under a prefix of the photo bucket, or what a manifest names, to a job.

    Parameters
    ----------
    photos, manifest
        One of them: ``s3://bucket/prefix``, or the manifest's location.
    settings
        The environment's, as functions have them.
    addition
        The id under which it was announced.
    memory_bytes
        What there is for decoding; None: enough.
    most
        Add so many at once; the others are left for the next call. None: as many as a job may have.

    Raises
    ------
    PortalError
        If there is no such job, it takes no items now, or is about texts where these are photos (or the reverse).
    """
    job = jobs.get(portal, name)
    adding = _Adding(portal, job, settings, photo_bucket, addition or additions.new_id(portal))
    adding.tell(state="running", what=photos or manifest)
    try:
        selection = adding.select(photos, manifest, most or settings["labeling"]["max_photos_per_job"])
        added = adding.hand_over(selection, memory_bytes)
    except Exception as error:
        adding.tell(state="failed", message=str(error))
        raise
    adding.tell(state="done", items=added.items)
    return added


@dataclass(frozen=True, slots=True)
class _Adding:
    portal: Portal
    job: Job
    settings: Mapping[str, Any]
    photo_bucket: str
    addition: str

    def tell(self, **known: Any) -> None:
        additions.note(self.portal, self.job.name, self.addition, **known)

    def select(self, photos: str | None, manifest: str | None, most: int) -> Selection:
        storage, caps = self.portal.storage, self.settings["photos"]
        candidates: Iterable[Candidate | Reject] = ()
        if photos is not None:
            candidates = input_manifest.listed(photos, storage)
        elif manifest is not None:
            lines = storage.lines(manifest)
            candidates = input_manifest.given(lines, self.job.attribute, self.photo_bucket, caps["prefix"])
        limits = input_manifest.Caps(caps["max_bytes"], caps["max_pixels"])
        selection = Selector(storage, limits, most, frozenset(self._subjects())).select(candidates)
        if selection.asked and self.job.kind != selection.kind:
            raise PortalError(
                "mixed", f"{self.job.name} asks about a {self.job.kind}; these are about a {selection.kind}."
            )
        return selection

    def _subjects(self) -> Iterator[tuple[str, str]]:
        for part in self.job.parts:
            for line in intake.split_lines(self.portal.storage.read_bytes(part.manifest)):
                value = merge.record(line)
                if value is not None:
                    yield merge.subject(value)

    def hand_over(self, selection: Selection, memory_bytes: int | None) -> Added:
        storage, bucket = self.portal.storage, self.portal.labels_bucket
        content = b"".join(line + b"\n" for line in selection.asked)
        told = "".join(reject.to_json() + "\n" for reject in selection.rejects)
        # A folder of its own in the job's: the same photos have the same, so a repeated call finds what is there.
        work = f"{self.job.name}/added/{hashlib.sha256(content or told.encode()).hexdigest()[:12]}"
        folder = layout.inputs(bucket, work)
        manifest, rejects = f"{folder}/{layout.INPUT_MANIFEST}", f"{folder}/{keys.REJECTS}"
        if told:
            storage.write_text(rejects, told, "application/jsonl")
        added = Added(
            job=self.job,
            records=selection.records,
            had=selection.labeled_before,
            left=selection.left,
            asked=len(selection.asked),
            rejected=len(selection.rejects),
            items=0,
            rejects=rejects if told else "",
        )
        self.tell(**{name: getattr(added, name) for name in _KNOWN_BEFORE})
        if not selection.asked:
            return added
        storage.write_bytes(manifest, content, "application/jsonl")
        chunks = display_index.plan(storage, manifest)
        self._make_ready(manifest, work, chunks, memory_bytes)
        joined = display_groups.join(
            storage,
            bucket=bucket,
            job=work,
            parts=len(chunks),
            lines=added.asked,
            most_apart=self.settings["portal"]["near_duplicate_bits"],
        )
        grown = jobs.add_items(self.portal, self.job.name, manifest, joined.uri)
        return replace(added, job=grown, items=joined.items)

    def _make_ready(self, manifest: str, work: str, chunks: list[Chunk], memory_bytes: int | None) -> None:
        """Make the display copies, and tell after each chunk how far that is."""
        photos, looks = self.settings["photos"], self.settings["portal"]
        caps = Caps(photos["max_bytes"], photos["max_pixels"], looks["display_pixels"], looks["display_quality"])
        source = f"s3://{self.photo_bucket}/{photos['prefix']}"
        place = display.Place(manifest, work, source, self.portal.labels_bucket)
        ready = unusable = 0
        with Decoders(display.at_once(caps, memory_bytes), caps) as decoders:
            for chunk in chunks:
                prepared = display.prepare(
                    chunk,
                    place,
                    caps,
                    decoders=decoders,
                    storage=self.portal.storage,
                    context_keys=looks["context_keys"],
                )
                ready, unusable = ready + prepared.records, unusable + prepared.rejected
                self.tell(ready=ready, unusable=unusable)
