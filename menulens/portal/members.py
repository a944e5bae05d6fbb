"""What people are called: an access token names them by an id alone; the user pool knows their e-mail addresses."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

FRESH_SECONDS: Final = 300.0

_known: dict[tuple[str, ...], tuple[float, dict[str, str]]] = {}


def names(cognito: Any, pool: str, groups: Iterable[str]) -> Mapping[str, str]:
    """Return the e-mail address of each member of some groups, by id; as it was at most five minutes ago.

    Where the pool can't be asked, nobody has a name: a page that shows ids is better than none.
    """
    place = (pool, *groups)
    read_at, found = _known.get(place, (-FRESH_SECONDS, {}))
    now = time.monotonic()
    if now - read_at < FRESH_SECONDS:
        return found
    try:
        fresh = {sub: email for group in place[1:] for sub, email in _members(cognito, pool, group)}
    except (BotoCoreError, ClientError):
        return found
    _known[place] = (now, fresh)
    return fresh


def _members(cognito: Any, pool: str, group: str) -> Iterable[tuple[str, str]]:
    for page in cognito.get_paginator("list_users_in_group").paginate(UserPoolId=pool, GroupName=group):
        for user in page["Users"]:
            told = {one["Name"]: one["Value"] for one in user.get("Attributes", ())}
            if "sub" in told:
                yield told["sub"], told.get("email") or user["Username"]
