"""A labeling job's tasks in the labeling portal: opened there by its own code, answered there, read from its table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from menulens.cloud import LOCAL_ENVIRONMENT
from menulens.core import names
from menulens.core.keys import SOURCE_REF
from menulens.labeling import layout
from menulens.local.config import LocalConfig
from menulens.local.errors import JobFailedError
from menulens.local.labeling_items import Given, Item, Worker
from menulens.portal import context, display, display_index, jobs
from menulens.portal.decoding import Caps
from menulens.portal.model import Category, JobOptions, PortalError, Progress, Texts, seconds
from menulens.portal.model import Item as Shown
from menulens.portal.sandbox import Decoders
from menulens.portal.table import TableError
from menulens.settings import settings_of

_TASK_OBJECT = "taskObject"
_REFUSED = "refused"  # beside a task's input: why nobody is asked about it
_MOST_CONTEXT = 8


@dataclass(frozen=True)
class _Session:
    """What makes clients of this cloud, as a boto3 session makes them of an account."""

    config: LocalConfig

    def client(self, service: str, config: Config | None = None) -> Any:
        own = Config(proxies={}, s3={"addressing_style": "path"})
        return boto3.client(
            service,
            endpoint_url=self.config.endpoint_url,
            region_name=self.config.region,
            aws_access_key_id=self.config.account,
            aws_secret_access_key=self.config.account,
            config=own if config is None else config.merge(own),
        )


def portal_of(config: LocalConfig) -> context.Portal:
    """Return the portal that is deployed to this cloud."""
    return context.portal_of(
        _Session(config),
        environment=LOCAL_ENVIRONMENT,
        table=names.labeling_table(LOCAL_ENVIRONMENT),
        answers_bucket=names.bucket(LOCAL_ENVIRONMENT, "answers", config.account, config.region),
        labels_bucket=names.bucket(LOCAL_ENVIRONMENT, "labels", config.account, config.region),
    )


@dataclass
class PortalTasks:
    """The tasks of one labeling job.

    Parameters
    ----------
    request
        CreateLabelingJob's.
    """

    portal: context.Portal
    request: dict[str, Any]
    categories: Sequence[str]
    _items: list[Item] = field(default_factory=list)
    _seen: Progress | None = None

    @property
    def name(self) -> str:
        """The job's name, in SageMaker and in the portal."""
        return str(self.request["LabelingJobName"])

    def open(self, items: Sequence[Item]) -> None:
        """Open the portal's job with these items.

        Raises
        ------
        JobFailedError
            If no portal is deployed here, or it refuses the job.
        """
        self._items = list(items)
        try:
            self._open()
        except (PortalError, TableError, ClientError) as error:
            raise JobFailedError(
                f"ClientError: the labeling portal could not open {self.name}: {error}. Is the portal deployed to this "
                "local cloud? menulens local up"
            ) from None
        for item in self._items:
            item.state = "open"

    def _open(self) -> None:
        folder = f"{layout.inputs(self.portal.labels_bucket, self.name)}/portal"
        manifest = f"{folder}/asked.manifest"
        lines = [json.dumps(self._asked(item), ensure_ascii=False) + "\n" for item in self._items]
        self.portal.storage.write_bytes(manifest, "".join(lines).encode(), "application/jsonl")
        human = self.request["HumanTaskConfig"]
        workers = human["NumberOfHumanWorkersPerDataObject"]
        jobs.create(
            self.portal,
            name=self.name,
            manifest=manifest,
            display=self._display(manifest),
            attribute=self.request["LabelAttributeName"],
            categories=[_category(index, label) for index, label in enumerate(self.categories)],
            options=JobOptions(
                confidence=0.0,  # so many people, whatever they say: consolidation is the function's
                min_answers=workers,
                max_answers=workers,
                hard_answers=workers,
                gold_share=0.0,
                least_worth=0.0,
                lease_seconds=human["TaskTimeLimitInSeconds"],
                context_keys=self._context_keys(),
            ),
            texts=Texts(
                title_ja=human["TaskTitle"],
                title_en=human["TaskTitle"],
                question_ja=human["TaskDescription"],
                question_en=human["TaskDescription"],
            ),
            output="caller",
        )

    def _asked(self, item: Item) -> dict[str, Any]:
        """Return a line as the portal asks it: the object, and what pre-annotation put beside it."""
        source: dict[str, Any] = {key: item.data[key] for key in (SOURCE_REF, "source") if key in item.data}
        return {**{key: item.task_input.get(key) for key in self._context_keys()}, **source}

    def _context_keys(self) -> tuple[str, ...]:
        found = {
            key: None
            for item in self._items
            for key, value in item.task_input.items()
            if key != _TASK_OBJECT and isinstance(value, (str, int, float))
        }
        return tuple(found)[:_MOST_CONTEXT]

    def _display(self, manifest: str) -> str:
        """Make the display copies of all photos, and return their index."""
        settings = settings_of(LOCAL_ENVIRONMENT)
        caps = Caps(
            settings.photos.max_bytes,
            settings.photos.max_pixels,
            settings.portal.display_pixels,
            settings.portal.display_quality,
        )
        storage, bucket = self.portal.storage, self.portal.labels_bucket
        place = display.Place(manifest=manifest, job=self.name, photos="s3://", labels_bucket=bucket)
        chunks = display_index.plan(storage, manifest)
        with Decoders(display.at_once(caps, None), caps) as decoders:
            for chunk in chunks:
                display.prepare(
                    chunk, place, caps, decoders=decoders, storage=storage, context_keys=self._context_keys()
                )
        parts = [display_index.part(bucket, self.name, chunk.number) for chunk in chunks]
        index = display_index.index(bucket, self.name)
        # Ground Truth asks about every object by itself: no groups of near-duplicates.
        storage.write_bytes(index, b"".join(storage.read_bytes(part) for part in parts), "application/jsonl")
        self._refuse(index)
        return index

    def _refuse(self, index: str) -> None:
        for record in display_index.read(self.portal.storage, index):
            if reject := record.get("reject"):
                item = self._items[record["line"]]
                item.task_input[_REFUSED] = f"{reject['code']}: {reject['reason']}"

    @property
    def ended(self) -> bool:
        """Whether an owner stopped the job in the portal."""
        return jobs.get(self.portal, self.name).state == "stopped"

    def done(self) -> Iterator[Item]:
        """Yield items that nobody will be asked about any more, each once.

        They are ``answered``, with their answers, or ``failed``: what could not be shown, or a person reported; the
        reason stands under ``refused`` in ``task_input``.
        """
        for item in self._items:
            if item.state == "open" and _REFUSED in item.task_input:
                item.state = "failed"
                yield item
        job = jobs.get(self.portal, self.name)
        now = jobs.progress(self.portal, job)
        if now == self._seen:
            return
        self._seen = now
        for shown in jobs.items(self.portal, job):
            for line in shown.lines:
                item = self._items[line]
                if item.state == "open" and shown.state != "open":
                    self._fill(item, shown)
                    yield item

    def _fill(self, item: Item, shown: Shown) -> None:
        reports = [one.problem for one in shown.answers.values() if one.kind == "report"]
        for person, one in shown.answers.items():
            if one.kind in ("label", "hard") and one.category is not None:
                item.answers[person] = Given(
                    Worker(person, one.issuer),
                    self.categories[one.category],
                    seconds(one.leased_at),
                    seconds(one.recorded_at),
                )
        if reports or not item.answers:
            item.task_input[_REFUSED] = f"reported by a person: {reports[0]}" if reports else "nobody answered"
            item.state = "failed"
        else:
            item.state = "answered"

    def stop(self) -> None:
        """Ask nobody any more."""
        job = jobs.get(self.portal, self.name)
        if job.state in ("open", "paused"):
            jobs.stop(self.portal, self.name)


def _category(index: int, label: str) -> Category:
    """Return a label's category: as the settings show it where they know it, else by its name alone."""
    known: Iterable[Any] = settings_of(LOCAL_ENVIRONMENT).categories
    for one in known:
        if one.key == label:
            return Category.from_json({**one.model_dump(mode="json"), "index": index})
    return Category(label, label, label, index=index)
