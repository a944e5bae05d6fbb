"""Requests checked against botocore's service model: types, required members, enums, patterns, lengths and ranges.

The SDKs check types and required members before they send; Step Functions and CloudFormation do not, and the SDKs leave
patterns, enums and upper limits to the service. So the service checks all of it.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel, Shape

from menulens.local.errors import invalid

_TYPES: dict[str, tuple[type, ...]] = {
    "structure": (dict,),
    "map": (dict,),
    "list": (list, tuple),
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
}
_SHOWN = 200  # characters of a wrong value that a message repeats


@cache
def service_model() -> ServiceModel:
    """Return botocore's model of SageMaker."""
    return ServiceModel(Loader().load_service_model("sagemaker", "service-2"), "sagemaker")


def operation_model(operation: str) -> OperationModel:
    """Return the model of one operation.

    Raises
    ------
    ServiceError
        If SageMaker has no such operation.
    """
    model = service_model()
    if operation not in model.operation_names:
        raise invalid(f"SageMaker has no operation {operation}.")
    return model.operation_model(operation)


def validate(operation: str, params: dict[str, Any]) -> None:
    """Check a request.

    Raises
    ------
    ServiceError
        A ``ValidationException`` that lists every fault found, worded as AWS words it.
    """
    shape = operation_model(operation).input_shape
    faults: list[str] = []
    if shape is not None:
        _check(shape, params, "", faults)
    if faults:
        count = f"{len(faults)} validation error{'s' if len(faults) > 1 else ''} detected: "
        raise invalid(count + "; ".join(faults))


def _check(shape: Shape, value: Any, where: str, faults: list[str]) -> None:
    expected = _TYPES.get(shape.type_name)
    if expected is not None and (
        not isinstance(value, expected) or (isinstance(value, bool) and shape.type_name not in ("boolean",))
    ):
        _fault(faults, value, where, f"Member must be of type {shape.type_name}, but is {type(value).__name__}")
        return
    if shape.type_name == "structure":
        _check_structure(shape, value, where, faults)
    elif shape.type_name == "list":
        _check_size(shape, len(value), value, where, faults)
        for index, item in enumerate(value):
            _check(shape.member, item, f"{where}.{index + 1}.member", faults)
    elif shape.type_name == "map":
        _check_size(shape, len(value), value, where, faults)
        for key, item in value.items():
            _check(shape.key, key, f"{where}.key", faults)
            _check(shape.value, item, f"{where}.{key}", faults)
    elif shape.type_name == "string":
        _check_string(shape, value, where, faults)
    elif shape.type_name in ("integer", "long", "float", "double"):
        _check_range(shape, value, where, faults)


def _check_structure(shape: Shape, value: dict[str, Any], where: str, faults: list[str]) -> None:
    for name in shape.required_members:
        if value.get(name) is None:
            _fault(faults, None, _inside(where, name), "Member must not be null")
    for name, item in value.items():
        member = shape.members.get(name)
        if member is None:
            known = ", ".join(sorted(shape.members))
            faults.append(f"Unknown member '{_inside(where, name)}'; {shape.name} has: {known}")
        elif item is not None:
            _check(member, item, _inside(where, name), faults)


def _inside(where: str, name: str) -> str:
    wire = name[0].lower() + name[1:]
    return f"{where}.{wire}" if where else wire


def _check_string(shape: Shape, value: str, where: str, faults: list[str]) -> None:
    limits = shape.metadata
    if limits.get("enum") and value not in limits["enum"]:
        _fault(faults, value, where, f"Member must satisfy enum value set: [{', '.join(limits['enum'])}]")
        return
    _check_size(shape, len(value), value, where, faults)
    pattern = limits.get("pattern")
    compiled = _compiled(pattern) if pattern else None
    if compiled is not None and not compiled.fullmatch(value):
        _fault(faults, value, where, f"Member must satisfy regular expression pattern: {pattern}")


def _check_size(shape: Shape, size: int, value: Any, where: str, faults: list[str]) -> None:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and size < least:
        _fault(faults, value, where, f"Member must have length greater than or equal to {least}")
    if most is not None and size > most:
        _fault(faults, value, where, f"Member must have length less than or equal to {most}")


def _check_range(shape: Shape, value: float, where: str, faults: list[str]) -> None:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and value < least:
        _fault(faults, value, where, f"Member must have value greater than or equal to {least}")
    if most is not None and value > most:
        _fault(faults, value, where, f"Member must have value less than or equal to {most}")


def _fault(faults: list[str], value: Any, where: str, constraint: str) -> None:
    shown = "null" if value is None else str(value)
    if len(shown) > _SHOWN:
        shown = shown[:_SHOWN] + "…"
    said = f"Value {shown!r}" if value is not None else "Value null"
    faults.append(f"{said} at '{where}' failed to satisfy constraint: {constraint}")


@cache
def _compiled(pattern: str) -> re.Pattern[str] | None:
    """Compile a Java pattern; None for the few that Python's ``re`` can't read (``\\p{…}``)."""
    try:
        return re.compile(pattern)
    except re.error:
        return None
