"""Labels by machine in a job: choose candidates, have people check a probe, label or withdraw, ask the rest by need.

One function, :func:`advance`, does what is due and says what it found; call it as often as you like. What a batch is
made of is written beside the job before anything follows from it, so that a call after a kill goes on. Command line
only: predictions need scikit-learn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal

import numpy as np

from menulens.core.keys import SOURCE_REF
from menulens.labeling import automatic, probing
from menulens.labeling.automatic import Candidate
from menulens.labeling.prediction import TooFewLabelsError
from menulens.labeling.probing import Look, Plan, Verdict
from menulens.portal import decisions, intake, reading
from menulens.portal.context import Portal
from menulens.portal.model import ENDED, Item, Job, PortalError

Array = np.ndarray[Any, Any]
Vectors = Callable[[Sequence[str]], Mapping[str, Array]]
"""Takes photos' places and returns the vectors of those that have one."""

THREADS: Final = 8
USUAL: Final = 50
"""An item's priority when nobody has set one."""

Did = Literal["too few labels", "nothing sure", "probing", "labeled", "stopped", "nothing left"]


@dataclass(frozen=True, slots=True)
class Batch:
    """What one model offered to label, written before anything follows from it.

    Attributes
    ----------
    number
        From 1.
    candidates
        In the order in which they are probed.
    plan
        When its probe is looked at; written with it, so that nothing that comes later changes it.
    beyond
        Probes that an owner wants looked at even where the labels stand.
    closed
        It was stopped: its labels are withdrawn.
    """

    number: int
    model: str
    temperature: float
    threshold: float
    error: float
    certainty: float
    candidates: tuple[Candidate, ...]
    plan: Plan
    beyond: int = 0
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """What :func:`advance` found and did.

    Attributes
    ----------
    did
        What the job is at now.
    learned
        Labels of people that the predictions were made from.
    without_vector
        Items that no vector was found for; only people can label them.
    error_before, error_after
        Expected calibration error before and after the temperature; None where no batch was begun.
    verdict
        Of the batch's probe; None without a batch.
    labeled, withdrawn
        Machine labels given and taken back by this call.
    photos, answers
        What people were spared in this job so far: photos, and answers at the rate of the items that people settled.
    """

    did: Did
    learned: int = 0
    without_vector: int = 0
    batch: Batch | None = None
    error_before: float | None = None
    error_after: float | None = None
    verdict: Verdict | None = None
    labeled: int = 0
    withdrawn: int = 0
    photos: int = 0
    answers: float = 0.0


def advance(
    portal: Portal,
    name: str,
    vectors: Vectors,
    *,
    model: str,
    error: float = probing.ERROR,
    certainty: float = probing.CERTAINTY,
    check: bool = False,
    group_of: Callable[[str], str] | None = None,
) -> Report:
    """Do what is due for a job's machine labels.

    Parameters
    ----------
    vectors, model
        Feature vectors of photos, and which model made them.
    error, certainty
        Machine labels may have this error rate at most, with this certainty.
    check
        Have people look at more probes of labels that stand already.
    group_of
        Tells a photo's restaurant, whose photos no prediction learns from each other; None: each photo alone.

    Raises
    ------
    PortalError
        If there is no such job, or it has ended.
    """
    job = reading.get(portal, name)
    if job.state in ENDED or job.state == "creating":
        raise PortalError("state", f"{name} is {job.state}; machine labels are for a job that is open.", 409)
    items = {it.id: it for it in reading.items(portal, job)}
    batches = _batches(portal, name)
    if batches and not batches[-1].closed:
        last = batches[-1]
        if check:
            last = _further(portal, name, last, _wrong(last, items))
        report = _continue(portal, name, last, items)
        if report.did != "labeled" or report.labeled or check:
            return _summed(portal, job, report)
    report = _begin(
        portal, job, items, vectors, model=model, error=error, certainty=certainty, number=len(batches) + 1,
        group_of=group_of,
    )  # fmt: skip
    return _summed(portal, job, report)


