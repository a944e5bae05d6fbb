"""The owner's side of the portal's HTTP API."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cache
from typing import Any, cast

import boto3

from menulens.core import deployed, inputs
from menulens.core.names import Machine, state_machine_arn
from menulens.portal import context, members, owner_api

GROUPS = (deployed.ANNOTATORS_GROUP, deployed.OWNERS_GROUP)


@cache
def cognito() -> Any:
    return boto3.client("cognito-idp", config=context.CLIENT_CONFIG)


@cache
def portal() -> context.Portal:
    return context.deployed_portal(boto3)


def buckets() -> dict[str, str]:
    return {
        "photos": deployed.variable(deployed.PHOTOS_BUCKET),
        "labels": deployed.variable(deployed.LABELS_BUCKET),
    }


def handler(event: dict[str, Any], lambda_context: Any) -> dict[str, Any]:
    def start(machine: str, given: Mapping[str, Any]) -> str:
        # The machine checks it again; here a person is told what is wrong while they look.
        inputs.check(machine, given, inputs.place_of(deployed.settings(), buckets()))
        _, partition, _, region, account, *_ = lambda_context.invoked_function_arn.split(":")
        arn = state_machine_arn(portal().environment, cast(Machine, machine), account, region, partition)
        started = portal().step_functions.start_execution(
            stateMachineArn=arn, input=json.dumps(given, ensure_ascii=False)
        )
        return str(started["executionArn"])

    def names() -> Mapping[str, str]:
        if deployed.USER_POOL_ID not in os.environ:
            return {}
        return members.Names(
            cognito(), os.environ[deployed.USER_POOL_ID], [deployed.variable(group) for group in GROUPS]
        )

    return owner_api.answer(
        event, lambda_context, portal(), owners=deployed.variable(deployed.OWNERS_GROUP), start=start, names=names
    )
