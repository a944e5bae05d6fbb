"""Consensus: crowd-kit's figures, cases by hand, and what must not matter."""

import warnings
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas
import pytest
from crowdkit.aggregation import DawidSkene
from hypothesis import given, settings
from hypothesis import strategies as st

from menulens.labeling import adaptive
from menulens.labeling.adaptive import ConsensusError, decide
from menulens.labeling.consensus import (
    Answers,
    Consensus,
    Prior,
    dawid_skene,
    dawid_skene_with_prior,
    majority,
)
from menulens.labeling.simulation import World, any_world
from tests.unit.labeling.generators import CATEGORIES, any_answers

Triple = tuple[str, str, int]
WAYS = (majority, dawid_skene, dawid_skene_with_prior)
TRUE_KINDS = {"careful": 3, "average": 2, "biased": 1, "monotone": 1}


def any_mixed(seed: int, items: int = 150, categories: int = 4, each: int = 3) -> tuple[World, list[Triple]]:
    """Return a world, and what some of its people said of each item."""
    world = any_world(items=items, kinds=TRUE_KINDS, shares=[1.0 / (1 + k) for k in range(categories)], seed=seed)
    generator = np.random.default_rng(seed)
    people = len(world.people)
    told = [
        (f"item-{item:04}", f"worker-{person}", int(world.answers[item, person]))
        for item in range(items)
        for person in generator.choice(people, size=generator.integers(1, each + 1), replace=False)
    ]
    return world, told


