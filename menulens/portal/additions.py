"""What became of photos that an owner adds to a job: told while they are made ready, kept when they are in.

An entry is written by who adds, and read by the owner's page. One that has not been heard of for longer than a function
may run was killed; the same call again goes on where it stopped.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any, Final, Literal

from menulens.portal import keys
from menulens.portal.context import Portal
from menulens.portal.model import iso, seconds
from menulens.portal.table import SK, ConditionError, Put, Update

State = Literal["waiting", "running", "done", "failed"]
QUIET_SECONDS: Final = 960.0
"""Longer than a function may run: who has said nothing for so long was killed."""
MOST_SHOWN: Final = 5
_LONGEST_MESSAGE: Final = 500
_UNDER_WAY: Final = frozenset({"waiting", "running"})


@dataclass(frozen=True, slots=True)
class Addition:
    """Photos on their way into a job.

    Attributes
    ----------
    what
        The prefix or the manifest that they come from.
    at
        When it was last heard of.
    records, had, left, asked, rejected, items
        As :class:`menulens.portal.adding.Added` has them, as far as they are known.
    ready
        Of those asked about: made ready, or found to be unusable.
    unusable
        Of those made ready: can't be shown.
    rejects
        Where those are listed that were turned away unseen.
    """

    id: str
    what: str
    state: State = "waiting"
    at: str = ""
    records: int = 0
    had: int = 0
    left: int = 0
    asked: int = 0
    ready: int = 0
    rejected: int = 0
    unusable: int = 0
    items: int = 0
    rejects: str = ""
    message: str = ""


_KNOWN: Final = frozenset(field.name for field in fields(Addition))


def new_id(portal: Portal) -> str:
    """Return an id; ids sort as the times at which they were drawn."""
    return f"{iso(portal.clock())}-{secrets.token_hex(4)}"


def begin(portal: Portal, job: str, addition: str, what: str) -> Addition:
    """Tell that something was set going that will add; what it has told itself meanwhile stays."""
    begun = Addition(addition, what, at=iso(portal.clock()))
    try:
        portal.table.write(
            Put(keys.addition(job, addition), {"what": what, "state": begun.state, "at": begun.at}, new=True)
        )
    except ConditionError:
        return next(one for one in _all(portal, job) if one.id == addition)
    return begun


def note(portal: Portal, job: str, addition: str, **known: Any) -> None:
    """Tell what is known by now."""
    if "message" in known:
        known["message"] = known["message"][:_LONGEST_MESSAGE]
    portal.table.write(Update(keys.addition(job, addition), set={**known, "at": iso(portal.clock())}))


def recent(portal: Portal, job: str) -> list[Addition]:
    """Return what was added last, the newest first."""
    return list(islice(_all(portal, job), MOST_SHOWN))


def rejects(portal: Portal, job: str) -> Iterator[str]:
    """Yield where those are listed that were turned away, the oldest first, each place once."""
    places = [one.rejects for one in _all(portal, job) if one.rejects]
    yield from dict.fromkeys(reversed(places))


def _all(portal: Portal, job: str) -> Iterator[Addition]:
    for entry in portal.table.query(keys.addition(job)[0], newest_first=True):
        known = {name: value for name, value in entry.items() if name in _KNOWN}
        found = Addition(**{"id": entry[SK], "what": "", **known})
        if found.state in _UNDER_WAY and portal.clock() - seconds(found.at) > QUIET_SECONDS:
            found = Addition(**{"id": entry[SK], "what": "", **known, "state": "failed"})
        yield found
