"""Run the whole chain on this machine: start one ``label`` execution, answer as people do, watch the rest happen."""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)  # fmt: skip
from rich.text import Text

from demo import own, pictures
from demo.annotators import FAULTLESS, HABITS, Annotator, annotators, answer_all, invitations
from demo.collect import Labels, collect
from demo.labeling import Owner, began, output_manifest, shown_truth
from demo.report import Outcome, Person, Stage
from demo.watch import POLL_SECONDS, Execution, Look, StageError, Watcher
from menulens.cli import local
from menulens.cloud import LOCAL_ENVIRONMENT, LOCAL_STATE, Cloud, connect
from menulens.core import keys
from menulens.local.cloud_state import CloudState
from menulens.local.lifecycle import stop
from menulens.settings import Settings, settings_of
from menulens.storage import Storage, join

NEEDED_GIB = 3.0
JOB_ENDED = ("complete", "stopped")
PATIENCE = {"label": 900.0, "clean": 300.0, "train": 1200.0, "deploy": 300.0, "vectorise": 600.0}

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


@dataclass
class Run:
    """One run of the demo."""

    state: Path = LOCAL_STATE
    count: int = 800
    photos: own.OwnPhotos | None = None
    began: float = field(default_factory=time.monotonic)
    stages: list[Stage] = field(default_factory=list)

    def preflight(self) -> None:
        """Find out before anything starts what would stop the run later.

        Raises
        ------
        StageError
            If a program or disk space is missing.
        """
        if shutil.which("node") is None:
            raise StageError("preflight: Node.js 20 or newer is needed on PATH; it deploys the stacks.")
        if not (pictures.PROJECT / "node_modules" / ".bin" / "cdk").exists():
            raise StageError("preflight: the packages of package.json are missing. Install them: make setup")
        free = shutil.disk_usage(Path.cwd()).free / 2**30
        if free < NEEDED_GIB:
            raise StageError(f"preflight: {free:.1f} GiB of disk are free here; {NEEDED_GIB:.0f} are needed.")

    @contextmanager
    def stage(self, name: str, detail: str = "") -> Iterator[None]:
        """Note when a stage began and how long it took."""
        start = time.monotonic()
        yield
        self._keep(Stage(name, start - self.began, time.monotonic() - start, detail))

    def note(self, name: str, began: datetime, ended: datetime, detail: str = "") -> None:
        """Note a stage by the clock of the cloud."""
        zero = datetime.now(UTC) - timedelta(seconds=time.monotonic() - self.began)
        start = max(0.0, (began - zero).total_seconds())
        self._keep(Stage(name, start, max(0.0, (ended - began).total_seconds()), detail))

    def _keep(self, stage: Stage) -> None:
        """Keep a stage; where no bars move, in a log, a line tells that it is over."""
        self.stages.append(stage)
        if not out.is_terminal:
            out.print(f"  {stage.name}: {stage.seconds:.0f} s; {stage.detail}".rstrip("; "))

    def execute(self) -> Outcome:
        """Run the chain from pictures to vectors.

        Raises
        ------
        StageError
            If a stage fails.
        """
        self.preflight()
        ended = stop(CloudState(self.state))  # what an earlier run left would be taken for this one's
        if ended:
            err.print(f"A local cloud was up in {self.state}; it was ended ({ended} processes).")
        with self._making() as making, _bars() as bars:
            with self.stage("deploy the stacks", "CDK CLI, local cloud"):
                local.bring_up(CloudState(self.state), bars)
            files, truth = self._pictures(making, bars)
        cloud = connect(settings_of(LOCAL_ENVIRONMENT))
        with _bars() as bars:
            self._upload(cloud, files, bars)
            return self._chain(cloud, files, truth, bars)

    def _making(self) -> AbstractContextManager[pictures.Making | None]:
        """Begin to make pictures, in processes that draw while the cloud comes up; own photos need none."""
        return nullcontext() if self.photos else pictures.Making(self.state / "demo" / "pictures", self.count)

    def _pictures(self, making: pictures.Making | None, bars: Progress) -> tuple[dict[str, Path], dict[str, str]]:
        """Return key to file, and key to what it shows."""
        if making is None:
            assert self.photos is not None
            return self.photos.files, self.photos.answers
        task = bars.add_task("making the last pictures", total=self.count)
        with self.stage("make the last pictures", "most were made meanwhile"):
            made = making.finish(lambda done, total: bars.update(task, completed=done, total=total))
        bars.update(task, completed=self.count, total=self.count)
        # A file cut off in its pixels passes for a photo until someone looks: a person would turn it away.
        truth = {one.key: one.category or own.NOT_FOR_TRAINING for one in made}
        return {one.key: making.folder / one.key for one in made}, truth

    def _upload(self, cloud: Cloud, files: dict[str, Path], bars: Progress) -> None:
        client, bucket = cloud.client("s3"), cloud.bucket("photos")
        task = bars.add_task("uploading photos", total=len(files), doing="")

        def put(item: tuple[str, Path]) -> None:
            key, path = item
            kind = "image/png" if path.suffix.lower() == ".png" else "image/jpeg"
            client.put_object(Bucket=bucket, Key=key, Body=path.read_bytes(), ContentType=kind)
            bars.advance(task)

        with self.stage("upload photos"), ThreadPoolExecutor(4) as pool:
            list(pool.map(put, files.items()))

    def _chain(self, cloud: Cloud, files: dict[str, Path], truth: dict[str, str], bars: Progress) -> Outcome:
        settings = cloud.settings
        since = datetime.now(UTC) - timedelta(seconds=2)
        watcher = Watcher(cloud, since, self.state)
        cloud.client("stepfunctions").start_execution(
            stateMachineArn=cloud.state_machine_arn("label"), input=json.dumps({"photos": settings.photos.prefix})
        )
        people, job, owner = self._label(watcher, since, truth, bars)
        ended = datetime.now(UTC)
        label = self._wait(watcher, "label", "label: the execution ends", Look, bars)
        effort = owner.effort(job["job"])
        self.note("labeling", began(job), ended, f"{effort.answers:,} answers" if people else "by hand")
        clean = self._wait(watcher, "clean", "cleaning", Look, bars)
        self.note("cleaning", clean.began, clean.ended, _dataset_of(clean, label))
        training = settings.training
        epochs = training.head_epochs + training.epochs
        train = self._wait(watcher, "train", "training", lambda: watcher.training(epochs), bars)
        trained = watcher.training_job()
        assert trained is not None
        ended = trained.get("TrainingEndTime") or trained["LastModifiedTime"]
        self.note("training", train.began, ended, f"{training.backbone}, {epochs} epochs")
        self.note("judging, registering", ended, train.ended, "gate, model package")
        if not watcher.executions("deploy") and not train.output.get(keys.PASSED, True):
            raise StageError(f"train: the gate turned the model away: {train.output.get(keys.REASON)}")
        deploy = self._wait(watcher, "deploy", "deploying the model", watcher.serving, bars)
        self.note("deploying the model", deploy.began, deploy.ended, "endpoint, smoke test")
        vectorise = self._wait(watcher, "vectorise", "vectorising", watcher.vectorising, bars)
        self.note("vectorising", vectorise.began, vectorise.ended, "Batch Transform")
        reading = bars.add_task("reading the outcome", total=None, doing="")
        with self.stage("search, report"):
            dataset = _dataset_of(clean, label)
            outcome = collect(
                cloud,
                labels=Labels(job["job"], output_manifest(cloud, job["job"]), settings.labeling.label_attribute),
                effort=effort,
                dataset_uri=f"s3://{cloud.bucket('datasets')}/{dataset}/",
                training_job=trained["TrainingJobName"],
                stages=self.stages,
                people=[
                    Person(one.email, one.answered, one.wrong, one.habits.error_rate)
                    for one in people
                    if self.photos is None
                ],
                truth=truth,
                read=lambda key: files[key].read_bytes(),
                photos=len(files),
                composed=self.photos is None,
                labeled_by=f"{len(people)} scripted annotators"
                if self.photos is None
                else "the names of their folders"
                if truth
                else "hand",
            )
        bars.update(reading, total=1, completed=1)
        return outcome

    def _wait(self, watcher: Watcher, machine: Any, title: str, look: Callable[[], Look], bars: Progress) -> Execution:
        task = bars.add_task(title, total=None, doing="")

        def tell(seen: Look) -> None:
            bars.update(task, total=seen.total, completed=seen.done, doing=seen.doing)

        execution = watcher.wait(machine, look, tell, PATIENCE[machine])
        bars.update(task, total=1, completed=1, doing="done")
        return execution

    def _label(
        self, watcher: Watcher, since: datetime, truth: dict[str, str], bars: Progress
    ) -> tuple[list[Annotator], dict[str, Any], Owner]:
        """Answer until the labeling job has ended: by script, or let the person do it."""
        settings = watcher.cloud.settings
        task = bars.add_task("labeling", total=None, doing="looking through the photos")
        description = _cloud_of(self.state)
        url, passwords = description["labeling_url"], invitations(description["endpoint_url"])
        if not settings.labeling.owners or settings.labeling.owners[0].lower() not in passwords:
            raise StageError("labeling: no owner was invited; name one in labeling.owners of config/local.toml.")
        name = settings.labeling.owners[0]
        owner = Owner.come_in(url, name, passwords[name.lower()], since)
        while (job := owner.job()) is None:
            if (failure := watcher.failed("label")) is not None:
                raise StageError(failure)
            time.sleep(POLL_SECONDS)
        if not truth:
            self._invite(url, passwords, settings)
        people: list[Annotator] = []
        leave = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            following = pool.submit(_follow, owner, leave, bars, task, "waiting for you" if not truth else "answering")
            try:
                if truth:
                    people = annotators(list(settings.labeling.members), habits=FAULTLESS if self.photos else HABITS)
                    bars.update(task, total=job["total"], completed=0, doing=f"{len(people)} annotators answer")
                    answer_all(
                        people,
                        passwords=passwords,
                        portal_url=url,
                        job=job["job"],
                        truth=shown_truth(watcher.cloud, job["job"], truth),
                        finished=following.done,
                        progress=lambda _: None,
                    )
                ended = following.result()
            finally:
                leave.set()
        bars.update(task, total=job["total"] or 1, completed=job["total"] or 1, doing="done")
        return people, ended, owner

    def _invite(self, url: str, passwords: Mapping[str, str], settings: Settings) -> None:
        """Show a person where to label, and how to come in."""
        lines = [f"Please label your photos at [bold]{url}[/]", ""]
        lines += [
            f"sign in as  {member}\npassword    {escape(passwords.get(member.lower(), 'already changed'))}"
            for member in (*settings.labeling.members[:2], *settings.labeling.owners[:1])
        ]
        lines.append(
            "\nThe first sign-in asks for a password of your own. The last one is the owner: "
            f"{url}/owner.html shows how it goes.\nThe chain goes on when the last photo is done."
        )
        err.print(Panel("\n".join(lines), title="your turn", expand=False))
        import webbrowser  # noqa: PLC0415 (only here is a browser opened)

        if sys.stdin.isatty():
            webbrowser.open(url)


