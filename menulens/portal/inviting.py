"""Invitations into a user pool that is not ours: whoever is there already stays as they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def invite(emails: Iterable[str], *, pool_id: str, cognito: Any) -> list[str]:
    """Make everyone a user of a pool, which mails them its invitation; answers who was not there yet.

    It may be done again, after an error as well: nobody is invited twice.
    """
    invited = []
    for email in emails:
        try:
            cognito.admin_create_user(
                UserPoolId=pool_id,
                Username=email,
                UserAttributes=[{"Name": "email", "Value": email}, {"Name": "email_verified", "Value": "true"}],
                DesiredDeliveryMediums=["EMAIL"],
            )
        except cognito.exceptions.UsernameExistsException:
            continue
        invited.append(email)
    return invited
