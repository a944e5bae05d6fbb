"""State-change events, in the shapes that AWS's page "Events that SageMaker AI sends to EventBridge" gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Put = Callable[[str, str, list[str], dict[str, Any]], None]

SOURCE = "aws.sagemaker"


def to_milliseconds(value: Any) -> Any:
    """Return a description with every timestamp (a float, in seconds) as whole milliseconds, as events carry them."""
    if isinstance(value, dict):
        return {
            key: int(item * 1000) if key.endswith("Time") and isinstance(item, float) else to_milliseconds(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [to_milliseconds(item) for item in value]
    return value


class Events:
    """Publishes events; ``put`` takes source, detail type, resources and detail."""

    def __init__(self, put: Put) -> None:
        self._put = put

    def job(self, kind: str, arn: str, description: dict[str, Any], tags: dict[str, str]) -> None:
        """Publish a training or transform job's state: its whole description, with its tags."""
        detail = {**to_milliseconds(description), "Tags": tags}
        self._put(SOURCE, f"SageMaker {kind} Job State Change", [arn], detail)

    def labeling_job(self, arn: str, status: str) -> None:
        """Publish a labeling job's state; the ARN stands in ``resources``, the status alone in ``detail``."""
        detail = {"LabelingJobStatus": status}
        self._put(SOURCE, "SageMaker Ground Truth Labeling Job State Change", [arn], detail)

    def endpoint(self, arn: str, description: dict[str, Any], tags: dict[str, str]) -> None:
        """Publish an endpoint's state, which events spell in capitals (``IN_SERVICE``)."""
        detail = {**to_milliseconds(description), "Tags": tags}
        detail["EndpointStatus"] = ENDPOINT_EVENT_STATUS.get(detail["EndpointStatus"], detail["EndpointStatus"])
        self._put(SOURCE, "SageMaker Endpoint State Change", [arn], detail)

    def model(self, arn: str, description: dict[str, Any], tags: dict[str, str]) -> None:
        """Publish that a model was created or deleted."""
        self._put(SOURCE, "SageMaker Model State Change", [arn], {**to_milliseconds(description), "Tags": tags})

    def model_package(self, arn: str, description: dict[str, Any]) -> None:
        """Publish a model package's state or approval."""
        self._put(SOURCE, "SageMaker Model Package State Change", [arn], to_milliseconds(description))


ENDPOINT_EVENT_STATUS = {
    "Creating": "CREATING",
    "Updating": "UPDATING",
    "SystemUpdating": "SYSTEM_UPDATING",
    "RollingBack": "ROLLING_BACK",
    "InService": "IN_SERVICE",
    "OutOfService": "OUT_OF_SERVICE",
    "Deleting": "DELETING",
    "Failed": "FAILED",
    "UpdateRollbackFailed": "UPDATE_ROLLBACK_FAILED",
}
