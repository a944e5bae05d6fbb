"""``menulens local``: start, look at and end the local cloud."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import boto3
import typer
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from menulens.cloud import LOCAL_ENVIRONMENT, LOCAL_STATE, CloudError
from menulens.core import names
from menulens.local.cloud_state import CloudState
from menulens.local.lifecycle import Deployment, LocalCloudError, cloud_description, start_server, stop
from menulens.portal import context
from menulens.portal import jobs as portal_jobs
from menulens.settings import settings_of

app = typer.Typer(no_args_is_help=True)
_out = Console(highlight=False)
_err = Console(stderr=True, highlight=False)
_FOLLOW_SECONDS = 1.0
_LOG_PAGE = 200
_INTERRUPTED = 130

State = Annotated[
    Path,
    typer.Option(
        "--state",
        envvar="MENULENS_STATE",
        file_okay=False,
        help="Folder that holds everything the local cloud writes.",
    ),
]
Port = Annotated[
    int | None,
    typer.Option(min=1, max=65_535, help="Port of the AWS endpoint; without it 4566, or a free one if that is taken."),
]
WithDeploy = Annotated[bool, typer.Option("--deploy/--no-deploy", help="Whether to deploy the stacks.")]
WithBackbone = Annotated[bool, typer.Option("--backbone/--no-backbone", help="Whether to stage the backbone.")]


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@app.command()
def up(state: State = LOCAL_STATE, port: Port = None, deploy: WithDeploy = True, backbone: WithBackbone = True) -> None:
    """Start the local cloud and deploy the stacks to it; on one that runs, deploy again."""
    began = time.monotonic()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with _progress() as progress:
            description = bring_up(CloudState(state), progress, port=port, deploy=deploy, backbone=backbone)
    except KeyboardInterrupt:
        _err.print("Interrupted; the local cloud is down.")
        raise typer.Exit(_INTERRUPTED) from None
    _out.print(f"The local cloud is up after {time.monotonic() - began:.0f} s.")
    for name, key in (("AWS endpoint", "endpoint_url"), ("labeling page", "labeling_url")):
        _out.print(f"  {name:<14} {description[key]}")
    _out.print("  look at it     menulens local status\n  end it         menulens local down")


def bring_up(
    cloud: CloudState, progress: Progress, *, port: int | None = None, deploy: bool = True, backbone: bool = True
) -> dict[str, Any]:
    """Start a local cloud, deploy to it, and return what ``cloud.json`` says; what can't come up is ended.

    Raises
    ------
    LocalCloudError
        If it does not start, or runs at another port, or a deployment fails.
    KeyboardInterrupt
        If someone interrupts; nothing runs any more then.
    """
    settings = settings_of(LOCAL_ENVIRONMENT)
    fresh = cloud.running() is None or cloud.cloud() is None
    try:
        record = cloud.running()
        if fresh or record is None:
            with _step(progress, "Starting the local cloud"):
                record = start_server(cloud, port=port, region=settings.region)
        elif port not in (None, record.port):
            raise LocalCloudError(f"A local cloud runs at port {record.port} here; end it first: menulens local down")
        deployment = Deployment(cloud, record, settings.region)
        if deploy:
            _deploy(progress, deployment, bootstrap=fresh)
        description = cloud_description(record, settings.region)
        cloud.note_ready(description)
        fresh = False  # what fails from here on is mended by `up` once more; the deployed cloud stays
        if deploy and backbone:
            with _step(progress, f"Staging the backbone {settings.training.backbone}"):
                deployment.stage_backbone(settings.training.backbone)
    except KeyboardInterrupt:
        stop(cloud)
        raise
    except BaseException:
        if fresh:
            _keep_logs_and_stop(cloud)
        raise
    return description


def _keep_logs_and_stop(cloud: CloudState) -> None:
    _err.print(f"Ending the local cloud; its logs stay in {cloud.folder}.")
    stop(cloud)


def _progress() -> Progress:
    return Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=_err
    )  # fmt: skip


class _step:  # noqa: N801 (used as a function)
    """One line of progress, shown as done when the block ends."""

    def __init__(self, progress: Progress, text: str) -> None:
        self._progress = progress
        self.task = progress.add_task(text, total=None)

    def __enter__(self) -> _step:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            total = self._progress.tasks[self.task].total or 1
            self._progress.update(self.task, total=total, completed=total)


def _deploy(progress: Progress, deployment: Deployment, *, bootstrap: bool) -> None:
    with ThreadPoolExecutor(1) as pool:
        bootstrapping = pool.submit(_bootstrap, progress, deployment) if bootstrap else None
        try:
            with _step(progress, "Synthesizing the stacks"):
                stacks = deployment.synthesize()
            if bootstrapping:
                bootstrapping.result()
        except BaseException:
            deployment.cancel()  # the pool's end waits for the bootstrap
            raise
    with _step(progress, f"Deploying {len(stacks)} stacks") as step:
        progress.update(step.task, total=len(stacks))
        deployment.deploy(lambda _: progress.advance(step.task))


def _bootstrap(progress: Progress, deployment: Deployment) -> None:
    with _step(progress, "Bootstrapping the account"):
        deployment.bootstrap()


def _session(description: dict[str, Any]) -> boto3.Session:
    return boto3.Session(
        aws_access_key_id=description["access_key"],
        aws_secret_access_key=description["access_key"],
        region_name=description["region"],
    )


@app.command()
def down(state: State = LOCAL_STATE) -> None:
    """End the local cloud and everything that it started."""
    cloud = CloudState(state)
    ended = stop(cloud)
    _out.print(f"The local cloud is down ({ended} processes ended)." if ended else "No local cloud was up here.")


class _View:
    """Clients of a running local cloud."""

    def __init__(self, cloud: dict[str, Any]) -> None:
        self._session = _session(cloud)
        self._url = cloud["endpoint_url"]

    def client(self, service: str, config: Config | None = None) -> Any:
        own = Config(proxies={})
        return self._session.client(
            service, endpoint_url=self._url, config=config.merge(own) if config is not None else own
        )

    def listed(self, service: str, operation: str, into: str, **params: Any) -> list[Any]:
        pages = self.client(service).get_paginator(operation).paginate(**params)
        return [item for page in pages for item in page[into]]


def _view(state: Path) -> tuple[_View, dict[str, Any]]:
    cloud = CloudState(state)
    description = cloud.cloud()
    if description is None:
        if cloud.running():
            raise CloudError("The local cloud is starting, or its deployment has not ended yet.")
        raise CloudError("No local cloud is up here. Start one: menulens local up")
    return _View(description), description


@app.command()
def status(state: State = LOCAL_STATE) -> None:
    """Show stacks, endpoints, jobs and addresses."""
    view, description = _view(state)
    addresses = Table("what", "address", title="Local cloud", title_justify="left")
    addresses.add_row("AWS endpoint", str(description["endpoint_url"]))
    addresses.add_row("labeling page", str(description["labeling_url"]))
    addresses.add_row("account, region", f"{description['account']}, {description['region']}")
    addresses.add_row("process", str(description["pid"]))
    _out.print(addresses)
    stacks = view.client("cloudformation").describe_stacks()["Stacks"]
    _table("Stacks", ("name", "status"), [(item["StackName"], item["StackStatus"]) for item in stacks])
    endpoints = view.listed("sagemaker", "list_endpoints", "Endpoints")
    _table("Endpoints", ("name", "status"), [(item["EndpointName"], item["EndpointStatus"]) for item in endpoints])
    jobs = _portal_jobs(view, description)
    for kind, operation, into in (
        ("Labeling", "list_labeling_jobs", "LabelingJobSummaryList"),
        ("Training", "list_training_jobs", "TrainingJobSummaries"),
        ("Transform", "list_transform_jobs", "TransformJobSummaries"),
    ):
        for item in view.listed("sagemaker", operation, into):
            counters = item.get("LabelCounters")
            more = f"{counters['TotalLabeled']} labeled, {counters['Unlabeled']} left" if counters else ""
            jobs.append((kind.lower(), item[f"{kind}JobName"], item[f"{kind}JobStatus"], more))
    _table("Jobs", ("kind", "name", "status", ""), jobs)
    states = view.client("stepfunctions")
    executions = [
        (machine["name"], execution["name"], execution["status"])
        for machine in states.list_state_machines()["stateMachines"]
        for execution in states.list_executions(stateMachineArn=machine["stateMachineArn"], maxResults=5)["executions"]
    ]
    _table("Executions (newest 5 of each machine)", ("machine", "execution", "status"), executions)


def _portal_jobs(view: _View, description: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return the labeling portal's jobs; none while no portal is deployed."""
    table = names.labeling_table(LOCAL_ENVIRONMENT)
    if table not in view.listed("dynamodb", "list_tables", "TableNames"):
        return []
    place = LOCAL_ENVIRONMENT, str(description["account"]), str(description["region"])
    answers, labels = (names.bucket(place[0], room, *place[1:]) for room in ("answers", "labels"))
    portal = context.portal_of(
        view, environment=LOCAL_ENVIRONMENT, table=table, answers_bucket=answers, labels_bucket=labels
    )
    rows: list[tuple[str, str, str, str]] = []
    for job in portal_jobs.list_jobs(portal):
        now = portal_jobs.progress(portal, job)
        rows.append(("portal", job.name, job.state, f"{now.done} of {now.total} done, {now.answers} answers"))
    return rows


