"""End a labeling job of the portal; told by the event LabelingFinished, perhaps more than once."""

from __future__ import annotations

from typing import Any

import boto3

from menulens.core import keys
from menulens.portal import context, finish


def handler(event: dict[str, Any], context_: object) -> None:
    finish.finish(context.deployed_portal(boto3), event[keys.JOB_NAME])
