"""From photos to what a labeling job is given: the input manifest, and what was left out, and why."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, Literal

from menulens.core import keys, names, photos
from menulens.core.lines import LONGEST_KEY, LONGEST_LINE
from menulens.labeling import jobs, layout, merge, task_page
from menulens.storage import ObjectArchivedError, ObjectMissingError, Storage, is_s3, parse_s3_uri

THREADS: Final = 32
WINDOW: Final = 512  # photos whose headers are read ahead
DIGEST: Final = 12


class NoPhotosError(Exception):
    """There is nothing to ask anyone about; the message says where the photos went."""


@dataclass(frozen=True, slots=True)
class Caps:
    """What a photo may be."""

    max_bytes: int
    max_pixels: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A photo that may be asked about: its place, its line, its bytes (None: not known yet), its line number.

    ``text`` stands instead of a place (then empty) where people are asked about a text.
    """

    uri: str
    line: bytes
    size: int | None = None
    number: int | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that is not asked about."""

    line: bytes
    code: str
    reason: str
    number: int | None = None

    def to_json(self) -> str:
        """Return the reject as one line, in the form that cleaning writes its own; a listed photo has no line."""
        told: dict[str, Any] = {"line": self.number, "code": self.code, "reason": self.reason}
        try:
            told["original"] = self.line.decode("utf-8")
        except UnicodeDecodeError:
            told["original_base64"] = base64.b64encode(self.line).decode("ascii")
        return json.dumps(told, ensure_ascii=False)


@dataclass(slots=True)
class Selection:
    """What became of every record: asked + rejected + labeled before + left for later = records in.

    ``kind`` is what they are about.
    """

    asked: list[bytes] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    labeled_before: int = 0
    left: int = 0
    kind: Literal["photo", "text"] = "photo"

    @property
    def records(self) -> int:
        """Records that came in."""
        return len(self.asked) + len(self.rejects) + self.labeled_before + self.left


@dataclass(frozen=True, slots=True)
class _Looked:
    """A photo's first bytes and its size."""

    candidate: Candidate
    size: int
    head: str


