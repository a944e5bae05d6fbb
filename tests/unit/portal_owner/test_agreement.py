"""Agreement: the package's figure, and an interval that holds the truth as often as it says."""

import krippendorff as package
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from menulens.labeling.agreement import krippendorff

any_votes = st.dictionaries(
    st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(["aki", "ben", "chie", "dan"])),
    st.integers(0, 3),
    min_size=2,
).map(lambda told: [(item, person, label) for (item, person), label in told.items()])


@given(any_votes)
def should_agree_with_the_package(votes: list[tuple[str, str, int]]) -> None:
    found = krippendorff(votes, resamples=10)
    items, people = sorted({vote[0] for vote in votes}), sorted({vote[1] for vote in votes})
    table = np.full((len(people), len(items)), np.nan)
    for item, person, label in votes:
        table[people.index(person), items.index(item)] = label
    shared = {item for item in items if sum(vote[0] == item for vote in votes) > 1}
    used = {vote[2] for vote in votes if vote[0] in shared}
    assert found.items == len(shared)
    if len(used) < 2:
        assert found.alpha is None
        return
    assume(len({vote[2] for vote in votes}) > 1)
    expected = package.alpha(reliability_data=table, level_of_measurement="nominal", value_domain=[0, 1, 2, 3])
    assert found.alpha == pytest.approx(expected, abs=1e-12)


def should_say_nothing_of_nothing() -> None:
    assert krippendorff([]).alpha is None
    assert krippendorff([("a", "aki", 1), ("b", "ben", 2)]) == krippendorff([])
    assert krippendorff([("a", "aki", 1), ("a", "ben", 1)]).alpha is None


def should_hold_the_truth_in_its_interval_as_often_as_it_says() -> None:
    random = np.random.default_rng(3)

    def votes(items: int) -> list[tuple[str, str, int]]:
        truth = random.integers(0, 4, items)
        told = []
        for _ in range(3):
            right = random.random(items) < 0.8
            told.append(np.where(right, truth, random.integers(0, 4, items)))
        return [(str(at), str(who), int(told[who][at])) for who in range(3) for at in range(items)]

    real = krippendorff(votes(60_000), resamples=1).alpha
    assert real is not None
    held = 0
    for _ in range(200):
        found = krippendorff(votes(80), resamples=200)
        held += found.low is not None and found.high is not None and found.low <= real <= found.high
    assert 0.88 <= held / 200 <= 0.99
