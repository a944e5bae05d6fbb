"""Reading off the benchmark's curve where accuracies are equal, by hand."""

import numpy as np
import pytest

from benchmarks.labels_needed import interval, needed
from benchmarks.labels_spared import label

CURVE = np.array([[1.0, 0.8], [1.5, 0.9], [2.5, 0.95]])


def should_read_between_the_thresholds_tried() -> None:
    assert needed(np.stack([CURVE, CURVE]), np.array([0.92, 0.93])) == pytest.approx(2.0)
    assert needed(CURVE[None], np.array([0.9])) == pytest.approx(1.5)


def should_need_the_fewest_tried_for_less_and_more_than_any_for_more() -> None:
    assert needed(CURVE[None], np.array([0.5])) == 1.0
    assert needed(CURVE[None], np.array([0.96])) == float("inf")


def should_not_take_a_dip_for_an_answer() -> None:
    dip = np.array([[1.0, 0.9], [1.5, 0.89], [2.0, 0.94]])
    assert needed(dip[None], np.array([0.92])) == pytest.approx(1.5 + 0.5 * 0.02 / 0.04)


def should_hold_the_value_within_its_interval() -> None:
    generator = np.random.default_rng(1)
    curves = CURVE + np.stack([np.zeros((8, 3)), generator.normal(0, 0.004, (8, 3))], axis=2)
    value, low, high = interval(curves, np.full(8, 0.92))
    assert low < value < high
    assert high - low < 0.5


def should_label_a_set_to_its_end_and_spare_people_where_a_model_is_good() -> None:
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 4, 1400)
    centres = np.linalg.qr(generator.normal(size=(32, 32)))[0][:4]
    vectors = centres[truth] + 0.4 * generator.normal(size=(1400, 32)) / np.sqrt(32)
    found = label(vectors.astype(np.float32), truth, 4, None)
    assert found.people + found.machine == 1400
    assert found.machine > 700
    assert found.wrong <= 0.05 * found.machine
    hopeless = label(generator.normal(size=(700, 8)).astype(np.float32), truth[:700], 4, None)
    assert (hopeless.people, hopeless.machine) == (700, 0)
