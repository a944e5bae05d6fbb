"""Training jobs: real processes under an ``/opt/ml``-shaped folder, with AWS's status life cycle."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field
from typing import Any

from menulens.local import objects
from menulens.local.context import Context, Operation, Params
from menulens.local.errors import JobFailedError, in_use, invalid
from menulens.local.jobs import Job
from menulens.local.logs import JobLog
from menulens.local.paging import page
from menulens.local.pipes import PipeChannels
from menulens.local.processes import Child, describe_exit
from menulens.local.toolkit import OptMl, arguments, decoded, environment, fetch_code, write_config

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
_POLL_SECONDS = 0.2
_REASON_TAIL = 600
_MESSAGES = {
    "Starting": "Preparing the instances for training",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopping": "Stopping the training job",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
}
_DESCRIBED = (
    "HyperParameters",
    "AlgorithmSpecification",
    "RoleArn",
    "InputDataConfig",
    "OutputDataConfig",
    "ResourceConfig",
    "VpcConfig",
    "StoppingCondition",
    "CheckpointConfig",
    "Environment",
    "RetryStrategy",
    "ExperimentConfig",
    "DebugHookConfig",
    "ProfilerConfig",
)


class TrainingJob(Job):
    """One training job."""

    def __init__(self, context: Context, request: Params) -> None:
        name = request["TrainingJobName"]
        arn = context.config.arn("training-job", name)
        now = time.time()
        record: dict[str, Any] = {
            "TrainingJobName": name,
            "TrainingJobArn": arn,
            "TrainingJobStatus": "InProgress",
            "SecondaryStatus": "Starting",
            **{key: request[key] for key in _DESCRIBED if key in request},
            "CreationTime": now,
            "LastModifiedTime": now,
            "SecondaryStatusTransitions": [],
            "EnableNetworkIsolation": request.get("EnableNetworkIsolation", False),
            "EnableInterContainerTrafficEncryption": request.get("EnableInterContainerTrafficEncryption", False),
            "EnableManagedSpotTraining": request.get("EnableManagedSpotTraining", False),
        }
        super().__init__(context, name=name, kind="Training", arn=arn, record=record)
        self.request = request
        self.opt_ml = OptMl(context.folder("jobs", "training", name) / "opt" / "ml")
        self._secondary = "Starting"

    def enter(self, secondary: str, message: str | None = None) -> None:
        """Begin a secondary status, and end the one before it."""
        with self.context.lock:
            now = time.time()
            transitions = list(self.record["SecondaryStatusTransitions"])
            if transitions and "EndTime" not in transitions[-1]:
                transitions[-1] = {**transitions[-1], "EndTime": now}
            step = {"Status": secondary, "StartTime": now, "StatusMessage": message or _MESSAGES[secondary]}
            if secondary in ("Completed", "Failed", "Stopped", "MaxRuntimeExceeded"):
                step["EndTime"] = now
            self.update(SecondaryStatus=secondary, SecondaryStatusTransitions=[*transitions, step])

    def publish(self) -> None:
        """Tell EventBridge the current state."""
        self.context.events.job("Training", self.arn, self.describe(), self.context.tags.of(self.arn))

    def run(self) -> str:
        """Run the job to its end and return its status."""
        config = self.context.config
        stream = f"{self.name}/algo-1-{int(self.created)}"
        path = self.opt_ml.base.parents[1] / "log.txt"
        with JobLog(config, group=LOG_GROUP, stream=stream, path=path) as log:
            self.enter("Starting")
            self.publish()
            self.opt_ml.create()
            write_config(self.opt_ml, self.request)
            self.enter("Downloading")
            self.publish()
            program = fetch_code(config.client("s3"), self.opt_ml, decoded(self.request.get("HyperParameters", {})))
            self._download_channels()
            if self.stopping.is_set():
                return "Stopped"
            self._train(program, log)
            self.enter("Uploading")
            self._upload()
        if self._secondary == "MaxRuntimeExceeded" or self.stopping.is_set():
            return "Stopped"
        return "Completed"

    def _channels(self, mode: str) -> list[Params]:
        default = self.request["AlgorithmSpecification"]["TrainingInputMode"]
        return [
            channel for channel in self.request.get("InputDataConfig", ()) if channel.get("InputMode", default) == mode
        ]

    def _download_channels(self) -> None:
        for channel in [*self._channels("File"), *self._channels("FastFile")]:
            source = channel["DataSource"]["S3DataSource"]
            folder = self.opt_ml.data / channel["ChannelName"]
            folder.mkdir(parents=True, exist_ok=True)
            if source["S3DataType"] == "AugmentedManifestFile":
                raise JobFailedError(
                    f"ClientError: channel {channel['ChannelName']}: an augmented manifest streams in Pipe mode only."
                )
            objects.download(self.context.config.client("s3"), source["S3DataType"], source["S3Uri"], folder)

    def _train(self, program: str, log: JobLog) -> None:
        config = self.context.config
        own = {
            key: value
            for key, value in decoded(self.request.get("HyperParameters", {})).items()
            if not key.startswith("sagemaker_")
        }
        env = {
            **config.child_environment(),
            **environment(self.opt_ml, self.request, self.arn, program, config.region),
            "TMPDIR": str(self.opt_ml.scratch),
            **self.request.get("Environment", {}),
        }
        command = [str(config.training_python), program, *arguments(own)]
        pipes = PipeChannels(config, self._channels("Pipe"), self.opt_ml.data, log.write)
        pipes.start()
        try:
            self.enter("Training")
            started = time.time()
            self.update(TrainingStartTime=started)
            self.publish()
            child = Child(command, cwd=self.opt_ml.code, env=env, on_line=log.write)
            try:
                pipe_fault = self._watch(child, pipes, started)
            finally:
                child.stop(config.stop_grace)
                shutil.rmtree(self.opt_ml.scratch, ignore_errors=True)
        finally:
            pipes.stop()
            ended = time.time()
            if "TrainingStartTime" in self.record:
                seconds = max(1, int(ended - self.record["TrainingStartTime"]))
                self.update(TrainingEndTime=ended, TrainingTimeInSeconds=seconds, BillableTimeInSeconds=seconds)
        if pipe_fault:
            raise JobFailedError(pipe_fault)
        code = child.exit_code or 0
        if code and not self.stopping.is_set() and self._secondary != "MaxRuntimeExceeded":
            raise JobFailedError(self._explain(child, code, command))

    def _watch(self, child: Child, pipes: PipeChannels, started: float) -> str | None:
        """Wait for the program; end it when it is stopped, runs too long, or a pipe breaks. Return the pipe's fault."""
        limit = self.request["StoppingCondition"].get("MaxRuntimeInSeconds", 86_400)
        while child.wait(_POLL_SECONDS) is None:
            if fault := pipes.fault():
                return fault
            if self.stopping.is_set() or self.context.ending.is_set():
                child.stop(self.context.config.stop_grace)
            elif time.time() - started > limit:
                self._secondary = "MaxRuntimeExceeded"
                child.stop(self.context.config.stop_grace)
        return pipes.fault()

    def _explain(self, child: Child, code: int, command: list[str]) -> str:
        said = self.opt_ml.failure() or child.error_tail(_REASON_TAIL)
        said = said if len(said) <= _REASON_TAIL else "…" + said[-_REASON_TAIL:]
        return (
            f'AlgorithmError: ExecuteUserScriptError:\nExitCode {code}\nErrorMessage "{said}"\n'
            f'Command "{" ".join(command[:2])}", {describe_exit(code)}'
        )

    def _upload(self) -> None:
        s3 = self.context.config.client("s3")
        base = f"{self.request['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{self.name}/output"
        objects.write(s3, f"{base}/model.tar.gz", objects.pack(self.opt_ml.model))
        if any((self.opt_ml.output / "data").iterdir()):
            objects.write(s3, f"{base}/output.tar.gz", objects.pack(self.opt_ml.output / "data"))
        self.update(ModelArtifacts={"S3ModelArtifacts": f"{base}/model.tar.gz"})

    def finish(self, status: str, reason: str | None) -> None:
        """Set the last status and its secondary one."""
        secondary = self._secondary if status == "Stopped" and self._secondary == "MaxRuntimeExceeded" else status
        if status == "Failed":
            self.record.setdefault("ModelArtifacts", {"S3ModelArtifacts": ""})
        self.enter(secondary, reason)
        super().finish(status, reason)

    def summary(self) -> Params:
        """Return what a list shows."""
        keys = ("TrainingJobName", "TrainingJobArn", "CreationTime", "TrainingEndTime", "LastModifiedTime")
        record = self.describe()
        return {
            **{key: record[key] for key in keys if key in record},
            "TrainingJobStatus": record["TrainingJobStatus"],
            "SecondaryStatus": record["SecondaryStatus"],
        }


