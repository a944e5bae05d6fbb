"""``menulens experiment``: one training job outside the state machine, started with the SageMaker SDK."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape

from menulens.cloud import Cloud, connect
from menulens.core import keys, names
from menulens.settings import settings_of
from menulens.storage import Storage, StorageError, is_s3
from menulens.training.candidate import weigh
from menulens.training.gate import EvaluationError
from menulens.training.prepare import LATEST, Place, TrainingError, prepare

# Settings of the SDK, in its own form: it sends no telemetry (a request to a bucket of AWS per call).
SDK_SETTINGS: Final = {
    "SchemaVersion": "1.0",
    "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}},
}


class ExperimentError(Exception):
    """An experiment that can't be started; the message says what is missing."""


def experiment(
    dataset: Annotated[str, typer.Option(help="A dataset's id, its s3://…/<id>/, or latest.")] = LATEST,
    environment: Annotated[
        str, typer.Option("--environment", "-e", help="Settings in config/<environment>.toml.")
    ] = "local",
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="Another value of a setting of training, as in --set epochs=4. May be repeated."),
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="s3:// of another training source; default: the deployed one.")
    ] = None,
    wait: Annotated[bool, typer.Option(help="Wait for the job, and show what the gate would say of it.")] = True,
) -> None:
    """Train once on a dataset, with settings of your own; nothing is registered or deployed."""
    console = Console(highlight=False)
    settings = settings_of(environment)
    cloud = connect(settings)
    try:
        if source is not None and not is_s3(source):
            raise ExperimentError(f"--source {source}: the s3:// of a packed training source is due.")
        values = changed(settings.model_dump(mode="json"), change or [])
        deployed = deployed_training(cloud)
        place = Place(
            environment=environment,
            region=settings.region,
            datasets_bucket=cloud.bucket("datasets"),
            models_bucket=cloud.bucket("models"),
            source_uri=source or deployed["source"],
            image=deployed["image"],
        )
        prepared = prepare(dataset, place, values, Storage(cloud.client("s3")), cloud.client("sagemaker"))
        job = start(cloud, prepared, deployed, values["training"], wait=wait)
        console.print(f"{job.training_job_name}: {job.training_job_status}")
        if job.training_job_status == "Completed":
            weighed = weigh(
                job.training_job_name,
                prepared[keys.DATASET],
                gate=values["gate"],
                group=names.model_package_group(environment),
                storage=Storage(cloud.client("s3")),
                sagemaker=cloud.client("sagemaker"),
            )
            verdict = "would pass the gate" if weighed[keys.PASSED] else "would not pass the gate"
            console.print(f"  {verdict}: {escape(weighed[keys.REASON])}", soft_wrap=True)
            console.print(f"  {weighed['model_data_url']}", soft_wrap=True)
    except (ExperimentError, TrainingError, EvaluationError, StorageError) as error:
        Console(stderr=True, highlight=False).print(f"[red]{escape(str(error))}[/red]", soft_wrap=True)
        raise typer.Exit(1) from None


def changed(values: dict[str, Any], changes: list[str]) -> dict[str, Any]:
    """Return settings with some values of ``training`` replaced, checked as the settings file is.

    Raises
    ------
    ExperimentError
        If a change is not ``key=value``, or names no training setting, or its value is not allowed.
    """
    from pydantic import ValidationError  # noqa: PLC0415

    from menulens.settings import Settings, Training  # noqa: PLC0415

    for one in changes:
        key, sign, text = one.partition("=")
        if not sign or key not in Training.model_fields:
            allowed = ", ".join(sorted(Training.model_fields))
            raise ExperimentError(f"--set {one}: key=value is due; keys: {allowed}")
        try:
            values["training"][key] = json.loads(text)
        except ValueError:
            values["training"][key] = text
    try:
        return Settings.model_validate(values).model_dump(mode="json")
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise ExperimentError(f"--set: {told}") from None


def deployed_training(cloud: Cloud) -> dict[str, Any]:
    """Return role, image, source, metrics and tags of the deployed train state machine: an experiment runs as it runs.

    Raises
    ------
    ExperimentError
        If the machine is not deployed.
    """
    arn = cloud.state_machine_arn("train")
    states = cloud.client("stepfunctions")
    try:
        definition = json.loads(states.describe_state_machine(stateMachineArn=arn)["definition"])
    except states.exceptions.StateMachineDoesNotExist:
        raise ExperimentError(f"{arn} is not deployed. Deploy first: make deploy, or menulens local up") from None
    functions = cloud.client("lambda")
    told: dict[str, Any] = {}
    seen: set[str] = set()
    for state in _states(definition):
        parameters = state.get("Parameters", {})
        if "AlgorithmSpecification" in parameters:
            told["role"] = parameters["RoleArn"]
            told["image"] = parameters["AlgorithmSpecification"]["TrainingImage"]
            told["metrics"] = parameters["AlgorithmSpecification"].get("MetricDefinitions", [])
            told["tags"] = parameters.get("Tags", [])
        resource = state.get("Resource", "")
        function = resource if ":lambda:" in resource else parameters.get("FunctionName")
        if function and function not in seen:
            seen.add(function)
            configuration = functions.get_function_configuration(FunctionName=function)
            variables = configuration.get("Environment", {}).get("Variables", {})
            if "TRAINING_SOURCE" in variables:
                told["source"] = variables["TRAINING_SOURCE"]
    missing = {"role", "image", "source"} - set(told)
    if missing:
        raise ExperimentError(
            f"{names.state_machine(cloud.settings.environment, 'train')}: names no {', '.join(sorted(missing))}"
        )
    return told


