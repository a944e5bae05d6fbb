"""The model package group: which models exist, which one is the champion, which job made which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import ClientError

APPROVED: Final = "Approved"
TRAINING_JOB_KEY: Final = "training_job"
DATASET_KEY: Final = "dataset"
_MISSING: Final = frozenset({"ValidationException", "ResourceNotFound"})


class RegistryError(Exception):
    """A model package that can't be used; the message names it and says what to do."""


@dataclass(frozen=True, slots=True)
class Package:
    """One version in the group.

    Attributes
    ----------
    model_version
        The training job that made it: what answers and vectors are marked with.
    model_data_url
        Its ``model.tar.gz``.
    image
        The serving container it was registered for.
    """

    arn: str
    version: int
    status: str
    model_version: str
    model_data_url: str
    image: str


def description(training_job: str) -> str:
    """Return a package's description: it stands in listings, and so finds the package of a training job."""
    return f"Trained by {training_job}"


def is_missing(error: ClientError) -> bool:
    """Tell whether SageMaker says that there is no such thing (it says so by a ValidationException)."""
    told = error.response.get("Error", {})
    if told.get("Code") not in _MISSING:
        return False
    if told["Code"] == "ResourceNotFound":
        return True
    message = str(told.get("Message", "")).lower()
    return "not found" in message or "could not find" in message or "does not exist" in message


def describe(sagemaker: Any, arn: str) -> Package:
    """Return a model package.

    Raises
    ------
    RegistryError
        If there is none of this ARN, or it was not registered by the train state machine.
    """
    try:
        told = sagemaker.describe_model_package(ModelPackageName=arn)
    except ClientError as error:
        if not is_missing(error):
            raise
        raise RegistryError(f"{arn}: no such model package. The model registry in the console lists them.") from None
    containers = told.get("InferenceSpecification", {}).get("Containers", [])
    job = told.get("CustomerMetadataProperties", {}).get(TRAINING_JOB_KEY)
    if not job or len(containers) != 1 or not containers[0].get("ModelDataUrl"):
        raise RegistryError(
            f"{arn}: not registered by the train state machine: one container with a model and the property "
            f"{TRAINING_JOB_KEY} are due. Register models by starting train."
        )
    return Package(
        arn=told["ModelPackageArn"],
        version=int(told.get("ModelPackageVersion", 0)),
        status=told.get("ModelApprovalStatus", ""),
        model_version=job,
        model_data_url=containers[0]["ModelDataUrl"],
        image=containers[0]["Image"],
    )


def champion(sagemaker: Any, group: str) -> Package | None:
    """Return the newest approved package of the group, or none."""
    listed = sagemaker.list_model_packages(
        ModelPackageGroupName=group,
        ModelApprovalStatus=APPROVED,
        SortBy="CreationTime",
        SortOrder="Descending",
        MaxResults=1,
    )["ModelPackageSummaryList"]
    return describe(sagemaker, listed[0]["ModelPackageArn"]) if listed else None


def package_of(sagemaker: Any, group: str, training_job: str) -> str | None:
    """Return the ARN of the package that a training job made, or none."""
    wanted = description(training_job)
    pages = sagemaker.get_paginator("list_model_packages").paginate(ModelPackageGroupName=group)
    for page in pages:
        for summary in page["ModelPackageSummaryList"]:
            if summary.get("ModelPackageDescription") == wanted:
                return str(summary["ModelPackageArn"])
    return None