@dataclass
class TrainingJobs:
    """The operations on training jobs."""

    context: Context
    jobs: dict[str, TrainingJob] = field(default_factory=dict)

    def operations(self) -> dict[str, Operation]:
        """Return the operations by name."""
        return {
            "CreateTrainingJob": self.create,
            "DescribeTrainingJob": lambda params: self.get(params["TrainingJobName"]).describe(),
            "ListTrainingJobs": self.list,
            "StopTrainingJob": self.stop,
        }

    def get(self, name: str) -> TrainingJob:
        """Return a job.

        Raises
        ------
        ServiceError
            If there is none of that name.
        """
        try:
            return self.jobs[name]
        except KeyError:
            raise invalid("Requested resource not found.") from None

    def create(self, params: Params) -> Params:
        """Start a job."""
        name = params["TrainingJobName"]
        self._check(params)
        with self.context.lock:
            if name in self.jobs:
                raise in_use(
                    "Training job names must be unique within an AWS account and region, and a training job with this "
                    f"name already exists ({self.jobs[name].arn})"
                )
            job = self.jobs[name] = TrainingJob(self.context, params)
            self.context.tags.set(job.arn, params.get("Tags"))
        job.start(job.run, job.publish, "training")
        return {"TrainingJobArn": job.arn}

    def _check(self, params: Params) -> None:
        objects.split_uri(params["OutputDataConfig"]["S3OutputPath"])
        if "ResourceConfig" not in params or "StoppingCondition" not in params:
            raise invalid("ResourceConfig and StoppingCondition are required for a training job.")
        default = params["AlgorithmSpecification"]["TrainingInputMode"]
        for channel in params.get("InputDataConfig", ()):
            source = channel["DataSource"].get("S3DataSource")
            name = channel["ChannelName"]
            if source is None:
                raise invalid(f"Channel {name!r} has no S3DataSource; the local cloud reads channels from S3 only.")
            objects.split_uri(source["S3Uri"])
            if source["S3DataType"] == "AugmentedManifestFile":
                if not source.get("AttributeNames"):
                    raise invalid(f"Channel {name!r}: an AugmentedManifestFile needs AttributeNames.")
                if channel.get("InputMode", default) != "Pipe":
                    raise invalid(f"Channel {name!r}: an AugmentedManifestFile needs Pipe input mode.")

    def list(self, params: Params) -> Params:
        """List jobs."""
        summaries = [job.summary() for job in list(self.jobs.values())]
        return page(
            summaries,
            params,
            into="TrainingJobSummaries",
            name="TrainingJobName",
            status="TrainingJobStatus",
            order="Ascending",
        )

    def stop(self, params: Params) -> Params:
        """Ask a job to stop."""
        job = self.get(params["TrainingJobName"])
        with self.context.lock:
            if job.status == "InProgress":
                job.stopping.set()
                job.update(TrainingJobStatus="Stopping")
                job.enter("Stopping")
            elif job.status != "Stopping":
                raise invalid(f"The request was rejected because the training job is in status {job.status}.")
        job.publish()
        return {}
