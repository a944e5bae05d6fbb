"""How a job is going: figures small enough to check by hand."""

from __future__ import annotations

from typing import Any

import pytest

from menulens.portal import stats
from menulens.portal.model import Answer, Category, Item, Job, JobOptions, Person, Progress, iso

NOW = 1_800_000_000.0
JOB = Job(
    name="any",
    state="open",
    kind="photo",
    attribute="menu-category",
    categories=(Category("meal", "料理", "Meal", index=0), Category("drink", "飲み物", "Drink", index=1)),
    options=JobOptions(min_answers=1, max_answers=3),
    created_at=iso(NOW - 86_400),
)


def any_item(number: int, said: dict[str, int], ago: float = 60.0, **more: Any) -> Item:
    at = iso(NOW - ago)
    answers = {
        person: Answer(
            f"{number}-{person}", f"{number:07d}", person, "label", label, at=at, recorded_at=at, shown_ms=2000
        )
        for person, label in said.items()
    }
    return Item(f"{number:07d}", "any", (number,), answers=answers, **more)


def settled(number: int, said: dict[str, int], label: int, **more: Any) -> Item:
    return any_item(number, said, state="settled", label=label, settler=more.pop("settler", "people"), **more)


def should_tell_the_rate_of_the_last_hour() -> None:
    assert stats.rate([], NOW) == 0.0
    assert stats.rate([NOW - 7200] * 50 + [NOW - 10] * 30, NOW) == 30.0
    assert stats.rate([NOW - 1800] + [NOW - 10] * 29, NOW) == pytest.approx(60.0)
    assert stats.rate([NOW - 1, NOW - 1], NOW) == pytest.approx(120.0), "over a minute at least"
    assert stats.rate([NOW - 7200], NOW) == 0.0


def should_count_the_answers_of_each_hour() -> None:
    hours = stats.by_hour([NOW - 10, NOW - 3599, NOW - 3601, NOW - 23.5 * 3600, NOW - 25 * 3600, NOW + 5], NOW)
    assert (hours[-1], hours[-2], hours[0], sum(hours), len(hours)) == (2, 1, 1, 4, 24)


def should_expect_of_open_items_what_settled_ones_took() -> None:
    items = [
        settled(0, {"aki": 0, "ben": 0}, 0),
        settled(1, {"aki": 1, "ben": 1, "chie": 0, "dan": 1}, 1),
        any_item(2, {"aki": 0}),
        any_item(3, {}),
    ]
    found = stats.look(items)
    assert stats.answers_left(found, JOB) == 5.0  # two open items of three answers each, one of which is in
    pace = stats.rate(found.times, NOW)
    assert stats.seconds_left(found, JOB, NOW) == pytest.approx(5 / pace * 3600)


def should_not_know_the_time_left_while_nobody_answers() -> None:
    assert stats.seconds_left(stats.look([any_item(0, {})]), JOB, NOW) is None
    assert stats.seconds_left(stats.look([settled(0, {"aki": 0}, 0, ago=9000)]), JOB, NOW) == 0.0


def should_measure_agreement_with_the_outcome_only_where_others_had_a_say() -> None:
    items = [settled(0, {"aki": 0}, 0), settled(1, {"aki": 1, "ben": 0}, 1), settled(2, {"ben": 0}, 1, settler="owner")]
    rows = {row["person"]: row for row in stats.annotators(stats.look(items), [], NOW)}
    assert (rows["aki"]["agreed"], rows["aki"]["compared"]) == (1, 1)
    assert (rows["ben"]["agreed"], rows["ben"]["compared"]) == (0, 2)


def should_leave_known_items_out_of_agreement() -> None:
    items = [settled(0, {"aki": 0, "ben": 1}, 0, gold=0, settler="gold")]
    found = stats.look(items)
    assert (found.votes, found.disputed, dict(found.pairs)) == ([], [], {})
    person = Person("aki", "any", "Aki", gold_seen=4, gold_right=3)
    row = next(row for row in stats.annotators(found, [person], NOW) if row["person"] == "aki")
    assert (row["name"], row["gold_accuracy"], row["agreement"]) == ("Aki", 0.75, None)


def should_show_the_least_certain_dispute_first() -> None:
    items = [any_item(0, {"a": 0, "b": 1}, posterior=0.8), any_item(1, {"a": 0, "b": 1}, posterior=0.5)]
    found = stats.look([*items, any_item(2, {"a": 0, "b": 0}, posterior=0.9)])
    assert [item for _, item in found.disputed] == ["0000001", "0000000"]
    assert stats.confused(found, JOB) == [{"one": "meal", "other": "drink", "items": 2}]


def should_draw_the_same_few_examples_from_all_over_a_job() -> None:
    items = [settled(number, {"a": 0}, 0) for number in range(200)]
    shown = {item.id for item in stats.look(items).examples[0]}
    assert len(shown) == stats.EXAMPLES
    assert shown == {item.id for item in stats.look(reversed(items)).examples[0]}
    assert max(map(int, shown)) > 100


def should_sum_up_progress() -> None:
    found = stats.look([settled(0, {"aki": 0, "ben": 0}, 0), any_item(1, {})])
    told = stats.overview(found, JOB, Progress(2, 1, 0, 2), NOW)
    assert (told["open"], told["settlers"], told["answers_per_item"]) == (1, {"people": 1}, 2.0)
