"""The audit finds labels that were spoilt on purpose, by predictions that never saw them."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from menulens.labeling.audit import Change, Suspect, between, changes, suspects
from menulens.labeling.prediction import TooFewLabelsError, out_of_fold, predict


def any_photos(count: int, seed: int = 0, spread: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors of length 1 in four clouds, and which cloud each is of."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 4, count)
    centres = np.linalg.qr(generator.normal(size=(32, 32)))[0][:4]
    vectors = centres[labels] + spread * generator.normal(size=(count, 32)) / np.sqrt(32)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), labels


def should_predict_by_heads_that_never_saw_the_photo() -> None:
    vectors, _ = any_photos(300)
    random = np.random.default_rng(1).integers(0, 4, 300)  # labels that nothing tells of
    seen = predict(vectors, random, 4).argmax(axis=1)
    unseen = out_of_fold(vectors, random, 4).argmax(axis=1)
    assert np.mean(seen == random) > 0.4  # learnt by heart
    assert np.mean(unseen == random) == pytest.approx(0.25, abs=0.08)


def should_keep_a_restaurants_photos_together() -> None:
    # Every photo stands there twice, so that a head that saw its twin knows it by heart.
    vectors, _ = any_photos(100)
    random = np.random.default_rng(2).integers(0, 4, 100)
    twice, labels, groups = np.repeat(vectors, 2, 0), np.repeat(random, 2), np.repeat(np.arange(100), 2)
    apart = np.mean(out_of_fold(twice, labels, 4).argmax(axis=1) == labels)
    together = np.mean(out_of_fold(twice, labels, 4, groups=groups).argmax(axis=1) == labels)
    assert apart > together + 0.1
    assert together == pytest.approx(0.25, abs=0.12)


def should_give_a_category_without_labels_no_probability() -> None:
    vectors, labels = any_photos(100)
    found = out_of_fold(vectors, labels, 6)
    assert found.shape == (100, 6)
    assert found[:, 4:].sum() == 0.0
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    three = np.where(np.arange(100) < 3, 2, -1)
    assert predict(vectors, three, 4)[:, 2].tolist() == [1.0] * 100


def should_learn_where_a_category_has_fewer_photos_than_there_are_folds() -> None:
    vectors, labels = any_photos(100)
    labels = np.where(np.arange(100) < 2, 3, labels % 3)
    assert out_of_fold(vectors, labels, 4).shape == (100, 4)


def should_learn_from_photos_that_nobody_has_labeled() -> None:
    vectors, truth = any_photos(600, spread=1.5)
    labels = np.where(np.arange(600) < 24, truth, -1)
    learn, rest = labels >= 0, labels < 0
    head = LogisticRegression(C=30.0).fit(vectors[learn], truth[learn]).predict(vectors[rest])
    both = predict(vectors, labels, 4).argmax(axis=1)[rest]
    assert np.mean(both != truth[rest]) < 0.75 * np.mean(head != truth[rest])
    assert not out_of_fold(vectors, labels, 4)[rest].any()  # nothing is said of what has no label


def should_say_how_many_labels_are_due() -> None:
    vectors, labels = any_photos(10)
    with pytest.raises(TooFewLabelsError, match=r"10 labels of \d categories; at least 20 of two are due"):
        out_of_fold(vectors, labels, 4)
    with pytest.raises(TooFewLabelsError, match="one group"):
        out_of_fold(*any_photos(40), 4, groups=np.zeros(40, dtype=int))


def should_find_the_labels_that_were_spoilt() -> None:
    vectors, truth = any_photos(800, spread=0.8)
    generator = np.random.default_rng(3)
    spoilt = set(generator.choice(800, 40, replace=False).tolist())
    labels = np.array([(label + 1) % 4 if place in spoilt else label for place, label in enumerate(truth)])
    found = suspects([f"{n:03}" for n in range(800)], labels, out_of_fold(vectors, labels, 4))
    caught = {int(one.name) for one in found}
    assert len(caught & spoilt) >= 34  # recall .85 …
    assert len(caught & spoilt) / len(caught) >= 0.7  # … and precision, where one in twenty is wrong
    first = [int(one.name) in spoilt for one in found[:20]]
    assert sum(first) >= 19
    assert all(one.likely == truth[int(one.name)] for one in found if int(one.name) in spoilt)
    assert [one.quality for one in found] == sorted(one.quality for one in found)


def should_find_nothing_where_nothing_is_wrong() -> None:
    vectors, labels = any_photos(400, spread=0.2)
    assert suspects([str(n) for n in range(400)], labels, out_of_fold(vectors, labels, 4)) == []


def should_name_categories_by_their_own_index_though_some_have_no_label() -> None:
    vectors, truth = any_photos(400, spread=0.3)
    labels = truth * 2  # categories 0, 2, 4, 6 of seven
    labels[0] = (labels[0] + 2) % 8
    found = suspects([str(n) for n in range(400)], labels, out_of_fold(vectors, labels, 7), limit=1)
    assert found == [Suspect("0", int(labels[0]), int(truth[0]) * 2, pytest.approx(0.0, abs=0.2))]


def should_not_suspect_where_all_labels_are_one() -> None:
    assert suspects(["a", "b"], np.array([1, 1]), np.array([[0.9, 0.1], [0.1, 0.9]])) == []


def should_tell_what_changed() -> None:
    found = changes({"a": 0, "b": 1, "c": 2, "d": 0}, {"a": 0, "b": 2, "c": None, "d": 2})
    assert found == [Change("b", 1, 2), Change("c", 2, None), Change("d", 0, 2)]
    assert between([*found, Change("e", 1, 2)]) == [(1, 2, 2), (0, 2, 1), (2, None, 1)]
