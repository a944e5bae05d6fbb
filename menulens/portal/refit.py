"""Learn anew what people's answers are worth, from all answers in the log, and act on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from menulens.portal import blocking, decisions, keys, log, rebuild, skills, work
from menulens.portal.context import Portal
from menulens.portal.ledger import replay
from menulens.portal.model import Item, Job
from menulens.portal.reading import items, progress
from menulens.portal.settling import Skills, judged
from menulens.portal.table import Update

FIRST: Final = 40
"""Answers that must be there before anything is learned of anyone."""

GROWTH: Final = 1.25
"""Learn anew when there are so many times the answers of the last time: some forty times for the first 200,000."""


def refit(portal: Portal, job: Job, last_seq: int, *, anyway: bool = False) -> int:
    """Learn anew if enough has come in or somebody is asked no more, or again; judge answered items and people by it.

    Parameters
    ----------
    last_seq
        Number of the log's last line: looking at it costs nothing.
    anyway
        Learn from anything new, however little: before a job ends.

    Returns
    -------
    int
        Items and people that are judged otherwise now: settled with what is known of people, or asked about again;
        asked no more.
    """
    known, now = portal.table.get(keys.skills(job.name)) or {}, portal.clock()
    due = known.get("lines", 0) + 1 if anyway else max(FIRST, known.get("lines", 0) * GROWTH)
    if last_seq < due and not _others_are_asked(known, now):
        return 0
    everybody = work.people(portal, job.name)
    gone = frozenset(one.id for one in everybody if one.blocked)
    ledger = replay(job.name, log.lines(portal, job.name), portal.storage.read_bytes)
    found, _ = rebuild.consensus(ledger)
    text = skills.encoded(replace(found, met=len(everybody), gone=gone))
    portal.table.write(Update(keys.skills(job.name), set={"skills": text}))
    # What the API decides by has fewer digits; here the same.
    rounded = skills.decoded(text)
    changed = sum(_judge(portal, job, it, rounded) for it in items(portal, job) if it.answers)
    if progress(portal, job).open:
        changed += blocking.block_who_tell_little(portal, job, rounded, rebuild.compared(ledger))
    # Written last: whoever is killed before has not looked at all items, and the next one does.
    portal.table.write(Update(keys.skills(job.name), set={"lines": ledger.seq, "looked_at": now}))
    return changed


def _others_are_asked(known: Mapping[str, Any], now: float) -> bool:
    """Return whether somebody was blocked or let go on since the last look.

    One look follows at once, and one when no answer can be judged any more by what was known before.
    """
    if blocking.CHANGED_AT not in known:
        return False
    changed, looked = float(known[blocking.CHANGED_AT]), float(known.get("looked_at", 0.0))
    # Twice as long: an answer that was judged in the last moment has still to be written.
    over = changed + 2 * skills.FRESH_SECONDS
    return looked <= changed or looked <= over <= now


def _judge(portal: Portal, job: Job, it: Item, found: Skills) -> bool:
    now = judged(it, job, found)
    if (now.state, now.reason) == (it.state, it.reason):
        return False
    return decisions.rejudge(portal, job.name, it.id, found) is not None
