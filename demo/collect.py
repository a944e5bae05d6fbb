"""Read what a run left in the buckets, and choose what the report shows."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.labeling import Effort
from demo.report import Outcome, Person, Reject, Stage
from demo.retrieval import Home, Neighbours, colour_vectors, compare
from menulens.cloud import Cloud
from menulens.core import keys
from menulens.portal import display_index
from menulens.search.contact_sheet import Cell, PictureError, Strip, display_copy
from menulens.search.store import StoredVectors, load_vectors, photo_key
from menulens.storage import Storage, StorageError, join


@dataclass(frozen=True)
class Labels:
    """What the labeling job left: its name, its output manifest, its label attribute."""

    job: str
    manifest: str
    attribute: str


def collect(
    cloud: Cloud,
    *,
    labels: Labels,
    dataset_uri: str,
    training_job: str,
    stages: Sequence[Stage],
    people: Sequence[Person],
    effort: Effort,
    truth: Mapping[str, str],
    read: Callable[[str], bytes],
    photos: int,
    composed: bool,
    labeled_by: str,
) -> Outcome:
    """Put a run's outcome together.

    Parameters
    ----------
    truth
        Key of a photo to what it shows; empty if nobody knows.
    read
        Returns the bytes of a photo by its key.
    labeled_by
        Who said what the photos show, as a sentence goes on after "labeled by".
    """
    storage = Storage(cloud.client("s3"))
    labels_bucket, models = f"s3://{cloud.bucket('labels')}", f"s3://{cloud.bucket('models')}"
    evaluation = read_evaluation(storage, join(models, "training", training_job, "output", "output.tar.gz"))
    stored = load_vectors(storage, f"s3://{cloud.bucket('vectors')}", training_job)
    rejects_of_vectors = [
        Reject(entry["id"], entry["code"], entry["reason"])
        for item in storage.list(f"s3://{cloud.bucket('vectors')}/{stored.model_version}/rejects/")
        if item.key.count("/") == 2
        for entry in map(json.loads, storage.lines(item.uri))
    ]
    said = agreed(storage, labels)
    shown = truth or said  # who labels by hand knows best what a photo shows
    home = restaurants(cloud.settings.split.group_pattern)
    near = Neighbours(stored.ids, stored.vectors, home)
    colours = Neighbours(stored.ids, colour_vectors(stored.ids, read), home)
    classes = tuple(evaluation["classes"])
    # A folder of one's own has one name, in any script; its key may say nothing.
    short = {one.key: one.en for one in cloud.settings.categories if one.en == one.ja}
    return Outcome(
        composed=composed,
        stages=stages,
        photos=photos,
        photo_rejects=[
            *photo_rejects(storage, join(labels_bucket, "inputs", labels.job, keys.REJECTS)),
            *not_shown(storage, display_index.index(cloud.bucket("labels"), labels.job)),
        ],
        card=storage.read_json(join(dataset_uri, keys.CARD)),
        line_rejects=(),
        evaluation=evaluation,
        model_version=stored.model_version,
        backbone=cloud.settings.training.backbone,
        vectors=len(stored.ids),
        vector_width=int(stored.vectors.shape[1]),
        vector_rejects=rejects_of_vectors,
        people=people,
        effort=effort,
        consensus_right=sum(truth[photo] == label for photo, label in said.items() if photo in truth),
        consensus_all=len(said.keys() & truth.keys()),
        strips=Strips(stored, near, shown, read, short).choose(classes),
        alike=compare(near, colours, shown, classes),
        alike_elsewhere=compare(near, colours, shown, classes, elsewhere=True) if home else [],
        names={one.key: one.en if one.en == one.ja else f"{one.en} · {one.ja}" for one in cloud.settings.categories},
        short=short,
        labeled_by=labeled_by,
    )


def read_evaluation(storage: Storage, archive: str) -> dict[str, Any]:
    """Return ``evaluation.json`` of a training job's ``output.tar.gz``."""
    with tarfile.open(fileobj=io.BytesIO(storage.read_bytes(archive)), mode="r:gz") as files:
        for member in files:
            if Path(member.name).name == "evaluation.json" and member.isfile():
                content = files.extractfile(member)
                assert content is not None
                report: dict[str, Any] = json.load(content)
                return report
    raise StorageError(f"{archive} holds no evaluation.json.")


