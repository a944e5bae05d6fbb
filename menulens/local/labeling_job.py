"""One labeling job: opens its tasks in the portal, consolidates answers, writes Ground Truth's files as it goes."""

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
from menulens.local.labeling_items import ENDED, Item
from menulens.local.labeling_output import JobOutput, failed
from menulens.local.logs import JobLog
from menulens.local.portal_jobs import PortalTasks, portal_of

LOG_GROUP = "/aws/sagemaker/LabelingJobs"
_MAX_OBJECTS = 100_000
_MAX_LINE = 100_000
_TICK_SECONDS = 0.5
_INTERMEDIATE_SECONDS = 2.0
_BATCH = 50
_PREPARERS = 4
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
        self._items: list[Item] = []
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
            self._items = read_items(objects.read(s3, uri), uri, self.attribute)
            passed = sum(item.state == "passed" for item in self._items)
            log.write(f"{uri}: {len(self._items)} objects, {passed} labeled before")
            try:
                return self._work(log)
            finally:
                self._conclude()

    def _work(self, log: JobLog) -> str:
        asked = self._prepared(log)
        tasks = PortalTasks(portal_of(self.context.config), self.request, self.categories)
        if asked:
            tasks.open(asked)
        if not self.stopping.is_set():
            self.update(LabelingJobStatus="InProgress", LabelCounters=_counters(self._items))
            self.publish()
        try:
            return self._follow(tasks, log) if asked else "Completed"
        finally:
            if asked:
                tasks.stop()

    def _follow(self, tasks: PortalTasks, log: JobLog) -> str:
        """Consolidate what people answer in the portal, until there is an end."""
        consolidation = Consolidation(self.context.config, self.request, self.arn, self.categories, self._output)
        clock = self.context.clock
        begun = written = clock()
        lifetime = self.human.get("TaskAvailabilityLifetimeInSeconds", _DEFAULT_LIFETIME)
        while True:
            self._take(tasks, consolidation, log)
            self.update(LabelCounters=_counters(self._items))
            if all(item.state in ENDED for item in self._items):
                return "Completed"
            if self.stopping.is_set() or self.context.ending.is_set() or tasks.ended or self._enough():
                return "Stopped"
            if clock() - begun > lifetime:
                raise JobFailedError(self._expired(lifetime))
            if clock() - written > _INTERMEDIATE_SECONDS:
                self._write_intermediate()
                written = clock()
            self.stopping.wait(_TICK_SECONDS)

    def _take(self, tasks: PortalTasks, consolidation: Consolidation, log: JobLog) -> None:
        answered: list[Item] = []
        for item in tasks.done():
            if item.state == "answered":
                answered.append(item)
                continue
            reason = str(item.task_input["refused"])
            item.output = failed(self.attribute, reason, self.name, time.time())
            log.write(f"object {item.index}: {reason}")
        for start in range(0, len(answered), _BATCH):
            batch = answered[start : start + _BATCH]
            consolidation.consolidate(batch)
            log.write(f"{len(batch)} objects consolidated")

    def _expired(self, lifetime: int) -> str:
        left = sum(item.state not in ENDED for item in self._items)
        return (
            f"ClientError: The labeling job expired: TaskAvailabilityLifetimeInSeconds ({lifetime}) was over and "
            f"{left} of {len(self._items)} objects have no label. What was labeled is in the output; chain a job."
        )

    def _enough(self) -> bool:
        """Return whether a stopping condition holds."""
        conditions = self.request.get("StoppingConditions", {})
        labeled = sum(item.state == "labeled" for item in self._items)
        done = labeled + sum(item.state == "passed" for item in self._items)
        most = conditions.get("MaxHumanLabeledObjectCount")
        share = conditions.get("MaxPercentageOfInputDatasetLabeled", 100)
        return bool(most is not None and labeled >= most) or bool(
            share < 100 and done * 100 >= share * len(self._items)
        )

    def _prepared(self, log: JobLog) -> list[Item]:
        """Call pre-annotation for every line without a label, and return those that people are needed for."""
        prepare = PreAnnotation(self.context.config, self.human["PreHumanTaskLambdaArn"], self.arn)

        def one(item: Item) -> None:
            if self.stopping.is_set():
                return
            try:
                item.task_input, needed = prepare.prepare(item)
            except FunctionError as error:
                item.output, item.state = failed(self.attribute, str(error), self.name, time.time()), "failed"
                log.write(f"object {item.index}: pre-annotation failed: {error}")
                return
            if not needed:
                item.state = "skipped"

        waiting = [item for item in self._items if item.state == "waiting"]
        with ThreadPoolExecutor(1 if prepare.built_in else _PREPARERS) as pool:
            list(pool.map(one, waiting))
        return [item for item in waiting if item.state == "waiting"]

    def _write_intermediate(self) -> None:
        state = json.dumps(_counters(self._items))
        if state != self._written:
            self._output.write_intermediate(self._items)
            self._written = state

    def _conclude(self) -> None:
        """Write the output, whatever the end was."""
        self._output.write_intermediate(self._items)
        self._output.write_manifest(self._items)
        self.update(
            LabelCounters=_counters(self._items),
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
