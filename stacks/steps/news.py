"""The step that tells people by e-mail of what happens."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import Aws, Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from menulens.core import deployed, names
from menulens.portal.telling import TOLD
from menulens.settings import Settings
from stacks.steps.base import Function, table_arn
from stacks.steps.portal import undelivered_arn


@dataclass(frozen=True)
class News:
    """Whom to tell of what happens in the portal, who knows their names, and the page's address."""

    annotators_topic: str
    owners_topic: str
    address: str
    pool_id: str


class TellPeople(Function):
    """Write a mail about an event, and publish it to those whom it is for."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        key: kms.IKey,
        news: News,
        alarms_topic: str,
    ) -> None:
        pool = f"arn:{Aws.PARTITION}:cognito-idp:{Aws.REGION}:{Aws.ACCOUNT_ID}:userpool/{news.pool_id}"
        super().__init__(
            scope,
            construct_id,
            settings=settings,
            step="tell_people",
            environment={
                deployed.LABELING_TABLE: names.labeling_table(settings.environment),
                deployed.NEW_WORK_TOPIC: news.annotators_topic,
                deployed.OWNERS_TOPIC: news.owners_topic,
                deployed.ALARMS_TOPIC: alarms_topic,
                deployed.PORTAL_ADDRESS: news.address,
                deployed.USER_POOL_ID: news.pool_id,
                deployed.ANNOTATORS_GROUP: names.annotators(settings.environment),
            },
            statements=[
                iam.PolicyStatement(
                    actions=["sns:Publish"], resources=[news.annotators_topic, news.owners_topic, alarms_topic]
                ),
                # Which events were told, and nothing else of the table.
                iam.PolicyStatement(
                    actions=["dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"],
                    resources=[table_arn(settings)],
                    conditions={"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [TOLD]}},
                ),
                # Events name people by their id; owners know them by their address.
                iam.PolicyStatement(actions=["cognito-idp:ListUsersInGroup"], resources=[pool]),
                # An event that it failed on for good goes to the queue that an alarm watches.
                iam.PolicyStatement(actions=["sqs:SendMessage"], resources=[undelivered_arn(settings)]),
                # Topics and queue are encrypted.
                iam.PolicyStatement(actions=["kms:Decrypt", "kms:GenerateDataKey"], resources=[key.key_arn]),
            ],
            timeout=Duration.seconds(30),
            memory_mb=512,
        )
