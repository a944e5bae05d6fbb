"""What people are called: an access token names them by an id alone; the user pool knows their e-mail addresses."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

FRESH_SECONDS: Final = 300.0
SOON_SECONDS: Final = 5.0
"""How old what is known may be when somebody is not in it: who was invited a moment ago has a name, too."""

_known: dict[tuple[str, ...], tuple[float, dict[str, str]]] = {}


class Names(Mapping[str, str]):
    """The e-mail address of each member of some groups, by id; as it was at most five minutes ago.

    Where the pool can't be asked, nobody has a name: a page that shows ids is better than none.
    """

    def __init__(self, cognito: Any, pool: str, groups: Iterable[str]) -> None:
        self._cognito, self._place = cognito, (pool, *groups)

    def __getitem__(self, person: str) -> str:
        found = self._read(FRESH_SECONDS)
        return found[person] if person in found else self._read(SOON_SECONDS)[person]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read(FRESH_SECONDS))

    def __len__(self) -> int:
        return len(self._read(FRESH_SECONDS))

    def _read(self, most_seconds: float) -> dict[str, str]:
        read_at, found = _known.get(self._place, (-FRESH_SECONDS, {}))
        now = time.monotonic()
        if now - read_at < most_seconds:
            return found
        pool, *groups = self._place
        try:
            found = {sub: email for group in groups for sub, email in _members(self._cognito, pool, group)}
        except (BotoCoreError, ClientError):
            return found
        _known[self._place] = (now, found)
        return found


def _members(cognito: Any, pool: str, group: str) -> Iterable[tuple[str, str]]:
    for page in cognito.get_paginator("list_users_in_group").paginate(UserPoolId=pool, GroupName=group):
        for user in page["Users"]:
            told = {one["Name"]: one["Value"] for one in user.get("Attributes", ())}
            if "sub" in told:
                yield told["sub"], told.get("email") or user["Username"]
