"""The manifest from the log: the same log gives the same bytes, now or in ten years."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from menulens.core.keys import METADATA_SUFFIX
from menulens.labeling.consensus import Answers, dawid_skene_with_prior
from menulens.portal import intake, log
from menulens.portal.context import Portal
from menulens.portal.ledger import Ledger, Told, replay
from menulens.portal.model import seconds
from menulens.portal.settling import REPORTED, Skills

PHOTO_TYPE: Final = "groundtruth/image-classification"
TEXT_TYPE: Final = "groundtruth/text-classification"
_DIGITS: Final = 4  # of a confidence: far under what a posterior is good for, far over what a processor rounds


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an item's lines gain; ``added`` is empty for one that nobody has settled."""

    told: Told
    added: Mapping[str, Any]

    @property
    def labeled(self) -> bool:
        """Whether it has a label."""
        return len(self.added) > 1


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A job's output, made of its log.

    Attributes
    ----------
    manifest
        Every line of the input, in order, labeled or not.
    outcomes
        Item id to outcome.
    skills
        What people's answers are worth, by all of them.
    """

    ledger: Ledger
    manifest: bytes
    outcomes: Mapping[str, Outcome]
    skills: Skills

    @property
    def labeled(self) -> int:
        """Lines that got a label from this job."""
        return sum(len(one.told.item.lines) for one in self.outcomes.values() if one.labeled)


def rebuild(portal: Portal, job: str, *, through: int | None = None) -> Rebuilt:
    """Make a job's output of its log.

    Parameters
    ----------
    through
        Number of the last log line to read: a finished job's card says which its output was made of.

    Raises
    ------
    PortalError
        If an input is not the one that the log has the hash of.
    """
    return of_ledger(replay(job, log.lines(portal, job), portal.storage.read_bytes, through=through))


def of_ledger(ledger: Ledger) -> Rebuilt:
    """Make a job's output of what its log says."""
    skills, believed = consensus(ledger)
    outcomes = {name: Outcome(told, _added(ledger, told, believed.get(name))) for name, told in ledger.items.items()}
    of_line = {line: one.added for one in outcomes.values() for line in one.told.item.lines}
    made = []
    for line in ledger.lines:
        added = of_line.get(line.number, {})
        if line.failure:
            added = _failed(ledger, line.failure, ledger.failed_at[line.number])
        made.append(with_keys(line.raw, added, ledger.attribute))
    return Rebuilt(ledger, b"".join(line + b"\n" for line in made), outcomes, skills)


def consensus(ledger: Ledger) -> tuple[Skills, dict[str, tuple[int, float]]]:
    """Return what people's answers are worth, and the likeliest category of each item with its probability."""
    triples = [(name, person, label) for name, told in ledger.items.items() for person, label in told.labels().items()]
    if not triples:
        return Skills(), {}
    known = {name: told.gold for name, told in ledger.items.items() if told.gold is not None}
    known |= {
        name: told.label
        for name, told in ledger.items.items()
        if told.settler == "owner" and told.label is not None and name not in known
    }
    found = dawid_skene_with_prior(Answers.of(triples), len(ledger.categories), gold=known)
    believed = zip(found.items, found.labels.tolist(), found.confidence.tolist(), strict=True)
    return Skills(found.skills(), tuple(found.priors.tolist())), {name: (label, sure) for name, label, sure in believed}


def compared(ledger: Ledger) -> Counter[str]:
    """Return how many of each person's labels there is something to compare with: another's, or what is known."""
    found: Counter[str] = Counter()
    for told in ledger.items.values():
        labels = told.labels()
        if len(labels) > 1 or told.gold is not None:
            found.update(labels.keys())
    return found


def with_keys(raw: bytes, added: Mapping[str, Any], attribute: str) -> bytes:
    """Return a line with keys added at its end; the bytes of its own keys stay as they are."""
    value = intake.parse(raw)
    if not added or not value:
        return raw
    text = json.dumps(added, ensure_ascii=False, separators=(",", ":")).encode()
    if attribute in value or attribute + METADATA_SUFFIX in value:
        # An earlier attempt's outcome gives way; only then is the line written anew.
        kept = {key: one for key, one in value.items() if key not in (attribute, attribute + METADATA_SUFFIX)}
        return json.dumps({**kept, **added}, ensure_ascii=False, separators=(",", ":")).encode()
    return raw.rstrip()[:-1].rstrip() + b"," + text[1:]


def _added(ledger: Ledger, told: Told, believed: tuple[int, float] | None) -> dict[str, Any]:
    """Return what an item's lines gain."""
    if told.gold is not None:
        return _labeled(ledger, told.gold, 1.0, told.said_at)
    if told.settler in ("owner", "machine") and told.label is not None and told.posterior is not None:
        return _labeled(ledger, told.label, told.posterior, told.said_at, human=told.settler == "owner")
    if told.settler == "owner" and told.state == "settled":
        return _failed(ledger, told.reason, told.said_at)
    if told.state == "review" and told.reason.startswith(REPORTED):
        return _failed(ledger, told.reason, told.said_at)
    if told.state != "open" and believed is not None:
        return _labeled(ledger, *believed, told.said_at)
    return {}


def _labeled(ledger: Ledger, index: int, confidence: float, at: str, *, human: bool = True) -> dict[str, Any]:
    return {
        ledger.attribute: index,
        ledger.attribute + METADATA_SUFFIX: {
            "class-name": ledger.categories[index].key,
            "job-name": f"labeling-job/{ledger.job}",
            "confidence": round(float(confidence), _DIGITS),
            "type": task_type(ledger),
            "human-annotated": "yes" if human else "no",
            "creation-date": at.removesuffix("Z"),
        },
    }


def _failed(ledger: Ledger, reason: str, at: str) -> dict[str, Any]:
    return {
        ledger.attribute + METADATA_SUFFIX: {
            "failure-reason": reason,
            "job-name": f"labeling-job/{ledger.job}",
            "type": task_type(ledger),
            "human-annotated": "yes",
            "creation-date": at.removesuffix("Z"),
        }
    }


def task_type(ledger: Ledger) -> str:
    """Return the type that the metadata names."""
    return TEXT_TYPE if ledger.kind == "text" else PHOTO_TYPE


def spent(answer: Mapping[str, Any]) -> float:
    """Return the seconds between the lease and the answer."""
    return round(max(0.0, seconds(answer["recorded_at"]) - seconds(answer["leased_at"])), 3)
