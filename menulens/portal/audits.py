"""Have people look again at labels that are likely wrong: a review job of its own, and what came of it.

Command line only: finding the labels needs cleanlab and scikit-learn.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np

from menulens.core.keys import METADATA_SUFFIX, SOURCE_REF
from menulens.labeling import layout
from menulens.labeling.audit import Change, Suspect, changes, suspects
from menulens.labeling.jobs import earlier_manifest
from menulens.labeling.merge import Stored, merge, record
from menulens.labeling.prediction import out_of_fold
from menulens.portal import intake, opening, reading, rebuild, sealing
from menulens.portal.automation import Vectors, references
from menulens.portal.context import Portal
from menulens.portal.model import Item, Job, PortalError

AUDIT_CARD: Final = "audit.json"
FEWEST: Final = 2
"""People who look again at a label: one against one would decide nothing."""


@dataclass(frozen=True, slots=True)
class Found:
    """What an audit looked at.

    Attributes
    ----------
    looked
        Labels that were looked at.
    without_vector
        Labels that were not, for lack of a vector.
    suspects
        Named by item, worst first.
    """

    looked: int
    without_vector: int
    suspects: tuple[Suspect, ...]


@dataclass(frozen=True, slots=True)
class Corrected:
    """What came of a review.

    Attributes
    ----------
    job
        Whose labels were looked at again.
    manifest
        All labels of that job with the corrections: what becomes a dataset.
    reviewed, unanswered
        Photos that people looked at again, and those they have not settled.
    changes
        By photo.
    """

    job: str
    manifest: str
    reviewed: int
    unanswered: int
    changes: tuple[Change, ...]


def look(portal: Portal, name: str, vectors: Vectors, *, group_of: Callable[[str], str] | None = None) -> Found:
    """Rank a job's labels by how likely they are wrong; what an owner decided and gold items are not doubted.

    Raises
    ------
    PortalError
        If there is no such job.
    menulens.labeling.prediction.TooFewLabelsError
        If it has too few labels to learn from.
    """
    job = reading.get(portal, name)
    labeled = {
        it.id: it for it in reading.items(portal, job) if it.state == "settled" and it.label is not None
    }  # fmt: skip
    lines = references(portal, job)
    photo_of = {one: lines[it.lines[0]] for one, it in labeled.items() if it.lines[0] in lines}
    found = vectors(sorted(set(photo_of.values())))
    known = [one for one in sorted(labeled) if photo_of.get(one) in found]
    labels = np.array([labeled[one].label for one in known], dtype=np.int64)
    groups = np.array([group_of(photo_of[one]) for one in known]) if group_of else None
    stacked = np.stack([found[photo_of[one]] for one in known]) if known else np.zeros((0, 1))
    predicted = out_of_fold(stacked, labels, len(job.categories), groups=groups)
    doubted = [one for one in suspects(known, labels, predicted) if _doubtable(labeled[one.name])]
    return Found(len(known), len(labeled) - len(known), tuple(doubted))


def open_review(portal: Portal, name: str, doubted: Sequence[Suspect]) -> Job:
    """Open a job that asks people about some items of another anew, without saying what was said before.

    The same suspects give the same job. Near-duplicates that were labeled together are looked at one by one.

    Raises
    ------
    PortalError
        If there is nothing to ask about.
    """
    job = reading.get(portal, name)
    if not doubted:
        raise PortalError("no-suspects", f"{name}: no label is likely wrong; there is nothing to review.")
    wanted = {one.name: one for one in doubted}
    lines = sorted(
        (line, wanted[it.id]) for it in reading.items(portal, job) if it.id in wanted for line in it.lines
    )  # fmt: skip
    raw, shown = _raw(portal, job), _shown(portal, job)
    asked = [_bare(raw[line], job.attribute) for line, _ in lines]
    index = [
        json.dumps({**shown[line], "line": place, "group": place}, ensure_ascii=False)
        for place, (line, _) in enumerate(lines)
        if line in shown
    ]
    content = b"".join(line + b"\n" for line in asked)
    digest = hashlib.sha256(content).hexdigest()[:12]
    review = f"{name[:43].rstrip('-')}-audit-{digest}"
    folder = layout.inputs(portal.labels_bucket, review)
    manifest, display = f"{folder}/{layout.INPUT_MANIFEST}", f"{folder}/display.jsonl" if index else ""
    portal.storage.write_bytes(manifest, content, "application/jsonl")
    if display:
        portal.storage.write_text(display, "".join(line + "\n" for line in index), "application/jsonl")
    options = job.options
    most = max(options.max_answers, FEWEST + 1)
    told = [asdict(one) | {"photo": _ref(raw[line])} for line, one in lines]
    portal.storage.write_json(f"{folder}/{AUDIT_CARD}", {"format": 1, "job": name, "suspects": told})
    return opening.create(
        portal,
        name=review,
        manifest=manifest,
        display=display,
        attribute=job.attribute,
        categories=job.categories,
        options=replace(options, min_answers=FEWEST, max_answers=most, gold_share=0.0),
        texts=job.texts,
        output="caller",
    )


def apply(portal: Portal, review: str) -> Corrected:
    """Bring a review's labels together with those of the job that it looked at again, and those it was resumed with.

    Raises
    ------
    PortalError
        If it is no review.
    """
    card_place = f"{layout.inputs(portal.labels_bucket, review)}/{AUDIT_CARD}"
    if not portal.storage.exists(card_place):
        raise PortalError("no-review", f"{review}: no review of an audit has this name.", 404)
    name = portal.storage.read_json(card_place)["job"]
    sealing.seal_all(portal, [name, review])
    before, after = rebuild.rebuild(portal, name), rebuild.rebuild(portal, review)
    job = reading.get(portal, name)
    old, new = (_labels(one.manifest, job.attribute) for one in (before, after))
    settled = {photo: label for photo, label in new.items() if label is not None}
    earlier = earlier_manifest(name, portal.labels_bucket, portal.storage)
    resumed_with = [] if earlier is None else [Stored(portal.storage, earlier)]
    ours = [one.manifest.split(b"\n")[:-1] for one in (before, after)]
    merged = merge([*resumed_with, *ours], job.attribute)
    place = layout.merged_manifest(portal.labels_bucket, review)
    merged.write(place, portal.storage)
    return Corrected(name, place, len(settled), len(new) - len(settled), tuple(changes(old, settled)))


def _doubtable(it: Item) -> bool:
    return it.gold is None and it.settler in ("people", "machine")


def _raw(portal: Portal, job: Job) -> dict[int, bytes]:
    return {
        part.first_line + place: line
        for part in job.parts
        for place, line in enumerate(intake.split_lines(portal.storage.read_bytes(part.manifest)))
    }


def _shown(portal: Portal, job: Job) -> dict[int, dict[str, Any]]:
    return {
        part.first_line + value["line"]: value
        for part in job.parts
        if part.display
        for line in portal.storage.read_bytes(part.display).splitlines()
        if (value := json.loads(line)).get("display")
    }


def _bare(line: bytes, attribute: str) -> bytes:
    """Return a line without the label that it may have come with."""
    value = intake.parse(line)
    if attribute not in value and attribute + METADATA_SUFFIX not in value:
        return line
    kept = {key: one for key, one in value.items() if key not in (attribute, attribute + METADATA_SUFFIX)}
    return json.dumps(kept, ensure_ascii=False).encode()


def _ref(line: bytes) -> str:
    return str(intake.parse(line).get(SOURCE_REF, ""))


def _labels(manifest: bytes, attribute: str) -> dict[str, int | None]:
    """Return the label of each photo of a manifest; None for one without."""
    values = (record(line) for line in manifest.splitlines())
    return {
        value[SOURCE_REF]: None if value.get(attribute) is None else int(value[attribute])
        for value in values
        if value is not None and SOURCE_REF in value
    }