class Selector:
    """Takes candidates in order, and keeps each photo that is usable and not there already.

    Parameters
    ----------
    labeled
        What has a label from before (:func:`menulens.labeling.merge.subject`); it is not asked again.
    """

    def __init__(
        self, storage: Storage, caps: Caps, max_photos: int, labeled: frozenset[tuple[str, str]] = frozenset()
    ) -> None:
        self._storage, self._caps, self._max_photos, self._labeled = storage, caps, max_photos, labeled
        self._same_head: dict[tuple[int, str], list[str]] = {}
        self._contents: dict[str, str] = {}
        self._places: set[str] = set()
        self._texts: set[str] = set()

    def select(self, candidates: Iterable[Candidate | Reject]) -> Selection:
        """Select photos until ``max_photos`` are found; the others are counted as left for later."""
        selection = Selection()
        waiting = iter(candidates)
        with ThreadPoolExecutor(THREADS) as pool:
            while len(selection.asked) < self._max_photos and (window := list(islice(waiting, WINDOW))):
                fresh = list(self._fresh(window, selection))
                for looked in pool.map(self._look, fresh):
                    self._judge(looked, selection)
        for item in waiting:
            if isinstance(item, Reject):
                selection.rejects.append(item)
            else:
                selection.left += 1
        return selection

    def _fresh(self, window: list[Candidate | Reject], selection: Selection) -> Iterator[Candidate]:
        for item in window:
            if isinstance(item, Reject):
                selection.rejects.append(item)
            elif item.text is not None:
                yield from self._fresh_text(item, item.text, selection)
            elif item.uri in self._places:
                selection.rejects.append(
                    Reject(item.line, "duplicate", f"{item.uri} stands in the manifest before.", item.number)
                )
            elif (keys.SOURCE_REF, item.uri) in self._labeled:
                self._places.add(item.uri)
                selection.labeled_before += 1
            else:
                self._places.add(item.uri)
                yield item

    def _fresh_text(self, item: Candidate, text: str, selection: Selection) -> Iterator[Candidate]:
        if text in self._texts:
            reason = "The same text stands in the manifest before."
            selection.rejects.append(Reject(item.line, "duplicate", reason, item.number))
            return
        self._texts.add(text)
        if (keys.SOURCE, text) in self._labeled:
            selection.kind = "text"
            selection.labeled_before += 1
        else:
            yield item

    def _look(self, candidate: Candidate) -> _Looked | Reject:
        """Read a photo's header: one ranged read for nearly every photo."""
        if candidate.text is not None:
            return _Looked(candidate, len(candidate.text), "")
        try:
            size = self._storage.size(candidate.uri) if candidate.size is None else candidate.size
            due = min(size, photos.HEAD_BYTES) if size <= self._caps.max_bytes else 0
            while True:
                head = self._storage.read_bytes(candidate.uri, 0, due) if due else b""
                answer = photos.inspect(head, size, max_bytes=self._caps.max_bytes, max_pixels=self._caps.max_pixels)
                if isinstance(answer, photos.Photo):
                    return _Looked(candidate, size, hashlib.sha256(head[: photos.HEAD_BYTES]).hexdigest())
                due = answer.due
        except photos.PhotoError as fault:
            return Reject(candidate.line, fault.code.value, fault.reason, candidate.number)
        except ObjectMissingError:
            return Reject(candidate.line, "missing", f"{candidate.uri}: no such object.", candidate.number)
        except ObjectArchivedError as error:
            return Reject(candidate.line, "archived", str(error), candidate.number)

    def _judge(self, looked: _Looked | Reject, selection: Selection) -> None:
        if isinstance(looked, Reject):
            selection.rejects.append(looked)
            return
        candidate = looked.candidate
        if len(selection.asked) == self._max_photos:
            selection.left += 1
        elif candidate.text is not None:
            selection.kind = "text"
            selection.asked.append(candidate.line)
        elif original := self._same_content(looked):
            reason = f"The same bytes as {original}."
            selection.rejects.append(Reject(candidate.line, "duplicate", reason, candidate.number))
        else:
            selection.asked.append(candidate.line)

    def _same_content(self, looked: _Looked) -> str | None:
        """Return the photo before this one that has the same bytes; whole files are read only if heads agree."""
        alike = self._same_head.setdefault((looked.size, looked.head), [])
        uri = looked.candidate.uri
        found = next((other for other in alike if self._content(other) == self._content(uri)), None)
        if found is None:
            alike.append(uri)
        return found

    def _content(self, uri: str) -> str:
        if uri not in self._contents:
            digest = hashlib.sha256()
            with self._storage.open(uri) as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
            self._contents[uri] = digest.hexdigest()
        return self._contents[uri]


def listed(prefix: str, storage: Storage) -> Iterator[Candidate]:
    """Yield every object under a prefix, by key."""
    for item in storage.list(prefix):
        yield Candidate(item.uri, json.dumps({keys.SOURCE_REF: item.uri}, ensure_ascii=False).encode(), item.size)


def given(lines: Iterable[bytes], attribute: str, photo_bucket: str, photo_prefix: str) -> Iterator[Candidate | Reject]:
    """Yield the records of a manifest; a label that a line has for our attribute is asked again by the caller's wish.

    A line goes to the labeling job as it came, without its line ending. A job asks about photos or about texts: the
    manifest's first record decides.
    """
    kind: str | None = None
    for number, raw in enumerate(lines, 1):
        line = raw.rstrip(b"\r\n")
        if not line:
            continue
        value = merge.record(line)
        asked = None if value is None else _asked_again(value, line, attribute)
        if value is None or asked is None:
            reason = "A JSON object with a text under source-ref or source is due."
            yield Reject(line, "no-source-ref", reason, number)
            continue
        key, uri = merge.subject(value)
        kind = kind or key
        if key != kind:
            yield Reject(line, "mixed", f"The manifest's first record has {kind}; one with {key} has no place.", number)
        elif len(line.decode("utf-8", "replace")) > LONGEST_LINE:
            yield Reject(line, "too-long", f"A line may have {LONGEST_LINE:,} characters.", number)
        elif key == keys.SOURCE:
            if uri.strip():
                yield Candidate("", asked, None, number, text=uri)
            else:
                yield Reject(line, "empty", "There is nothing to read in it.", number)
        elif not is_s3(uri) or not uri.startswith(f"s3://{photo_bucket}/{photo_prefix}"):
            yield Reject(line, "not-ours", f"A photo in s3://{photo_bucket}/{photo_prefix} is due.", number)
        elif not parse_s3_uri(uri).key or uri.endswith("/"):
            yield Reject(line, "no-photo", f"{uri} names no object.", number)
        elif len(parse_s3_uri(uri).key.encode()) > LONGEST_KEY:
            yield Reject(line, "no-photo", f"An object's key has at most {LONGEST_KEY:,} bytes.", number)
        else:
            yield Candidate(uri, asked, None, number)