def references(portal: Portal, job: Job) -> dict[int, str]:
    """Return the photo of each line of a job; lines without one are left out."""
    found: dict[int, str] = {}
    for part in job.parts:
        for place, line in enumerate(intake.split_lines(portal.storage.read_bytes(part.manifest))):
            if isinstance(ref := intake.parse(line).get(SOURCE_REF), str):
                found[part.first_line + place] = ref
    return found


def people_labels(items: Iterable[Item]) -> dict[str, int]:
    """Return the category of each item that people, an owner or gold settled."""
    return {
        it.id: it.label
        for it in items
        if it.state == "settled" and it.label is not None and it.settler in ("people", "owner", "gold")
    }


def _begin(
    portal: Portal,
    job: Job,
    items: Mapping[str, Item],
    vectors: Vectors,
    *,
    model: str,
    error: float,
    certainty: float,
    number: int,
    group_of: Callable[[str], str] | None,
) -> Report:
    known = people_labels(items.values())
    open_ = [it.id for it in items.values() if it.state == "open" and it.gold is None and not it.heard()]
    if not open_:
        return Report("nothing left")
    photo_of = {name: ref for name, ref in _photos(portal, job, items) if name in known or items[name].state == "open"}
    found = vectors(sorted(set(photo_of.values())))
    have = {name: found[ref] for name, ref in photo_of.items() if ref in found}
    learn, asked = [name for name in sorted(known) if name in have], [name for name in open_ if name in have]
    missing = len(open_) - len(asked)
    if not asked:
        return Report("nothing sure", len(learn), missing)
    together = [*learn, *asked]
    labels = np.array([known.get(name, -1) for name in together], dtype=np.int64)
    try:
        made = automatic.propose(
            np.stack([have[name] for name in together]),
            labels,
            len(job.categories),
            batch=number,
            groups=np.array([group_of(photo_of[name]) for name in together]) if group_of else None,
            error=error,
            certainty=certainty,
        )
    except TooFewLabelsError:
        return Report("too few labels", len(learn), missing)
    seed = int.from_bytes(hashlib.sha256(f"{job.name}/{number}".encode()).digest()[:8], "big")
    candidates, priorities = automatic.batch(asked, made.probabilities, made.threshold, seed=seed)
    if made.threshold is None or made.plan is None:
        _set_priorities(portal, job.name, items, priorities)  # the uncertain are asked first all the same
        return Report("nothing sure", len(learn), missing, None, made.error_before, made.error_after)
    begun = Batch(number, model, made.temperature, made.threshold, error, certainty, tuple(candidates), made.plan)
    _write(portal, job.name, begun)
    _set_priorities(portal, job.name, items, priorities)
    verdict = probing.judge(begun.plan, [])
    _probe(portal, job.name, begun, items, verdict)
    return Report("probing", len(learn), missing, begun, made.error_before, made.error_after, verdict)


def _continue(portal: Portal, name: str, batch: Batch, items: Mapping[str, Item]) -> Report:
    verdict = probing.judge(batch.plan, _wrong(batch, items), beyond=batch.beyond)
    if verdict.state == "stopped":
        withdrawn = _withdraw(portal, name, batch, items)
        _write(portal, name, replace(batch, closed=True))
        return Report("stopped", batch=batch, verdict=verdict, withdrawn=withdrawn)
    if verdict.due is not None:
        _probe(portal, name, batch, items, verdict)
    if verdict.state == "waiting":
        return Report("probing", batch=batch, verdict=verdict)
    probed = {one.item for one in batch.candidates[: verdict.due or 0]}
    due = [one for one in batch.candidates if one.item not in probed and _free(items.get(one.item))]
    with ThreadPoolExecutor(THREADS) as pool:
        done = pool.map(
            lambda one: decisions.label_by_machine(
                portal, name, one.item, model=batch.model, label=one.label, posterior=round(one.confidence, 6)
            ),
            due,
        )
        labeled = sum(it is not None for it in done)
    return Report("labeled", batch=batch, verdict=verdict, labeled=labeled)


