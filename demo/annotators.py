"""Six scripted annotators: they come in and answer as people do, and are wrong as often as people are.

Each reads its invitation mail, signs in over HTTP with the temporary password, chooses a password of its own, asks for
tasks, looks at the photo and answers. What it sees in a photo is the truth of the set, confused now and then.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import httpx
import numpy as np

TASKS_AT_ONCE: Final = 8
PATIENCE_SECONDS: Final = 60.0
_PASSWORD: Final = re.compile(r"password (?:is )?(\S+?)[.,]?(?:\s|$)")

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
    answer = httpx.get(f"{endpoint_url}/_ministack/ses/messages", timeout=20).raise_for_status().json()
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


async def answer_all(
    people: list[Annotator],
    *,
    endpoint_url: str,
    labeling_url: str,
    truth: Mapping[str, str],
    finished: Callable[[], bool],
    progress: Callable[[int], None],
) -> None:
    """Let all annotators work until ``finished`` says that no more tasks come.

    Parameters
    ----------
    truth
        SHA-256 of a photo's bytes to its category.
    progress
        Called with 1 for each answer that was accepted.

    Raises
    ------
    AnnotatorError
        If someone has no invitation, is not let in, or an answer is refused.
    """
    passwords = await asyncio.to_thread(invitations, endpoint_url)
    uninvited = [person.email for person in people if person.email.lower() not in passwords]
    if uninvited:
        raise AnnotatorError(f"{', '.join(uninvited)}: no invitation with a temporary password was sent.")
    try:
        async with asyncio.TaskGroup() as group:
            for person in people:
                password = passwords[person.email.lower()]
                group.create_task(_work(person, labeling_url, password, truth, finished, progress))
    except ExceptionGroup as faults:
        # All of them stop when one can't go on; the first tells why.
        raise AnnotatorError(f"labeling: {faults.exceptions[0]!r}") from faults


async def _work(  # noqa: PLR0917 (one call, above)
    person: Annotator, url: str, password: str, truth: Mapping[str, str], finished: Callable[[], bool],
    progress: Callable[[int], None],
) -> None:  # fmt: skip
    loop = asyncio.get_running_loop()
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        http.headers["authorization"] = f"Bearer {await _sign_in(http, person.email, password)}"
        while not finished():
            answer = await http.get("/api/tasks", params={"limit": TASKS_AT_ONCE})
            _check(answer, person)
            tasks = answer.json()["tasks"]
            if not tasks:
                await asyncio.sleep(0.4)
                continue
            began = loop.time()
            for task in tasks:
                photo = await http.get(task["photo_url"])
                _check(photo, person)
                category, said = person.look(photo.content, truth)
                taken = await http.post(f"/api/tasks/{task['id']}", json={"answer": said})
                if taken.status_code == httpx.codes.CONFLICT:
                    continue  # the time for it was over; someone else has it
                _check(taken, person)
                person.answered += 1
                person.wrong += said != category
                person.confusions[category, said] += 1
                progress(1)
            person.seconds += loop.time() - began


async def _sign_in(http: httpx.AsyncClient, email: str, temporary: str) -> str:
    """Sign in as on a first day: the temporary password, then one's own. Returns the token."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE_SECONDS
    body = {"username": email, "password": temporary}
    while True:
        answer = await http.post("/api/sign-in", json=body)
        said = answer.json()
        if "token" in said:
            return str(said["token"])
        if said.get("challenge") == "NEW_PASSWORD_REQUIRED":
            body["new_password"] = new_password()
            continue
        if loop.time() > deadline or answer.status_code < 500:
            raise AnnotatorError(f"{email} is not let in ({answer.status_code}): {said.get('error', said)}")
        await asyncio.sleep(1.0)


def _check(answer: httpx.Response, person: Annotator) -> None:
    if answer.is_error:
        raise AnnotatorError(
            f"{person.email}: {answer.request.method} {answer.request.url.path} was answered "
            f"{answer.status_code}: {answer.text[:200]}"
        )
