"""Exactly once: 50 simulated annotators, 20,000 answers, faults injected; and how long an answer takes meanwhile.

Everything runs on this machine: the annotators, the API's processes, the sealer and the local cloud share its cores, so
latencies are those of a full machine, not of an account. Exits with 1 if an answer was lost or counted twice, the log
does not verify, or the manifest is not what the log gives.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks._portal_audit import audit
from benchmarks._portal_crowd import KEYS, Faults, run_crowd
from benchmarks._portal_room import Room, any_room
from menulens.local.cloud_state import CloudState
from menulens.local.hosting import free_port
from menulens.local.lifecycle import start_server, stop
from menulens.portal.model import JobOptions

LEASE_SECONDS = 20


def main() -> int:
    """Run it and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--answers", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        state = CloudState(Path(folder))
        try:
            room = any_room(start_server(state, port=free_port()).port)
            return _measure(room, given)
        finally:
            stop(state)


def _measure(room: Room, given: argparse.Namespace) -> int:
    options = JobOptions(
        confidence=0.95, min_answers=2, max_answers=4, gold_share=0.0, least_worth=0.0, lease_seconds=LEASE_SECONDS
    )
    job = room.job(items=given.answers // 2, options=options)
    begun = time.monotonic()
    tally = run_crowd(
        room,
        job.name,
        people=given.people,
        answers=given.answers,
        workers=given.workers,
        faults=Faults(),
        lease_seconds=LEASE_SECONDS,
        seed=given.seed,
    )
    took = time.monotonic() - begun
    found = audit(room.portal, job.name, tally, categories=len(KEYS))
    for name, latencies in (("an answer", tally.latencies), ("a lease of five", tally.lease_latencies)):
        cuts = statistics.quantiles(latencies, n=100)
        print(
            f"{name}: p50 {cuts[49] * 1e3:.0f} ms, p95 {cuts[94] * 1e3:.0f} ms, p99 {cuts[98] * 1e3:.0f} ms "
            f"({len(latencies):,} requests)"
        )
    print(f"{given.people} people, {took:.0f} s, {found.acknowledged / took:.0f} answers/s; {dict(tally.statuses)}")
    print(f"faults: {dict(sorted(tally.faults.items()))}")
    print(f"rejected: {len(tally.rejected):,} {sorted(set(tally.rejected.values()))}")
    print(
        f"acknowledged {found.acknowledged:,} = logged {found.logged:,} = counted {found.counted:,}; "
        f"lost {found.lost}, twice {found.twice}; {found.lines:,} lines in {found.segments} segments"
    )
    print(f"{found.done:,} of {found.items:,} items done, {found.labeled:,} lines labeled, {found.right:,} rightly")
    for fault in found.faults:
        print(f"WRONG: {fault}")
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
