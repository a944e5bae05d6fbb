"""The labeling portal: its table, the functions behind its API, and the page in its bucket."""

from __future__ import annotations

from typing import Final

from aws_cdk import CustomResource, Duration, Stack
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_apigatewayv2_integrations as integrations
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from menulens.core import names
from menulens.portal import keys, publishing, table
from menulens.settings import Settings
from stacks import packaging
from stacks.front_stack import FrontStack
from stacks.steps.base import Function, acknowledge, bucket_arn, finding, in_region, removal_policy, rooms
from stacks.steps.portal import FinishPortalJob, OwnerApi, PortalApi, SealLog
from stacks.workforce_stack import SignIn

API_PATH: Final = "/api"
# By the hosted sign-in, and by a password proven to Cognito directly; one of them is enough.
ACCESS_SCOPES: Final = ["openid", "aws.cognito.signin.user.admin"]
LOOK_AFTER: Final = Duration.minutes(5)


class PortalStack(Stack):
    """What stands behind the portal's address."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        key: kms.IKey,
        front: FrontStack,
        sign_in: SignIn,
    ) -> None:
        super().__init__(scope, construct_id, description="menulens: the labeling portal", env=in_region(settings))
        self._settings = settings
        self.table = self._table()
        self.finish = FinishPortalJob(self, "FinishPortalJob", settings=settings, key=key).function
        self._seal_log()
        self._api(front.api, sign_in)
        self._page(sign_in)

    def _seal_log(self) -> None:
        """Seal answers as they come; now and then look after everything, for a kill may have swallowed an event."""
        stream = str(self.table.table_stream_arn)
        seal = SealLog(self, "SealLog", settings=self._settings, stream_arn=stream).function
        lambda_.EventSourceMapping(
            self,
            "Stream",
            target=seal,
            event_source_arn=stream,
            starting_position=lambda_.StartingPosition.TRIM_HORIZON,
            batch_size=1_000,
            max_batching_window=Duration.seconds(10),
            # What a batch is about is read from the table again, so a batch that failed often may be left: the next
            # one, or the clock, does its work.
            retry_attempts=20,
            max_record_age=Duration.hours(6),
            filters=[
                lambda_.FilterCriteria.filter(
                    {
                        "eventName": lambda_.FilterRule.is_equal("INSERT"),
                        "dynamodb": {"Keys": {table.PK: {"S": lambda_.FilterRule.begins_with(keys.outbox("")[0])}}},
                    }
                )
            ],
        )
        clock = events.Rule(
            self,
            "Clock",
            rule_name=f"{names.prefix(self._settings.environment)}-seal-log",
            description="Now and then: seal every log, end every job that is done",
            schedule=events.Schedule.rate(LOOK_AFTER),
        )
        clock.add_target(targets.LambdaFunction(seal, event=events.RuleTargetInput.from_object({})))

    def _api(self, api: apigateway.HttpApi, sign_in: SignIn) -> None:
        """Let the two functions answer: annotators' routes, and below them those of owners."""
        portal = PortalApi(self, "PortalApi", settings=self._settings)
        owner = OwnerApi(self, "OwnerApi", settings=self._settings, pool_id=sign_in.pool_id)
        # Written out, for CDK's own lies beside the API, in a stack that stands before the user pool.
        signed_in = apigateway.CfnAuthorizer(
            self,
            "SignedIn",
            api_id=api.api_id,
            name=f"{names.prefix(self._settings.environment)}-signed-in",
            authorizer_type="JWT",
            identity_source=["$request.header.Authorization"],
            jwt_configuration=apigateway.CfnAuthorizer.JWTConfigurationProperty(
                audience=[sign_in.client_id], issuer=sign_in.issuer
            ),
        )
        authorizer = apigateway.HttpAuthorizer.from_http_authorizer_attributes(
            self, "Authorizer", authorizer_id=signed_in.ref, authorizer_type="JWT"
        )
        for construct_id, path, method, step in (
            ("Health", "/health", apigateway.HttpMethod.GET, portal),
            ("Annotators", "/{proxy+}", apigateway.HttpMethod.ANY, portal),
            ("OwnersAll", "/owner/{proxy+}", apigateway.HttpMethod.ANY, owner),
        ):
            is_open = construct_id == "Health"
            route = apigateway.HttpRoute(
                self,
                construct_id,
                http_api=api,
                route_key=apigateway.HttpRouteKey.with_(f"{API_PATH}{path}", method),
                integration=integrations.HttpLambdaIntegration(f"{construct_id}Answer", step.function),
                authorizer=None if is_open else authorizer,
                # Access tokens have a scope, and are the ones that the page sends; identity tokens have none.
                authorization_scopes=None if is_open else ACCESS_SCOPES,
            )
            if is_open:
                acknowledge(route, "Tells that the API is up, and nothing else.", "AwsSolutions-APIG4")

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
                    "second_factor": self._settings.labeling.require_totp,
                    "api": API_PATH,
                    "version": packaging.page_version(),
                }
            },
        )


def _text(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)
