"""Lint what would be deployed: every template with cfn-lint, every state machine with two linters of its language.

``python -m tests.tools.lint_templates`` synthesizes (with cdk-nag) and lints; given a folder, it lints what is there.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from statelint.config import Config
from statelint.linter import Linter
from statelint.problem import ProblemType

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
NPM_BIN = ROOT / "node_modules" / ".bin"
# What stands for a value that is known only after deployment; it has the form of an ARN, which is what most are.
PLACES = {
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::AccountId": "123456789012",
    "AWS::URLSuffix": "amazonaws.com",
}

# The language has had a distributed Map's Label since 2022; statelint 3.1 does not know it. (Its rule FLOAT asks for
# 2.0 where the language takes any number.)
UNKNOWN_TO_STATELINT = re.compile(r'Field "Label" not allowed in ')


def resolved(value: Any) -> Any:
    """Return a template's value with each function of CloudFormation replaced by what it may come to."""
    if isinstance(value, list):
        return [resolved(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        (name, argument), *_ = value.items()
        if name == "Ref":
            return PLACES.get(argument, _arn(argument))
        if name == "Fn::Join":
            return argument[0].join(resolved(argument[1]))
        if name == "Fn::Sub" and isinstance(argument, str):
            for place, text in PLACES.items():
                argument = argument.replace(f"${{{place}}}", text)
            return argument
        if name == "Fn::GetAtt":
            return _arn(argument[0] if isinstance(argument, list) else argument)
        if name == "Fn::ImportValue":
            return _arn(str(resolved(argument)))
        if name == "Fn::GetStackOutput":
            return _arn(str(argument))
    return {key: resolved(item) for key, item in value.items()}


def _arn(name: str) -> str:
    return f"arn:aws:states:us-east-1:123456789012:stateMachine:{''.join(filter(str.isalnum, name))}"


def definitions(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name and the definition of every state machine in a folder of templates."""
    for template in sorted(folder.glob("*.template.json")):
        for logical_id, resource in json.loads(template.read_text())["Resources"].items():
            if resource["Type"] == "AWS::StepFunctions::StateMachine":
                properties = resource["Properties"]
                text = resolved(properties["DefinitionString"])
                yield properties.get("StateMachineName", logical_id), json.loads(text)


def lint_state_machine(definition: Path) -> list[str]:
    """Return what the linters find in a state machine."""
    problems = Linter.validate(json.loads(definition.read_text()), Config({ProblemType.FLOAT}))
    found = [problem for problem in problems if not UNKNOWN_TO_STATELINT.match(problem)]
    validator = subprocess.run(
        [NPM_BIN / "asl-validator", "--json-path", str(definition)], capture_output=True, text=True, check=False
    )
    if validator.returncode:
        found.append((validator.stdout + validator.stderr).strip())
    return found


def synthesize(folder: Path) -> None:
    """Synthesize every stack; cdk-nag's findings end it."""
    subprocess.run(
        [
            NPM_BIN / "cdk",
            "synth",
            "--quiet",
            "--no-staging",
            "--context",
            "environment=local",
            "--output",
            str(folder),
        ],
        cwd=ROOT,
        check=True,
    )


def main() -> int:
    """Lint, tell, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="templates that are synthesized already")
    given: Path | None = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as place:
        folder = given or Path(place) / "cdk.out"
        if given is None:
            synthesize(folder)
        templates = sorted(str(template) for template in folder.glob("*.template.json"))
        faults = 0
        if not templates:
            sys.stderr.write(f"{folder}: no templates there.\n")
            return 1
        faults += subprocess.run([BIN / "cfn-lint", *templates], cwd=ROOT, check=False).returncode != 0
        machines = list(definitions(folder))
        for name, definition in machines:
            file = Path(place) / f"{name}.asl.json"
            file.write_text(json.dumps(definition))
            for problem in lint_state_machine(file):
                faults += 1
                sys.stderr.write(f"{name}: {problem}\n")
    sys.stdout.write(f"{len(templates)} templates and {len(machines)} state machines linted; {faults} with faults.\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
