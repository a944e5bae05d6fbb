"""Whether what a crowd was told is what a portal kept: nothing lost, nothing twice, nothing else."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

from benchmarks._portal_crowd import Tally
from menulens.portal import finish, jobs, log, rebuild, verify
from menulens.portal.context import Portal


@dataclass(frozen=True, slots=True)
class Audit:
    """What was compared.

    Attributes
    ----------
    acknowledged, logged, counted, stored
        Answers that annotators were told are kept; that are in the log; that the job's counters say; that items and
        people's counters hold.
    lost, twice, unasked
        Acknowledged and not in the log; in the log more than once; in the log and never acknowledged.
    faults
        Everything that is not as it must be, in words.
    """

    acknowledged: int
    logged: int
    counted: int
    lines: int
    segments: int
    lost: int
    twice: int
    unasked: int
    items: int
    done: int
    labeled: int
    right: int
    faults: tuple[str, ...]


def audit(portal: Portal, name: str, tally: Tally, *, categories: int) -> Audit:
    """Compare a crowd's tally with the log, the table, and the output that is made of them."""
    log.seal(portal, name)
    logged: Counter[str] = Counter()
    current: dict[tuple[str, str], str] = {}
    for raw in log.lines(portal, name):
        line = json.loads(raw)
        if line["kind"] == "answer":
            logged[line["id"]] += 1
    acknowledged, rejected = set(tally.acknowledged), set(tally.rejected)
    faults = list(tally.problems)
    lost, unasked = acknowledged - logged.keys(), logged.keys() - acknowledged
    twice = {one for one, times in logged.items() if times > 1}
    for what, ids in (("lost", lost), ("twice", twice), ("rejected, yet kept", rejected & logged.keys())):
        if ids:
            faults.append(f"{len(ids)} answers {what}, as {sorted(ids)[:3]}")
    found = verify.verify(portal, name)
    faults += [finding.message for finding in found.findings]
    job = jobs.get(portal, name)
    progress = jobs.progress(portal, job)
    if progress.answers != len(logged):
        faults.append(f"the counters say {progress.answers} answers, the log {len(logged)}")
    items = list(jobs.items(portal, job))
    done = sum(it.state != "open" for it in items)
    if done != progress.done:
        faults.append(f"the counters say {progress.done} items done, the items {done}")
    for it in items:
        for person, answer in it.answers.items():
            current[it.id, person] = answer.id
    made = rebuild.rebuild(portal, name)
    told = {(item, person): one["id"] for item, it in made.ledger.items.items() for person, one in it.answers.items()}
    if told != current:
        faults.append(f"{len(set(told.items()) ^ set(current.items()))} answers count in the log and not in the table")
    states = {it.id: it.state for it in items}
    if states != {item: it.state for item, it in made.ledger.items.items()}:
        faults.append("the log gives other states of items than the table")
    if job.state == "open":
        jobs.stop(portal, name)
    finish.finish(portal, name)
    manifest = portal.storage.read_bytes(f"s3://{portal.labels_bucket}/jobs/{name}/manifests/output/output.manifest")
    card = portal.storage.read_json(f"s3://{portal.labels_bucket}/jobs/{name}/card.json")
    again = rebuild.rebuild(portal, name, through=card["log"]["seq"])
    if manifest != again.manifest:
        faults.append("the manifest is not what the log gives")
    right = sum(outcome.added.get(job.attribute) == int(item) % categories for item, outcome in again.outcomes.items())
    return Audit(
        acknowledged=len(acknowledged),
        logged=sum(logged.values()),
        counted=progress.answers,
        lines=found.lines,
        segments=found.segments,
        lost=len(lost),
        twice=len(twice),
        unasked=len(unasked),
        items=len(items),
        done=done,
        labeled=again.labeled,
        right=right,
        faults=tuple(faults),
    )
