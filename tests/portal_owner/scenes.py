"""A job in full swing, for looking at: people of mixed skill, known photos, reports, groups, photos turned away."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from demo.pictures import make_pictures
from menulens.portal import decisions, jobs, work
from menulens.portal.model import Job

from .conftest import Maker

SHOWN = 36
PEOPLE = {"aki": 0.96, "ben": 0.9, "chie": 0.85, "dan": 0.35}
WORDS = ("meal", "sweets", "drink", "not-for-training")


def pictures(folder: Path) -> tuple[Callable[[int], bytes], Callable[[int], str]]:
    """Return what gives each line its picture, and what the picture shows."""
    made = [
        one
        for one in make_pictures(folder, 96)
        if one.kind == "picture" and one.category in WORDS and Path(one.key).suffix == ".jpg"
    ]
    return (
        lambda line: (folder / made[line % len(made)].key).read_bytes(),
        lambda line: made[line % len(made)].category,
    )


def busy_job(
    make: Maker, photo: Callable[[int], bytes] | None = None, shows: Callable[[int], str] = lambda line: WORDS[line % 3]
) -> Job:
    """Open a job and have people work on it."""
    chance = random.Random(5)
    more = {"photo": photo} if photo else {}
    job = make.job(
        SHOWN, groups={31: 30, 32: 30}, rejects={35: ("animated", "An animation; a still photo is due.")},
        min_answers=2, max_answers=3, confidence=0.97, gold_min_seen=2, gold_min_accuracy=0.7, **more,
    )  # fmt: skip
    asked = [item.id for item in jobs.items(make.portal, job)]
    for item in asked[:3]:
        decisions.set_gold(make.portal, job.name, item, by="owner-1", label=WORDS.index(shows(int(item))))
    for number, item in enumerate(asked[:26]):
        truth = WORDS.index(shows(int(item)))
        people = list(PEOPLE)[: 2 + number % 2] if number > 5 else list(PEOPLE)
        for person in people:
            if jobs.get_item(make.portal, job.name, item).state != "open" and number > 2:
                break
            if work.person_of(make.portal, job.name, person).blocked:
                continue
            right = person != "dan" if number < 3 else chance.random() < PEOPLE[person]
            said = WORDS[truth if right else chance.choice([one for one in range(3) if one != truth])]
            make.answer(job, person, item, said, shown_ms=chance.randint(700, 4200))
    make.answer(job, "chie", asked[26], kind="report", problem="broken")
    for person, second in (("aki", 1), ("ben", 2)):
        make.answer(job, person, asked[27], "meal", kind="hard", second=second)
    return job
