"""CloudFormation resource types of SageMaker: a resource is the service's own operation, called for the stack."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from menulens.local import ministack_hooks as hooks
from menulens.local.errors import ServiceError
from menulens.local.service import SageMaker
from menulens.local.validation import operation_model

_ENDPOINT_WAIT = 600.0


class ResourceError(ValueError):
    """A resource that can't be made, changed or deleted; the message goes into the stack's events."""


@dataclass(frozen=True)
class ResourceType:
    """How one resource type maps to the service's operations.

    Attributes
    ----------
    name_key, arn_key
        Members of the request and of the answer.
    ref_is_arn
        Whether ``Ref`` gives the ARN; the name otherwise.
    update
        Operation that changes it in place; None: every change replaces it.
    updatable
        Properties that ``update`` takes; a change of any other replaces it.
    attributes
        More ``Fn::GetAtt`` names, taken from the description.
    """

    kind: str
    name_key: str
    arn_key: str
    ref_is_arn: bool = True
    update: str | None = None
    updatable: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    longest_name: int = 63
    wrapped: str | None = None


RESOURCE_TYPES = (
    ResourceType(
        "Workforce", "WorkforceName", "WorkforceArn", ref_is_arn=False, update="UpdateWorkforce",
        updatable=("SourceIpConfig",), attributes=("SubDomain",), wrapped="Workforce",
    ),
    ResourceType(
        "Workteam", "WorkteamName", "WorkteamArn", update="UpdateWorkteam",
        updatable=("MemberDefinitions", "Description", "NotificationConfiguration"), wrapped="Workteam",
    ),
    ResourceType("ModelPackageGroup", "ModelPackageGroupName", "ModelPackageGroupArn", attributes=("CreationTime",)),
    ResourceType("Model", "ModelName", "ModelArn"),
    ResourceType("EndpointConfig", "EndpointConfigName", "EndpointConfigArn"),
    ResourceType(
        "Endpoint", "EndpointName", "EndpointArn", update="UpdateEndpoint", updatable=("EndpointConfigName",)
    ),
)  # fmt: skip


class Resources:
    """Registers the resource types."""

    def __init__(self, service: SageMaker) -> None:
        self._service = service

    def register(self) -> None:
        """Add every type to CloudFormation."""
        for kind in RESOURCE_TYPES:
            hooks.add_resource_type(
                f"AWS::SageMaker::{kind.kind}",
                create=self._create(kind),
                update=self._update(kind),
                delete=self._delete(kind),
            )

    def _create(self, kind: ResourceType) -> hooks.CreateResource:
        def create(logical_id: str, props: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
            name = props.get(kind.name_key) or physical_name(stack, logical_id, kind.longest_name)
            self._call(f"Create{kind.kind}", self._request(f"Create{kind.kind}", {**props, kind.name_key: name}))
            return self._settled(kind, name)

        return create

    def _update(self, kind: ResourceType) -> hooks.UpdateResource:
        def update(
            physical_id: str, old: dict[str, Any], new: dict[str, Any], stack: str
        ) -> tuple[str, dict[str, Any]]:
            name = physical_id.rpartition("/")[2]
            changed = {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
            in_place = set(kind.updatable) | {"Tags"}
            if changed - in_place or (kind.update is None and changed - {"Tags"}):
                return self._replace(kind, name, changed, new, stack)
            if changed & set(kind.updatable) and kind.update:
                wanted = {key: new[key] for key in kind.updatable if key in new}
                self._call(kind.update, self._request(kind.update, {**wanted, kind.name_key: name}))
            if "Tags" in changed:
                self._service.context.tags.set(self._arn(kind, name), new.get("Tags"))
            return self._settled(kind, name)

        return update

    def _replace(
        self, kind: ResourceType, name: str, changed: set[str], new: dict[str, Any], stack: str
    ) -> tuple[str, dict[str, Any]]:
        """Make the resource anew: under its new name beside the old one, under the same name in its place."""
        wanted = new.get(kind.name_key)
        if wanted == name:
            raise ResourceError(
                f"CloudFormation cannot update a stack when a custom-named resource requires replacing. Rename {name} "
                f"and update the stack again (changed: {', '.join(sorted(changed))})."
            )
        fresh = wanted or physical_name(stack, f"{name}-{sorted(changed)}-{new}", kind.longest_name)
        self._call(f"Create{kind.kind}", self._request(f"Create{kind.kind}", {**new, kind.name_key: fresh}))
        made = self._settled(kind, fresh)
        self._delete(kind)(name, {})
        return made

    def _delete(self, kind: ResourceType) -> hooks.DeleteResource:
        def delete(physical_id: str, _props: dict[str, Any]) -> None:
            name = physical_id.rpartition("/")[2]
            try:
                self._service.call(f"Delete{kind.kind}", {kind.name_key: name})
            except ServiceError as error:
                gone = "does not exist" in error.message or "Could not find" in error.message
                if not gone:
                    raise ResourceError(f"{error.code}: {error.message}") from None

        return delete

    def _settled(self, kind: ResourceType, name: str) -> tuple[str, dict[str, Any]]:
        """Return the physical id and the attributes of a resource that is ready."""
        if kind.kind == "Endpoint":
            self._await_endpoint(name)
        described = self._call(f"Describe{kind.kind}", {kind.name_key: name})
        if kind.wrapped:
            described = described[kind.wrapped]
        arn = described[kind.arn_key]
        attributes = {
            key: described[key] for key in (kind.name_key, kind.arn_key, *kind.attributes) if key in described
        }
        return (arn if kind.ref_is_arn else name), attributes

    def _await_endpoint(self, name: str) -> None:
        endpoint = self._service.endpoints.get(name)
        ended = self._service.context.ending
        waited = 0.0
        while endpoint.record["EndpointStatus"] in ("Creating", "Updating") and waited < _ENDPOINT_WAIT:
            if ended.wait(0.2):
                break
            waited += 0.2
        if endpoint.record["EndpointStatus"] != "InService" or endpoint.record.get("FailureReason"):
            raise ResourceError(f"Endpoint {name}: {endpoint.record.get('FailureReason', 'it did not come up.')}")

    def _arn(self, kind: ResourceType, name: str) -> str:
        described = self._call(f"Describe{kind.kind}", {kind.name_key: name})
        return str((described[kind.wrapped] if kind.wrapped else described)[kind.arn_key])

    def _call(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._service.call(operation, params)
        except ServiceError as error:
            raise ResourceError(f"{error.code}: {error.message}") from None

    def _request(self, operation: str, props: dict[str, Any]) -> dict[str, Any]:
        """Return the request that properties stand for: typed as the operation wants (templates carry text)."""
        shape = operation_model(operation).input_shape
        typed: dict[str, Any] = _typed(
            shape, {key: _renamed(value) for key, value in props.items() if value is not None}
        )
        return typed


def physical_name(stack: str, logical_id: str, longest: int) -> str:
    """Return a generated name, the same for the same stack and logical id."""
    suffix = hashlib.sha256(f"{stack}/{logical_id}".encode()).hexdigest()[:12].upper()
    base = "".join(char if char.isalnum() or char == "-" else "-" for char in f"{stack}-{logical_id}")
    return f"{base[: longest - len(suffix) - 1].rstrip('-')}-{suffix}"


def _typed(shape: Any, value: Any) -> Any:
    """Return a template's value in the type that the request's shape has."""
    if shape.type_name == "structure" and isinstance(value, dict):
        spelled = {key if key in shape.members else _MEMBER_OF.get(key, key): item for key, item in value.items()}
        return {
            key: _typed(shape.members[key], item) if key in shape.members else item for key, item in spelled.items()
        }
    if shape.type_name == "list" and isinstance(value, list):
        return [_typed(shape.member, item) for item in value]
    if shape.type_name == "map" and isinstance(value, dict):
        return {key: _typed(shape.value, item) for key, item in value.items()}
    converter = _CONVERTERS.get(shape.type_name)
    return converter(value) if converter and isinstance(value, str) else value


# Properties whose member of the request has another name (AWS::SageMaker::Workteam CognitoMemberDefinition).
_MEMBER_OF = {"CognitoUserPool": "UserPool", "CognitoUserGroup": "UserGroup", "CognitoClientId": "ClientId"}


def _renamed(value: Any) -> Any:
    """Return a template's value with the members that CloudFormation spells otherwise as the API spells them."""
    if isinstance(value, dict):
        return {_RENAMED.get(key, key): _renamed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item) for item in value]
    return value


# Members of a work team's definitions; every other property has the API's name.
_RENAMED = {
    "CognitoClientId": "ClientId",
    "CognitoUserGroup": "UserGroup",
    "CognitoUserPool": "UserPool",
    "OidcGroups": "Groups",
}
_CONVERTERS: dict[str, Callable[[str], Any]] = {
    "integer": int,
    "long": int,
    "float": float,
    "double": float,
    "boolean": lambda text: text.lower() == "true",
}
