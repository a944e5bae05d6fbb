"""The machine clean, as it deploys: its packaged functions, its definition, a manifest whole and in parts."""

import io
import itertools
import json
import random
import re
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Template

from menulens.core import keys, names
from menulens.core.manifest import DATASET_MARK
from menulens.core.manifest import clean as core_clean
from menulens.labeling import parts
from menulens.local.config import ACCOUNT
from menulens.settings import Settings, settings_of
from menulens.storage import Storage
from stacks import packaging
from stacks.labeling_stack import LabelingStack
from stacks.steps.base import Inputs
from tests.contract.machines.test_labeling_choices import TEAM, Choose
from tests.contract.machines.test_labeling_choices import choose as choose  # noqa: PLC0414
from tests.tools.apps import app_of_templates
from tests.tools.lint_templates import resolved

Client = Callable[[str], Any]
FILES = ("train.manifest", "eval.manifest", "rejects.jsonl", "card.json")
ROLE = f"arn:aws:iam::{ACCOUNT}:role/clean"
PREFIX = "menulens-local-"
LINES = 4_000
PART = 320 << 10
_numbers = itertools.count(1)


def any_line(settings: Settings, photos: str, number: int, label: int, **changes: Any) -> bytes:
    category = settings.categories[label]
    attribute = settings.labeling.label_attribute
    record = {
        "source-ref": f"s3://{photos}/photos/店-{number % 90}/{number}.jpg",
        attribute: label,
        f"{attribute}-metadata": {
            "class-name": category.key,
            "job-name": "labeling-job/menus",
            "confidence": 0.94,
            "type": "groundtruth/image-classification",
            "human-annotated": "yes" if number % 3 else "no",
            "creation-date": "2026-11-20T10:11:12.131415",
        },
        **changes,
    }
    return json.dumps(record, ensure_ascii=number % 7 == 0).encode()


def any_manifest(settings: Settings, photos: str, seed: int = 1) -> bytes:
    """Return good lines and bad ones, doubles and conflicts far apart, and no end to the last line."""
    draw = random.Random(seed)
    categories = range(len(settings.categories))
    lines = [any_line(settings, photos, number, draw.choice(categories)) for number in range(LINES)]
    for number in range(0, LINES, 41):
        lines.append(any_line(settings, photos, number, draw.choice(categories)))  # the same label, or a conflict
    for number in range(60):
        place = f"s3://{photos}/photos/新/{number}.jpg"
        lines += [
            b"{broken",
            b"\xff\xfe",
            json.dumps({"source-ref": place}).encode() + b"\r",
            any_line(settings, "elsewhere", number, 0),
            any_line(settings, photos, LINES + number, 0, **{settings.labeling.label_attribute: 1}),  # re-indexed
        ]
    draw.shuffle(lines)
    return b"\n".join(lines)


