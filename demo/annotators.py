"""Six scripted annotators: they come in and answer as people do, and are wrong as often as people are.

Each reads its invitation mail, signs in through the hosted pages with the temporary password, chooses a password of its
own, asks the portal's API for tasks, looks at what it is shown and answers. What it sees in a photo is the truth of the
set, confused now and then.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import httpx
import numpy as np

from menulens.client.portal import PortalClient, PortalClientError, label
from menulens.client.sign_in import PortalSignInError

TASKS_AT_ONCE: Final = 8
IDLE_SECONDS: Final = 0.4
_PASSWORD: Final = re.compile(r"temporary password (\S+) \(")

# What is taken for what, and how often among this category's mistakes.
CONFUSED_WITH: Final[Mapping[str, Mapping[str, float]]] = {
    "meal": {"sweets": 0.35, "vegetable": 0.35, "not-for-training": 0.3},
    "sweets": {"meal": 0.6, "fruit": 0.2, "drink": 0.2},
    "drink": {"sweets": 0.55, "meal": 0.25, "not-for-training": 0.2},
    "fruit": {"vegetable": 0.65, "sweets": 0.35},
    "vegetable": {"fruit": 0.6, "meal": 0.4},
    "not-for-training": {"meal": 0.7, "drink": 0.3},
}


class AnnotatorError(Exception):
    """An annotator can't work; the message says who and why."""


@dataclass(frozen=True, slots=True)
class Habits:
    """How often an annotator is wrong on the whole, and what it is worse at."""

    error_rate: float
    weak_at: str | None = None


HABITS: Final = (
    Habits(0.02), Habits(0.04), Habits(0.03, "vegetable"), Habits(0.07), Habits(0.05, "sweets"), Habits(0.12),
)  # fmt: skip
FAULTLESS: Final = (Habits(0.0),)


@dataclass
class Annotator:
    """One annotator and what it has done so far."""

    email: str
    habits: Habits
    seed: int
    answered: int = 0
    wrong: int = 0
    seconds: float = 0.0
    confusions: Counter[tuple[str, str]] = field(default_factory=Counter)

    def look(self, photo: bytes, truth: Mapping[str, str]) -> tuple[str, str]:
        """Return (what the photo shows, what this annotator answers): the same for the same photo and seed."""
        digest = hashlib.sha256(photo).hexdigest()
        category = truth.get(digest)
        if category is None:
            raise AnnotatorError(f"{self.email} was shown a photo that is not in the set (sha256 {digest[:12]}).")
        rng = np.random.default_rng((self.seed, int(digest[:15], 16)))
        rate = self.habits.error_rate * (3.0 if category == self.habits.weak_at else 1.0)
        others = CONFUSED_WITH.get(category) or dict.fromkeys(sorted(set(truth.values()) - {category}), 1.0)
        if rng.random() >= rate or not others:
            return category, category
        names = list(others)
        weights = np.array([others[name] for name in names])
        return category, str(rng.choice(names, p=weights / weights.sum()))


def annotators(emails: list[str], seed: int = 11, habits: Sequence[Habits] = HABITS) -> list[Annotator]:
    """Return one annotator per member, each with habits of its own."""
    return [Annotator(email, habits[number % len(habits)], seed * 100 + number) for number, email in enumerate(emails)]


def invitations(endpoint_url: str) -> dict[str, str]:
    """Return the temporary password that each invitation mail carries, by address."""
    sent = httpx.get(f"{endpoint_url}/_ministack/ses/messages", timeout=20, trust_env=False)
    answer = sent.raise_for_status().json()
    found: dict[str, str] = {}
    for messages in answer["messages"].values():
        for mail in messages:
            text = str(mail.get("BodyText") or mail.get("BodyHtml") or mail.get("Body") or "")
            match = _PASSWORD.search(text)
            if match:
                found.update({address.lower(): match[1] for address in mail["To"]})
    return found


def new_password() -> str:
    """Return a password that the pool's policy takes."""
    alphabet = string.ascii_letters + string.digits
    return "aA1!" + "".join(secrets.choice(alphabet) for _ in range(16))


def answer_all(
    people: list[Annotator],
    *,
    passwords: Mapping[str, str],
    portal_url: str,
    job: str,
    truth: Mapping[str, str],
    finished: Callable[[], bool],
    progress: Callable[[int], None],
) -> None:
    """Let all annotators work until ``finished`` says that no more tasks come.

    Parameters
    ----------
    passwords
        Temporary password of each invitation, by address.
    truth
        SHA-256 of what a person is shown of a photo, to the photo's category.
    progress
        Called with the number of answers that were accepted just now.

    Raises
    ------
    AnnotatorError
        If someone has no invitation, is not let in, or is refused.
    """
    uninvited = [person.email for person in people if person.email.lower() not in passwords]
    if uninvited:
        raise AnnotatorError(f"{', '.join(uninvited)}: no invitation with a temporary password was sent.")
    failed = threading.Event()

    def work(person: Annotator) -> None:
        try:
            _work(person, portal_url, passwords[person.email.lower()], job, truth, finished, progress, failed)
        except BaseException:
            failed.set()  # all of them stop when one can't go on
            raise

    with ThreadPoolExecutor(len(people)) as pool:
        for one in [pool.submit(work, person) for person in people]:
            one.result()


def come_in(portal_url: str, email: str, temporary: str) -> PortalClient:
    """Sign in as on a first day: the temporary password, then one's own.

    Raises
    ------
    AnnotatorError
        If they are not let in.
    """
    try:
        return PortalClient.signed_in(portal_url, email, temporary, new_password())
    except PortalSignInError as error:
        raise AnnotatorError(f"{email} is not let in: {error}") from None


def _work(  # noqa: PLR0917 (one call, above)
    person: Annotator, url: str, password: str, job: str, truth: Mapping[str, str], finished: Callable[[], bool],
    progress: Callable[[int], None], failed: threading.Event,
) -> None:  # fmt: skip
    portal = come_in(url, person.email, password)
    try:
        while not finished() and not failed.is_set():
            tasks = portal.lease(job, TASKS_AT_ONCE).tasks
            if not tasks:
                failed.wait(IDLE_SECONDS)
                continue
            began = time.monotonic()
            looked = [person.look(portal.photo(task.photo or ""), truth) for task in tasks]
            answers = [label(task.item, said) for task, (_, said) in zip(tasks, looked, strict=True)]
            taken = 0
            for result, (category, said) in zip(portal.record(job, answers), looked, strict=True):
                if result["status"] == "rejected":
                    continue  # the time for it was over, or others have settled it
                taken += 1
                person.wrong += said != category
                person.confusions[category, said] += 1
            person.answered += taken
            person.seconds += time.monotonic() - began
            progress(taken)
    except (PortalClientError, httpx.HTTPError) as error:
        raise AnnotatorError(f"{person.email}: {error!r}") from error
    finally:
        portal.close()
