"""Learn anew what people's answers are worth, from all answers in the log, and act on it."""

from __future__ import annotations

from typing import Final

from menulens.portal import blocking, decisions, keys, log, rebuild, skills
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
    """Learn anew if enough has come in; judge the items that people have answered, and people themselves, by it.

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
    known = portal.table.get(keys.skills(job.name)) or {}
    due = known.get("lines", 0) + 1 if anyway else max(FIRST, known.get("lines", 0) * GROWTH)
    if last_seq < due:
        return 0
    ledger = replay(job.name, log.lines(portal, job.name), portal.storage.read_bytes)
    found, _ = rebuild.consensus(ledger)
    text = skills.encoded(found)
    portal.table.write(Update(keys.skills(job.name), set={"skills": text}))
    # What the API decides by has fewer digits; here the same.
    rounded = skills.decoded(text)
    changed = sum(_judge(portal, job, it, rounded) for it in items(portal, job) if it.answers)
    if progress(portal, job).open:
        changed += blocking.block_who_tell_little(portal, job, rounded, rebuild.compared(ledger))
    # Written last: whoever is killed before has not looked at all items, and the next one does.
    portal.table.write(Update(keys.skills(job.name), set={"lines": ledger.seq}))
    return changed


def _judge(portal: Portal, job: Job, it: Item, found: Skills) -> bool:
    now = judged(it, job, found)
    if (now.state, now.reason) == (it.state, it.reason):
        return False
    return decisions.rejudge(portal, job.name, it.id, found) is not None
