"""Put the portal's page into its bucket, when CloudFormation asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3

from menulens.core import cloudformation, deployed
from menulens.portal import publishing


def handler(event: dict[str, Any], context: object) -> None:
    bucket = deployed.variable(deployed.PAGE_BUCKET)

    def publish(properties: Mapping[str, Any]) -> None:
        folder = Path(__file__).resolve().parent / publishing.PAGE_FOLDER
        publishing.publish(folder, properties["Configuration"], bucket=bucket, s3=boto3.client("s3"))

    # When the resource goes, the bucket stays or goes with its own policy.
    cloudformation.carry_out(event, publish, physical_id=bucket)
