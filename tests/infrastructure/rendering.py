"""Templates as a deployment would see them: tokens resolved, statements and state machines readable."""

from __future__ import annotations

import hashlib
import json
from typing import Any

ACCOUNT = "111122223333"
REGION = "us-east-1"
_PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Region": REGION,
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
}


def rendered(value: Any) -> Any:
    """Return a template's value with its functions resolved; an attribute becomes ``${Resource.Attribute}``."""
    if isinstance(value, list):
        return [rendered(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        (function, given), *_ = value.items()
        if function == "Ref":
            return _PSEUDO.get(given, f"${{{given}}}")
        if function == "Fn::GetAtt":
            return f"${{{'.'.join(given)}}}"
        if function == "Fn::Join":
            return given[0].join(str(rendered(part)) for part in given[1])
        if function == "Fn::ImportValue":
            return f"${{{rendered(given)}}}"
        if function == "Fn::GetStackOutput":
            return f"${{{rendered(given)}}}"
        if function == "Fn::Sub":
            text = given if isinstance(given, str) else given[0]
            for name, replacement in _PSEUDO.items():
                text = text.replace(f"${{{name}}}", replacement)
            return text
    return {key: rendered(item) for key, item in value.items()}


def definition(template: dict[str, Any]) -> dict[str, Any]:
    """Return the only state machine of a template."""
    (machine,) = (
        resource
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::StepFunctions::StateMachine"
    )
    parsed: dict[str, Any] = json.loads(rendered(machine["Properties"]["DefinitionString"]))
    return parsed


def roles(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return each role's properties, by its description."""
    return {
        rendered(resource["Properties"]["Description"]): rendered(resource["Properties"])
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::IAM::Role"
    }


def statements(role: dict[str, Any]) -> set[str]:
    """Return a role's statements, one line each: ``actions on resources [if condition]``."""
    assert "ManagedPolicyArns" not in role
    (policy,) = role["Policies"]
    return {_line(statement) for statement in policy["PolicyDocument"]["Statement"]}


def states(machine: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return every state of a machine by its name, those inside maps too."""
    found: dict[str, dict[str, Any]] = {}
    for name, state in machine["States"].items():
        found[name] = state
        if "ItemProcessor" in state:
            found |= states(state["ItemProcessor"])
    return found


def resolved(parameters: Any, data: dict[str, Any]) -> Any:
    """Return a state's request for a state's data: ``"key.$": "$.path"`` becomes the value at the path."""
    if isinstance(parameters, list):
        return [resolved(item, data) for item in parameters]
    if not isinstance(parameters, dict):
        return parameters
    answer = {}
    for key, value in parameters.items():
        if key.endswith(".$"):
            answer[key[:-2]] = at(value, data)
        else:
            answer[key] = resolved(value, data)
    return answer


def at(path: str, data: dict[str, Any]) -> Any:
    """Return the value at a JSON path of names alone, or of the one function that requests use."""
    if path.startswith("States.Hash("):
        inner = path.removeprefix("States.Hash(").removesuffix(", 'MD5')")
        return hashlib.md5(str(at(inner, data)).encode()).hexdigest()
    assert path.startswith("$"), path
    value: Any = data
    for name in path.split(".")[1:]:
        value = value[name]
    return value


def _line(statement: dict[str, Any]) -> str:
    assert statement["Effect"] == "Allow"
    assert not set(statement) - {"Sid", "Effect", "Action", "Resource", "Condition"}
    line = f"{_joined(statement['Action'])} on {_joined(statement['Resource'])}"
    if "Condition" in statement:
        line += f" if {json.dumps(statement['Condition'], sort_keys=True)}"
    return line


def _joined(value: str | list[str]) -> str:
    return value if isinstance(value, str) else ", ".join(sorted(value))