class Clean:
    """The machine and its functions on a real Step Functions, Lambda and S3."""

    def __init__(self, client: Client, folder: Path) -> None:
        self.settings = settings_of("local")
        self.states, self.lambdas, self.s3 = client("stepfunctions"), client("lambda"), client("s3")
        self.storage = Storage(self.s3)
        app = app_of_templates()
        checks = cdk.Stack(app, "inputs")
        inputs = Inputs(checks, "Inputs", settings=self.settings)
        stack = LabelingStack(app, "labeling", settings=self.settings, inputs=inputs, team_arn=TEAM)
        found = {
            logical_id: resource
            for one in (checks, stack)
            for logical_id, resource in dict(Template.from_stack(one).to_json())["Resources"].items()
        }
        self.rooms: dict[str, str] = {}
        functions: dict[str, str] = {}
        for logical_id, resource in found.items():
            properties = resource["Properties"]
            if resource["Type"] == "AWS::Lambda::Function":
                functions[logical_id] = self._deploy(properties, folder)
            elif properties.get("StateMachineName") == names.state_machine("local", "clean"):
                definition = resolved(properties["DefinitionString"])

        def function(reference: re.Match[str]) -> str:
            # What refers to a resource, of this stack or of another, holds its logical id.
            (arn,) = (arn for logical_id, arn in functions.items() if logical_id in reference[1])
            return arn

        definition = re.sub(r"arn:aws:states:[^:]*:\d+:stateMachine:(\w+)", function, definition)
        definition = definition.replace("123456789012", ACCOUNT)
        for name in ("photos", "labels", "datasets"):
            self.s3.create_bucket(Bucket=self.rooms[f"{name.upper()}_BUCKET"])
        self.photos, self.labels, self.datasets = (
            self.rooms[f"{name}_BUCKET"] for name in ("PHOTOS", "LABELS", "DATASETS")
        )
        self.machine = self.states.create_state_machine(
            name=names.state_machine("local", "clean"), definition=definition, roleArn=ROLE
        )["stateMachineArn"]

    def _deploy(self, properties: dict[str, Any], folder: Path) -> str:
        name = resolved(properties["FunctionName"])
        step = name.removeprefix(PREFIX).replace("-", "_")
        place = folder / step
        place.mkdir()
        packaging.assemble_lambda(step, self.settings, place)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for file in sorted(place.rglob("*")):
                if file.is_file():
                    archive.write(file, file.relative_to(place).as_posix())
        variables = resolved(properties["Environment"]["Variables"])
        self.rooms |= {key: value for key, value in variables.items() if key.endswith("_BUCKET")}
        created = self.lambdas.create_function(
            FunctionName=name,
            Runtime=properties["Runtime"],
            Role=ROLE,
            Handler=properties["Handler"],
            Code={"ZipFile": buffer.getvalue()},
            Timeout=properties["Timeout"],
            Environment={"Variables": variables},
        )
        return str(created["FunctionArn"])

    def variables(self, step: str, **changes: str) -> None:
        name = f"{PREFIX}{step}"
        known = self.lambdas.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        self.lambdas.update_function_configuration(FunctionName=name, Environment={"Variables": known | changes})

    def divide(self, above: int, part: int = PART) -> None:
        """Set from how many bytes on a manifest is divided, and into what."""
        self.variables("plan-cleaning", ONE_FUNCTION_BYTES=str(above), PART_BYTES=str(part))

    def run(self, manifest: str, **given: Any) -> tuple[dict[str, Any], list[str]]:
        """Return an execution as it ended, and the states that it went through."""
        execution = self.states.start_execution(
            stateMachineArn=self.machine,
            name=f"run-{next(_numbers)}",
            input=json.dumps({"manifest": manifest, "name": "menus", **given}),
        )["executionArn"]
        deadline = time.monotonic() + 120
        while (told := self.states.describe_execution(executionArn=execution))["status"] == "RUNNING":
            assert time.monotonic() < deadline, "still running"
            time.sleep(0.1)
        pages = self.states.get_paginator("get_execution_history").paginate(executionArn=execution)
        entered = [
            event["stateEnteredEventDetails"]["name"]
            for page in pages
            for event in page["events"]
            if "stateEnteredEventDetails" in event
        ]
        return told, entered

    def manifest(self) -> str:
        """Write the manifest; return its place."""
        place = f"s3://{self.labels}/jobs/menus/manifests/output/output.manifest"
        self.storage.write_bytes(place, any_manifest(self.settings, self.photos))
        return place

    def published(self) -> dict[str, bytes]:
        """Return every file of the room of datasets, but for the work in between."""
        found = (item for item in self.storage.list(f"s3://{self.datasets}/"))
        return {
            item.key: self.storage.read_bytes(item.uri) for item in found if not item.key.startswith(parts.WORK_PREFIX)
        }

    def forget(self) -> None:
        for item in list(self.storage.list(f"s3://{self.datasets}/")):
            self.storage.delete(item.uri)


