"""The stacks of train, deploy and vectorise, synthesized once a run for each kind of environment."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Literal

import aws_cdk as cdk
from aws_cdk.assertions import Template

from menulens.settings import Settings, load_settings
from stacks.serving_stack import ServingStack
from stacks.similarity_stack import SimilarityStack
from stacks.steps.base import Inputs, in_region
from stacks.training_stack import TrainingStack
from tests.tools.apps import app_of_templates

ROOT = Path(__file__).resolve().parents[2]
Kind = Literal["small", "large"]
Stack = Literal["training", "serving", "similarity"]


def any_settings(kind: Kind) -> Settings:
    """Return one instance and automatic approval (small), or two to four and approval by a person (large)."""
    values = load_settings(ROOT / "config" / "local.toml").model_dump(mode="json")
    values["environment"] = "test"
    large = kind == "large"
    values["serving"] |= {"min_instances": 2 if large else 1, "max_instances": 4 if large else 1}
    values["gate"]["approval"] = "manual" if large else "automatic"
    return Settings.model_validate(values)


@cache
def templates(kind: Kind) -> dict[Stack, dict[str, Any]]:
    """Return the template of each stack."""
    flags = {"@aws-cdk/aws-iam:minimizePolicies": True, "@aws-cdk/core:stackRelativeExports": True}
    app = app_of_templates(**flags)
    settings = any_settings(kind)
    inputs = Inputs(cdk.Stack(app, "inputs", env=in_region(settings)), "Inputs", settings=settings)
    training = TrainingStack(app, "training", settings=settings, inputs=inputs)
    serving = ServingStack(app, "serving", settings=settings, inputs=inputs)
    similarity = SimilarityStack(app, "similarity", settings=settings, inputs=inputs, model_role=serving.model_role)
    return {
        "training": dict(Template.from_stack(training).to_json()),
        "serving": dict(Template.from_stack(serving).to_json()),
        "similarity": dict(Template.from_stack(similarity).to_json()),
    }
