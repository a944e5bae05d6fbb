"""Machine labels: calibration, exact bounds, and a probe that may be looked at more than once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from menulens.labeling import automatic
from menulens.labeling.automatic import (
    CERTAINTY,
    ERROR,
    Candidate,
    batch,
    calibrated,
    calibration_error,
    choose_threshold,
    fit_temperature,
    judge,
    lower_bound,
    plan,
    spared,
    uncertainty,
    upper_bound,
)


def any_predictions(count: int, temperature: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities that are off by a temperature, and labels drawn from the right ones."""
    generator = np.random.default_rng(seed)
    right = generator.dirichlet(np.full(4, 0.4), count)
    labels = np.array([generator.choice(4, p=row) for row in right])
    off = right ** (1 / temperature)
    return off / off.sum(axis=1, keepdims=True), labels


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def should_find_the_temperature_that_predictions_are_off_by(temperature: float) -> None:
    probabilities, labels = any_predictions(20_000, temperature)
    found = fit_temperature(probabilities, labels)
    assert found == pytest.approx(1 / temperature, rel=0.08)
    better = calibration_error(calibrated(probabilities, found), labels)
    assert better < 0.02
    if temperature != 1.0:
        assert better < 0.3 * calibration_error(probabilities, labels)


def should_keep_what_the_model_says_whatever_the_temperature() -> None:
    probabilities, _ = any_predictions(200, 1.0)
    for temperature in (0.2, 1.0, 8.0):
        found = calibrated(probabilities, temperature)
        np.testing.assert_allclose(found.sum(axis=1), 1.0)
        assert np.array_equal(found.argmax(axis=1), probabilities.argmax(axis=1))
    np.testing.assert_allclose(calibrated(probabilities, 1.0), probabilities, atol=1e-9)


def should_count_calibration_error_as_by_hand() -> None:
    # Two photos at .9, one of them right; two at .6, both right: (|1.8 − 1| + |1.2 − 2|) / 4.
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    assert calibration_error(probabilities, np.array([0, 1, 0, 0])) == pytest.approx(0.4)


def should_be_most_uncertain_where_all_is_alike() -> None:
    found = uncertainty(np.array([[0.25] * 4, [1.0, 0, 0, 0], [0.5, 0.5, 0, 0]]))
    assert found == pytest.approx([1.0, 0.0, 0.5])


def should_bound_as_the_books_do() -> None:
    # No error in 59: (1 − p)^59 = .05, the rule of three; all wrong: nothing can be said.
    assert upper_bound(0, 59, 0.05) == pytest.approx(1 - 0.05 ** (1 / 59))
    assert upper_bound(0, 59, 0.05) < 0.05 < upper_bound(0, 58, 0.05)
    assert upper_bound(7, 7, 0.05) == 1.0
    # Clopper & Pearson 1934: 3 of 10, two-sided 95 %: .0667 to .6525.
    assert lower_bound(3, 10, 0.025) == pytest.approx(0.0667, abs=1e-4)
    assert upper_bound(3, 10, 0.025) == pytest.approx(0.6525, abs=1e-4)


@given(st.integers(1, 400), st.data())
def should_rise_with_errors_and_fall_with_probes(count: int, data: st.DataObject) -> None:
    errors = data.draw(st.integers(0, count - 1))
    bound = upper_bound(errors, count, 0.05)
    assert errors / count < bound <= 1.0
    assert upper_bound(errors + 1, count, 0.05) > bound
    assert upper_bound(errors, count + 1, 0.05) < bound
    assert lower_bound(errors, count, 0.05) <= errors / count


def should_choose_the_lowest_threshold_that_looks_good() -> None:
    confidence = np.linspace(1.0, 0.0, 2001)
    right = np.ones(2001, dtype=bool)
    right[confidence < 0.7] = np.arange((confidence < 0.7).sum()) % 2 == 0  # below .7 every second is wrong
    found = choose_threshold(confidence, right)
    assert found is not None
    assert 0.64 < found < 0.7


def should_choose_none_where_the_surest_are_wrong_or_too_few() -> None:
    confidence = np.linspace(1.0, 0.5, 400)
    assert choose_threshold(confidence, np.arange(400) % 10 != 0) is None
    assert choose_threshold(confidence[:58], np.ones(58, dtype=bool)) is None
    assert choose_threshold(confidence[:59], np.ones(59, dtype=bool)) == pytest.approx(confidence[58])


def should_not_divide_photos_of_equal_confidence() -> None:
    confidence = np.full(200, 0.9)
    right = np.ones(200, dtype=bool)
    right[150:] = False
    assert choose_threshold(confidence, right) is None


def should_plan_looks_whose_chances_sum_to_what_is_allowed() -> None:
    one = plan(10_000, 1)
    assert one.looks == (96, 192, 384, 768)
    assert upper_bound(0, 96, one.level) <= ERROR < upper_bound(0, 95, one.level)
    whole = sum(plan(10_000, number).level * automatic.LOOKS for number in range(1, 20_000))
    assert whole == pytest.approx(1 - CERTAINTY, rel=1e-3)
    assert whole < 1 - CERTAINTY
    assert plan(400, 1).looks == (96, 192)  # a look at 384 of 400 would spare nobody anything
    assert plan(150, 1).looks == ()


