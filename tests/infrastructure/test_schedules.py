"""Schedules and the budget: only where settings ask for them, with inputs that the machines take."""

import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk.assertions import Template

from menulens.core import names
from menulens.settings import Settings, load_settings
from stacks.operations_stack import OperationsStack
from stacks.steps.base import in_region, machine_arn
from stacks.steps.news import News
from tests.tools.apps import app_of_templates
from tests.tools.lint_templates import resolved

TOPIC = "arn:aws:sns:us-east-1:111122223333:"
FINISH = "arn:aws:lambda:us-east-1:111122223333:function:finish"
ROOT = Path(__file__).resolve().parents[2]


def synthesized(**operations: Any) -> list[dict[str, Any]]:
    values = load_settings(ROOT / "config" / "local.toml").model_dump(mode="json")
    values["operations"] |= operations
    settings = Settings.model_validate(values)
    app = app_of_templates()
    given = cdk.Stack(app, "given", env=in_region(settings))
    machines: dict[names.Machine, sfn.IStateMachine] = {
        name: sfn.StateMachine.from_state_machine_arn(given, name, machine_arn(settings, name))
        for name in names.MACHINES
    }
    stack = OperationsStack(
        app,
        "operations",
        settings=settings,
        key=kms.Key(given, "Key"),
        machines=machines,
        finish=lambda_.Function.from_function_arn(given, "Finish", FINISH),
        news=News(
            "arn:aws:sns:us-east-1:111122223333:a",
            "arn:aws:sns:us-east-1:111122223333:o",
            "https://page",
            "us-east-1_any",
        ),
    )
    return list(resolved(dict(Template.from_stack(stack).to_json()))["Resources"].values())


def of(found: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [resource["Properties"] for resource in found if resource["Type"] == kind]


def should_retrain_and_vectorise_when_settings_say() -> None:
    found = synthesized(retrain_schedule="rate(7 days)", vectorise_schedule="cron(0 3 ? * MON *)")
    scheduled = {
        rule["ScheduleExpression"]: json.loads(rule["Targets"][0]["Input"])
        for rule in of(found, "AWS::Events::Rule")
        if "ScheduleExpression" in rule
    }
    assert scheduled == {"rate(7 days)": {"dataset": "latest"}, "cron(0 3 ? * MON *)": {}}


def should_do_nothing_by_the_clock_unless_asked() -> None:
    found = synthesized()
    assert not [rule for rule in of(found, "AWS::Events::Rule") if "ScheduleExpression" in rule]
    assert of(found, "AWS::Budgets::Budget") == of(found, "AWS::SNS::Subscription") == []


def should_tell_by_mail_when_most_of_the_budget_is_spent() -> None:
    found = synthesized(monthly_budget_usd=500, alarm_emails=["ops@example.com"])
    (budget,) = of(found, "AWS::Budgets::Budget")
    assert budget["Budget"]["BudgetLimit"] == {"Amount": 500, "Unit": "USD"}
    told = budget["NotificationsWithSubscribers"]
    assert [item["Notification"]["Threshold"] for item in told] == [80, 100]
    assert {item["Subscribers"][0]["SubscriptionType"] for item in told} == {"SNS"}
    assert [item["Endpoint"] for item in of(found, "AWS::SNS::Subscription")] == ["ops@example.com"]
