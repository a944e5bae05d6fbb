"""Which event starts which machine, with what.

No rule listens where its own target writes: ``clean`` writes datasets beside the inbox, never into it, and no machine
emits the event that starts it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aws_cdk import aws_events as events

from menulens.core import keys, names
from menulens.portal.mails import EXECUTION_CHANGED
from menulens.settings import Settings
from stacks.steps.base import bucket_name, machine_arn

ENDED = ["Completed", "Stopped", "Failed"]


@dataclass(frozen=True)
class Rule:
    """What a rule listens for."""

    name: str
    description: str
    pattern: events.EventPattern


@dataclass(frozen=True)
class Start(Rule):
    """A rule that starts a machine with what the event tells."""

    machine: names.Machine
    given: Mapping[str, Any]


def ours(settings: Settings, kind: str, **detail: Any) -> events.EventPattern:
    """Return the pattern of one of our own events, of this environment."""
    return events.EventPattern(
        source=[keys.EVENT_SOURCE],
        detail_type=[kind],
        detail={keys.ENVIRONMENT: [settings.environment], **detail},
    )


def chain_rules(settings: Settings) -> tuple[Start, ...]:
    """Return what leads from a dataset to vectors."""
    return (
        Start(
            "DatasetReady",
            "A dataset is ready: train",
            ours(settings, keys.DATASET_READY),
            "train",
            {keys.DATASET: events.EventField.from_path(f"$.detail.{keys.DATASET}")},
        ),
        Start(
            "ModelApproved",
            "A model is approved, by the gate or by a person: deploy",
            events.EventPattern(
                source=["aws.sagemaker"],
                detail_type=["SageMaker Model Package State Change"],
                detail={
                    "ModelPackageGroupName": [names.model_package_group(settings.environment)],
                    "ModelApprovalStatus": ["Approved"],
                    "ModelPackageStatus": ["Completed"],
                },
            ),
            "deploy",
            {keys.MODEL_PACKAGE: events.EventField.from_path("$.detail.ModelPackageArn")},
        ),
        Start(
            "ModelDeployed",
            "A model is deployed: vectorise with it",
            ours(settings, keys.MODEL_DEPLOYED),
            "vectorise",
            {keys.MODEL_PACKAGE: events.EventField.from_path(f"$.detail.{keys.MODEL_PACKAGE}")},
        ),
    )


def labeling_rules(settings: Settings) -> tuple[Start, ...]:
    """Return what leads from labels to a dataset."""
    return (
        Start(
            "LabelingJobEnded",
            "A labeling job of Ground Truth ended, whoever started it: clean what it left",
            events.EventPattern(
                source=["aws.sagemaker"],
                detail_type=["SageMaker Ground Truth Labeling Job State Change"],
                detail={"LabelingJobStatus": ENDED},
            ),
            "clean",
            # The event has the job's ARN in a list of one, and its status alone in the detail.
            {keys.LABELING_JOB: events.EventField.from_path("$.resources")},
        ),
        Start(
            "LabelsUnattended",
            "A portal job ended that no execution waits for, a reopened one or one made by hand: clean what it left",
            ours(settings, keys.LABELS_READY, **{keys.UNATTENDED: [True]}),
            "clean",
            {keys.LABELING_JOB: events.EventField.from_path(f"$.detail.{keys.JOB_NAME}")},
        ),
        Start(
            "ManifestDropped",
            "Someone dropped a manifest into the inbox: clean it",
            events.EventPattern(
                source=["aws.s3"],
                detail_type=["Object Created"],
                detail={
                    "bucket": {"name": [bucket_name(settings, "datasets")]},
                    "object": {
                        "key": [{"prefix": keys.INBOX_PREFIX}],
                        "size": [{"numeric": [">", 0]}],  # the console's "folders" are empty objects
                    },
                },
            ),
            "clean",
            {
                keys.MANIFEST: (
                    f"s3://{events.EventField.from_path('$.detail.bucket.name')}"
                    f"/{events.EventField.from_path('$.detail.object.key')}"
                )
            },
        ),
    )


def news_rules(settings: Settings) -> tuple[Rule, ...]:
    """Return what people are told by e-mail."""
    return (
        Rule(
            "LabelingOpened",
            "There is something to label: tell the annotators",
            ours(settings, keys.LABELING_OPENED),
        ),
        Rule(
            "AnnotatorBlocked",
            "An annotator gets no more work: tell the owners",
            ours(settings, keys.ANNOTATOR_BLOCKED),
        ),
        Rule(
            "ExecutionFailed",
            "An execution failed or ran out of time: tell the operators why",
            events.EventPattern(
                source=["aws.states"],
                detail_type=[EXECUTION_CHANGED],
                detail={
                    "status": ["FAILED", "TIMED_OUT"],
                    "stateMachineArn": [machine_arn(settings, machine) for machine in names.MACHINES],
                },
            ),
        ),
    )