def photo_rejects(storage: Storage, location: str) -> list[Reject]:
    """Return the photos that were not asked about, the rarest reasons first."""
    entries = [json.loads(line) for line in storage.lines(location)]
    often: dict[str, int] = {}
    for entry in entries:
        often[entry["code"]] = often.get(entry["code"], 0) + 1
    entries.sort(key=lambda entry: (often[entry["code"]], entry["code"]))
    return [Reject(_what(entry), entry["code"], entry["reason"]) for entry in entries]


def not_shown(storage: Storage, index: str) -> list[Reject]:
    """Return the photos that nobody could be shown."""
    return [
        Reject(photo_key(record["source_ref"]), record["reject"]["code"], record["reject"]["reason"])
        for record in display_index.read(storage, index)
        if "reject" in record
    ]


def _what(entry: Mapping[str, Any]) -> str:
    original = str(entry.get("original", entry.get("line")))
    try:
        return photo_key(str(json.loads(original)[keys.SOURCE_REF]))
    except (ValueError, KeyError, TypeError):
        return original[:120]


def agreed(storage: Storage, labels: Labels) -> dict[str, str]:
    """Return the consolidated label of each photo that has one, by its key."""
    found = {}
    for line in storage.lines(labels.manifest):
        entry = json.loads(line)
        said = entry.get(f"{labels.attribute}{keys.METADATA_SUFFIX}", {}).get("class-name")
        if said is not None:
            found[photo_key(entry[keys.SOURCE_REF])] = str(said)
    return found


class Strips:
    """Chooses and draws the few photos whose neighbours the report shows.

    Parameters
    ----------
    truth
        Key of a photo to what it shows; empty if nobody knows.
    read
        Returns the bytes of a photo by its key.
    short
        Name of a category where its key is not shown.
    """

    def __init__(
        self,
        stored: StoredVectors,
        near: Neighbours,
        truth: Mapping[str, str],
        read: Callable[[str], bytes],
        short: Mapping[str, str],
    ) -> None:
        self._near, self._truth, self._read, self._short = near, truth, read, short
        self._tags = dict(zip(stored.ids, stored.tags, strict=True))

    def choose(self, classes: Sequence[str]) -> list[Strip]:
        """Choose by rule, not by looks: the middle query of every category, and the worst query of all."""
        known = {photo: self._truth.get(photo) or tag.category for photo, tag in self._tags.items()}
        chosen: list[tuple[str, str]] = []
        ranked = sorted(known, key=lambda photo: (self._agreement(photo, known), photo))
        for category in classes:
            own = [photo for photo in ranked if known[photo] == category]
            if own:
                name = self._short.get(category, category)
                chosen.append((own[len(own) // 2], f"The middle one of {name}: half of its category does better."))
        trained = [photo for photo in ranked if known[photo] in classes]
        if trained and self._truth:
            chosen.append((trained[0], "The worst query of all."))
        return [self._strip(photo, note) for photo, note in chosen]

    def _agreement(self, photo: str, known: Mapping[str, str | None]) -> float:
        hits = self._near.nearest(photo, elsewhere=True)
        score = sum(known[hit.id] == known[photo] for hit in hits)
        return score + sum(hit.score for hit in hits) / 100

    def _strip(self, photo: str, note: str) -> Strip:
        cells = [self._cell(hit.id, hit.score) for hit in self._near.nearest(photo)]
        return Strip(self._cell(photo, None), tuple(cells), note)

    def _cell(self, photo: str, score: float | None) -> Cell:
        picture, problem, tag = None, "", self._tags[photo]
        try:
            picture = display_copy(self._read(photo), side=240 if score is None else 170)
        except (PictureError, StorageError, OSError) as error:
            problem = str(error)
        due = self._truth.get(photo)
        right = None if due is None else due == tag.category
        name = tag.category and self._short.get(tag.category, tag.category)
        return Cell(photo.removeprefix("photos/"), picture, name, tag.confidence, score, right, problem)


def restaurants(pattern: str | None) -> Home | None:
    """Return what tells a photo's restaurant by the settings' group pattern; None if photos have none."""
    if pattern is None:
        return None
    found = re.compile(pattern)
    return lambda photo: match[1] if (match := found.search(photo)) else photo
