"""Lists as SageMaker gives them: filtered, sorted, and cut into pages by a token."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from menulens.local.errors import invalid

_DEFAULT_PAGE = 10
_SORT_FIELDS = {"CreationTime": "CreationTime", "CreatedAt": "CreationTime", "CreateDate": "CreationTime"}


def page(
    summaries: Iterable[dict[str, Any]],
    params: dict[str, Any],
    *,
    into: str,
    name: str,
    status: str | None = None,
    order: str = "Descending",
) -> dict[str, Any]:
    """Return one page of a list.

    Parameters
    ----------
    summaries
        Everything that could be listed.
    params
        The request: its filters, ``SortBy``, ``SortOrder``, ``MaxResults`` and ``NextToken``.
    into
        The answer's member that holds the list.
    name, status
        The members of a summary that ``NameContains`` and ``StatusEquals`` look at.
    order
        Order without a ``SortOrder``.
    """
    kept = [item for item in summaries if _matches(item, params, name, status)]
    by = params.get("SortBy", "CreationTime")
    field = {"Name": name, "Status": status or name}.get(by, _SORT_FIELDS.get(by, "CreationTime"))
    kept.sort(key=lambda item: (item[field], item[name]), reverse=params.get("SortOrder", order) == "Descending")
    start = _offset(params.get("NextToken"))
    end = start + params.get("MaxResults", _DEFAULT_PAGE)
    answer: dict[str, Any] = {into: kept[start:end]}
    if end < len(kept):
        answer["NextToken"] = base64.urlsafe_b64encode(f"offset:{end}".encode()).decode()
    return answer


def _matches(item: dict[str, Any], params: dict[str, Any], name: str, status: str | None) -> bool:
    if params.get("NameContains", "").lower() not in str(item[name]).lower():
        return False
    if status and "StatusEquals" in params and item[status] != params["StatusEquals"]:
        return False
    for bound, field, later in (
        ("CreationTimeAfter", "CreationTime", True),
        ("CreationTimeBefore", "CreationTime", False),
        ("LastModifiedTimeAfter", "LastModifiedTime", True),
        ("LastModifiedTimeBefore", "LastModifiedTime", False),
    ):
        if bound in params and field in item:
            limit = _seconds(params[bound])
            if item[field] < limit if later else item[field] > limit:
                return False
    return True


def _seconds(value: Any) -> float:
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value.replace("Z", "+00:00")).timestamp()
        except ValueError:
            raise invalid(f"{value!r} is no timestamp.") from None
    return float(value)


def _offset(token: str | None) -> int:
    if not token:
        return 0
    try:
        kind, _, number = base64.urlsafe_b64decode(token).decode().partition(":")
        if kind == "offset":
            return int(number)
    except (binascii.Error, UnicodeDecodeError, ValueError):
        pass
    raise invalid("The pagination token is invalid.")
