"""The labeling portal: its table, the functions behind its API, and the page in its bucket."""

from __future__ import annotations

from typing import Final

from aws_cdk import CustomResource, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from menulens.core import names
from menulens.portal import publishing, table
from menulens.settings import Settings
from stacks import packaging
from stacks.steps.base import Function, bucket_arn, finding, removal_policy, rooms
from stacks.steps.portal import FinishPortalJob
from stacks.workforce_stack import SignIn

API_PATH: Final = "/api"


class PortalStack(Stack):
    """What stands behind the portal's address."""

    def __init__(
        self, scope: Construct, construct_id: str, *, settings: Settings, key: kms.IKey, sign_in: SignIn
    ) -> None:
        super().__init__(scope, construct_id, description="menulens: the labeling portal")
        self._settings = settings
        self.table = self._table()
        self.finish = FinishPortalJob(self, "FinishPortalJob", settings=settings, key=key).function
        self._page(sign_in)

    def _table(self) -> dynamodb.Table:
        made = dynamodb.Table(
            self,
            "Table",
            table_name=names.labeling_table(self._settings.environment),
            partition_key=_text(table.PK),
            sort_key=_text(table.SK),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.AWS_MANAGED,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            time_to_live_attribute=table.EXPIRES,
            stream=dynamodb.StreamViewType.KEYS_ONLY,
            removal_policy=removal_policy(self._settings),
        )
        made.add_global_secondary_index(
            index_name=table.INDEX,
            partition_key=_text(table.QUEUE),
            sort_key=_text(table.ORDER),
            projection_type=dynamodb.ProjectionType.INCLUDE,
            non_key_attributes=[table.WHO],
        )
        return made

    def _page(self, sign_in: SignIn) -> None:
        """Put the page's files and its configuration into the bucket that CloudFront reads."""
        listing = iam.PolicyStatement(actions=["s3:ListBucket"], resources=[bucket_arn(self._settings, "page")])
        files = bucket_arn(self._settings, "page", "*")
        publish = Function(
            self,
            "PublishPage",
            settings=self._settings,
            step="publish_page",
            statements=[
                listing,
                iam.PolicyStatement(actions=["s3:DeleteObject", "s3:PutObject"], resources=[files]),
            ],
            environment=rooms(self._settings, "page"),
            acknowledged={finding(files): "The bucket holds the page and nothing else."},
            beside={publishing.PAGE_FOLDER: packaging.PAGE},
        )
        CustomResource(
            self,
            "Page",
            service_token=publish.function.function_arn,
            resource_type="Custom::Page",
            properties={
                "Configuration": {
                    "region": self._settings.region,
                    "issuer": sign_in.issuer,
                    "client_id": sign_in.client_id,
                    "sign_in": sign_in.address,
                    "api": API_PATH,
                    "version": packaging.page_version(),
                }
            },
        )


def _text(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)
