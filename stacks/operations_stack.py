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
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from menulens.core import keys, names
from menulens.settings import Settings
from stacks.rules import chain_rules, labeling_rules, news_rules, ours
from stacks.steps.base import acknowledge, hyphened, in_region, machine_arn, stable_id, undelivered_name
from stacks.steps.news import News, TellPeople

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
        finish: lambda_.IFunction,
        news: News,
    ) -> None:
        """Make rules, schedules, alarms and the budget.

        Parameters
        ----------
        finish
            The function that finishes a portal job.
        news
            Whom to tell of what happens in the portal, and where it is.
        """
        super().__init__(
            scope, construct_id, description="menulens: rules, schedules and alarms", env=in_region(settings)
        )
        self._settings = settings
        self._machines = machines
        self._undelivered = self._queue(key)
        self._rules()
        self._finish_portal_jobs(finish)
        self._schedules()
        self.alarms = self._topic(key)
        tell = TellPeople(self, "TellPeople", settings=settings, key=key, news=news, alarms_topic=self.alarms.topic_arn)
        self._tell_people(tell.function)
        self._alarm_on_failures()
        self._budget()

    def _rules(self) -> None:
        for rule in (*chain_rules(self._settings), *labeling_rules(self._settings)):
            self._starts(self._rule(rule.name, rule.description, rule.pattern), rule.machine, rule.given)

    def _rule(self, name: str, description: str, pattern: events.EventPattern) -> events.Rule:
        return events.Rule(
            self,
            name,
            rule_name=f"{names.prefix(self._settings.environment)}-{hyphened(name)}",
            description=description,
            event_pattern=pattern,
        )

    def _finish_portal_jobs(self, finish: lambda_.IFunction) -> None:
        """Finish each portal job that ends; an event that can't be worked off waits where an alarm sees it."""
        rule = self._rule(
            "LabelingFinished",
            "A portal job's last photo is settled, or its owner stopped it: write its labels",
            ours(self._settings, keys.LABELING_FINISHED),
        )
        self._runs(rule, finish, event=events.RuleTargetInput.from_event_path("$.detail"))
        self._keep_what_failed("FinishFailed", finish)

    def _tell_people(self, tell: lambda_.IFunction) -> None:
        """Tell annotators of new work, owners and operators of what they must know, by e-mail."""
        for rule in news_rules(self._settings):
            self._runs(self._rule(rule.name, rule.description, rule.pattern), tell)
        self._keep_what_failed("TellFailed", tell)

    def _runs(
        self, rule: events.Rule, function: lambda_.IFunction, event: events.RuleTargetInput | None = None
    ) -> None:
        """Let a rule run a function, and keep what could not be delivered."""
        rule.add_target(
            targets.LambdaFunction(
                function,
                event=event,
                dead_letter_queue=self._undelivered,
                retry_attempts=RETRIES,
                max_event_age=OLDEST_EVENT,
            )
        )

    def _keep_what_failed(self, construct_id: str, function: lambda_.IFunction) -> None:
        """Keep the events that a function failed on for good; its own statements say that it may send there."""
        lambda_.CfnEventInvokeConfig(
            self,
            construct_id,
            function_name=function.function_name,
            qualifier="$LATEST",
            destination_config=lambda_.CfnEventInvokeConfig.DestinationConfigProperty(
                on_failure=lambda_.CfnEventInvokeConfig.OnFailureProperty(destination=self._undelivered.queue_arn)
            ),
            maximum_event_age_in_seconds=int(OLDEST_EVENT.to_seconds()),
            maximum_retry_attempts=2,
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
            queue_name=undelivered_name(self._settings),
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
            alarm_name=f"{names.prefix(self._settings.environment)}-{hyphened(construct_id)}",
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


def _words(name: str) -> str:
    return hyphened(name).replace("-", " ")
