"""Made people: the same for a seed, as skilled as their kind says, torn by hard items."""

import numpy as np
import pytest

from menulens.labeling.simulation import ACCURACY, Kind, any_world

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
