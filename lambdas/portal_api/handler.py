"""The annotators' API."""

from __future__ import annotations

from functools import cache
from typing import Any

import boto3

from menulens.core import deployed
from menulens.portal.api import Api
from menulens.portal.context import CLIENT_CONFIG, Portal, deployed_portal
from menulens.portal.second_factor import SecondFactor


@cache
def _portal() -> Portal:
    return deployed_portal(boto3)


@cache
def _second_factor() -> SecondFactor:
    return SecondFactor(boto3.client("cognito-idp", config=CLIENT_CONFIG))


_handle = Api(
    _portal,
    deployed.variable(deployed.ANNOTATORS_GROUP),
    deployed.variable(deployed.OWNERS_GROUP),
    _second_factor,
).handler()


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return _handle(event, context)
