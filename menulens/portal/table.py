"""The portal's DynamoDB table: one gateway, conditional writes, transactions that are tried again when they collide.

Keys are texts ``pk`` and ``sk``. The index ``next`` is sparse: an entry is in it while it has the attributes ``queue``
and ``order``. Attribute ``expires`` (seconds since 1970) lets DynamoDB remove an entry.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from botocore.exceptions import ClientError

from menulens.portal.values import (
    EXPIRES,
    ORDER,
    PK,
    QUEUE,
    SK,
    WHO,
    Delete,
    Key,
    Put,
    TableError,
    Update,
    Values,
    Write,
    decode,
    encode,
    key_of,
    request_of,
)

__all__ = [
    "EXPIRES",
    "INDEX",
    "ORDER",
    "PK",
    "QUEUE",
    "SK",
    "WHO",
    "ConditionError",
    "Delete",
    "Key",
    "Put",
    "Table",
    "TableError",
    "Update",
    "Values",
    "Write",
    "definition",
]

INDEX: Final = "next"

_ATTEMPTS: Final = 8
_FIRST_PAUSE: Final = 0.02  # seconds; doubles with each attempt
_BATCH_GET: Final = 100
_PAGE: Final = 100
_BATCH_WRITE: Final = 25
_TRY_AGAIN: Final = frozenset(
    {
        "TransactionConflictException",
        "TransactionInProgressException",
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "InternalServerError",
    }
)
_TRY_AGAIN_REASONS: Final = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})


class ConditionError(Exception):
    """A condition of a write does not hold.

    Attributes
    ----------
    failed
        Places in the transaction whose conditions failed; ``(0,)`` for a single write.
    """

    def __init__(self, failed: tuple[int, ...]) -> None:
        super().__init__(f"the condition of write {', '.join(map(str, failed))} does not hold")
        self.failed = failed


def definition(name: str) -> dict[str, Any]:
    """Return what CreateTable is given for the table; stacks make the same one."""
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": one, "AttributeType": "S"} for one in (PK, SK, QUEUE, ORDER)],
        "KeySchema": [{"AttributeName": PK, "KeyType": "HASH"}, {"AttributeName": SK, "KeyType": "RANGE"}],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": INDEX,
                "KeySchema": [
                    {"AttributeName": QUEUE, "KeyType": "HASH"},
                    {"AttributeName": ORDER, "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": [WHO]},
            }
        ],
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
    }


class Table:
    """One table through a boto3 DynamoDB client.

    Values are JSON's, and sets of texts. Floats keep every digit.
    """

    def __init__(self, client: Any, name: str) -> None:
        self._client, self.name = client, name

    def get(self, key: Key) -> dict[str, Any] | None:
        """Return an entry as it is now, None if there is none."""
        answer = self._call("get_item", Key=key_of(key), ConsistentRead=True)
        return decode(answer["Item"]) if "Item" in answer else None

    def get_many(self, keys: Iterable[Key]) -> dict[Key, dict[str, Any]]:
        """Return the entries of some keys as they are now; keys without one are left out."""
        found: dict[Key, dict[str, Any]] = {}
        waiting = [key_of(key) for key in dict.fromkeys(keys)]
        pause = _FIRST_PAUSE
        while waiting:
            request = {self.name: {"Keys": waiting[:_BATCH_GET], "ConsistentRead": True}}
            answer = self._client.batch_get_item(RequestItems=request)
            for raw in answer["Responses"].get(self.name, ()):
                entry = decode(raw)
                found[entry[PK], entry[SK]] = entry
            left = answer.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys", [])
            if left:
                time.sleep(pause * random.random())  # noqa: S311 (spreads retries)
                pause = min(1.0, pause * 2)
            waiting = left + waiting[_BATCH_GET:]
        return found

    def query(
        self,
        pk: str,
        *,
        prefix: str = "",
        after: str = "",
        below: str = "",
        limit: int | None = None,
        newest_first: bool = False,
    ) -> Iterator[dict[str, Any]]:
        """Yield the entries of a partition as they are now, by ``sk``, page after page.

        Parameters
        ----------
        prefix, after, below
            Only keys that start so; only keys after this one; only keys below this one. One of the three.
        """
        yield from self._query(
            {"ConsistentRead": True}, PK, SK, pk, prefix=prefix, after=after, below=below, limit=limit,
            newest_first=newest_first,
        )  # fmt: skip

    def queued(
        self, queue: str, *, below: str = "", without: str = "", limit: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield the keys of a queue by ``order``, from the index: perhaps a moment old.

        Parameters
        ----------
        below
            Only orders below this text.
        without
            Leave out entries that this person has answered.
        """
        more: dict[str, Any] = {"IndexName": INDEX}
        if without:
            more |= {"FilterExpression": "NOT contains(#who, :who)"}
            more |= {"names": {"#who": WHO}, "values": {":who": without}}
        yield from self._query(more, QUEUE, ORDER, queue, below=below, limit=limit)

    def write(self, write: Write) -> dict[str, Any]:
        """Do one write and return the entry as it is after it (empty for a Delete).

        Raises
        ------
        ConditionError
            If its condition does not hold.
        """
        kind, request = request_of(self.name, write)
        if kind == "Update":
            request["ReturnValues"] = "ALL_NEW"
        try:
            answer = self._call(f"{kind.lower()}_item", bare=True, **request)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                raise ConditionError((0,)) from None
            raise
        if isinstance(write, Put):
            return {PK: write.key[0], SK: write.key[1], **write.values}
        return decode(answer.get("Attributes", {}))

    def transact(self, writes: Sequence[Write], token: str = "") -> None:
        """Do up to 100 writes, all or none.

        Parameters
        ----------
        token
            Up to 36 characters: the same request again within ten minutes does nothing. Without one, boto3 makes one
            for its own retries.

        Raises
        ------
        ConditionError
            If a condition does not hold; nothing is written.
        TableError
            If others write the same entries all the time.
        """
        request: dict[str, Any] = {
            "TransactItems": [{kind: body} for kind, body in (request_of(self.name, write) for write in writes)]
        }
        if token:
            request["ClientRequestToken"] = token
        for attempt in range(_ATTEMPTS):
            try:
                self._client.transact_write_items(**request)
                return
            except ClientError as error:
                reasons = [one.get("Code") for one in error.response.get("CancellationReasons", ())]
                failed = tuple(place for place, code in enumerate(reasons) if code == "ConditionalCheckFailed")
                if failed:
                    raise ConditionError(failed) from None
                code = error.response["Error"]["Code"]
                if code not in _TRY_AGAIN and not _TRY_AGAIN_REASONS.intersection(reasons):
                    raise
            time.sleep(_FIRST_PAUSE * 2**attempt * random.random())  # noqa: S311 (spreads retries)
        raise TableError(f"{self.name}: {len(writes)} writes collided with others {_ATTEMPTS} times; try again.")

    def delete_many(self, keys: Iterable[Key]) -> None:
        """Remove entries; not all at once."""
        waiting = [{"DeleteRequest": {"Key": key_of(key)}} for key in keys]
        pause = _FIRST_PAUSE
        while waiting:
            answer = self._client.batch_write_item(RequestItems={self.name: waiting[:_BATCH_WRITE]})
            left = answer.get("UnprocessedItems", {}).get(self.name, [])
            if left:
                time.sleep(pause * random.random())  # noqa: S311 (spreads retries)
                pause = min(1.0, pause * 2)
            waiting = left + waiting[_BATCH_WRITE:]

    def _query(
        self,
        more: dict[str, Any],
        hash_name: str,
        range_name: str,
        value: str,
        *,
        prefix: str = "",
        after: str = "",
        below: str = "",
        limit: int | None = None,
        newest_first: bool = False,
    ) -> Iterator[dict[str, Any]]:
        names = {"#h": hash_name, **more.pop("names", {})}
        values = {":h": value, **more.pop("values", {})}
        condition = "#h = :h"
        if bound := prefix or after or below:
            names["#r"], values[":r"] = range_name, bound
            sign = ">" if after else "<"
            condition += " AND begins_with(#r, :r)" if prefix else f" AND #r {sign} :r"
        request = {
            "TableName": self.name,
            "KeyConditionExpression": condition,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": {name: encode(one) for name, one in values.items()},
            "ScanIndexForward": not newest_first,
            **more,
        }
        left = limit
        while True:
            if left is not None and "FilterExpression" not in request:
                request["Limit"] = left
            elif "FilterExpression" in request:
                request["Limit"] = _PAGE  # who leaves some out reads a few at a time, and stops when there are enough
            answer = self._client.query(**request)
            for raw in answer["Items"]:
                yield decode(raw)
                if left is not None:
                    left -= 1
                    if left <= 0:
                        return
            if "LastEvaluatedKey" not in answer:
                return
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def _call(self, operation: str, *, bare: bool = False, **request: Any) -> Any:
        """Call an operation; collisions with transactions are tried again."""
        if not bare:
            request["TableName"] = self.name
        for attempt in range(_ATTEMPTS):
            try:
                return getattr(self._client, operation)(**request)
            except ClientError as error:
                if error.response["Error"]["Code"] not in _TRY_AGAIN or attempt == _ATTEMPTS - 1:
                    raise
            time.sleep(_FIRST_PAUSE * 2**attempt * random.random())  # noqa: S311 (spreads retries)
        raise AssertionError("unreachable")
