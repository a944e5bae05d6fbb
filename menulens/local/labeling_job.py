"""One labeling job: reads its manifest, offers tasks, consolidates answers, writes Ground Truth's files as it goes."""

from __future__ import annotations

import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from menulens.local import objects
from menulens.local.annotation_functions import Consolidation, FunctionError, PreAnnotation
from menulens.local.context import Context, Params
from menulens.local.errors import JobFailedError
from menulens.local.jobs import Job
from menulens.local.labeling_output import JobOutput, failed
from menulens.local.labeling_store import Item, TaskStore
from menulens.local.logs import JobLog

LOG_GROUP = "/aws/sagemaker/LabelingJobs"
_MAX_OBJECTS = 100_000
_MAX_LINE = 100_000
_TICK_SECONDS = 0.5
_INTERMEDIATE_SECONDS = 2.0
_BATCH = 50
_PREPARERS = 4
_DEFAULT_CONCURRENT = 1000
_DEFAULT_LIFETIME = 30 * 24 * 3600
_DESCRIBED = (
    "LabelingJobName",
    "LabelAttributeName",
    "InputConfig",
    "OutputConfig",
    "RoleArn",
    "LabelCategoryConfigS3Uri",
    "StoppingConditions",
    "LabelingJobAlgorithmsConfig",
    "HumanTaskConfig",
    "Tags",
)


class LabelingJob(Job):
    """One labeling job."""

    def __init__(self, context: Context, request: Params) -> None:
        name = request["LabelingJobName"]
        arn = context.config.arn("labeling-job", name.lower())
        now = time.time()
        record: dict[str, Any] = {
            "LabelingJobStatus": "Initializing",
            "LabelCounters": _counters([]),
            "CreationTime": now,
            "LastModifiedTime": now,
            "JobReferenceCode": uuid.uuid4().hex,
            "LabelingJobArn": arn,
            **{key: request[key] for key in _DESCRIBED if key in request},
        }
        super().__init__(context, name=name, kind="Labeling", arn=arn, record=record)
        self.request = request
        self.human: dict[str, Any] = request["HumanTaskConfig"]
        self.store: TaskStore | None = None
        self.categories: list[str] = []
        self._output = JobOutput(context.config.client("s3"), request["OutputConfig"]["S3OutputPath"], name)
        self._written = ""

    @property
    def attribute(self) -> str:
        """The label attribute."""
        return str(self.request["LabelAttributeName"])

    def publish(self) -> None:
        """Tell EventBridge the current status."""
        self.context.events.labeling_job(self.arn, self.status)

    def run(self) -> str:
        """Run the job to its end and return its status."""
        stream = f"labeling-job/{self.name}"
        folder = self.context.folder("jobs", "labeling", self.name)
        with JobLog(self.context.config, group=LOG_GROUP, stream=stream, path=folder / "log.txt") as log:
            self.publish()
            s3 = self.context.config.client("s3")
            self.categories = read_categories(s3, self.request["LabelCategoryConfigS3Uri"])
            uri = self.request["InputConfig"]["DataSource"]["S3DataSource"]["ManifestS3Uri"]
            items = read_items(objects.read(s3, uri), uri, self.attribute)
            self.store = TaskStore(
                items,
                journal=folder / "answers.jsonl",
                workers_per_item=self.human["NumberOfHumanWorkersPerDataObject"],
                lease_seconds=self.human["TaskTimeLimitInSeconds"],
                choices=self.categories,
            )
            log.write(f"{uri}: {len(items)} objects, {sum(item.state == 'passed' for item in items)} labeled before")
            if not self.stopping.is_set():
                self.update(LabelingJobStatus="InProgress", LabelCounters=_counters(items))
                self.publish()
            try:
                return self._work(self.store, log)
            finally:
                self._conclude(self.store)

    def _work(self, store: TaskStore, log: JobLog) -> str:
        consolidation = Consolidation(self.context.config, self.request, self.arn, self.categories, self._output)
        prepare = PreAnnotation(self.context.config, self.human["PreHumanTaskLambdaArn"], self.arn)
        begun = written = time.time()
        lifetime = self.human.get("TaskAvailabilityLifetimeInSeconds", _DEFAULT_LIFETIME)
        with ThreadPoolExecutor(_PREPARERS) as pool:
            while True:
                self._open_tasks(store, prepare, pool, log)
                self._consolidate(store, consolidation, log)
                self.update(LabelCounters=_counters(store.items))
                if all(item.state in ("labeled", "passed", "skipped", "failed") for item in store.items):
                    return "Completed"
                if self.stopping.is_set() or self.context.ending.is_set() or self._enough(store):
                    return "Stopped"
                if time.time() - begun > lifetime:
                    raise JobFailedError(self._expired(store, lifetime))
                if time.time() - written > _INTERMEDIATE_SECONDS:
                    self._write_intermediate(store)
                    written = time.time()
                store.answered.wait(_TICK_SECONDS)
                store.answered.clear()

    def _expired(self, store: TaskStore, lifetime: int) -> str:
        left = sum(item.state in ("waiting", "open", "answered") for item in store.items)
        return (
            f"ClientError: The labeling job expired: TaskAvailabilityLifetimeInSeconds ({lifetime}) was over and "
            f"{left} of {len(store.items)} objects have no label. What was labeled is in the output; chain a job."
        )

    def _enough(self, store: TaskStore) -> bool:
        """Return whether a stopping condition holds."""
        conditions = self.request.get("StoppingConditions", {})
        labeled = sum(item.state == "labeled" for item in store.items)
        done = labeled + sum(item.state == "passed" for item in store.items)
        most = conditions.get("MaxHumanLabeledObjectCount")
        share = conditions.get("MaxPercentageOfInputDatasetLabeled", 100)
        return bool(most is not None and labeled >= most) or bool(
            share < 100 and done * 100 >= share * len(store.items)
        )

    def _open_tasks(self, store: TaskStore, prepare: PreAnnotation, pool: ThreadPoolExecutor, log: JobLog) -> None:
        room = self.human.get("MaxConcurrentTaskCount", _DEFAULT_CONCURRENT) - store.open_count()
        waiting = [item for item in store.items if item.state == "waiting"][: max(0, room)]

        def open_one(item: Item) -> None:
            if self.stopping.is_set():
                return
            try:
                task_input, needed = prepare.prepare(item)
            except FunctionError as error:
                item.output, item.state = failed(self.attribute, str(error), self.name, time.time()), "failed"
                log.write(f"object {item.index}: pre-annotation failed: {error}")
                return
            if needed:
                store.open(item, task_input)
            else:
                item.state = "skipped"

        if prepare.built_in:
            for item in waiting:
                open_one(item)
        else:
            list(pool.map(open_one, waiting))

    def _consolidate(self, store: TaskStore, consolidation: Consolidation, log: JobLog) -> None:
        answered = [item for item in store.items if item.state == "answered"]
        for start in range(0, len(answered), _BATCH):
            batch = answered[start : start + _BATCH]
            consolidation.consolidate(batch)
            log.write(f"{len(batch)} objects consolidated")

    def _write_intermediate(self, store: TaskStore) -> None:
        state = json.dumps(_counters(store.items))
        if state != self._written:
            self._output.write_intermediate(store.items)
            self._written = state

    def _conclude(self, store: TaskStore) -> None:
        """Write the output, whatever the end was."""
        store.close()
        self._output.write_intermediate(store.items)
        self._output.write_manifest(store.items)
        self.update(
            LabelCounters=_counters(store.items),
            LabelingJobOutput={"OutputDatasetS3Uri": self._output.manifest},
        )

    def summary(self) -> Params:
        """Return what a list shows."""
        record = self.describe()
        summary: Params = {
            "LabelingJobName": self.name,
            "LabelingJobArn": self.arn,
            "CreationTime": record["CreationTime"],
            "LastModifiedTime": record["LastModifiedTime"],
            "LabelingJobStatus": record["LabelingJobStatus"],
            "LabelCounters": record["LabelCounters"],
            "WorkteamArn": self.human["WorkteamArn"],
            "PreHumanTaskLambdaArn": self.human["PreHumanTaskLambdaArn"],
            "AnnotationConsolidationLambdaArn": self.human["AnnotationConsolidationConfig"][
                "AnnotationConsolidationLambdaArn"
            ],
            "InputConfig": record["InputConfig"],
        }
        return summary | {key: record[key] for key in ("FailureReason", "LabelingJobOutput") if key in record}


