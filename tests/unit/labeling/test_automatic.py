"""Machine labels: calibration, which photos are offered, and who is asked about what."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from menulens.labeling.automatic import (
    Candidate,
    batch,
    calibrated,
    calibration_error,
    choose_threshold,
    fit_temperature,
    propose,
    uncertainty,
)
from menulens.labeling.probing import expected_spared, plan


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


def any_held_out(count: int, errors: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return confidences, and who is right: the surest never wrong, the others as often as they say, times a factor."""
    generator = np.random.default_rng(seed)
    confidence = np.sort(generator.uniform(0.5, 1.0, count))[::-1]
    return confidence, generator.random(count) > errors * (1.0 - confidence)


def should_offer_the_photos_that_promise_to_spare_people_most() -> None:
    confidence, right = any_held_out(2000, 0.5)
    asked = np.linspace(1.0, 0.5, 8000)
    threshold, planned = choose_threshold(confidence, right, asked, batch=1)
    assert threshold is not None and planned is not None
    assert planned.candidates == np.sum(asked >= threshold)
    assert planned == plan(planned.candidates, 1)

    def spares(over: float) -> float:
        """Return how many photos a threshold spares; (1 - t) / 4 of those over it are wrong."""
        return expected_spared(plan(int(np.sum(asked >= over)), 1), np.array([(1 - over) / 4]))[0]

    # At .8 the rate is just what is allowed, and would never be proven; over .985 little is left.
    assert 0.85 < threshold < 0.97
    assert spares(threshold) > 1.5 * max(spares(0.8), spares(0.985))


def should_offer_nothing_where_the_surest_are_wrong_or_too_few() -> None:
    confidence, right = any_held_out(600, 1.0)
    asked = np.linspace(1.0, 0.5, 2000)
    assert choose_threshold(confidence, np.arange(600) % 8 != 0, asked, batch=1) == (None, None)
    assert choose_threshold(confidence, right, asked[::20], batch=1) == (None, None)
    assert choose_threshold(confidence, right, asked[:0], batch=1) == (None, None)


def should_not_take_the_uncertain_for_as_good_as_the_sure_that_people_labeled() -> None:
    # All labels are of sure photos; of the 300 uncertain ones nobody knows more than that the model is not sure.
    asked = np.repeat([0.99, 0.6], [700, 300])
    threshold, _ = choose_threshold(np.full(300, 0.99), np.ones(300, dtype=bool), asked, batch=1)
    assert threshold == 0.99


def should_believe_what_was_held_out_more_than_what_the_model_says_of_itself() -> None:
    confidence = np.full(800, 0.999)
    asked = np.full(1500, 0.999)
    good, _ = choose_threshold(confidence, np.arange(800) % 100 != 0, asked, batch=1)
    bad, _ = choose_threshold(confidence, np.arange(800) % 15 != 0, asked, batch=1)
    assert (good, bad) == (0.999, None)


def should_not_divide_photos_of_equal_confidence() -> None:
    asked = np.repeat([0.99, 0.6], [700, 300])
    threshold, planned = choose_threshold(np.full(300, 0.99), np.ones(300, dtype=bool), asked, batch=1)
    assert threshold == 0.99
    assert planned is not None and planned.candidates == 700


def should_propose_what_it_would_get_right() -> None:
    generator = np.random.default_rng(7)
    truth = generator.integers(0, 4, 900)
    centres = np.linalg.qr(generator.normal(size=(32, 32)))[0][:4]
    vectors = centres[truth] + 0.35 * generator.normal(size=(900, 32)) / np.sqrt(32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = np.where(np.arange(900) < 250, truth, -1)
    made = propose(vectors, labels, 4, batch=1)
    assert made.threshold is not None and made.plan is not None
    assert made.probabilities.shape == (650, 4)
    over = made.probabilities.max(axis=1) >= made.threshold
    assert made.plan.candidates == over.sum() > 300
    assert np.mean(made.probabilities.argmax(axis=1)[over] == truth[250:][over]) > 0.98
    random = np.where(labels >= 0, generator.integers(0, 4, 900), -1)  # labels that nothing tells of
    assert propose(vectors, random, 4, batch=1).plan is None


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


def should_have_no_candidates_without_a_threshold() -> None:
    candidates, priorities = batch(["a", "b"], np.array([[1.0, 0.0], [0.6, 0.4]]), None, seed=0)
    assert candidates == []
    assert priorities["b"] < priorities["a"] < 99


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
