"""What other tools' people said becomes answers of a job: through the same door as everybody's, each once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from menulens.portal import answers as answers_
from menulens.portal import decisions, groups, jobs, keys, reading
from menulens.portal.context import Portal
from menulens.portal.exchange import from_job, strict_json
from menulens.portal.exchange.records import GivenAnswer, Imported, Record
from menulens.portal.model import Answer, Job, iso
from menulens.portal.table import ConditionError, TableError, Update

THREADS: Final = 8
_ATTEMPTS: Final = 25


@dataclass(slots=True)
class Recorded:
    """What became of the answers and known items of an import.

    Attributes
    ----------
    accepted, duplicate
        Answers that are in the job now, and those that were before.
    gold
        Items marked as known.
    refused
        (answer's id, code) of answers that were not taken.
    absent
        Records whose photo or text the job does not ask about.
    """

    accepted: int = 0
    duplicate: int = 0
    gold: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)
    absent: int = 0

    @property
    def reasons(self) -> Counter[str]:
        """Refused answers by code."""
        return Counter(code for _, code in self.refused)


def keep(portal: Portal, name: str, imported: Imported) -> str:
    """Keep an import beside the job that is to come, and return the input manifest to make it from."""
    records = "".join(strict_json.dumps(record.to_json()) + "\n" for record in imported.records)
    rejects = "".join(strict_json.dumps(reject.to_json()) + "\n" for reject in imported.rejects)
    manifest = _manifest(imported)
    for file, text in ((from_job.RECORDS, records), ("rejects.jsonl", rejects), (from_job.MANIFEST, manifest)):
        portal.storage.write_text(from_job.place(portal.labels_bucket, name, file), text, "application/jsonl")
    return from_job.place(portal.labels_bucket, name, from_job.MANIFEST)


def is_kept(portal: Portal, name: str, imported: Imported) -> bool:
    """Tell whether what is kept beside a job is of the same photos or texts."""
    place = from_job.place(portal.labels_bucket, name, from_job.MANIFEST)
    return portal.storage.exists(place) and portal.storage.read_bytes(place) == _manifest(imported).encode()


def _manifest(imported: Imported) -> str:
    return "".join(strict_json.dumps(record.line()) + "\n" for record in imported.records)


def record(
    portal: Portal, job: Job, records: Sequence[Record], by: str, told: Callable[[int], None] = lambda _: None
) -> Recorded:
    """Record what people said, and mark what is known; the same again changes nothing.

    Parameters
    ----------
    by
        Who imports; the log has it beside each gold mark.
    told
        Is called with the number of records done.
    """
    places = _places(portal, job)
    done = Recorded()

    def one(given: Record) -> Recorded:
        found = Recorded()
        item_id = places.get(given.source)
        if item_id is None:
            found.absent += 1
            return found
        for answer in given.answers:
            _answer(portal, job, item_id, answer, found)
        if given.gold is not None:
            _gold(portal, job, item_id, key=given.gold, by=by, found=found)
        return found

    with ThreadPoolExecutor(THREADS) as pool:
        for number, part in enumerate(pool.map(one, records), 1):
            for name in ("accepted", "duplicate", "gold", "absent"):
                setattr(done, name, getattr(done, name) + getattr(part, name))
            done.refused += part.refused
            told(number)
    return done


def _places(portal: Portal, job: Job) -> dict[str, str]:
    """Return the item of each photo or text that the job asks about."""
    found: dict[str, str] = {}
    for item in jobs.items(portal, job):
        for source, _ in groups.sources(portal, job, item.lines).values():
            found.setdefault(source, item.id)
    return found


def _gold(portal: Portal, job: Job, item_id: str, *, key: str, by: str, found: Recorded) -> None:
    category = job.category(key)
    if category is not None and reading.get_item(portal, job.name, item_id).gold != category.index:
        decisions.set_gold(portal, job.name, item_id, by=by, label=category.index)
        found.gold += 1


def _answer(portal: Portal, job: Job, item_id: str, told: GivenAnswer, found: Recorded) -> None:
    index = {one.key: one.index for one in job.categories}
    answer = Answer(
        id=told.id,
        item=item_id,
        person=told.person,
        kind=told.kind,
        category=index.get(told.category or ""),
        second=index.get(told.second or ""),
        problem=told.problem if told.problem in ("broken", "improper") else None,  # type: ignore[arg-type]
        shown_ms=told.shown_ms or 0,
        # Without a time it was at some time before the job: it says nothing of how fast people are now.
        at=told.at or iso(0),
    )
    _hand_out(portal, job, item_id, told.person)
    [result] = answers_.record(portal, job, answers_.Who(told.person, told.person), [answer])
    if result.status == "rejected":
        found.refused.append((told.id, result.code))
    elif result.status == "accepted":
        found.accepted += 1
    else:
        found.duplicate += 1


def _hand_out(portal: Portal, job: Job, item_id: str, person: str) -> None:
    """Note that a person had an item: only answers to what was handed out are taken, theirs was elsewhere."""
    for _ in range(_ATTEMPTS):
        item = reading.get_item(portal, job.name, item_id)
        if person in item.leases or person in item.answers:
            return
        now = portal.clock()
        after = item.with_(leases={**item.leases, person: (now, now)})
        change = {"leases": {one: list(span) for one, span in after.leases.items()}, "version": after.version}
        try:
            portal.table.write(Update(keys.item(job.name, item_id), set=change, when={"version": item.version}))
        except ConditionError:
            continue
        return
    raise TableError(f"{item_id}: others change this item all the time; import again, nothing is taken twice.")
