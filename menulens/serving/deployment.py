"""What the endpoint is made of, and what must happen so that it serves a given model."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from botocore.exceptions import ClientError

from menulens.core import keys, names
from menulens.training import registry

VARIANT: Final = "AllTraffic"
LARGEST_BATCH: Final = 32

# TensorFlow Serving joins requests that arrive within 5 ms into one pass of the model: on a GPU a pass of 32 photos
# costs little more than a pass of one. Four Python workers, one a core of an xlarge, keep base64 and JSON from holding
# up the model.
CONTAINER_ENVIRONMENT: Final[dict[str, str]] = {
    "SAGEMAKER_TFS_ENABLE_BATCHING": "true",
    "SAGEMAKER_TFS_MAX_BATCH_SIZE": str(LARGEST_BATCH),
    "SAGEMAKER_TFS_BATCH_TIMEOUT_MICROS": "5000",
    "SAGEMAKER_TFS_NUM_BATCH_THREADS": "2",
    "SAGEMAKER_TFS_MAX_ENQUEUED_BATCHES": "128",
    "SAGEMAKER_GUNICORN_WORKERS": "4",
    "SAGEMAKER_GUNICORN_TIMEOUT_SECONDS": "120",
}

Action = Literal["create", "update", "keep", "wait", "replace"]
_CHANGING: Final = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})


class DeploymentError(Exception):
    """A model that can't be deployed; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Names:
    """Names of the SageMaker model and endpoint configuration; the same content has the same names."""

    model: str
    config: str


def resource_names(environment: str, package: registry.Package, serving: Mapping[str, Any]) -> Names:
    """Return the names that a package's model and its endpoint configuration have in an environment."""
    model = _digest(package.arn, package.model_data_url, package.image, CONTAINER_ENVIRONMENT)
    # A number that auto scaling looks after is no matter of the configuration.
    scaled = serving["max_instances"] > serving["min_instances"]
    config = _digest(model, serving["instance_type"], None if scaled else serving["min_instances"])
    start = f"{names.prefix(environment)}-v{package.version}"
    return Names(f"{start}-{model}", f"{start}-{config}")


def approved(sagemaker: Any, arn: str, environment: str) -> registry.Package:
    """Return a package of this environment's group that is approved.

    Raises
    ------
    DeploymentError
        If it is another group's, or is not approved.
    """
    group = names.model_package_group(environment)
    if f":model-package/{group}/" not in arn:
        raise DeploymentError(f"model_package: {arn} is not in this environment's group {group}.")
    package = registry.describe(sagemaker, arn)
    if package.status != registry.APPROVED:
        raise DeploymentError(
            f"model_package: {arn} is {package.status}. Approve it in the model registry: that starts deploy by itself."
        )
    return package


def serving_package(sagemaker: Any, environment: str) -> registry.Package | None:
    """Return the package behind the endpoint; none without an endpoint, or where ``deploy`` did not make it."""
    try:
        told = sagemaker.describe_endpoint(EndpointName=names.endpoint(environment))
        config = told.get("EndpointConfigName", "")
        version = re.fullmatch(rf"{re.escape(names.prefix(environment))}-v(\d+)-[0-9a-f]{{10}}", config)
        if version is None:
            return None
        registered = f"model-package/{names.model_package_group(environment)}/{version[1]}"
        arn = told["EndpointArn"].rpartition("endpoint/")[0] + registered
        return registry.describe(sagemaker, arn)
    except ClientError as error:
        if registry.is_missing(error):
            return None
        raise


def model_exists(sagemaker: Any, name: str) -> bool:
    """Tell whether a SageMaker model of this name is there."""
    try:
        sagemaker.describe_model(ModelName=name)
    except ClientError as error:
        if registry.is_missing(error):
            return False
        raise
    return True


def config_exists(sagemaker: Any, name: str) -> bool:
    """Tell whether an endpoint configuration of this name is there."""
    try:
        sagemaker.describe_endpoint_config(EndpointConfigName=name)
    except ClientError as error:
        if registry.is_missing(error):
            return False
        raise
    return True


def prepare(arn: str, environment: str, settings: Mapping[str, Any], sagemaker: Any) -> dict[str, Any]:
    """Return what the deployment of a model package consists of, and the next thing to do.

    Returns
    -------
    dict
        ``action``: ``create`` (no endpoint yet), ``update``, ``keep`` (it serves this already), ``wait`` (another
        change is under way) or ``replace`` (SageMaker can only delete it); ``create_model`` and ``create_config`` tell
        what is not there yet; ``previous_config`` is where a failed update goes back to; ``other_instances`` tells that
        the endpoint's are of another type.
    """
    package = approved(sagemaker, arn, environment)
    named = resource_names(environment, package, settings["serving"])
    endpoint = names.endpoint(environment)
    status, current = _endpoint(sagemaker, endpoint)
    return {
        "action": _action(status, current, named.config),
        "create_model": not model_exists(sagemaker, named.model),
        "create_config": not config_exists(sagemaker, named.config),
        keys.MODEL_PACKAGE: package.arn,
        keys.MODEL_VERSION: package.model_version,
        keys.ENDPOINT: endpoint,
        "model_name": named.model,
        "model_data_url": package.model_data_url,
        "image": package.image,
        "config_name": named.config,
        "previous_config": current,
        "other_instances": _instance_type(sagemaker, current) not in ("", settings["serving"]["instance_type"]),
    }


def _endpoint(sagemaker: Any, name: str) -> tuple[str, str]:
    """Return the endpoint's status and configuration; empty if there is none."""
    try:
        told = sagemaker.describe_endpoint(EndpointName=name)
    except ClientError as error:
        if registry.is_missing(error):
            return "", ""
        raise
    return told["EndpointStatus"], told.get("EndpointConfigName", "")


def _instance_type(sagemaker: Any, config: str) -> str:
    """Return the type of a configuration's instances; empty where there is no such configuration any more."""
    if not config or not config_exists(sagemaker, config):
        return ""
    variants = sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
    return str(variants[0].get("InstanceType", ""))


def _action(status: str, current: str, wanted: str) -> Action:
    if not status:
        return "create"
    if status in _CHANGING:
        return "wait"
    if status != "InService":
        # A failed endpoint takes no update.
        return "replace"
    return "keep" if current == wanted else "update"


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:10]
