"""Tell people by e-mail of what happens; started by events, perhaps more than once by one."""

from __future__ import annotations

from functools import cache
from typing import Any

import boto3

from menulens.portal.telling import Teller


@cache
def _teller() -> Teller:
    return Teller(boto3)


def handler(event: dict[str, Any], context: object) -> None:
    _teller().tell(event, context)