def _wrong(batch: Batch, items: Mapping[str, Item]) -> list[bool | None]:
    """Return of each candidate, in the order of the probe, whether people said otherwise."""
    return [_differs(one, items.get(one.item)) for one in batch.candidates]


def _differs(candidate: Candidate, it: Item | None) -> bool | None:
    if it is None:
        return True  # it was split away from its group: what it was is not there any more
    if it.gold is not None:
        return it.gold != candidate.label
    if it.state != "settled" or it.settler == "machine":
        return None
    return it.label != candidate.label  # without a label, as a broken photo: a machine label would have been wrong


def _free(it: Item | None) -> bool:
    return it is not None and it.state == "open" and it.gold is None and not it.probe and not it.heard()


def _probe(portal: Portal, name: str, batch: Batch, items: Mapping[str, Item], verdict: Verdict) -> None:
    """Have people label the probes that the next look needs, before all else."""
    for one in batch.candidates[: verdict.due or 0]:
        it = items.get(one.item)
        if it is None or it.gold is not None:
            continue
        if it.settler == "machine":
            decisions.withdraw_machine_label(portal, name, it.id, model=batch.model)
        if it.state == "open" or it.settler == "machine":
            decisions.prioritise(portal, name, it.id, priority=0, probe=True)


def _withdraw(portal: Portal, name: str, batch: Batch, items: Mapping[str, Item]) -> int:
    withdrawn = 0
    for one in batch.candidates:
        it = items.get(one.item)
        if it is None or it.gold is not None:
            continue
        if it.settler == "machine":
            withdrawn += decisions.withdraw_machine_label(portal, name, it.id, model=batch.model) is not None
        if it.settler == "machine" or (it.state == "open" and it.priority != USUAL):
            decisions.prioritise(portal, name, it.id, priority=USUAL, probe=False)
    return withdrawn


def _further(portal: Portal, name: str, batch: Batch, wrong: Sequence[bool | None]) -> Batch:
    """Make the next look due although the labels stand."""
    looked = probing.judge(batch.plan, wrong).probes
    later = next((look.probes for look in batch.plan.looks if look.probes > looked), None)
    if later is None or looked == 0 or later <= batch.beyond:
        return batch
    more = replace(batch, beyond=later)
    _write(portal, name, more)
    return more


def _set_priorities(portal: Portal, name: str, items: Mapping[str, Item], priorities: Mapping[str, int]) -> None:
    due = [(item, priority) for item, priority in priorities.items() if items[item].priority != priority]
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda one: decisions.prioritise(portal, name, one[0], priority=one[1]), due))


def _photos(portal: Portal, job: Job, items: Mapping[str, Item]) -> Iterable[tuple[str, str]]:
    lines = references(portal, job)
    return ((name, lines[it.lines[0]]) for name, it in items.items() if it.lines[0] in lines)


def _summed(portal: Portal, job: Job, report: Report) -> Report:
    """Add what people were spared in the job so far."""
    machine, settled, given = 0, 0, 0
    for it in reading.items(portal, job):
        if it.settler == "machine":
            machine += len(it.lines)
        elif it.settler == "people":
            settled, given = settled + 1, given + it.heard()
    each = given / settled if settled else float(job.options.min_answers)
    return replace(report, photos=machine, answers=machine * each)


def _folder(portal: Portal, name: str) -> str:
    return f"s3://{portal.labels_bucket}/inputs/{name}/automatic/"


def _write(portal: Portal, name: str, batch: Batch) -> None:
    portal.storage.write_json(f"{_folder(portal, name)}{batch.number:06d}.json", {"format": 1, **asdict(batch)})


def _batches(portal: Portal, name: str) -> list[Batch]:
    found = []
    for item in sorted(portal.storage.list(_folder(portal, name)), key=lambda one: one.key):
        value = portal.storage.read_json(item.uri)
        value.pop("format")
        candidates = tuple(Candidate(**one) for one in value.pop("candidates"))
        planned = value.pop("plan")
        looks = tuple(Look(**one) for one in planned.pop("looks"))
        found.append(Batch(**value, candidates=candidates, plan=Plan(**planned, looks=looks)))
    return found
