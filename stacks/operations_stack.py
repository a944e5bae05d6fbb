"""Operations: what starts what, when, and who is told when it does not.

No rule listens where its own target writes: ``clean`` writes datasets beside the inbox, never into it, and no machine
emits the event that starts it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aws_cdk import Aws, Duration, Stack
from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from menulens.core import keys, names
from menulens.settings import Settings
from stacks.steps.base import acknowledge, bucket_name, machine_arn, stable_id

ENDED = ["Completed", "Stopped", "Failed"]
RETRIES = 8
OLDEST_EVENT = Duration.hours(6)
BUDGET_SHARES = (80, 100)


class OperationsStack(Stack):
    """Rules, schedules, alarms, budget."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        key: kms.IKey,
        machines: Mapping[names.Machine, sfn.IStateMachine],
    ) -> None:
        super().__init__(scope, construct_id, description="menulens: rules, schedules and alarms")
        self._settings = settings
        self._machines = machines
        self._undelivered = self._queue(key)
        self._rules()
        self._schedules()
        self.alarms = self._topic(key)
        self._alarm_on_failures()
        self._budget()

    def _rules(self) -> None:
        here = {keys.ENVIRONMENT: [self._settings.environment]}
        self._rule(
            "DatasetReady",
            "A dataset is ready: train",
            events.EventPattern(source=[keys.EVENT_SOURCE], detail_type=[keys.DATASET_READY], detail=here),
            "train",
            {keys.DATASET: events.EventField.from_path(f"$.detail.{keys.DATASET}")},
        )
        self._rule(
            "ModelApproved",
            "A model is approved, by the gate or by a person: deploy",
            events.EventPattern(
                source=["aws.sagemaker"],
                detail_type=["SageMaker Model Package State Change"],
                detail={
                    "ModelPackageGroupName": [names.model_package_group(self._settings.environment)],
                    "ModelApprovalStatus": ["Approved"],
                    "ModelPackageStatus": ["Completed"],
                },
            ),
            "deploy",
            {keys.MODEL_PACKAGE: events.EventField.from_path("$.detail.ModelPackageArn")},
        )
        self._rule(
            "ModelDeployed",
            "A model is deployed: vectorise with it",
            events.EventPattern(source=[keys.EVENT_SOURCE], detail_type=[keys.MODEL_DEPLOYED], detail=here),
            "vectorise",
            {keys.MODEL_PACKAGE: events.EventField.from_path(f"$.detail.{keys.MODEL_PACKAGE}")},
        )
        self._rule(
            "LabelingJobEnded",
            "A labeling job ended, whoever started it: clean what it left",
            events.EventPattern(
                source=["aws.sagemaker"],
                detail_type=["SageMaker Ground Truth Labeling Job State Change"],
                detail={"LabelingJobStatus": ENDED},
            ),
            "clean",
            # The event has the job's ARN in a list of one, and its status alone in the detail.
            {keys.LABELING_JOB: events.EventField.from_path("$.resources")},
        )
        self._rule(
            "ManifestDropped",
            "Someone dropped a manifest into the inbox: clean it",
            events.EventPattern(
                source=["aws.s3"],
                detail_type=["Object Created"],
                detail={
                    "bucket": {"name": [bucket_name(self._settings, "datasets")]},
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
        )

    def _schedules(self) -> None:
        wanted: tuple[tuple[names.Machine, str | None, dict[str, str]], ...] = (
            ("train", self._settings.operations.retrain_schedule, {keys.DATASET: "latest"}),
            ("vectorise", self._settings.operations.vectorise_schedule, {}),
        )
        for machine, schedule, given in wanted:
            if schedule:
                rule = events.Rule(
                    self,
                    f"{machine.capitalize()}Schedule",
                    rule_name=f"{names.prefix(self._settings.environment)}-{machine}-schedule",
                    description=f"Now and then: {machine}",
                    schedule=events.Schedule.expression(schedule),
                )
                self._starts(rule, machine, given)

    def _rule(
        self,
        construct_id: str,
        description: str,
        pattern: events.EventPattern,
        machine: names.Machine,
        given: Mapping[str, Any],
    ) -> None:
        rule = events.Rule(
            self,
            construct_id,
            rule_name=f"{names.prefix(self._settings.environment)}-{_hyphened(construct_id)}",
            description=description,
            event_pattern=pattern,
        )
        self._starts(rule, machine, given)

    def _starts(self, rule: events.Rule, machine: names.Machine, given: Mapping[str, Any]) -> None:
        """Let a rule start a machine, under a role of its own, and keep what could not be delivered."""
        role = iam.Role(
            rule,
            "StartRole",
            assumed_by=iam.ServicePrincipal("events.amazonaws.com"),
            description=f"Starts {names.state_machine(self._settings.environment, machine)}",
            inline_policies={
                "start": iam.PolicyDocument(
                    statements=[
                        iam.PolicyStatement(
                            actions=["states:StartExecution"], resources=[machine_arn(self._settings, machine)]
                        )
                    ]
                )
            },
        )
        rule.add_target(
            targets.SfnStateMachine(
                self._machines[machine],
                input=events.RuleTargetInput.from_object(dict(given)),
                role=role.without_policy_updates(),
                dead_letter_queue=self._undelivered,
                retry_attempts=RETRIES,
                max_event_age=OLDEST_EVENT,
            )
        )

    def _queue(self, key: kms.IKey) -> sqs.Queue:
        queue = sqs.Queue(
            self,
            "Undelivered",
            queue_name=f"{names.prefix(self._settings.environment)}-undelivered",
            encryption=sqs.QueueEncryption.KMS,
            encryption_master_key=key,
            enforce_ssl=True,
            retention_period=Duration.days(14),
        )
        acknowledge(queue, "This queue is the dead-letter queue.", "AwsSolutions-SQS3")
        return queue

    def _topic(self, key: kms.IKey) -> sns.Topic:
        topic = sns.Topic(
            self,
            "Alarms",
            topic_name=f"{names.prefix(self._settings.environment)}-alarms",
            display_name="menulens: alarms",
            master_key=key,
            enforce_ssl=True,
        )
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="AlarmsAndBudgetsTell",
                principals=[
                    iam.ServicePrincipal("cloudwatch.amazonaws.com"),
                    iam.ServicePrincipal("budgets.amazonaws.com"),
                ],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
            )
        )
        for email in self._settings.operations.alarm_emails:
            sns.CfnSubscription(
                self, f"Tell{stable_id(email)}", topic_arn=topic.topic_arn, protocol="email", endpoint=email
            )
        return topic

    def _alarm_on_failures(self) -> None:
        for machine in names.MACHINES:
            if machine in self._machines:
                for what, metric in (
                    ("Failed", self._executions(machine, "ExecutionsFailed")),
                    ("TimedOut", self._executions(machine, "ExecutionsTimedOut")),
                ):
                    self._alarm(
                        f"{machine.capitalize()}{what}",
                        f"An execution of {machine} {_words(what)}; its output in Step Functions says why",
                        metric,
                    )
        self._alarm(
            "EventsUndelivered",
            "An event could not start its machine; it waits in the dead-letter queue",
            self._undelivered.metric_approximate_number_of_messages_visible(
                period=Duration.minutes(5), statistic="Maximum"
            ),
        )

    def _executions(self, machine: names.Machine, metric: str) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace="AWS/States",
            metric_name=metric,
            dimensions_map={"StateMachineArn": machine_arn(self._settings, machine)},
            period=Duration.minutes(5),
            statistic="Sum",
        )

    def _alarm(self, construct_id: str, description: str, metric: cloudwatch.IMetric) -> None:
        alarm = cloudwatch.Alarm(
            self,
            construct_id,
            alarm_name=f"{names.prefix(self._settings.environment)}-{_hyphened(construct_id)}",
            alarm_description=description,
            metric=metric,
            threshold=1,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(actions.SnsAction(self.alarms))

    def _budget(self) -> None:
        limit = self._settings.operations.monthly_budget_usd
        if limit is None:
            return
        budgets.CfnBudget(
            self,
            "Budget",
            budget=budgets.CfnBudget.BudgetDataProperty(
                budget_name=names.prefix(self._settings.environment),
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=budgets.CfnBudget.SpendProperty(amount=limit, unit="USD"),
                cost_filters={"TagKeyValue": [f"user:environment${self._settings.environment}"]},
            ),
            notifications_with_subscribers=[
                budgets.CfnBudget.NotificationWithSubscribersProperty(
                    notification=budgets.CfnBudget.NotificationProperty(
                        comparison_operator="GREATER_THAN",
                        notification_type="ACTUAL",
                        threshold=share,
                        threshold_type="PERCENTAGE",
                    ),
                    subscribers=[
                        budgets.CfnBudget.SubscriberProperty(subscription_type="SNS", address=self.alarms.topic_arn)
                    ],
                )
                for share in BUDGET_SHARES
            ],
        )


def _hyphened(name: str) -> str:
    """Return ``DatasetReady`` as ``dataset-ready``."""
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("-")


def _words(name: str) -> str:
    return _hyphened(name).replace("-", " ")
