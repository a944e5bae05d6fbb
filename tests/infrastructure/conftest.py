"""The app, synthesized once for all tests here, as the CDK CLI does: with the feature flags of cdk.json."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

import app as deployable
from menulens.core import names
from tests.tools.lint_templates import definitions, resolved

ROOT = Path(__file__).resolve().parents[2]
Template = dict[str, Any]
Find = Callable[[str, str], Template]


@pytest.fixture(scope="session")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cdk.out")
    context = json.loads((ROOT / "cdk.json").read_text())["context"]
    application = cdk.App(outdir=str(folder), context=context)
    deployable.build(application, "local")
    application.synth()
    return folder


@pytest.fixture(scope="session")
def templates(assembly: Path) -> dict[str, Template]:
    """Room to template, with every value resolved to what it may come to in an account."""
    return {
        file.name.removeprefix("menulens-local-").partition(".")[0]: resolved(json.loads(file.read_text()))
        for file in sorted(assembly.glob("*.template.json"))
    }


@pytest.fixture(scope="session")
def machines(assembly: Path) -> dict[str, Template]:
    """Machine to definition."""
    prefix = names.state_machine("local", "label").removesuffix("label")
    return {name.removeprefix(prefix): definition for name, definition in definitions(assembly)}


@pytest.fixture(scope="session")
def resources(templates: dict[str, Template]) -> Callable[[str], dict[str, Template]]:
    """Give every resource of a type: ``room/logical id`` to its properties."""

    def of_type(kind: str) -> dict[str, Template]:
        return {
            f"{room}/{logical_id}": resource.get("Properties", {})
            for room, template in templates.items()
            for logical_id, resource in template["Resources"].items()
            if resource["Type"] == kind
        }

    return of_type
