"""Learn anew what people's answers are worth, from all answers in the log."""

from __future__ import annotations

from typing import Final

from menulens.portal import keys, log, rebuild, skills
from menulens.portal.context import Portal
from menulens.portal.ledger import replay
from menulens.portal.table import Update

FIRST: Final = 40
"""Answers that must be there before anything is learned of anyone."""

GROWTH: Final = 1.25
"""Learn anew when there are so many times the answers of the last time: some forty times for the first 200,000."""


def refit(portal: Portal, job: str, lines_sealed: int) -> bool:
    """Learn anew if enough has come in; return whether it was done.

    Parameters
    ----------
    lines_sealed
        Number of the log's last line: looking at it costs nothing.
    """
    known = portal.table.get(keys.skills(job)) or {}
    if lines_sealed < max(FIRST, known.get("lines", 0) * GROWTH):
        return False
    ledger = replay(job, log.lines(portal, job), portal.storage.read_bytes)
    found, _ = rebuild.consensus(ledger)
    change = {"skills": skills.encoded(found), "lines": ledger.seq}
    portal.table.write(Update(keys.skills(job), set=change))
    return True