def _asked_again(value: dict[str, Any], line: bytes, attribute: str) -> bytes | None:
    """Return a line as it goes to the job: as it came, or without what a failed attempt left; None if it can't go."""
    failed = attribute + keys.METADATA_SUFFIX in value and not merge.is_labeled(value, attribute)
    try:
        return merge.without_label(value, attribute) if failed else line
    except RecursionError:
        return None


def prepare(
    *,
    photos: str | None,
    manifest: str | None,
    job_name: str | None,
    resume_from: str | None,
    max_photos: int,
    settings: Mapping[str, Any],
    photo_bucket: str,
    labels_bucket: str,
    providers: Sequence[jobs.Finder],
    storage: Storage,
) -> dict[str, Any]:
    """Select the photos, and write everything that the labeling job is given.

    Returns
    -------
    dict
        ``job_name`` (unless given, it follows from what the job is given, so that the same work has one name),
        ``job_kind`` (``photo`` or ``text``),
        ``input_manifest``, ``categories_uri``, ``template_uri``, ``earlier_manifest`` (labels from before, or None),
        ``made_from`` (a digest of the input manifest and of the place of the labels from before),
        ``manifest`` (None: there are no new labels yet), ``name`` (for the dataset), ``count`` (photos to ask about)
        and ``rejected``, ``left``, ``labeled_before``.

    Raises
    ------
    NoPhotosError
        If there is no photo to ask about and no label from before.
    LabelingJobError
        If a job of this name was made from anything else; then nothing is written.
    """
    attribute = settings["labeling"]["label_attribute"]
    earlier = _earlier(resume_from, attribute, labels_bucket, providers, storage)
    labeled, unlabeled = _divided(earlier, attribute, storage)
    prefix = settings["photos"]["prefix"]
    if photos is not None:
        candidates: Iterable[Candidate | Reject] = listed(photos, storage)
    elif manifest is not None:
        candidates = given(storage.lines(manifest), attribute, photo_bucket, prefix)
    else:
        candidates = given(unlabeled, attribute, photo_bucket, prefix)
    caps = Caps(settings["photos"]["max_bytes"], settings["photos"]["max_pixels"])
    selection = Selector(storage, caps, max_photos, labeled).select(candidates)
    if any(key == keys.SOURCE for key, _ in labeled):
        selection.kind = "text"  # also where none is left to ask about
    if selection.kind == "text" and settings["labeling"]["provider"] != "portal":
        raise jobs.LabelingJobError(
            f"{manifest or resume_from}: texts are asked about in the portal; labeling.provider is "
            f"{settings['labeling']['provider']!r}."
        )
    if not selection.asked and not labeled:
        reasons = ", ".join(f"{count} {code}" for code, count in sorted(_reasons(selection).items()))
        raise NoPhotosError(
            f"{photos or manifest or resume_from}: no photo to ask about among {selection.records} records"
            + (f" ({reasons})." if reasons else ".")
        )
    return _write(
        selection,
        job_name=job_name,
        resume_from=resume_from,
        earlier=earlier,
        settings=settings,
        labels_bucket=labels_bucket,
        providers=providers,
        storage=storage,
    )


