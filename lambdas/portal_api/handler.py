"""The annotators' API."""

from __future__ import annotations

from functools import cache
from typing import Any

import boto3

from menulens.core import deployed
from menulens.portal.api import Api
from menulens.portal.context import Portal, deployed_portal


@cache
def _portal() -> Portal:
    return deployed_portal(boto3)


_handle = Api(_portal, deployed.variable(deployed.ANNOTATORS_GROUP), deployed.variable(deployed.OWNERS_GROUP)).handler()


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return _handle(event, context)