def _states(definition: Any) -> Iterator[dict[str, Any]]:
    """Walk every state of a definition, those of nested machines included."""
    if isinstance(definition, dict):
        if definition.get("Type") == "Task":
            yield definition
        for value in definition.values():
            yield from _states(value)
    elif isinstance(definition, list):
        for value in definition:
            yield from _states(value)


def start(
    cloud: Cloud, prepared: dict[str, Any], deployed: dict[str, Any], training: dict[str, Any], *, wait: bool
) -> Any:
    """Start the job with the SDK's ModelTrainer; return its description when it is started or, with ``wait``, over.

    Raises
    ------
    ExperimentError
        If the job failed; the message holds its reason.
    """
    quiet_sdk()
    if cloud.endpoint_url:
        # The SDK makes clients of its own; this variable is how they learn of an endpoint.
        os.environ["AWS_ENDPOINT_URL"] = cloud.endpoint_url
        for name in ("NO_PROXY", "no_proxy"):
            os.environ[name] = ",".join(filter(None, (os.environ.get(name), "127.0.0.1,localhost")))
    from sagemaker.core.helper.session_helper import Session  # noqa: PLC0415 (the SDK takes seconds to import)
    from sagemaker.core.shapes import MetricDefinition, Tag  # noqa: PLC0415
    from sagemaker.core.training.configs import Compute, OutputDataConfig, StoppingCondition  # noqa: PLC0415
    from sagemaker.train import ModelTrainer  # noqa: PLC0415

    trainer = ModelTrainer(
        sagemaker_session=Session(
            boto_session=cloud.session,
            sagemaker_client=cloud.client("sagemaker"),
            default_bucket=cloud.bucket("models"),
            sagemaker_config=SDK_SETTINGS,
        ),
        role=deployed["role"],
        # The SDK adds the moment to the name, so that an experiment never takes the state machine's own name.
        base_job_name=f"{names.prefix(cloud.settings.environment)}-experiment",
        training_image=deployed["image"],
        training_input_mode="Pipe",
        compute=Compute(
            instance_type=training["instance_type"],
            instance_count=1,
            volume_size_in_gb=training["volume_gb"],
        ),
        stopping_condition=StoppingCondition(max_runtime_in_seconds=training["max_hours"] * 3600),
        output_data_config=OutputDataConfig(
            s3_output_path=f"s3://{cloud.bucket('models')}/training", compression_type="GZIP"
        ),
        hyperparameters=hyperparameters(prepared),
        tags=[Tag(key=one["Key"], value=one["Value"]) for one in deployed["tags"]],
    ).with_metric_definitions([MetricDefinition(name=one["Name"], regex=one["Regex"]) for one in deployed["metrics"]])
    trainer.train(input_data_config=[channel(told) for told in prepared["channels"]], wait=False, logs=False)
    job = trainer._latest_training_job
    if wait:
        _wait(job)
    return job.refresh()


def quiet_sdk() -> None:
    """Tell the SDK, before it is imported, what not to do.

    It would ask IAM to simulate whether the role may do all that any training job might: the deployed role, made for
    this one, must not. And it would tell of every step it takes.
    """
    os.environ["SAGEMAKER_VALIDATE_ROLE"] = "false"
    logging.getLogger("sagemaker").setLevel(logging.WARNING)


def hyperparameters(prepared: dict[str, Any]) -> dict[str, str]:
    """Return the job's hyperparameters; the SDK passes texts on as they are.

    The SDK chooses the job's name, so no hyperparameter carries one: training calls its model as the job is called,
    which SageMaker tells it.
    """
    return {
        key: text
        for key, text in prepared["hyperparameters"].items()
        if key not in ("sagemaker_job_name", "model_version")
    }


def channel(told: dict[str, Any]) -> Any:
    """Return a request's channel as the SDK's shape, augmented manifest, RecordIO and Pipe mode included."""
    from sagemaker.core.shapes import Channel, DataSource, S3DataSource, ShuffleConfig  # noqa: PLC0415

    source = told["DataSource"]["S3DataSource"]
    options: dict[str, Any] = {}
    if "AttributeNames" in source:
        options["attribute_names"] = source["AttributeNames"]
    shape: dict[str, Any] = {}
    for name, key in (
        ("content_type", "ContentType"),
        ("compression_type", "CompressionType"),
        ("record_wrapper_type", "RecordWrapperType"),
        ("input_mode", "InputMode"),
    ):
        if key in told:
            shape[name] = told[key]
    if "ShuffleConfig" in told:
        shape["shuffle_config"] = ShuffleConfig(seed=told["ShuffleConfig"]["Seed"])
    return Channel(
        channel_name=told["ChannelName"],
        data_source=DataSource(
            s3_data_source=S3DataSource(
                s3_data_type=source["S3DataType"],
                s3_uri=source["S3Uri"],
                s3_data_distribution_type=source["S3DataDistributionType"],
                **options,
            )
        ),
        **shape,
    )


def _wait(job: Any) -> None:
    with Console(stderr=True).status(f"Training {job.training_job_name}") as shown:
        while job.refresh().training_job_status in ("InProgress", "Stopping"):
            shown.update(f"Training {job.training_job_name}: {job.secondary_status}")
            time.sleep(3)
    if job.training_job_status == "Failed":
        raise ExperimentError(f"{job.training_job_name} failed: {job.failure_reason}")