def _write(
    selection: Selection,
    *,
    job_name: str | None,
    resume_from: str | None,
    earlier: str | None,
    settings: Mapping[str, Any],
    labels_bucket: str,
    providers: Sequence[jobs.Finder],
    storage: Storage,
) -> dict[str, Any]:
    content = b"".join(line + b"\n" for line in selection.asked)
    categories, template = task_page.categories(settings), task_page.template(settings)
    name = job_name or _name(content, categories, template, resume_from, settings)
    folder = layout.inputs(labels_bucket, name)
    counts = {
        "rejected": len(selection.rejects),
        "left": selection.left,
        "labeled_before": selection.labeled_before,
    }
    card = {
        "format": 1,
        "job": name,
        "records": selection.records,
        "asked": len(selection.asked),
        **counts,
        "reasons": dict(sorted(_reasons(selection).items())),
        "sha256": hashlib.sha256(content).hexdigest(),
        "resume_from": resume_from,
        "earlier_manifest": earlier,
    }
    if jobs.find(name, *providers):
        # What a job was given stays as it is.
        jobs.require_made_from(name, jobs.made_from(card), labels_bucket, storage)
    else:
        storage.write_bytes(f"{folder}/{layout.INPUT_MANIFEST}", content, "application/jsonl")
        rejects = "".join(reject.to_json() + "\n" for reject in selection.rejects)
        storage.write_text(f"{folder}/{keys.REJECTS}", rejects, "application/jsonl")
        storage.write_text(f"{folder}/{layout.CATEGORIES}", categories, "application/json")
        storage.write_text(f"{folder}/{layout.TEMPLATE}", template, "text/html; charset=utf-8")
        # Last: who finds the card finds all the rest.
        storage.write_json(layout.input_card(labels_bucket, name), card)
    return {
        keys.JOB_NAME: name,
        keys.JOB_KIND: selection.kind,
        keys.NAME: jobs.dataset_name(name),
        keys.INPUT_MANIFEST: f"{folder}/{layout.INPUT_MANIFEST}",
        keys.MADE_FROM: jobs.made_from(card),
        keys.CATEGORIES_URI: f"{folder}/{layout.CATEGORIES}",
        keys.TEMPLATE_URI: f"{folder}/{layout.TEMPLATE}",
        keys.EARLIER_MANIFEST: earlier,
        keys.MANIFEST: None,
        keys.COUNT: len(selection.asked),
        **counts,
    }


def _name(content: bytes, categories: str, template: str, resume_from: str | None, settings: Mapping[str, Any]) -> str:
    """Return a job name that is the same for the same question about the same photos."""
    labeling = settings["labeling"]
    asked = [categories, template, resume_from, labeling["label_attribute"], labeling["workers_per_photo"]]
    digest = hashlib.sha256(content + json.dumps(asked, ensure_ascii=False).encode()).hexdigest()
    return f"{names.prefix(settings['environment'])}-labels-{digest[:DIGEST]}"


def _earlier(
    resume_from: str | None, attribute: str, labels_bucket: str, providers: Sequence[jobs.Finder], storage: Storage
) -> str | None:
    """Return the manifest with all labels up to the job that is resumed, itself resumed or not.

    Raises
    ------
    LabelingJobError
        If that job is not there, still runs or left nothing.
    """
    if resume_from is None:
        return None
    job = jobs.describe(resume_from, *providers)
    if job.running:
        raise jobs.LabelingJobError(
            f"{job.name}: the labeling job is {job.status}; it can be resumed from when it has ended. "
            "To train from a running job, start snapshot."
        )
    before, own = jobs.earlier_manifest(job.name, labels_bucket, storage), jobs.output_manifest(job, storage)
    if before is None:
        return own
    # Not what MergeLabels left: that execution may have broken off, and the job may have been reopened since.
    place = layout.chained_manifest(labels_bucket, job.name)
    merge.merge([merge.Stored(storage, part) for part in (before, own)], attribute).write(place, storage)
    return place


def _divided(earlier: str | None, attribute: str, storage: Storage) -> tuple[frozenset[tuple[str, str]], list[bytes]]:
    """Divide the labels from before: what has one, and lines that have none."""
    labeled, unlabeled = set(), []
    for line in storage.lines(earlier) if earlier else ():
        value = merge.record(line)
        if value is not None and merge.is_labeled(value, attribute):
            labeled.add(merge.subject(value))
        else:
            unlabeled.append(line)
    return frozenset(labeled), unlabeled


def _reasons(selection: Selection) -> Counter[str]:
    return Counter(reject.code for reject in selection.rejects)
