"""Read what a run left in the buckets, and choose what the report shows."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from demo.report import Outcome, Person, Reject, Stage
from menulens.cloud import Cloud
from menulens.core import keys
from menulens.search.contact_sheet import Cell, PictureError, Strip, display_copy
from menulens.search.index import ExactIndex, Hit
from menulens.search.store import StoredVectors, load_vectors, photo_key
from menulens.storage import Storage, StorageError, join

HITS = 10
SAME_PICTURE = 0.99995  # two copies of one file; showing one says nothing


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
    truth: Mapping[str, str],
    read: Callable[[str], bytes],
    photos: int,
    composed: bool,
) -> Outcome:
    """Put a run's outcome together.

    Parameters
    ----------
    truth
        Key of a photo to what it shows; empty if nobody knows.
    read
        Returns the bytes of a photo by its key.
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
    right, labeled = consensus(storage, labels, truth)
    near = Neighbours(stored, truth, read)
    classes = tuple(evaluation["classes"])
    everywhere, elsewhere = near.precision(classes)
    names = {category.key: f"{category.en} · {category.ja}" for category in cloud.settings.categories}
    return Outcome(
        composed=composed,
        stages=stages,
        photos=photos,
        photo_rejects=photo_rejects(storage, join(labels_bucket, "inputs", labels.job, keys.REJECTS)),
        card=storage.read_json(join(dataset_uri, keys.CARD)),
        line_rejects=(),
        evaluation=evaluation,
        model_version=stored.model_version,
        backbone=cloud.settings.training.backbone,
        vectors=len(stored.ids),
        vector_width=int(stored.vectors.shape[1]),
        vector_rejects=rejects_of_vectors,
        people=people,
        consensus_right=right,
        consensus_all=labeled,
        strips=near.strips(classes),
        same_at_10=everywhere,
        same_elsewhere_at_10=elsewhere,
        names={name: name if name == names[name].split(" · ")[0] else names[name] for name in names},
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


def _what(entry: Mapping[str, Any]) -> str:
    original = str(entry.get("original", entry.get("line")))
    try:
        return photo_key(str(json.loads(original)[keys.SOURCE_REF]))
    except (ValueError, KeyError, TypeError):
        return original[:120]


def consensus(storage: Storage, labels: Labels, truth: Mapping[str, str]) -> tuple[int, int]:
    """Return how many consolidated labels are true, and how many there are."""
    right = count = 0
    for line in storage.lines(labels.manifest):
        entry = json.loads(line)
        said = entry.get(f"{labels.attribute}{keys.METADATA_SUFFIX}", {}).get("class-name")
        due = truth.get(photo_key(entry[keys.SOURCE_REF]))
        if said is not None and due is not None:
            count += 1
            right += said == due
    return right, count


class Neighbours:
    """Every vectorised photo's nearest others, and the few that the report shows."""

    def __init__(self, stored: StoredVectors, truth: Mapping[str, str], read: Callable[[str], bytes]) -> None:
        self._stored, self._truth, self._read = stored, truth, read
        self._index = ExactIndex(stored.ids, stored.vectors)
        self._hits = dict(zip(stored.ids, self._index.search(stored.vectors, 120), strict=True))

    def nearest(self, photo: str, *, elsewhere: bool = False) -> list[Hit]:
        """Return the ten nearest, without the photo and its copies (and without its own restaurant's photos)."""
        home = _restaurant(photo)
        return [
            hit
            for hit in self._hits[photo]
            if hit.id != photo and hit.score < SAME_PICTURE and not (elsewhere and _restaurant(hit.id) == home)
        ][:HITS]

    def precision(self, classes: Sequence[str]) -> tuple[float | None, float | None]:
        """Return the share of the ten nearest in the query's own category: among all, and at other restaurants."""
        queries = [photo for photo in self._stored.ids if self._truth.get(photo) in classes]
        if not queries:
            return None, None
        return (
            float(np.mean([self._same(photo, self.nearest(photo)) for photo in queries])),
            float(np.mean([self._same(photo, self.nearest(photo, elsewhere=True)) for photo in queries])),
        )

    def strips(self, classes: Sequence[str]) -> list[Strip]:
        """Choose by rule, not by looks: the middle query of every category, and the worst query of all."""
        tags = dict(zip(self._stored.ids, self._stored.tags, strict=True))
        known = {photo: self._truth.get(photo) or tags[photo].category for photo in self._stored.ids}
        chosen: list[tuple[str, str]] = []
        ranked = sorted(self._stored.ids, key=lambda photo: (self._agreement(photo, known), photo))
        for category in classes:
            own = [photo for photo in ranked if known[photo] == category]
            if own:
                chosen.append((own[len(own) // 2], f"The middle one of {category}: half of its category does better."))
        trained = [photo for photo in ranked if known[photo] in classes]
        if trained and self._truth:
            chosen.append((trained[0], "The worst query of all, shown because its neighbours are wrong."))
        return [self._strip(photo, note, tags) for photo, note in chosen]

    def _same(self, photo: str, hits: list[Hit]) -> float:
        return sum(self._truth.get(hit.id) == self._truth[photo] for hit in hits) / max(1, len(hits))

    def _agreement(self, photo: str, known: Mapping[str, str | None]) -> float:
        hits = self.nearest(photo, elsewhere=True)
        score = sum(known[hit.id] == known[photo] for hit in hits)
        return score + sum(hit.score for hit in hits) / 100

    def _strip(self, photo: str, note: str, tags: Mapping[str, Any]) -> Strip:
        cells = [self._cell(hit.id, tags[hit.id], hit.score) for hit in self.nearest(photo)]
        return Strip(self._cell(photo, tags[photo], None), tuple(cells), note)

    def _cell(self, photo: str, tag: Any, score: float | None) -> Cell:
        picture, problem = None, ""
        try:
            picture = display_copy(self._read(photo), side=240 if score is None else 170)
        except (PictureError, StorageError, OSError) as error:
            problem = str(error)
        due = self._truth.get(photo)
        right = None if due is None else due == tag.category
        return Cell(photo.removeprefix("photos/"), picture, tag.category, tag.confidence, score, right, problem)


def _restaurant(photo: str) -> str:
    return photo.rpartition("/")[0]