def should_wait_for_the_look_that_is_due_and_see_no_probe_between() -> None:
    planned = plan(10_000, 1)
    assert judge(planned, []) == automatic.Verdict("waiting", 0, 0, None, due=96)
    almost = judge(planned, [False] * 95 + [None])
    assert (almost.state, almost.probes, almost.due) == ("waiting", 0, 96)
    # The 100th is known and wrong, but it lies behind one that is not known.
    gap = judge(planned, [False] * 90 + [None] * 5 + [True] * 5)
    assert (gap.state, gap.probes, gap.errors) == ("waiting", 0, 0)


def should_stand_when_the_first_look_finds_nothing_wrong() -> None:
    found = judge(plan(10_000, 1), [False] * 96)
    assert (found.state, found.probes, found.errors, found.due) == ("stands", 96, 0, None)
    assert found.bound is not None and found.bound <= 0.05


def should_look_again_after_one_error_and_then_stand() -> None:
    wrong: list[bool | None] = [True] + [False] * 95
    first = judge(plan(10_000, 1), wrong)
    assert (first.state, first.errors, first.due) == ("waiting", 1, 192)
    assert judge(plan(10_000, 1), wrong + [False] * 96).state == "stands"


def should_stop_at_once_where_much_is_wrong_and_at_the_end_where_too_much_is() -> None:
    planned = plan(10_000, 1)
    assert judge(planned, [True, False] * 48).state == "stopped"
    often = [number % 20 == 0 for number in range(768)]  # 5 %: never surely under 5 %, never surely over
    assert judge(planned, often[:384]).state == "waiting"
    assert judge(planned, often).state == "stopped"


def should_withdraw_what_stood_when_a_later_look_finds_too_much() -> None:
    good, bad = [False] * 96, [number % 4 == 0 for number in range(288)]
    planned = plan(10_000, 1)
    assert judge(planned, good, beyond=192).due == 192
    assert judge(planned, good + bad, beyond=384).state == "stopped"


def most_errors(look: int, level: float) -> int:
    """Return with how many errors a look passes at most; -1 if with none."""
    return next(errors for errors in range(-1, look) if upper_bound(errors + 1, look, level) > ERROR)


def should_rarely_pass_a_batch_that_is_over_the_limit_though_it_is_looked_at_four_times() -> None:
    planned, runs = plan(10_000, 1), 4000
    wrong = np.random.default_rng(5).random((runs, 768)) < 0.0501
    errors = wrong.cumsum(axis=1)
    passed = np.any([errors[:, look - 1] <= most_errors(look, planned.level) for look in planned.looks], axis=0)
    often = range(59, 769, 7)  # what the plan is for: looking whenever one likes, 5 % each time
    naive = np.any([errors[:, look - 1] <= most_errors(look, 0.05) for look in often], axis=0)
    assert passed.mean() <= 4 * planned.level + 0.01
    assert naive.mean() > 0.1
    for one in range(0, runs, 800):
        stood = any(judge(planned, wrong[one, :look].tolist()).state == "stands" for look in planned.looks)
        assert stood == passed[one]


def should_pass_a_good_batch_nearly_always() -> None:
    generator = np.random.default_rng(6)
    planned = plan(10_000, 1)
    stood = [judge(planned, (generator.random(768) < 0.02).tolist()).state == "stands" for _ in range(100)]
    assert np.mean(stood) > 0.9


@given(st.integers(2, 60), st.floats(0.3, 1.0), st.integers(0, 5))
@settings(max_examples=50)
def should_place_every_item_once(count: int, threshold: float, seed: int) -> None:
    probabilities, _ = any_predictions(count, 1.0, seed)
    items = [f"{number:07d}" for number in range(count)]
    candidates, priorities = batch(items, probabilities, threshold, seed=seed)
    assert set(priorities) == set(items)
    assert {one.item for one in candidates} == {name for name, priority in priorities.items() if priority == 99}
    assert all(one.confidence >= threshold for one in candidates)
    assert all(1 <= priority <= 98 for name, priority in priorities.items() if priority != 99)


def should_ask_people_about_the_most_uncertain_first() -> None:
    probabilities = np.array([[0.6, 0.4], [0.99, 0.01], [0.5, 0.5], [0.8, 0.2]])
    candidates, priorities = batch(["a", "b", "c", "d"], probabilities, 0.9, seed=0)
    assert candidates == [Candidate("b", 0, 0.99)]
    assert sorted(priorities, key=priorities.__getitem__) == ["c", "a", "d", "b"]


def should_draw_another_probe_for_another_seed_and_the_same_for_the_same() -> None:
    probabilities = np.tile([0.99, 0.01], (50, 1))
    items = [str(number) for number in range(50)]
    one, same, other = (batch(items, probabilities, 0.9, seed=seed)[0] for seed in (1, 1, 2))
    assert one == same
    assert [c.item for c in one] != [c.item for c in other]
    assert {c.item for c in one} == {c.item for c in other}


def should_count_what_people_did_not_have_to_do() -> None:
    assert spared(1000, 96, 1.5) == {"photos": 904, "labels": 1356.0}
