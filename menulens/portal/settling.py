"""What an item's answers amount to: ask on, settled, or for an owner to decide. Pure: no clock, no table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from menulens.labeling import adaptive
from menulens.portal.model import ENDED, Item, ItemState, Job, JobOptions

REPORTED: Final = "report"
HARD: Final = "hard"
DISAGREEMENT: Final = "disagreement"
SKIPPED: Final = "skipped"


@dataclass(frozen=True, slots=True)
class Skills:
    """What was known of people when last looked at: what their answers are worth, and who is still asked.

    Attributes
    ----------
    people
        Person to confusion matrix [K][K]: row the true category, column the answer. Unknown people get a default.
    priors
        Share of each category; empty: all alike.
    met
        How many people have had work of the job.
    gone
        Who of them gets no more.
    """

    people: Mapping[str, Sequence[Sequence[float]]] = field(default_factory=dict)
    priors: tuple[float, ...] = ()
    met: int = 0
    gone: frozenset[str] = frozenset()

    def priors_of(self, categories: int) -> list[float]:
        """Return the priors of so many categories; one added since counts as an average one."""
        known = list(self.priors[:categories])
        if not known:
            return adaptive.uniform(categories)
        average = sum(known) / len(known)
        full = known + [average] * (categories - len(known))
        total = sum(full)
        return [one / total for one in full]

    def nobody_is_left(self, it: Item, team: int) -> bool:
        """Return whether each of a team of so many has answered an item or is asked no more; 0: nobody knows."""
        return team > 0 and max(team, self.met) <= len(self.gone.union(it.answers))


def wanted(it: Item, options: JobOptions) -> int:
    """Return how many people may have an item at the same time: those it needs for sure, one where that is open."""
    return max(1, options.min_answers - it.heard())


def judged(it: Item, job: Job, skills: Skills) -> Item:
    """Return an item with the state that its answers give it; an owner's decision and a gold item stay as they are."""
    if it.gold is not None or it.settler == "owner":
        return it
    state, reason, label, posterior = _outcome(it, job, skills)
    if state == "open" and it.settler == "machine":
        return it
    if state == "open" and it.state != "open" and job.state in ENDED:
        # The job has ended and asks nobody: what was settled stays so, with what is known now.
        state, reason = it.state, it.reason
    return replace(
        it, state=state, reason=reason, label=label, posterior=posterior, settler=None if state == "open" else "people"
    )


def _outcome(it: Item, job: Job, skills: Skills) -> tuple[ItemState, str, int | None, float | None]:
    options, labels = job.options, it.labels()
    hard = sum(one.kind == "hard" for one in it.answers.values())
    reports = sorted(f"{REPORTED}: {one.problem}" for one in it.answers.values() if one.kind == "report")
    decision = adaptive.decide(
        labels,
        skills.people,
        skills.priors_of(len(job.categories)),
        threshold=options.confidence,
        min_answers=options.min_answers,
        max_answers=options.max_answers,
    )
    label, posterior = (decision.label, decision.posterior) if labels else (None, None)
    if reports:
        return "review", reports[0], label, posterior
    if hard >= min(options.hard_answers, options.max_answers):
        return "review", HARD, label, posterior
    if decision.sure:
        return "settled", "", label, posterior
    everyone = skills.nobody_is_left(it, options.team)
    if everyone and not labels and not hard:
        return "review", SKIPPED, label, posterior
    if everyone or len(labels) + hard >= options.max_answers:
        # People who all say the same leave nothing to decide, however little is known of them.
        split = hard > 0 or len(set(labels.values())) > 1
        return ("review", DISAGREEMENT, label, posterior) if split else ("settled", "", label, posterior)
    return "open", "", label, posterior


def freed(before: Item, after: Item) -> Item:
    """Return an item that is open again without its leases: who held it has been told that it is settled."""
    if before.state == "open" or after.state != "open":
        return after
    return replace(after, leases={person: (begin, 0.0) for person, (begin, _) in after.leases.items()})


def counts(before: Item | None, after: Item) -> dict[str, int]:
    """Return by how much a job's counters change when an item becomes another."""
    done = (after.state != "open") - (before is not None and before.state != "open")
    review = (after.state == "review") - (before is not None and before.state == "review")
    return {"done": done, "review": review}