def _follow(owner: Owner, leave: threading.Event, bars: Progress, task: TaskID, doing: str) -> dict[str, Any]:
    """Look at the labeling job until it has ended, or until told to leave; return it as it was then."""
    job: dict[str, Any] = {}
    while not leave.wait(2 * POLL_SECONDS):  # each look is work for the API that people wait for
        job = owner.job() or job
        if job.get("state") in JOB_ENDED:
            break
        if job:
            text = f"{doing}, {job['answers']:,} answers"
            bars.update(task, total=job["total"], completed=job["done"], doing=text)
    return job


def _dataset_of(clean: Execution, label: Execution) -> str:
    dataset = clean.output.get(keys.DATASET) or label.output.get("cleaned", {}).get(keys.DATASET)
    if not dataset:
        raise StageError(f"clean: its execution {clean.arn} names no dataset in its output: {clean.output}")
    return str(dataset)


def _cloud_of(state: Path) -> dict[str, Any]:
    answer: dict[str, Any] = Storage().read_json(join(str(state), "cloud.json"))
    return answer


class _Doing(ProgressColumn):
    """What a running stage is doing, if it says so."""

    def render(self, task: Task) -> Text:
        """Return the last column of a task."""
        return Text(str(task.fields.get("doing", "")), style="dim")


def _bars() -> Progress:
    return Progress(
        SpinnerColumn(), TextColumn("{task.description:<28}"), BarColumn(bar_width=30), TimeElapsedColumn(),
        _Doing(), console=err, refresh_per_second=4,
    )  # fmt: skip
