"""The probe: exact bounds, and looks that may be taken more than once."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from menulens.labeling.probing import (
    CERTAINTY,
    ERROR,
    FORGIVEN,
    Look,
    Plan,
    Verdict,
    chance_over_limit,
    expected_spared,
    judge,
    lower_bound,
    plan,
    remainder_bound,
)

BIG = plan(10_000, 1)


def should_bound_as_the_books_do() -> None:
    # Clopper & Pearson 1934: 3 of 10, two-sided 95 %: .0667 to .6525.
    assert lower_bound(3, 10, 0.025) == pytest.approx(0.0667, abs=1e-4)
    # Of very many the finite bound is theirs too; no error in 59: (1 - p)^59 = .05, the rule of three.
    assert remainder_bound(3, 10, 2_000_000, 0.025) == pytest.approx(0.6525, abs=1e-4)
    assert remainder_bound(0, 59, 2_000_000, 0.05) == pytest.approx(1 - 0.05 ** (1 / 59), abs=1e-5)


def should_bound_what_was_not_probed_as_by_hand() -> None:
    # Half of 20 probed, none wrong. One wrong in the rest shows nothing with chance 1/2, two with 10/20 * 9/19 = .237,
    # three with .105, four with .043.
    assert remainder_bound(0, 10, 20, 0.05) == pytest.approx(3 / 10)
    assert remainder_bound(0, 10, 20, 0.2) == pytest.approx(2 / 10)
    assert remainder_bound(0, 20, 20, 0.05) == 0.0  # nothing is left that could be wrong


@given(st.integers(20, 400), st.data())
def should_rise_with_errors_and_fall_with_probes(candidates: int, data: st.DataObject) -> None:
    probes = data.draw(st.integers(5, candidates // 2))
    errors = data.draw(st.integers(0, probes // 2))
    bound = remainder_bound(errors, probes, candidates, 0.05)
    assert remainder_bound(errors + 1, probes, candidates, 0.05) >= bound
    assert remainder_bound(errors, probes, candidates, 0.2) <= bound
    left = candidates - probes
    assert bound <= remainder_bound(errors, probes - 1, candidates, 0.05) * (left + 1) / left + 1e-12


def every_way(planned: Plan, total: int) -> float:
    """Return how often a plan lets too many errors stand, by drawing every possible order of right and wrong."""
    bad, whole = 0, 0
    for order in product((False, True), repeat=planned.candidates):
        if sum(order) != total:
            continue
        whole += 1
        for look in planned.looks:
            rest = sum(order[look.probes :])
            if sum(order[: look.probes]) <= look.errors and rest > planned.error * (planned.candidates - look.probes):
                bad += 1
                break
    return bad / whole


def should_sum_the_chance_of_a_wrong_batch_over_all_ways_exactly() -> None:
    small = Plan(14, 0.3, 0.5, 0.5, (Look(3, 0), Look(5, 1), Look(7, 2)))
    assert chance_over_limit(small) == pytest.approx(max(every_way(small, total) for total in range(15)))


@pytest.mark.parametrize("candidates", [500, 1500, 10_000])
@pytest.mark.parametrize("batch", [1, 3])
def should_plan_looks_that_together_keep_to_the_share(candidates: int, batch: int) -> None:
    one = plan(candidates, batch)
    assert one.looks
    assert 0.85 * one.share < chance_over_limit(one) <= one.share  # it spends what it may
    assert [look.errors for look in one.looks] == list(FORGIVEN[: len(one.looks)])
    assert one.looks[-1].probes <= candidates / 2
    for look in one.looks:
        assert remainder_bound(look.errors, look.probes, candidates, one.level) <= ERROR
        assert remainder_bound(look.errors + 1, look.probes, candidates, one.level) > ERROR


def should_share_what_is_allowed_among_a_jobs_batches() -> None:
    whole = sum(plan(10, number).share for number in range(1, 2_000))
    assert whole == pytest.approx(1 - CERTAINTY, rel=1e-3)
    assert whole < 1 - CERTAINTY


def should_plan_no_look_where_too_few_candidates_could_prove_anything() -> None:
    assert plan(100, 1).looks == ()
    assert plan(0, 1).looks == ()


def should_need_fewer_probes_of_fewer_candidates() -> None:
    firsts = [plan(candidates, 1).looks[0].probes for candidates in (400, 1000, 3000, 30_000)]
    assert firsts == sorted(firsts)
    assert firsts[0] < 90 < 95 < firsts[-1]


def should_wait_for_the_look_that_is_due_and_see_no_probe_between() -> None:
    first = BIG.looks[0].probes
    assert judge(BIG, []) == Verdict("waiting", 0, 0, None, due=first)
    almost = judge(BIG, [False] * (first - 1) + [None])
    assert (almost.state, almost.probes, almost.due) == ("waiting", 0, first)
    # What is known and wrong lies behind one that is not known.
    gap = judge(BIG, [False] * (first - 6) + [None] * 5 + [True] * 5)
    assert (gap.state, gap.probes, gap.errors) == ("waiting", 0, 0)


def should_stand_when_the_first_look_finds_nothing_wrong() -> None:
    first = BIG.looks[0].probes
    found = judge(BIG, [False] * first)
    assert (found.state, found.probes, found.errors, found.due) == ("stands", first, 0, None)
    assert found.bound is not None and found.bound <= 0.05


def should_go_on_to_the_look_that_forgives_what_was_wrong() -> None:
    first, second, third = (look.probes for look in BIG.looks[:3])
    one, two = [True] + [False] * (first - 1), [True, True] + [False] * (first - 2)
    assert judge(BIG, one).due == second
    assert judge(BIG, two).due == third  # the second look forgives one error, and could not pass any more
    assert judge(BIG, one + [False] * (second - first)).state == "stands"


def should_stop_where_much_is_wrong_and_where_no_look_could_pass_any_more() -> None:
    first = BIG.looks[0].probes
    assert judge(BIG, [place % 2 == 0 for place in range(first)]).state == "stopped"
    few = plan(300, 1)
    assert judge(few, [place < 2 for place in range(few.looks[0].probes)]).state == "stopped"
    often = [place % 20 == 0 for place in range(BIG.looks[-1].probes)]  # 5 %: never surely under, never surely over
    assert judge(BIG, often).state == "stopped"


def should_withdraw_what_stood_when_a_later_look_finds_too_much() -> None:
    first, second, third = (look.probes for look in BIG.looks[:3])
    good, bad = [False] * first, [place % 2 == 0 for place in range(third - first)]
    assert judge(BIG, good, beyond=second).due == second
    assert judge(BIG, good + bad, beyond=third).state == "stopped"


@pytest.mark.parametrize("candidates", [500, 10_000])
def should_rarely_pass_a_batch_that_is_over_the_limit_however_often_it_is_looked_at(candidates: int) -> None:
    planned, runs = plan(candidates, 1), 4000
    most, generator = planned.looks[-1].probes, np.random.default_rng(5)
    worst = 0.0
    for total in range(int(ERROR * candidates / 2), int(ERROR * candidates) + 30, max(1, candidates // 250)):
        found = generator.hypergeometric(total, candidates - total, most, size=(runs, 1))
        order = generator.permuted(np.arange(most) < found, axis=1)  # the first places of a random order of them all
        seen = order.cumsum(axis=1)
        over = [
            (seen[:, look.probes - 1] <= look.errors)
            & (total - seen[:, look.probes - 1] > ERROR * (candidates - look.probes))
            for look in planned.looks
        ]
        passed = np.any(over, axis=0)
        worst = max(worst, float(passed.mean()))
        for one in range(0, runs, 800):
            stood = any(judge(planned, order[one, : look.probes].tolist()).state == "stands" for look in planned.looks)
            assert stood == np.any([seen[one, look.probes - 1] <= look.errors for look in planned.looks])
    assert 0.5 * planned.share < worst <= planned.share + 0.01
    assert planned.share + 0.01 < 1 - CERTAINTY


def should_pass_far_too_often_if_one_looked_whenever_one_liked() -> None:
    # What the plan is for: an ordinary 95 % bound, looked at again and again, on a batch of just over 5 %.
    wrong = np.random.default_rng(5).random((4000, 768)) < 0.0501
    errors = wrong.cumsum(axis=1)
    naive = np.any([stats.beta.ppf(0.95, errors[:, look - 1] + 1, look - errors[:, look - 1]) <= ERROR
                    for look in range(59, 769, 7)], axis=0)  # fmt: skip
    assert naive.mean() > 0.1


def should_pass_a_good_batch_nearly_always_and_expect_so() -> None:
    generator = np.random.default_rng(6)
    total = 200  # 2 % of 10,000
    stood, left = 0, 0
    for _ in range(100):
        order = generator.permutation(np.arange(10_000) < total)
        for look in BIG.looks:
            if judge(BIG, order[: look.probes].tolist()).state == "stands":
                stood, left = stood + 1, left + 10_000 - look.probes
                break
    spared, stands = expected_spared(BIG, np.array([0.02]))
    assert stood / 100 > 0.95
    assert stands == pytest.approx(stood / 100, abs=0.03)
    assert spared == pytest.approx(left / 100, rel=0.03)


@given(st.integers(0, 200), st.integers(1, 4))
@settings(max_examples=40)
def should_expect_to_spare_no_more_than_there_is(candidates: int, batch: int) -> None:
    spared, stands = expected_spared(plan(candidates, batch), np.array([0.0, 0.02, 0.3]))
    assert 0.0 <= stands <= 1.0 + 1e-9
    assert 0.0 <= spared <= candidates
