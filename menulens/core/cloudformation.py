"""How a function that is a custom resource answers CloudFormation."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any


def carry_out(event: Mapping[str, Any], work: Callable[[Mapping[str, Any]], object], *, physical_id: str) -> None:
    """Do what a custom resource is for, and tell CloudFormation how it ended; it waits for an hour otherwise.

    Parameters
    ----------
    event
        What CloudFormation asks.
    work
        What is done when the resource is made or changed, given its properties. Nothing is when it goes.
    physical_id
        The resource's name; it is another resource when this changes.
    """
    failure = ""
    if event["RequestType"] != "Delete":
        try:
            work(event["ResourceProperties"])
        except Exception as error:  # whatever it was, CloudFormation must hear of it
            failure = f"{type(error).__name__}: {error}"
    _answer(event, physical_id=physical_id, failure=failure)


def _answer(event: Mapping[str, Any], *, physical_id: str, failure: str) -> None:
    body = json.dumps(
        {
            "Status": "FAILED" if failure else "SUCCESS",
            "Reason": failure or "done",
            "PhysicalResourceId": physical_id,
            "StackId": event["StackId"],
            "RequestId": event["RequestId"],
            "LogicalResourceId": event["LogicalResourceId"],
        }
    ).encode()
    # A signed URL of CloudFormation's own, which takes no content type.
    request = urllib.request.Request(  # noqa: S310
        event["ResponseURL"], data=body, method="PUT", headers={"Content-Type": ""}
    )
    with urllib.request.urlopen(request, timeout=30):  # noqa: S310
        pass
