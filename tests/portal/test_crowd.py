"""A small crowd with all faults at once; ``python -m benchmarks.answers`` is the same at full size."""

from __future__ import annotations

from benchmarks._portal_audit import audit
from benchmarks._portal_crowd import KEYS, Faults, run_crowd
from benchmarks._portal_room import Room
from menulens.portal.model import JobOptions

ANSWERS = 400


def should_keep_each_answer_of_a_crowd_once(room: Room) -> None:
    lease_seconds = 15
    options = JobOptions(min_answers=2, max_answers=4, gold_share=0.0, least_worth=0.0, lease_seconds=lease_seconds)
    job = room.job(items=220, options=options)
    tally = run_crowd(
        room,
        job.name,
        people=8,
        answers=ANSWERS,
        workers=2,
        faults=Faults(hung_up=0.1, double_tap=0.1, two_devices=0.4, late=0.02, undo=0.1, kill_every=2.0),
        lease_seconds=lease_seconds,
        seed=7,
    )
    found = audit(room.portal, job.name, tally, categories=len(KEYS))
    assert found.faults == ()
    assert found.acknowledged >= ANSWERS
    assert found.acknowledged == found.logged == found.counted
    assert (found.lost, found.twice) == (0, 0)
    for fault in ("hung_up", "double_taps", "workers_killed", "undone", "connections_broken"):
        assert tally.faults[fault] > 0, f"nothing of {fault} happened"
    assert tally.statuses["duplicate"] > 0
    assert found.right > 0.8 * found.labeled
