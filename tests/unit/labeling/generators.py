"""Annotators' skills, priors and answers, any and every kind."""

from hypothesis import strategies as st

CATEGORIES = 4


def _shares(values: list[float]) -> list[float]:
    return [value / sum(values) for value in values]


def any_shares(count: int = CATEGORIES) -> st.SearchStrategy[list[float]]:
    """Return positive numbers that sum to 1."""
    return st.lists(st.floats(0.01, 1.0), min_size=count, max_size=count).map(_shares)


def any_skill(count: int = CATEGORIES) -> st.SearchStrategy[list[list[float]]]:
    return st.lists(any_shares(count), min_size=count, max_size=count)


people = st.text("abcdefgh", min_size=1, max_size=3)


def any_labels(count: int = CATEGORIES) -> st.SearchStrategy[dict[str, int]]:
    return st.dictionaries(people, st.integers(0, count - 1), max_size=9)


@st.composite
def any_answers(draw: st.DrawFn, count: int = CATEGORIES, most: int = 60) -> list[tuple[str, str, int]]:
    """Return (item, worker, label) triples; nobody answers an item twice."""
    pairs = draw(st.sets(st.tuples(st.integers(0, 11), st.integers(0, 4)), min_size=1, max_size=most))
    return [(f"item-{item}", f"worker-{worker}", draw(st.integers(0, count - 1))) for item, worker in sorted(pairs)]