def by_crowd_kit(told: list[Triple], gold: Mapping[str, int] | None, categories: int) -> tuple[np.ndarray, ...]:
    """Run crowd-kit on the same answers, and give its tables our order: posteriors, confusion, priors."""
    frame = pandas.DataFrame(told, columns=["task", "worker", "label"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its use of pandas is older than ours
        # pandas looks for each warning's origin down the whole stack, and pytest's is deep: a thread's is not.
        with ThreadPoolExecutor(1) as pool:
            model = pool.submit(DawidSkene().fit, frame, pandas.Series(gold, name="label") if gold else None).result()
    assert model.probas_ is not None and model.errors_ is not None and model.priors_ is not None
    items, workers = sorted({row[0] for row in told}), sorted({row[1] for row in told})
    posteriors, priors = np.zeros((len(items), categories)), np.zeros(categories)
    confusion = np.zeros((len(workers), categories, categories))
    for label in model.probas_.columns:
        posteriors[:, label] = model.probas_.loc[items, label]
        priors[label] = model.priors_[label]
        for worker, answer in model.errors_.index:
            confusion[workers.index(worker), label, answer] = model.errors_.loc[(worker, answer), label]
    return posteriors, confusion, priors


@pytest.mark.parametrize("golden", [False, True], ids=["", "gold"])
@pytest.mark.parametrize("seed", range(4))
def should_agree_with_crowd_kit_to_a_millionth(seed: int, golden: bool) -> None:
    categories = 2 + seed % 4
    world, told = any_mixed(seed, categories=categories)
    gold = {f"item-{item:04}": int(world.truth[item]) for item in range(0, 150, 9)} if golden else None
    posteriors, confusion, priors = by_crowd_kit(told, gold, categories)
    found = dawid_skene(Answers.of(told), categories, gold=gold)
    assert found.iterations > 3
    np.testing.assert_allclose(found.posteriors, posteriors, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.confusion, confusion, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.priors, priors, rtol=0, atol=1e-6)


@given(any_answers())
@settings(max_examples=15, deadline=None)
def should_agree_with_crowd_kit_on_any_answers(told: list[Triple]) -> None:
    posteriors, confusion, priors = by_crowd_kit(told, None, CATEGORIES)
    found = dawid_skene(Answers.of(told), CATEGORIES)
    np.testing.assert_allclose(found.posteriors, posteriors, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.confusion, confusion, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.priors, priors, rtol=0, atol=1e-6)


def should_take_the_share_of_votes_as_the_majoritys_posterior() -> None:
    found = majority(Answers.of([("a", "x", 0), ("a", "y", 0), ("a", "z", 2), ("b", "x", 1)]), 3)
    np.testing.assert_allclose(found.posteriors, [[2 / 3, 0, 1 / 3], [0, 1, 0]])
    assert found.labels.tolist() == [0, 1]
    assert found.confidence.tolist() == pytest.approx([2 / 3, 1.0])


def should_do_one_round_as_by_hand() -> None:
    # Items a (x: 0, y: 0) and b (x: 1, y: 0). Votes: a = (1, 0), b = (.5, .5); priors (.75, .25).
    # x tells truth 0: 0 in 1 of 1.5, truth 1: 1 always; y tells 0 always.
    # a: (.75·2/3·1, .25·0·1) = (1, 0); b: (.75·1/3·1, .25·1·1) = (.5, .5).
    told = [("a", "x", 0), ("a", "y", 0), ("b", "x", 1), ("b", "y", 0)]
    found = dawid_skene(Answers.of(told), 2, iterations=1)
    np.testing.assert_allclose(found.posteriors, [[1, 0], [0.5, 0.5]], atol=1e-9)
    np.testing.assert_allclose(found.priors, [0.75, 0.25], atol=1e-9)
    np.testing.assert_allclose(found.confusion[0], [[2 / 3, 1 / 3], [0, 1]], atol=1e-9)
    np.testing.assert_allclose(found.confusion[1], [[1, 0], [1, 0]], atol=1e-9)


@pytest.mark.parametrize("way", [dawid_skene, dawid_skene_with_prior])
def should_keep_gold_items_as_they_are_known(way: type) -> None:
    told = [("a", "x", 0), ("a", "y", 0), ("b", "x", 1)]
    found = way(Answers.of(told), 3, gold={"a": 2, "not-asked": 1})
    assert found.posteriors[0].tolist() == [0.0, 0.0, 1.0]
    # x and y said 0 of what is 2: that is learned, however much is believed beforehand.
    assert found.confusion[0, 2, 0] > found.confusion[0, 2, 1]


def should_give_a_category_that_nobody_answered_nothing() -> None:
    found = dawid_skene(Answers.of([("a", "x", 0), ("b", "y", 2)]), 4)
    assert found.posteriors[:, [1, 3]].sum() == 0.0
    assert found.priors[[1, 3]].tolist() == [0.0, 0.0]


def should_not_believe_a_single_answer_fully() -> None:
    # Maximum likelihood takes a person who answered alone for one who is never wrong.
    alone = Answers.of([(f"item-{n}", "x", n % 3) for n in range(30)])
    assert dawid_skene(alone, 3).confidence.min() == pytest.approx(1.0)
    assert 0.75 < dawid_skene_with_prior(alone, 3).confidence.min() < 0.9


def should_recover_people_as_they_are_made() -> None:
    world = any_world(items=4000, kinds={"careful": 3, "average": 2, "biased": 1}, shares=[4, 3, 3], seed=11, hard=0.01)
    told = [(f"{i:05}", f"{p}", int(world.answers[i, p])) for i in range(4000) for p in range(len(world.people))]
    for way in (dawid_skene, dawid_skene_with_prior):
        found = way(Answers.of(told), 3)
        assert float(np.mean(found.labels == world.truth)) > 0.99
        true = np.stack([person.confusion for person in world.people])
        assert np.abs(found.confusion - true).max() < 0.05
        np.testing.assert_allclose(found.priors, [0.4, 0.3, 0.3], atol=0.03)


def should_beat_the_majority_where_people_differ() -> None:
    worlds = [any_mixed(seed, items=600, categories=5) for seed in range(4)]

    def accuracy(way: type) -> float:
        return float(np.mean([np.mean(way(Answers.of(told), 5).labels == world.truth) for world, told in worlds]))

    assert accuracy(dawid_skene_with_prior) > accuracy(majority) + 0.02


def should_start_from_the_last_refit_and_end_where_a_fresh_start_ends() -> None:
    _, told = any_mixed(5, items=400)
    answers = Answers.of(told)
    fresh = dawid_skene_with_prior(answers, 4, tolerance=1e-9, iterations=2000)
    again = dawid_skene_with_prior(
        answers, 4, start=(fresh.skills(), fresh.priors.tolist()), tolerance=1e-9, iterations=2000
    )
    assert again.iterations < 0.2 * fresh.iterations
    np.testing.assert_allclose(again.posteriors, fresh.posteriors, atol=1e-5)


def should_say_what_the_online_decision_says_with_the_same_skills() -> None:
    _, told = any_mixed(3)
    found = dawid_skene_with_prior(Answers.of(told), 4, tolerance=1e-12, iterations=5000)
    skills, priors = found.skills(), found.priors.tolist()
    for at, item in enumerate(found.items):
        labels = {worker: label for name, worker, label in told if name == item}
        online = adaptive.posteriors(labels, skills, priors)
        assert online == pytest.approx(found.posteriors[at].tolist(), abs=1e-6)


def should_move_less_from_what_is_believed_when_that_weighs_more() -> None:
    told = Answers.of([(f"{n}", worker, 0) for n in range(20) for worker in "xy"] + [("20", "x", 1)])
    light = dawid_skene_with_prior(told, 3, prior=Prior(accuracy_weight=1.0)).confusion[0, 0, 0]
    heavy = dawid_skene_with_prior(told, 3, prior=Prior(accuracy_weight=500.0)).confusion[0, 0, 0]
    assert 0.8 < heavy < light < 1.0


def should_refuse_two_answers_of_one_person_to_one_item() -> None:
    with pytest.raises(ConsensusError, match="mai answered photo-1 twice"):
        Answers.of([("photo-1", "mai", 0), ("photo-2", "mai", 0), ("photo-1", "mai", 1)])


@pytest.mark.parametrize("way", WAYS)
def should_refuse_nothing_and_categories_that_are_not(way: type) -> None:
    with pytest.raises(ConsensusError, match="There is no answer"):
        way(Answers.of([]), 2)
    with pytest.raises(ConsensusError, match="Category 2 was answered; there are 0 to 1"):
        way(Answers.of([("a", "x", 2)]), 2)


def should_refuse_gold_that_names_no_category() -> None:
    with pytest.raises(ConsensusError, match="Category 7 is a gold item's"):
        dawid_skene(Answers.of([("a", "x", 0)]), 2, gold={"a": 7})


@pytest.mark.parametrize("way", WAYS)
@given(told=any_answers())
@settings(max_examples=25, deadline=None)
def should_give_probabilities_that_sum_to_one_however_few_answers(way: type, told: list[Triple]) -> None:
    found: Consensus = way(Answers.of(told), CATEGORIES)
    np.testing.assert_allclose(found.posteriors.sum(axis=1), 1.0)
    assert np.all(found.posteriors >= 0)
    np.testing.assert_allclose(found.priors.sum(), 1.0)
    rows = found.confusion.sum(axis=2)
    assert np.all(np.isclose(rows, 1.0) | np.isclose(rows, 0.0))
    assert len(found.items) == len({item for item, _, _ in told})


@pytest.mark.parametrize("way", WAYS)
@given(told=any_answers(), data=st.data())
@settings(max_examples=15, deadline=None)
def should_not_depend_on_the_order_of_answers_by_one_bit(way: type, told: list[Triple], data: st.DataObject) -> None:
    one, other = way(Answers.of(told), CATEGORIES), way(Answers.of(data.draw(st.permutations(told))), CATEGORIES)
    assert one.items == other.items
    assert np.array_equal(one.posteriors, other.posteriors)
    assert np.array_equal(one.confusion, other.confusion)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seed", range(3))
def should_not_depend_on_the_names_of_people(way: type, seed: int) -> None:
    _, told = any_mixed(seed)
    other_names = {f"worker-{n}": name for n, name in enumerate("gcabfed")}
    one = way(Answers.of(told), 4)
    other = way(Answers.of([(item, other_names[worker], label) for item, worker, label in told]), 4)
    np.testing.assert_allclose(one.posteriors, other.posteriors, atol=1e-9)
    for at, name in enumerate(one.workers):
        np.testing.assert_allclose(
            one.confusion[at], other.confusion[other.workers.index(other_names[name])], atol=1e-9
        )


def should_spread_categories_alike_whatever_their_places() -> None:
    _, told = any_mixed(1)
    order = [2, 0, 3, 1]
    one = dawid_skene_with_prior(Answers.of(told), 4)
    other = dawid_skene_with_prior(Answers.of([(i, w, order[label]) for i, w, label in told]), 4)
    np.testing.assert_allclose(other.posteriors[:, order], one.posteriors, atol=1e-9)


def should_believe_nobody_more_for_answering_alone_than_for_being_confirmed() -> None:
    both = [(f"{n:02}", worker, n % 2) for n in range(40) for worker in ("x", "y")]
    alone = [(f"solo-{n:02}", "z", n % 2) for n in range(40)]
    found = dawid_skene_with_prior(Answers.of(both + alone), 2)
    x, z = found.confusion[found.workers.index("x")], found.confusion[found.workers.index("z")]
    assert np.trace(x) > np.trace(z) + 0.1
    assert np.trace(z) / 2 == pytest.approx(Prior().accuracy, abs=0.06)


@pytest.mark.parametrize("overlap", [0.0, 0.05, 0.3])
def should_label_rare_categories_as_people_say_where_few_items_have_two_answers(overlap: float) -> None:
    """All are right, and share no items or few: nothing then tells a rare category from an error but what they say."""
    draw = np.random.default_rng(0)
    truth = np.repeat(np.arange(4), [200, 100, 20, 5])
    answers = Answers.of(
        (f"{item:03d}", f"p{person}", int(category))
        for item, category in enumerate(truth)
        for person in draw.choice(6, size=2 if draw.random() < overlap else 1, replace=False)
    )
    found = dawid_skene_with_prior(answers, 4)
    assert found.labels.tolist() == truth.tolist()
    skills, priors = found.skills(), found.priors.tolist()
    for item in (0, 250, 310, 324):
        labels = {
            answers.workers[worker]: int(label)
            for at, worker, label in zip(answers.item, answers.worker, answers.label, strict=True)
            if at == item
        }
        decision = decide(labels, skills, priors, threshold=0.95, min_answers=1, max_answers=1)
        assert (decision.settled, decision.label) == (True, truth[item])


def should_keep_a_known_item_what_it_is_when_nobody_names_it() -> None:
    found = dawid_skene_with_prior(Answers.of([("a", "p", 0), ("b", "p", 1)]), 3, gold={"a": 2})
    assert found.labels.tolist() == [2, 1]
    assert found.confidence[0] == 1.0
