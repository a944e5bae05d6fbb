"""Step Functions' SageMaker integrations: ``sagemaker:*``, ``sagemaker:*.sync`` and ``aws-sdk:sagemaker*:*``."""

from __future__ import annotations

import base64
import contextlib
import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from menulens.local import ministack_hooks as hooks
from menulens.local.errors import ServiceError
from menulens.local.events import to_milliseconds
from menulens.local.jobs import Job
from menulens.local.service import SageMaker

# Errors that SageMaker's model declares become exception classes of their own; all others its one base class.
_DECLARED = ("ResourceInUse", "ResourceNotFound", "ResourceLimitExceeded", "ConflictException")
_OPTIMIZED_BASE = "AmazonSageMakerException"  # the SDK for Java 1, which the optimized integrations name errors by
_SDK_BASE = "SageMakerException"  # the SDK for Java 2, which aws-sdk integrations name errors by


def error_name(code: str, base: str) -> str:
    """Return the name that a Catch or Retry must match: ``SageMaker.ResourceInUseException``."""
    if code not in _DECLARED:
        return f"SageMaker.{base}"
    return f"SageMaker.{code if code.endswith('Exception') else code + 'Exception'}"


class Integrations:
    """Hands tasks to the service and waits for their jobs without using the processor."""

    def __init__(self, service: SageMaker) -> None:
        self._service = service
        self._jobs: dict[str, tuple[str, str, Callable[[str], Job]]] = {
            "createTrainingJob": ("TrainingJobName", "TrainingJobStatus", service.training.get),
            "createTransformJob": ("TransformJobName", "TransformJobStatus", service.transform.get),
            "createLabelingJob": ("LabelingJobName", "LabelingJobStatus", service.labeling.get),
        }

    def register(self) -> None:
        """Add the integrations to Step Functions."""
        hooks.add_integration("arn:aws:states:::sagemaker:", self.optimized)
        hooks.add_integration("arn:aws:states:::aws-sdk:sagemakerruntime:", self.runtime)
        hooks.add_integration("arn:aws:states:::aws-sdk:sagemaker:", self.sdk)

    def optimized(self, resource: str, params: dict[str, Any]) -> Any:
        """Run ``arn:aws:states:::sagemaker:<action>[.sync]``."""
        action, _, pattern = resource.rpartition(":")[2].partition(".")
        answer = self._call(action, params, _OPTIMIZED_BASE)
        if pattern == "sync":
            return self._wait(action, params)
        metadata = {"HttpStatusCode": 200, "HttpHeaders": {"Content-Type": ["application/x-amz-json-1.1"]}}
        request_id = str(uuid.uuid4())
        return {
            **to_milliseconds(answer),
            "SdkHttpMetadata": metadata,
            "SdkResponseMetadata": {"RequestId": request_id},
        }

    def _wait(self, action: str, params: dict[str, Any]) -> Any:
        if action not in self._jobs:
            raise hooks.execution_error("States.Runtime", f"sagemaker:{action} has no .sync integration.")
        name_key, status_key, get = self._jobs[action]
        job = get(params[name_key])
        with hooks.when_stopped(lambda: self._stop(action, name_key, job.name)):
            job.done.wait()
        described = to_milliseconds(
            self._service.call(f"Describe{action.removeprefix('create')}", {name_key: job.name})
        )
        if described[status_key] != "Completed":
            raise hooks.execution_error("States.TaskFailed", json.dumps(described, ensure_ascii=False))
        return described

    def _stop(self, action: str, name_key: str, name: str) -> None:
        with contextlib.suppress(ServiceError):  # it ended by itself
            self._service.call(f"Stop{action.removeprefix('create')}", {name_key: name})

    def sdk(self, resource: str, params: dict[str, Any]) -> Any:
        """Run ``arn:aws:states:::aws-sdk:sagemaker:<action>``."""
        return _with_iso_times(self._call(resource.rpartition(":")[2], params, _SDK_BASE))

    def runtime(self, resource: str, params: dict[str, Any]) -> Any:
        """Run ``arn:aws:states:::aws-sdk:sagemakerruntime:invokeEndpoint``."""
        action = resource.rpartition(":")[2]
        if action != "invokeEndpoint":
            raise hooks.execution_error("States.Runtime", f"The local cloud has no sagemakerruntime:{action}.")
        body = params.get("Body", "")
        try:
            answer = self._service.endpoints.invoke(
                params["EndpointName"],
                (body if isinstance(body, str) else json.dumps(body)).encode(),
                content_type=params.get("ContentType", ""),
                accept=params.get("Accept", ""),
                custom_attributes=params.get("CustomAttributes", ""),
            )
        except ServiceError as error:
            name = f"SageMakerRuntime.{error.code.removesuffix('Exception')}Exception"
            raise hooks.execution_error(name, error.message) from None
        try:
            text = answer.body.decode("utf-8")
        except UnicodeDecodeError:
            text = base64.b64encode(answer.body).decode()
        return {"Body": text, "ContentType": answer.content_type, "InvokedProductionVariant": answer.variant}

    def _call(self, action: str, params: dict[str, Any], base: str) -> dict[str, Any]:
        operation = action[:1].upper() + action[1:]
        try:
            return self._service.call(operation, params or {})
        except ServiceError as error:
            cause = (
                f"{error.message} (Service: AmazonSageMaker; Status Code: {error.status}; Error Code: {error.code}; "
                f"Request ID: {uuid.uuid4()}; Proxy: null)"
            )
            raise hooks.execution_error(error_name(error.code, base), cause) from None


def _with_iso_times(value: Any) -> Any:
    """Return an answer with timestamps as ISO 8601 text, as aws-sdk integrations give them."""
    if isinstance(value, dict):
        return {
            key: datetime.fromtimestamp(item, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            if isinstance(item, float) and key.endswith(("Time", "Date"))
            else _with_iso_times(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_with_iso_times(item) for item in value]
    return value