def _counters(items: list[Item]) -> dict[str, int]:
    human = sum(item.state == "labeled" for item in items)
    passed = sum(item.state == "passed" for item in items)
    faulty = sum(item.state == "failed" for item in items)
    return {
        "TotalLabeled": human + passed,
        "HumanLabeled": human + passed,
        "MachineLabeled": 0,
        "FailedNonRetryableError": faulty,
        "Unlabeled": len(items) - human - passed - faulty,
    }


def read_categories(s3: Any, uri: str) -> list[str]:
    """Return the labels of a label category configuration file.

    Raises
    ------
    JobFailedError
        If the file is not there, or holds no labels.
    """
    try:
        labels = [str(entry["label"]) for entry in json.loads(objects.read(s3, uri))["labels"]]
    except (ValueError, TypeError, KeyError) as error:
        raise JobFailedError(
            f'ClientError: {uri} is no label category configuration; {{"labels": [{{"label": …}}]}} is due ({error!r}).'
        ) from None
    if not labels or len(set(labels)) < len(labels):
        raise JobFailedError(f"ClientError: {uri} must name each of at least one label once; it names {labels}.")
    return labels


def read_items(text: bytes, uri: str, attribute: str) -> list[Item]:
    """Return the objects of an input manifest; one that has a label under the attribute passes through.

    Raises
    ------
    JobFailedError
        If the manifest is empty, too large, or a line can't be used; the message names the line.
    """
    try:
        lines = [line.removesuffix("\r") for line in text.decode("utf-8").split("\n") if line.strip()]
    except UnicodeDecodeError as error:
        raise JobFailedError(f"ClientError: {uri} is not UTF-8: {error}") from None
    if not lines:
        raise JobFailedError(f"ClientError: The manifest file {uri} has no objects.")
    if len(lines) > _MAX_OBJECTS:
        raise JobFailedError(f"ClientError: {uri} has {len(lines)} objects; a labeling job takes {_MAX_OBJECTS}.")
    return [_item(index, line, f"line {index + 1} of {uri}", attribute) for index, line in enumerate(lines)]


def _item(index: int, line: str, where: str, attribute: str) -> Item:
    if len(line) > _MAX_LINE:
        raise JobFailedError(f"ClientError: {where} has {len(line)} characters; a line may have {_MAX_LINE}.")
    try:
        data = json.loads(line)
    except ValueError as error:
        raise JobFailedError(f"ClientError: {where} is no JSON: {error}") from None
    if not isinstance(data, dict) or not isinstance(data.get("source-ref", data.get("source")), str):
        raise JobFailedError(f"ClientError: {where} has neither source-ref nor source.")
    return Item(index, line, data, "passed" if attribute in data else "waiting")
