"""Who calls the API: read from the token that API Gateway has checked, and held to a rate."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from menulens.portal import keys
from menulens.portal.context import Portal
from menulens.portal.model import PortalError
from menulens.portal.table import EXPIRES, Update

WINDOW_SECONDS: Final = 60
MOST_REQUESTS: Final = 600
"""Requests of one person in a window: ten a second, where labeling fast makes three."""

A_GUESS: Final = 30
"""Requests that count for one at something that is not there: who guesses is locked out for the rest of the window
after twenty."""


class RateError(PortalError):
    """Someone asks too often.

    Attributes
    ----------
    retry_after
        Seconds until they may ask again.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__("too-often", f"Too many requests; try again in {retry_after} s.", 429)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: the token's subject, name, groups, issuer and scopes."""

    id: str
    name: str
    groups: frozenset[str]
    issuer: str
    scopes: frozenset[str] = frozenset()

    def require(self, *groups: str) -> None:
        """Refuse who is in none of some groups.

        Raises
        ------
        PortalError
            With status 403.
        """
        if not self.groups.intersection(groups):
            raise PortalError("not-a-member", "You are not in the team that may do this; ask its owner.", 403)


def caller(event: Mapping[str, Any]) -> Caller:
    """Return who calls, from an HTTP API's event.

    Raises
    ------
    PortalError
        With status 401 if the event has no checked token.
    """
    claims = event.get("requestContext", {}).get("authorizer", {}).get("jwt", {}).get("claims") or {}
    if not isinstance(claims.get("sub"), str) or not claims["sub"]:
        raise PortalError("not-signed-in", "Sign in first.", 401)
    # An ID token would do for the authorizer as well; it is for the page alone.
    if claims.get("token_use", "access") != "access":
        raise PortalError("not-an-access-token", "An access token is due.", 401)
    name = claims.get("username") or claims.get("cognito:username") or claims["sub"]
    groups, scopes = _groups(claims.get("cognito:groups", "")), frozenset(str(claims.get("scope", "")).split())
    return Caller(claims["sub"], str(name), groups, str(claims.get("iss", "")), scopes)


def check_body(event: Mapping[str, Any]) -> None:
    """Refuse a body that can't be read as JSON, however it is made up.

    Raises
    ------
    PortalError
        With status 422.
    """
    body = event.get("body")
    if not body:
        return
    try:
        # Besides text that is no JSON: nesting that is too deep, integers that are too long.
        json.loads(base64.b64decode(body) if event.get("isBase64Encoded") else body)
    except (ValueError, RecursionError):
        raise PortalError("invalid", "A body is JSON in UTF-8.", 422) from None


def limit(portal: Portal, person: str, *, weight: int = 1) -> None:
    """Count a request of a person.

    Parameters
    ----------
    weight
        How many requests it counts for; ``A_GUESS`` for one at something that is not there.

    Raises
    ------
    RateError
        If they have asked too often in this window.
    """
    now = portal.clock()
    window = int(now // WINDOW_SECONDS)
    end = (window + 1) * WINDOW_SECONDS
    counted = portal.table.write(
        Update(keys.rate(person, window), add={"requests": weight}, set={EXPIRES: end + WINDOW_SECONDS})
    )
    if counted["requests"] > MOST_REQUESTS and weight == 1:
        raise RateError(max(1, round(end - now)))


def _groups(claim: Any) -> frozenset[str]:
    """Return the groups of a claim: API Gateway gives a list as ``[a b]``."""
    if isinstance(claim, str):
        return frozenset(claim.strip("[]").replace(",", " ").split())
    return frozenset(map(str, claim))
