"""How good the neighbours are, on cases small enough to check by hand."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from demo.retrieval import Neighbours, colour_vectors, compare
from tests.unit.demo.generators import TRUTH, any_vectors

QUERIES = list(TRUTH)


def any_neighbours() -> Neighbours:
    ids, vectors = any_vectors()
    return Neighbours(ids, vectors, lambda photo: photo.split("/")[1])


def any_photo(colour: tuple[int, int, int], size: tuple[int, int] = (40, 30), kind: str = "PNG") -> bytes:
    target = BytesIO()
    Image.new("RGB", size, colour).save(target, kind)
    return target.getvalue()


def should_leave_the_photo_itself_out_and_its_restaurant_when_asked():
    near = any_neighbours()

    assert [hit.id for hit in near.nearest("photos/a/1.jpg")][:2] == ["photos/a/2.jpg", "photos/b/1.jpg"]
    assert near.nearest("photos/a/1.jpg", elsewhere=True)[0].id == "photos/b/1.jpg"


def should_leave_copies_out():
    ids, vectors = any_vectors()
    near = Neighbours((*ids, "photos/c/copy.jpg"), np.concatenate([vectors, vectors[:1]]), None)

    assert "photos/c/copy.jpg" not in [hit.id for hit in near.nearest("photos/a/1.jpg")]


def should_count_how_many_of_the_nearest_are_of_the_category():
    near = any_neighbours()

    # Each of 3 meals has 2 meals among 4 others; each of 2 drinks has 1 drink among 4.
    assert near.shares(QUERIES, TRUTH) == pytest.approx([1 / 2, 1 / 2, 1 / 2, 1 / 4, 1 / 4])
    # a/1, a/2: 1 of 3; b/1: 2 of 3; b/2: 1 of 3; c/1: 1 of 4.
    assert near.shares(QUERIES, TRUTH, elsewhere=True) == pytest.approx([1 / 3, 1 / 3, 2 / 3, 1 / 3, 1 / 4])


def should_give_the_share_of_a_blind_draw_as_chance():
    near = any_neighbours()

    # Fewer than ten others: all of them are found, so chance is what is found.
    for elsewhere in (False, True):
        found = near.shares(QUERIES, TRUTH, elsewhere=elsewhere)
        assert near.chance(QUERIES, TRUTH, elsewhere=elsewhere) == pytest.approx(found)


def should_put_the_model_beside_colour_and_chance_with_intervals():
    near = any_neighbours()

    model, colour, chance = compare(near, near, TRUTH, ["meal", "drink"])

    assert (model.ours, colour.ours, chance.ours) == (True, False, False)
    assert model.value == pytest.approx((3 * 1 / 2 + 2 * 1 / 4) / 5)
    assert 0.25 <= model.low < model.value < model.high <= 0.5
    assert chance.low == chance.value == chance.high


def should_ask_only_about_categories_that_train():
    near = any_neighbours()

    assert compare(near, near, TRUTH, ["meal"])[0].value == pytest.approx(1 / 2)
    assert compare(near, near, {}, ["meal"]) == []


def should_find_photos_of_the_same_colours_alike_whatever_their_size():
    photos = {
        "red": any_photo((250, 10, 10)),
        "large red": any_photo((250, 10, 10), (400, 300), "JPEG"),
        "blue": any_photo((10, 10, 250)),
        "broken": b"no picture",
    }

    vectors = colour_vectors(list(photos), photos.__getitem__)

    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1)
    assert vectors[0] @ vectors[1] == pytest.approx(1)
    assert vectors[0] @ vectors[2] == 0
    assert vectors[0] @ vectors[3] < 0.1
