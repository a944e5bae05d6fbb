"""Made people: the same for a seed, as skilled as their kind says, torn by hard items."""

import numpy as np
import pytest

from menulens.labeling.consensus import dawid_skene_with_prior, majority
from menulens.labeling.simulation import ACCURACY, ByNeed, Kind, accuracy, any_world, ask_fixed

ALL: dict[Kind, int] = {
    "expert": 1, "careful": 1, "average": 1, "hasty": 1, "biased": 1, "guesser": 1, "monotone": 1,
}  # fmt: skip


def should_be_the_same_for_the_same_seed_and_another_for_another() -> None:
    one, same, other = (any_world(items=200, kinds=ALL, shares=[2, 1, 1], seed=seed) for seed in (4, 4, 5))
    assert np.array_equal(one.answers, same.answers)
    assert np.array_equal(one.truth, same.truth)
    assert not np.array_equal(one.answers, other.answers)


@pytest.mark.parametrize("kind", ["expert", "careful", "average", "hasty"])
def should_be_as_often_right_as_the_kind_says_where_items_are_easy(kind: Kind) -> None:
    world = any_world(items=2000, kinds={kind: 30}, shares=[1, 1, 1, 1], seed=1, hard=1e-6)
    assert float(np.mean(world.answers == world.truth[:, None])) == pytest.approx(ACCURACY[kind], abs=0.02)


def should_answer_as_the_confusion_matrix_says() -> None:
    world = any_world(items=30_000, kinds={"biased": 1, "guesser": 1}, shares=[1, 1, 1], seed=2, hard=1e-6)
    for at, person in enumerate(world.people):
        found = np.zeros((3, 3))
        np.add.at(found, (world.truth, world.answers[:, at]), 1)
        np.testing.assert_allclose(found / found.sum(axis=1, keepdims=True), person.confusion, atol=0.02)
        np.testing.assert_allclose(person.confusion.sum(axis=1), 1.0)


def should_leave_people_torn_between_the_truth_and_its_decoy_where_items_are_hard() -> None:
    world = any_world(items=4000, kinds={"expert": 4}, shares=[1] * 5, seed=3, hard=0.4)
    hardest = world.difficulty > 0.95
    right = float(np.mean(world.answers[hardest] == world.truth[hardest, None]))
    decoy = float(np.mean(world.answers[hardest] == world.decoy[hardest, None]))
    assert hardest.sum() > 200
    assert right == pytest.approx(0.5, abs=0.06)
    assert decoy == pytest.approx(0.5, abs=0.06)
    easy = world.difficulty < 0.05
    assert float(np.mean(world.answers[easy] == world.truth[easy, None])) > 0.9


def should_let_a_monotone_person_say_the_same_of_everything() -> None:
    world = any_world(items=300, kinds={"monotone": 1}, shares=[1, 1, 1], seed=6)
    assert len(set(world.answers[:, 0].tolist())) == 1


def should_share_the_work_by_pace() -> None:
    world = any_world(items=10, kinds=ALL, shares=[1, 1], seed=7)
    assert world.paces.sum() == pytest.approx(1.0)
    assert world.paces.max() < 3.5 * world.paces.min()


def should_ask_the_same_people_the_same_thing_both_ways() -> None:
    world = any_world(items=120, kinds={"careful": 3, "hasty": 2}, shares=[1, 1, 1], seed=8)
    fixed, by_need = ask_fixed(world, 3, 1), ByNeed(world, 0.9).ask(1)
    assert len(fixed) == 360
    for answers in (fixed, by_need):
        for item, worker, label in zip(answers.item, answers.worker, answers.label, strict=True):
            person = int(answers.workers[worker].removeprefix("person-"))
            assert label == world.answers[int(answers.items[item]), person]


def should_settle_every_item_by_need_and_be_the_same_for_the_same_seed() -> None:
    world = any_world(items=200, kinds={"careful": 4, "average": 3}, shares=[2, 1, 1], seed=9)
    one, same = ByNeed(world, 0.9).ask(3), ByNeed(world, 0.9).ask(3)
    assert np.array_equal(one.label, same.label)
    assert len(one.items) == 200
    asked = np.bincount(one.item)
    assert asked.min() >= 1 and asked.max() <= 5
    end = dawid_skene_with_prior(one, 3)
    assert np.all((end.confidence >= 0.9 - 1e-3) | (asked == 5))


def should_take_fewer_labels_than_three_each_for_what_three_and_their_majority_give() -> None:
    runs = []
    for seed in range(3):
        world = any_world(items=800, kinds={"expert": 2, "careful": 4, "hasty": 3}, shares=[3, 2, 2, 1], seed=seed)
        three, some = majority(ask_fixed(world, 3, seed), 4), ByNeed(world, 0.85).ask(seed)
        end = dawid_skene_with_prior(some, 4)
        runs.append(
            (len(some) / 800, accuracy(world, end.items, end.labels), accuracy(world, three.items, three.labels))
        )
    labels, by_need, of_three = np.mean(runs, axis=0)
    assert labels < 2.4
    assert by_need > of_three


def should_send_home_who_tells_nothing_and_need_fewer_labels_then() -> None:
    world = any_world(items=600, kinds={"careful": 4, "guesser": 2, "monotone": 1}, shares=[1, 1, 1, 1], seed=10)
    everybody, some = (ByNeed(world, 0.95, max_answers=4, least_worth=least).ask(2) for least in (0.0, 0.75))
    assert len(some) < 0.9 * len(everybody)
    given = np.bincount(some.worker, minlength=7)
    assert given[4:].max() < 0.4 * given[:4].min()


def should_keep_as_many_people_as_an_item_may_need() -> None:
    world = any_world(items=400, kinds={"careful": 2, "guesser": 3}, shares=[1, 1, 1], seed=11)
    some = ByNeed(world, 0.9, max_answers=5, least_worth=0.9).ask(2)
    everybody = ByNeed(world, 0.9, max_answers=5).ask(2)
    assert np.array_equal(some.label, everybody.label)
    assert len(some.items) == 400


def should_count_an_item_without_a_label_as_wrong() -> None:
    world = any_world(items=4, kinds={"careful": 1}, shares=[1, 1], seed=1)
    assert accuracy(world, ["000000", "000002"], world.truth[[0, 2]]) == 0.5
