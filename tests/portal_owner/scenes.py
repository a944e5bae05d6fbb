"""A job in full swing, for looking at: people of mixed skill, known photos, reports, groups, photos turned away."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from demo.pictures import draw_one
from menulens.portal import decisions, jobs, work
from menulens.portal.model import Job

from .conftest import Maker

SHOWN = 36
PEOPLE = {"aki": 0.96, "ben": 0.9, "chie": 0.85, "dan": 0.35}
WORDS = ("meal", "sweets", "drink", "not-for-training")
GENRES = {"meal": "洋食", "sweets": "甘味", "drink": "喫茶", "not-for-training": "食堂"}
ALIKE = {31: 30, 32: 30}
NEAR = {"meal": "sweets", "sweets": "meal", "drink": "sweets", "not-for-training": "drink"}
"""What who is wrong takes a category for."""
SHOWS = (
    ("meal", "ramen"), ("sweets", "dango"), ("drink", "coffee"), ("meal", "pancakes"), ("sweets", "cupcake"),
    ("drink", "bubble_tea"), ("meal", "curry"), ("not-for-training", "receipt"), ("sweets", "doughnut"),
    ("drink", "beer"), ("meal", "bento"), ("sweets", "cake"), ("meal", "sushi"), ("drink", "tea"),
    ("sweets", "ice_cream"), ("meal", "rice_ball"), ("not-for-training", "izakaya_lantern"), ("sweets", "pie"),
    ("meal", "dumpling"), ("drink", "cocktail"), ("sweets", "waffle"), ("meal", "pizza"),
)  # fmt: skip
SEEDS = (19, 9, 0, 11, 1, 18, 4, 6, 14, 7, 15)


def pictures(folder: Path) -> tuple[Callable[[int], bytes], Callable[[int], str]]:
    """Return what gives each line its picture, and what the picture shows."""
    content = {}
    for line in range(SHOWN):
        category, concept = SHOWS[line % len(SHOWS)]
        path = folder / f"{line}.jpg"
        draw_one(path, category, concept, SEEDS[line % len(SEEDS)])
        content[line] = path.read_bytes()
    for line, leader in ALIKE.items():
        out = io.BytesIO()  # alike, not the same: saved once more, each smaller
        with Image.open(io.BytesIO(content[leader])) as picture:
            picture.save(out, "JPEG", quality=100 - line)
        content[line] = out.getvalue()
    return content.__getitem__, lambda line: SHOWS[ALIKE.get(line, line) % len(SHOWS)][0]


def busy_job(
    make: Maker, photo: Callable[[int], bytes] | None = None, shows: Callable[[int], str] = lambda line: WORDS[line % 3]
) -> Job:
    """Open a job and have people work on it."""
    chance = random.Random(5)
    more = {"photo": photo} if photo else {}
    job = make.job(
        SHOWN, groups=ALIKE, genre=lambda line: GENRES[shows(line)],
        rejects={35: ("animated", "An animation; a still photo is due.")},
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
            said = WORDS[truth] if right else NEAR[WORDS[truth]]
            make.answer(job, person, item, said, shown_ms=chance.randint(700, 4200))
    make.answer(job, "chie", asked[26], kind="report", problem="broken")
    for person, second in (("aki", 1), ("ben", 2)):
        make.answer(job, person, asked[27], "meal", kind="hard", second=second)
    return job
