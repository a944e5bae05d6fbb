"""The step of cleaning: from an augmented manifest to a dataset."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from constructs import Construct

from menulens.core import keys
from menulens.settings import Settings
from stacks.steps.base import Function, bucket_arn, finding, rooms


class CleanManifest(Function):
    """Write a dataset: training and evaluation manifest, rejects and, last, the card."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        labels, datasets = bucket_arn(settings, "labels", "*"), bucket_arn(settings, "datasets", "*")
        super().__init__(
            scope,
            construct_id,
            settings=settings,
            step="clean_manifest",
            environment=rooms(settings, "photos", "labels", "datasets"),
            statements=[
                iam.PolicyStatement(
                    actions=["s3:ListBucket"],
                    resources=[bucket_arn(settings, "labels"), bucket_arn(settings, "datasets")],
                ),
                iam.PolicyStatement(actions=["s3:GetObject"], resources=[labels, datasets]),
                # An older card is removed before its dataset is replaced: a card vouches for what lies beside it.
                iam.PolicyStatement(
                    actions=["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:PutObject"], resources=[datasets]
                ),
                # What people drop into the inbox starts this step: it must never write there itself.
                iam.PolicyStatement(
                    effect=iam.Effect.DENY,
                    actions=["s3:DeleteObject", "s3:PutObject"],
                    resources=[bucket_arn(settings, "datasets", f"{keys.INBOX_PREFIX}*")],
                ),
            ],
            timeout=Duration.minutes(15),
            memory_mb=1_769,  # one whole vCPU
            acknowledged={
                finding(bucket_arn(settings, "datasets", f"{keys.INBOX_PREFIX}*")): "A denial.",
                finding(labels): "A manifest may lie anywhere in the room of labels.",
                finding(datasets): "A dataset is named by its content.",
            },
        )
