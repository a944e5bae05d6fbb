"""Put the portal's page into its bucket, when CloudFormation asks for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3

from menulens.core import deployed
from menulens.portal import publishing


def handler(event: dict[str, Any], context: object) -> None:
    bucket = deployed.variable(deployed.PAGE_BUCKET)
    failure = ""
    if event["RequestType"] != "Delete":  # the bucket stays or goes with its own policy
        try:
            folder = Path(__file__).resolve().parent / publishing.PAGE_FOLDER
            configuration = event["ResourceProperties"]["Configuration"]
            publishing.publish(folder, configuration, bucket=bucket, s3=boto3.client("s3"))
        except Exception as error:  # whatever it was, CloudFormation must hear of it
            failure = f"{type(error).__name__}: {error}"
    publishing.answer(event, physical_id=bucket, failure=failure)
