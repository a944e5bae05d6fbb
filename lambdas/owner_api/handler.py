"""The owner's side of the portal's HTTP API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any, cast

import boto3

from menulens.core import deployed, names
from menulens.portal import context, owner_api

OWNERS_GROUP = "OWNERS_GROUP"


@cache
def portal() -> context.Portal:
    return context.deployed_portal(boto3)


def handler(event: dict[str, Any], lambda_context: Any) -> dict[str, Any]:
    def start(machine: str, given: Mapping[str, Any]) -> str:
        _, partition, _, region, account, *_ = lambda_context.invoked_function_arn.split(":")
        arn = names.state_machine_arn(portal().environment, cast(names.Machine, machine), account, region, partition)
        started = portal().step_functions.start_execution(
            stateMachineArn=arn, input=json.dumps(given, ensure_ascii=False)
        )
        return str(started["executionArn"])

    return owner_api.answer(event, lambda_context, portal(), owners=deployed.variable(OWNERS_GROUP), start=start)
