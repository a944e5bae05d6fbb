"""What steps may do, spelled once: statements about rooms and the labeling table, and why their wildcards stand."""

from __future__ import annotations

from typing import Final

from aws_cdk import aws_iam as iam

from menulens.core import deployed, names
from menulens.portal.table import INDEX
from menulens.settings import Settings
from stacks.steps.base import bucket_arn, finding, rooms, sagemaker_arn, table_arn

BATCHES_READ: Final = "The step reads every object in its part of the room."
ANY_JOB: Final = "Jobs started elsewhere are cleaned too; their names are not known here."

READ_TABLE: Final = ("dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query")
WRITE_TABLE: Final = ("dynamodb:BatchWriteItem", "dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:UpdateItem")


def listing(settings: Settings, *which: names.Room) -> iam.PolicyStatement:
    """Return the statement without which S3 answers a question for a missing object with 403, not 404."""
    return iam.PolicyStatement(actions=["s3:ListBucket"], resources=[bucket_arn(settings, room) for room in which])


def reading(settings: Settings, room: names.Room, *prefixes: str) -> iam.PolicyStatement:
    """Return a statement to read the objects under some prefixes of a room."""
    return iam.PolicyStatement(
        actions=["s3:GetObject"], resources=[bucket_arn(settings, room, f"{prefix}*") for prefix in prefixes]
    )


def writing(settings: Settings, room: names.Room, *prefixes: str) -> iam.PolicyStatement:
    """Return a statement to write objects under some prefixes of a room, in one piece or in parts."""
    return iam.PolicyStatement(
        actions=["s3:AbortMultipartUpload", "s3:PutObject"],
        resources=[bucket_arn(settings, room, f"{prefix}*") for prefix in prefixes],
    )


def describing_jobs() -> iam.PolicyStatement:
    """Return the statement to look at any job of Ground Truth."""
    return iam.PolicyStatement(actions=["sagemaker:DescribeLabelingJob"], resources=[sagemaker_arn("labeling-job/*")])


def reading_table(settings: Settings) -> iam.PolicyStatement:
    """Return the statement to read the labeling table and its index."""
    return iam.PolicyStatement(
        actions=list(READ_TABLE), resources=[table_arn(settings), f"{table_arn(settings)}/index/{INDEX}"]
    )


def writing_table(settings: Settings) -> iam.PolicyStatement:
    """Return the statement to write the labeling table; a transaction needs the actions of its writes."""
    return iam.PolicyStatement(actions=list(WRITE_TABLE), resources=[table_arn(settings)])


def finding_portal_jobs(settings: Settings) -> iam.PolicyStatement:
    """Return the statement to look at any job of the portal."""
    return iam.PolicyStatement(actions=["dynamodb:GetItem"], resources=[table_arn(settings)])


def portal_variables(settings: Settings, *more: names.Room) -> dict[str, str]:
    """Return the environment variables that :func:`menulens.portal.context.deployed_portal` reads."""
    return {
        **rooms(settings, "answers", "labels", *more),
        deployed.LABELING_TABLE: names.labeling_table(settings.environment),
    }


def wildcards(*statements: iam.PolicyStatement, reason: str = BATCHES_READ) -> dict[str, str]:
    """Return cdk-nag's findings on statements whose resources end in a wildcard, for one reason."""
    return {finding(arn): reason for statement in statements for arn in statement.resources if "*" in arn}