def _table(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    _out.print(table if rows else f"{title}: none")


@app.command()
def logs(
    what: Annotated[
        str, typer.Argument(help="Part of a job's, endpoint's or function's name; nothing: the server.")
    ] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on showing lines as they come.")] = False,
    state: State = LOCAL_STATE,
) -> None:
    """Show logs: of the server, or of every job, endpoint and function whose name has WHAT in it."""
    if not what:
        _server_log(CloudState(state), follow)
        return
    client = _view(state)[0].client("logs")
    shown: dict[tuple[str, str], str | None] = {}
    found = False
    while True:
        for group, stream in _streams(client, what):
            found = True
            token = shown.get((group, stream))
            shown[group, stream] = _show_stream(client, group, stream, token, announce=(group, stream) not in shown)
        if not follow:
            break
        time.sleep(_FOLLOW_SECONDS)
    if not found:
        raise CloudError(f"No log has {what!r} in its name. Names: menulens local status")


def _streams(client: Any, what: str) -> list[tuple[str, str]]:
    found = []
    for page in client.get_paginator("describe_log_groups").paginate():
        for group in page["logGroups"]:
            name = group["logGroupName"]
            for part in client.get_paginator("describe_log_streams").paginate(logGroupName=name):
                streams = [stream["logStreamName"] for stream in part["logStreams"]]
                found += [(name, stream) for stream in streams if what in name or what in stream]
    return found


def _show_stream(client: Any, group: str, stream: str, token: str | None, *, announce: bool) -> str | None:
    if announce:
        _out.print(f"[bold]{escape(group)} {escape(stream)}[/]")
    while True:
        params = {"nextToken": token} if token else {}
        try:
            page = client.get_log_events(
                logGroupName=group, logStreamName=stream, startFromHead=True, limit=_LOG_PAGE, **params
            )
        except (BotoCoreError, ClientError) as error:
            raise CloudError(f"{group} {stream}: {error}") from None
        for event in page["events"]:
            when = datetime.fromtimestamp(event["timestamp"] / 1000).strftime("%H:%M:%S")
            _out.print(f"{when} {escape(event['message'].rstrip())}", soft_wrap=True)
        if page["nextForwardToken"] == token or not page["events"]:
            return str(page["nextForwardToken"])
        token = page["nextForwardToken"]


def _server_log(cloud: CloudState, follow: bool) -> None:
    if not cloud.server_log.exists():
        raise CloudError(f"There is no log at {cloud.server_log}. Start a local cloud: menulens local up")
    with cloud.server_log.open(encoding="utf-8", errors="replace") as file:
        while True:
            for line in file:
                _out.print(escape(line.rstrip()), soft_wrap=True)
            if not follow:
                return
            time.sleep(_FOLLOW_SECONDS)
