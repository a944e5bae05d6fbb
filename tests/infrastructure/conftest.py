"""The app, synthesized once for all tests here, as the CDK CLI does: with the feature flags of cdk.json."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

import app as deployable
from menulens.core import names
from menulens.settings import Settings, settings_of
from tests.tools.apps import UNSTAGED
from tests.tools.lint_templates import definitions, resolved

ROOT = Path(__file__).resolve().parents[2]
Template = dict[str, Any]
Find = Callable[[str, str], Template]


def synthesized(settings: Settings, folder: Path, *, staged: bool = False, **context: str) -> Path:
    flags = json.loads((ROOT / "cdk.json").read_text())["context"]
    application = cdk.App(outdir=str(folder), context={**flags, **({} if staged else UNSTAGED), **context})
    deployable.build(application, settings)
    application.synth()
    return folder


@pytest.fixture(scope="session")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthesized(settings_of("local"), tmp_path_factory.mktemp("cdk.out"))


@pytest.fixture(scope="session")
def of_ground_truth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The app as it is where Ground Truth is the provider."""
    values = settings_of("local").model_dump(mode="json")
    values["labeling"]["provider"] = "ground_truth"
    return synthesized(Settings.model_validate(values), tmp_path_factory.mktemp("ground-truth"))


CERTIFICATE = "arn:aws:acm:us-east-1:111122223333:certificate/0a1b2c3d-0000-0000-0000-000000000000"
LOCAL_ADDRESS = "http://127.0.0.1:8123"


@pytest.fixture(scope="session")
def production(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The app for an account, with a domain of its own, and with a local cloud's address, which it must not take."""
    values = settings_of("production").model_dump(mode="json")
    values["portal"] |= {"domain": "labels.example.com", "certificate_arn": CERTIFICATE}
    folder = tmp_path_factory.mktemp("production")
    return synthesized(Settings.model_validate(values), folder, staged=True, portal_address=LOCAL_ADDRESS)


def templates_in(folder: Path) -> dict[str, Template]:
    return {
        file.name.split("-", 2)[2].partition(".")[0]: resolved(json.loads(file.read_text()))
        for file in sorted(folder.glob("*.template.json"))
    }


@pytest.fixture(scope="session")
def templates(assembly: Path) -> dict[str, Template]:
    """Room to template, with every value resolved to what it may come to in an account."""
    return templates_in(assembly)


@pytest.fixture(scope="session")
def machines(assembly: Path) -> dict[str, Template]:
    """Machine to definition."""
    return machines_in(assembly)


@pytest.fixture(scope="session")
def ground_truth_machines(of_ground_truth: Path) -> dict[str, Template]:
    return machines_in(of_ground_truth)


def machines_in(folder: Path) -> dict[str, Template]:
    prefix = names.state_machine("local", "label").removesuffix("label")
    return {name.removeprefix(prefix): definition for name, definition in definitions(folder)}


@pytest.fixture(scope="session")
def resources(templates: dict[str, Template]) -> Callable[[str], dict[str, Template]]:
    """Give every resource of a type: ``room/logical id`` to its properties."""
    return lambda kind: resources_of(templates, kind)


def resources_of(templates: dict[str, Template], kind: str) -> dict[str, Template]:
    return {
        f"{room}/{logical_id}": resource.get("Properties", {})
        for room, template in templates.items()
        for logical_id, resource in template["Resources"].items()
        if resource["Type"] == kind
    }


@pytest.fixture(scope="session")
def ground_truth_resources(of_ground_truth: Path) -> Callable[[str], dict[str, Template]]:
    found = templates_in(of_ground_truth)
    return lambda kind: resources_of(found, kind)
