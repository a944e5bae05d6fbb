"""Tell people by e-mail of what happens, once for each event however often the bus brings it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)

from menulens.core import deployed, keys
from menulens.portal import mails, members
from menulens.portal.table import EXPIRES, PK, SK

TOLD: Final = "told"
"""Partition of the table that remembers which events were told."""

REMEMBERED_SECONDS: Final = 86_400
"""Longer than the bus and Lambda together try to deliver an event."""

TOPICS: Final[Mapping[mails.To, str]] = {
    "annotators": deployed.NEW_WORK_TOPIC,
    "owners": deployed.OWNERS_TOPIC,
    "operators": deployed.ALARMS_TOPIC,
}


class Teller:
    """What a function that tells people works with, from its environment variables.

    Parameters
    ----------
    session
        Makes clients: a boto3 session, or the module ``boto3``.
    """

    def __init__(self, session: Any) -> None:
        self._sns, self._cognito = session.client("sns"), session.client("cognito-idp")
        self._address = deployed.variable(deployed.PORTAL_ADDRESS)
        self._topics = {to: deployed.variable(name) for to, name in TOPICS.items()}
        self._pool = deployed.variable(deployed.USER_POOL_ID)
        self._group = deployed.variable(deployed.ANNOTATORS_GROUP)
        # One that is killed while it tells is tried again when its time is over; then a mail may come twice, never not.
        self._config = IdempotencyConfig(expires_after_seconds=REMEMBERED_SECONDS, hash_function="sha256")
        store = DynamoDBPersistenceLayer(
            deployed.variable(deployed.LABELING_TABLE),
            key_attr=PK,
            static_pk_value=TOLD,
            sort_key_attr=SK,
            expiry_attr=EXPIRES,
            boto3_client=session.client("dynamodb"),
        )
        self._once = idempotent_function(
            self._send,
            data_keyword_argument="event_id",
            persistence_store=store,
            config=self._config,
            key_prefix="event",
        )

    def tell(self, event: Mapping[str, Any], context: Any) -> None:
        """Send the mail about an event, unless it was sent or nobody needs one.

        Raises
        ------
        IdempotencyAlreadyInProgressError
            If another run is at it; the event is tried again.
        """
        self._config.register_lambda_context(context)
        # What the log holds is told of once, however many events there are about the entry.
        self._once(event_id=event["detail"].get(keys.ENTRY) or event["id"], event=event)

    def _send(self, *, event_id: str, event: Mapping[str, Any]) -> None:  # noqa: ARG002 (what it is known by)
        mail = mails.written(event, address=self._address, called=self._called)
        if mail is not None:
            self._sns.publish(TopicArn=self._topics[mail.to], Subject=mail.subject, Message=mail.text)

    def _called(self, person: str) -> str:
        return members.Names(self._cognito, self._pool, [self._group]).get(person, person)