@pytest.fixture(scope="module")
def deployed(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Clean:
    return Clean(client, tmp_path_factory.mktemp("assets"))


@pytest.fixture
def clean(deployed: Clean) -> Clean:
    deployed.forget()
    deployed.divide(parts.ONE_FUNCTION_BYTES)
    return deployed


@pytest.fixture
def manifest(clean: Clean) -> str:
    return clean.manifest()


@pytest.fixture(scope="module")
def whole(deployed: Clean) -> dict[str, bytes]:
    """The dataset that one function makes of the manifest."""
    deployed.forget()
    source, rules = deployed.manifest(), deployed.settings.cleaning_rules(deployed.photos)
    cleaned = core_clean(
        source, rules, f"s3://{deployed.datasets}/{DATASET_MARK}", store=deployed.storage, name="menus"
    )
    published = deployed.published()
    deployed.forget()
    assert {key.partition("/")[0] for key in published} == {cleaned.dataset}
    return published


@pytest.mark.parametrize("reindex", [False, True])
def should_make_the_same_dataset_in_parts_as_in_one_function(clean: Clean, manifest: str, reindex: bool) -> None:
    told, entered = clean.run(manifest, reindex=reindex)
    assert told["status"] == "SUCCEEDED", told
    assert entered[-3:] == ["OneFunctionOrParts", "CleanManifest", "TellDatasetReady"]
    whole, output = clean.published(), json.loads(told["output"])
    assert sorted(whole) == sorted(f"{output['dataset']}/{name}" for name in FILES)
    card = json.loads(whole[f"{output['dataset']}/card.json"])
    assert (card["reindexed"] > 0) is reindex
    assert {"duplicate", "conflict", "unlabeled", "broken-json"} <= set(card["reasons"]), card["reasons"]

    clean.forget()
    clean.divide(above=1 << 20)
    told, entered = clean.run(manifest, reindex=reindex)
    assert told["status"] == "SUCCEEDED", told
    assert [name for name in entered if not name.endswith("Part")] == [
        "CheckInput", "ByJobOrManifest", "PlanCleaning", "OneFunctionOrParts", "ScanParts", "JoinParts", "WriteParts",
        "PublishParts", "TellDatasetReady",
    ]  # fmt: skip
    assert json.loads(told["output"]) == output
    assert clean.published() == whole


def should_start_a_function_for_every_part(clean: Clean, manifest: str) -> None:
    clean.divide(above=1 << 20)
    told, _ = clean.run(manifest)
    runs = clean.states.list_map_runs(executionArn=told["executionArn"])["mapRuns"]
    counts = [clean.states.describe_map_run(mapRunArn=run["mapRunArn"])["itemCounts"] for run in runs]
    expected = -(-clean.storage.size(manifest) // PART)
    assert [(count["succeeded"], count["failed"]) for count in counts] == [(expected, 0)] * 2
    assert expected == 5
    work = [item.key for item in clean.storage.list(f"s3://{clean.datasets}/{parts.WORK_PREFIX}")]
    assert len([key for key in work if "/train-" in key]) == expected


@pytest.mark.parametrize("step", ["scan-part", "join-parts", "write-part", "publish-parts"])
def should_publish_nothing_when_a_step_fails_and_the_same_when_it_is_started_again(
    clean: Clean, manifest: str, whole: dict[str, bytes], step: str
) -> None:
    clean.divide(above=1 << 20)
    clean.lambdas.update_function_configuration(FunctionName=f"{PREFIX}{step}", Handler="gone.handler")
    try:
        told, entered = clean.run(manifest)
    finally:
        clean.lambdas.update_function_configuration(FunctionName=f"{PREFIX}{step}", Handler=packaging.HANDLER)
    assert told["status"] == "FAILED", told
    assert "TellDatasetReady" not in entered
    assert clean.published() == {}

    again, _ = clean.run(manifest)
    assert again["status"] == "SUCCEEDED", again
    assert clean.published() == whole


def should_say_what_is_missing_from_a_dataset_in_parts_and_publish_nothing(clean: Clean) -> None:
    place = f"s3://{clean.labels}/small.manifest"
    lines = [any_line(clean.settings, clean.photos, number, 0) for number in range(200)]
    clean.storage.write_bytes(place, b"\n".join(lines))
    clean.divide(above=1_000, part=20_000)
    told, entered = clean.run(place)
    assert (told["status"], told["error"]) == ("FAILED", "DatasetTooSmallError")
    assert "has 0 photos" in told["cause"]
    assert "JoinParts" in entered
    assert clean.published() == {}


def should_divide_what_is_beyond_one_function(choose: Choose, clean: Clean, manifest: str) -> None:
    def planned(**limits: int) -> dict[str, Any]:
        return {"plan": parts.plan(clean.storage, manifest, "s3://b/unfinished/run-1", **limits)}

    size = clean.storage.size(manifest)
    assert choose("clean", "OneFunctionOrParts", planned()) == "CleanManifest"
    assert choose("clean", "OneFunctionOrParts", planned(one_function_bytes=size)) == "CleanManifest"
    assert choose("clean", "OneFunctionOrParts", planned(one_function_bytes=size - 1)) == "CleanManifest"
    many = planned(one_function_bytes=size - 1, part_bytes=size // 3)
    assert choose("clean", "OneFunctionOrParts", many) == "ScanParts"
    assert many["plan"][keys.COUNT] == len(many["plan"]["parts"]) == 3


def should_fit_the_plan_of_the_largest_manifest_into_a_state(clean: Clean, manifest: str) -> None:
    planned = parts.plan(clean.storage, manifest, "s3://b/unfinished/run-1", one_function_bytes=1, part_bytes=1)
    assert 100 < planned[keys.COUNT] <= parts.MOST_PARTS
    answers = [10**9] * parts.MOST_PARTS
    # Twice the plan: Step Functions hands a state its input and its answer.
    assert len(json.dumps({"plan": planned, "scanned": answers, "written": answers})) < 128 << 10
