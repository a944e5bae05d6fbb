"""Batch Transform jobs: a model container of their own, records in, ``.out`` files beside the same paths out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from menulens.local import objects
from menulens.local.context import Context, Operation, Params
from menulens.local.errors import JobFailedError, in_use, invalid
from menulens.local.hosting import ModelServer
from menulens.local.jobs import Job
from menulens.local.logs import JobLog
from menulens.local.models import Models
from menulens.local.paging import page

LOG_GROUP = "/aws/sagemaker/TransformJobs"
_DESCRIBED = (
    "ModelName",
    "MaxConcurrentTransforms",
    "ModelClientConfig",
    "MaxPayloadInMB",
    "BatchStrategy",
    "Environment",
    "TransformInput",
    "TransformOutput",
    "TransformResources",
    "DataProcessing",
    "ExperimentConfig",
)
_MB = 1024 * 1024
_DEFAULT_PAYLOAD_MB = 6


def batches(body: bytes, *, split: str, strategy: str, limit: int) -> Iterator[bytes]:
    """Cut an object into requests.

    Parameters
    ----------
    split
        ``None``: the object is one request; ``Line``: its lines are records.
    strategy
        ``SingleRecord``: a record a request; ``MultiRecord``: as many records as fit.
    limit
        Bytes a request may have; 0 for any number.

    Raises
    ------
    JobFailedError
        If a record alone is over the limit.
    """
    if split == "None":
        _check_size(body, limit)
        yield body
        return
    lines = [line for line in body.split(b"\n") if line.strip()]
    gathered: list[bytes] = []
    size = 0
    for line in lines:
        _check_size(line, limit)
        if gathered and (strategy == "SingleRecord" or (limit and size + 1 + len(line) > limit)):
            yield b"\n".join(gathered)
            gathered, size = [], 0
        gathered.append(line)
        size += len(line) + 1
    if gathered:
        yield b"\n".join(gathered)


def _check_size(record: bytes, limit: int) -> None:
    if limit and len(record) > limit:
        raise JobFailedError(
            f"ClientError: a record of {len(record)} bytes is over MaxPayloadInMB ({limit // _MB} MB)."
        )


class TransformJob(Job):
    """One transform job."""

    def __init__(self, context: Context, models: Models, request: Params) -> None:
        name = request["TransformJobName"]
        arn = context.config.arn("transform-job", name)
        record = {
            "TransformJobName": name,
            "TransformJobArn": arn,
            "TransformJobStatus": "InProgress",
            **{key: request[key] for key in _DESCRIBED if key in request},
            "CreationTime": time.time(),
        }
        super().__init__(context, name=name, kind="Transform", arn=arn, record=record)
        self.request = request
        self.container = models.serving_container(request["ModelName"])

    def publish(self) -> None:
        """Tell EventBridge the current state."""
        self.context.events.job("Transform", self.arn, self.describe(), self.context.tags.of(self.arn))

    def _given_up(self) -> bool:
        return self.stopping.is_set() or self.context.ending.is_set()

    def run(self) -> str:
        """Run the job to its end and return its status."""
        self.publish()
        config = self.context.config
        folder = self.context.folder("jobs", "transform", self.name)
        environment = {**self.container.get("Environment", {}), **self.request.get("Environment", {})}
        container = {**self.container, "Environment": {**environment, "SAGEMAKER_BATCH": "true"}}
        stream = f"{self.name}/i-{int(self.created)}"
        with JobLog(config, group=LOG_GROUP, stream=stream, path=folder / "log.txt") as log:
            source = self.request["TransformInput"]["DataSource"]["S3DataSource"]
            found = objects.resolve_source(config.client("s3"), source["S3DataType"], source["S3Uri"])
            server = ModelServer(config, container, folder / "model", log.write)
            try:
                server.start(self._given_up)
                self.update(TransformStartTime=time.time())
                self.publish()
                with ThreadPoolExecutor(self._concurrency()) as pool:
                    for bucket, key, path in found:
                        if self._given_up():
                            break
                        self._transform(server, pool, f"s3://{bucket}/{key}", path, log)
            finally:
                server.remove()
                if "TransformStartTime" in self.record:
                    self.update(TransformEndTime=time.time())
        return "Stopped" if self.stopping.is_set() else "Completed"

    def _concurrency(self) -> int:
        return max(1, int(self.request.get("MaxConcurrentTransforms", 1)))

    def _transform(self, server: ModelServer, pool: ThreadPoolExecutor, uri: str, path: str, log: JobLog) -> None:
        """Transform one object and write its ``.out``."""
        given, due = self.request["TransformInput"], self.request["TransformOutput"]
        limit = int(self.request.get("MaxPayloadInMB", _DEFAULT_PAYLOAD_MB)) * _MB
        body = objects.read(self.context.config.client("s3"), uri)
        parts = list(
            batches(
                body,
                split=given.get("SplitType", "None"),
                strategy=self.request.get("BatchStrategy", "MultiRecord"),
                limit=limit,
            )
        )
        answers = list(pool.map(lambda part: self._ask(server, part, path), parts))
        if due.get("AssembleWith", "None") == "Line":
            output = b"".join(answer.rstrip(b"\n") + b"\n" for answer in answers)
        else:
            output = b"".join(answers)
        target = f"{due['S3OutputPath'].rstrip('/')}/{path}.out"
        objects.write(self.context.config.client("s3"), target, output, due.get("Accept", "application/octet-stream"))
        log.write(f"{uri}: {len(parts)} request(s), {len(output)} bytes to {target}")

    def _ask(self, server: ModelServer, part: bytes, path: str) -> bytes:
        if self._given_up():
            raise JobFailedError("It was stopped.")
        client = self.request.get("ModelClientConfig", {})
        for attempt in range(1 + client.get("InvocationsMaxRetries", 0)):
            try:
                reply = server.invoke(
                    part,
                    content_type=self.request["TransformInput"].get("ContentType", ""),
                    accept=self.request["TransformOutput"].get("Accept", ""),
                    timeout=client.get("InvocationsTimeoutInSeconds", 600),
                )
            except OSError as error:
                fault = f"the model did not respond ({error})"
            else:
                if reply.status < 400:
                    return reply.body
                fault = f"the model answered {reply.status}: {reply.body.decode('utf-8', 'replace')[:400]}"
                if reply.status < 500:
                    break
            time.sleep(min(2.0, 0.2 * (attempt + 1)))
        raise JobFailedError(f"ClientError: See job logs for more information. {path}: {fault}")

    def summary(self) -> Params:
        """Return what a list shows."""
        keys = ("TransformJobName", "TransformJobArn", "CreationTime", "TransformEndTime", "TransformJobStatus")
        record = self.describe()
        return {
            **{key: record[key] for key in (*keys, "FailureReason") if key in record},
            "LastModifiedTime": record.get("TransformEndTime", record["CreationTime"]),
        }


@dataclass
class TransformJobs:
    """The operations on transform jobs."""

    context: Context
    models: Models
    jobs: dict[str, TransformJob] = field(default_factory=dict)

    def operations(self) -> dict[str, Operation]:
        """Return the operations by name."""
        return {
            "CreateTransformJob": self.create,
            "DescribeTransformJob": lambda params: self.get(params["TransformJobName"]).describe(),
            "ListTransformJobs": self.list,
            "StopTransformJob": self.stop,
        }

    def get(self, name: str) -> TransformJob:
        """Return a job."""
        try:
            return self.jobs[name]
        except KeyError:
            arn = self.context.config.arn("transform-job", name)
            raise invalid(f"Could not find requested job with arn: {arn}") from None

    def create(self, params: Params) -> Params:
        """Start a job."""
        name = params["TransformJobName"]
        objects.split_uri(params["TransformOutput"]["S3OutputPath"])
        objects.split_uri(params["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"])
        self._check_strategy(params)
        with self.context.lock:
            if name in self.jobs:
                raise in_use(
                    "Transform job names must be unique within an AWS account and region, and a transform job with "
                    f"this name already exists ({self.jobs[name].arn})"
                )
            job = self.jobs[name] = TransformJob(self.context, self.models, params)
            self.context.tags.set(job.arn, params.get("Tags"))
        job.start(job.run, job.publish, "transform")
        return {"TransformJobArn": job.arn}

    def _check_strategy(self, params: Params) -> None:
        given: dict[str, Any] = params["TransformInput"]
        split = given.get("SplitType", "None")
        if split not in ("None", "Line"):
            raise invalid(f"SplitType {split}: the local cloud splits by Line or not at all.")
        if given.get("CompressionType", "None") != "None":
            raise invalid("CompressionType Gzip: the local cloud reads uncompressed input.")
        if params.get("BatchStrategy") == "MultiRecord" and split == "None":
            raise invalid("BatchStrategy MultiRecord needs a SplitType other than None.")
        if params["TransformOutput"].get("AssembleWith", "None") == "Line" and split == "None":
            raise invalid("AssembleWith Line needs SplitType Line.")
        payload, concurrency = params.get("MaxPayloadInMB", 6), params.get("MaxConcurrentTransforms", 1)
        if payload * concurrency > 100:
            raise invalid(
                f"MaxConcurrentTransforms * MaxPayloadInMB is {concurrency * payload} MB; it must not exceed 100 MB."
            )

    def list(self, params: Params) -> Params:
        """List jobs."""
        summaries = [job.summary() for job in list(self.jobs.values())]
        return page(
            summaries, params, into="TransformJobSummaries", name="TransformJobName", status="TransformJobStatus"
        )

    def stop(self, params: Params) -> Params:
        """Ask a job to stop."""
        job = self.get(params["TransformJobName"])
        with self.context.lock:
            if job.status == "InProgress":
                job.stopping.set()
                job.update(TransformJobStatus="Stopping")
            elif job.status != "Stopping":
                raise invalid(f"The request was rejected because the transform job is in status {job.status}.")
        job.publish()
        return {}
