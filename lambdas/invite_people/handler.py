"""Invite people into a user pool that is not ours, when CloudFormation asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import boto3

from menulens.core import cloudformation, deployed
from menulens.portal import inviting


def handler(event: dict[str, Any], context: object) -> None:
    pool_id = deployed.variable(deployed.USER_POOL_ID)

    def invite(properties: Mapping[str, Any]) -> None:
        inviting.invite(properties["Emails"], pool_id=pool_id, cognito=boto3.client("cognito-idp"))

    # When the resource goes, everyone stays: the pool is others', who may need them.
    cloudformation.carry_out(event, invite, physical_id=pool_id)
