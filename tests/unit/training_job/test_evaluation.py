import evaluation
import numpy as np
import pytest


def should_weigh_every_class_alike_in_balanced_accuracy():
    truth = np.array([0, 0, 0, 0, 0, 0, 0, 0, 0, 1])
    always_zero = np.zeros(10, dtype=int)
    assert evaluation.accuracy(truth, always_zero) == 0.9
    assert evaluation.balanced_accuracy(truth, always_zero) == 0.5


def should_put_the_truth_in_the_rows_of_the_confusion_matrix():
    matrix = evaluation.confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 3)
    assert matrix.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]


def should_hold_the_true_share_in_its_interval():
    truth = np.zeros(400, dtype=int)
    guess = np.array([0] * 300 + [1] * 100)
    low, high = evaluation.bootstrap_interval(400, lambda at: evaluation.accuracy(truth[at], guess[at]), seed=1)
    assert low < 0.75 < high
    # The normal approximation of the same interval is 0.75 ± 1.96 √(0.75 · 0.25 / 400) = ± 0.042.
    assert high - low == pytest.approx(0.085, abs=0.012)


def should_give_the_same_interval_for_the_same_seed():
    values = np.arange(50) % 3 == 0
    twice = [evaluation.bootstrap_interval(50, lambda at: float(values[at].mean()), seed=4) for _ in range(2)]
    assert twice[0] == twice[1]


def should_count_pixels_in_512_colours():
    image = np.zeros((1, 2, 2, 3), dtype=np.float32)
    image[0, 0, 0] = 1.0
    histogram = evaluation.colour_histogram(image)
    assert histogram.shape == (1, 512)
    assert histogram[0, 0] == pytest.approx(0.75**0.5)
    assert histogram[0, 511] == pytest.approx(0.25**0.5)
    assert (histogram**2).sum() == pytest.approx(1.0)


def should_let_the_five_nearest_vote():
    known = np.array([[1, 0], [0.99, 0.1], [0.98, 0.15], [0, 1], [0.1, 0.99], [0.15, 0.98]], dtype=np.float32)
    labels = np.array([0, 0, 0, 1, 1, 1])
    found = evaluation.nearest_neighbours(known, labels, np.array([[1, 0.05], [0.05, 1]], dtype=np.float32), 2)
    assert found.tolist() == [0, 1]


def should_find_neighbours_among_fewer_than_five():
    known = np.eye(2, dtype=np.float32)
    assert evaluation.nearest_neighbours(known, np.array([1, 0]), known, 2).tolist() == [1, 0]


def should_report_every_figure_and_null_for_a_class_without_photos():
    truth, predicted = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    told = evaluation.report(truth, predicted, ["a", "b", "c"], {"majority": np.zeros(4, dtype=int)}, skipped=2, seed=0)
    assert told["accuracy"] == 0.75
    assert told["recall"] == {"a": 0.5, "b": 1.0, "c": None}
    assert told["confusion"] == [[1, 1, 0], [0, 2, 0], [0, 0, 0]]
    assert told["baselines"]["majority"]["balanced_accuracy"] == 0.5
    assert told["skipped"] == 2
    assert told["champion"] is None


def should_see_no_difference_between_a_model_and_itself():
    truth = np.array([0, 1] * 20)
    same = np.array([0, 1, 1, 1] * 10)
    assert evaluation.compare(truth, same, same, seed=0) == {
        "accuracy": 0.75,
        "difference": 0.0,
        "difference_ci": [0.0, 0.0],
    }


def should_call_a_clearly_better_challenger_better():
    truth = np.zeros(100, dtype=int)
    champion = np.array([0] * 50 + [-1] * 50)
    told = evaluation.compare(truth, truth, champion, seed=0)
    assert told["difference"] == 0.5
    assert told["difference_ci"][0] > 0.3


def should_normalise_and_leave_zeros():
    assert evaluation.normalise(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist() == [[0.6, 0.8], [0.0, 0.0]]
