"""Asking by need: Bayes by hand, who is asked again, who is not."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from menulens.labeling import adaptive
from menulens.labeling.adaptive import (
    DEFAULT_WEIGHT,
    JUDGED_AFTER,
    ConsensusError,
    decide,
    default_skill,
    edge,
    need,
    posteriors,
    telling_little,
    uniform,
    worth,
)
from tests.unit.labeling.generators import CATEGORIES, any_labels, any_shares, any_skill

LIMITS = {"threshold": 0.95, "min_answers": 1, "max_answers": 3}


def should_weigh_two_answers_against_one_as_bayes_by_hand() -> None:
    # Three people who are right in .8 of cases, errors .1 each: .8·.8·.1, .1·.1·.8 and .1·.1·.1 of a third each.
    found = posteriors({"a": 0, "b": 0, "c": 1}, {}, uniform(3))
    weights = [0.064, 0.008, 0.001]
    assert found == pytest.approx([weight / sum(weights) for weight in weights], abs=1e-12)


def should_believe_the_one_who_knows_over_two_who_guess() -> None:
    guess = [[0.5, 0.5], [0.5, 0.5]]
    skills = {"expert": default_skill(2, 0.99), "a": guess, "b": guess}
    decision = decide({"a": 1, "b": 1, "expert": 0}, skills, uniform(2), threshold=0.95, min_answers=1, max_answers=5)
    assert decision.label == 0
    assert decision.posterior == pytest.approx(0.99)
    assert decision.settled and decision.sure


def should_believe_others_rather_than_a_person_who_confuses_two_categories() -> None:
    swapped = [[0.05, 0.95], [0.95, 0.05]]
    alone = decide({"a": 0}, {"a": swapped}, uniform(2), **LIMITS)
    assert (alone.settled, alone.label) == (False, 0), "nobody has named the other one"
    assert alone.posterior == pytest.approx(0.05)
    two = decide({"a": 0, "b": 1}, {"a": swapped}, uniform(2), **LIMITS)
    assert (two.sure, two.label) == (True, 1)


def should_ask_again_after_one_answer_of_an_unknown_person_and_stop_after_two_that_agree() -> None:
    one = decide({"a": 2}, {}, uniform(9), **LIMITS)
    two = decide({"a": 2, "b": 2}, {}, uniform(9), **LIMITS)
    assert (one.settled, one.label) == (False, 2)
    assert (two.settled, two.sure, two.label) == (True, True, 2)


def should_stop_at_the_most_answers_and_say_that_it_is_not_sure() -> None:
    decision = decide({"a": 0, "b": 1, "c": 2}, {}, uniform(3), **LIMITS)
    assert decision.settled
    assert not decision.sure
    assert decision.label == 0
    assert decision.posterior == pytest.approx(1 / 3)


def should_ask_the_fewest_answers_however_sure_the_first_is() -> None:
    skills = {"a": default_skill(2, 0.999)}
    assert not decide({"a": 0}, skills, uniform(2), threshold=0.9, min_answers=2, max_answers=3).settled


def should_have_no_label_where_nobody_answered() -> None:
    decision = decide({}, {}, [0.97, 0.03], **LIMITS)
    assert decision == adaptive.Decision(settled=False, label=None, posterior=pytest.approx(0.97), sure=False)


def should_know_an_added_category_beside_a_matrix_from_before_it() -> None:
    old = default_skill(2, 0.9)
    found = posteriors({"a": 2}, {"a": old}, uniform(3))
    assert found[2] == pytest.approx(0.8)
    assert sum(posteriors({"a": 0}, {"a": old}, uniform(3))) == pytest.approx(1.0)
    assert sum(adaptive._usable(old, default_skill(3))[0]) == pytest.approx(1.0)


def should_survive_people_who_were_never_wrong_contradicting_each_other() -> None:
    never_wrong = [[1.0, 0.0], [0.0, 1.0]]
    found = posteriors({"a": 0, "b": 1}, {"a": never_wrong, "b": never_wrong}, uniform(2))
    assert found == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize("label", [-1, 3])
def should_refuse_an_answer_that_names_no_category(label: int) -> None:
    with pytest.raises(ConsensusError, match=f"mai: category {label} was answered; there are 0 to 2"):
        decide({"mai": label}, {}, uniform(3), **LIMITS)


@pytest.mark.parametrize(("least", "most"), [(0, 3), (4, 3), (1, 10)])
def should_refuse_limits_that_contradict_each_other(least: int, most: int) -> None:
    with pytest.raises(ConsensusError, match=f"min_answers = {least}, max_answers = {most}"):
        decide({}, {}, uniform(3), threshold=0.95, min_answers=least, max_answers=most)


@given(
    any_labels(), st.dictionaries(st.text("abcdefgh", min_size=1, max_size=3), any_skill(), max_size=9), any_shares()
)
def should_give_probabilities_that_sum_to_one(
    labels: dict[str, int], skills: dict[str, list[list[float]]], priors: list[float]
) -> None:
    found = posteriors(labels, skills, priors)
    assert math.fsum(found) == pytest.approx(1.0)
    assert all(0.0 <= value <= 1.0 for value in found)


@given(any_labels(), st.data(), any_shares())
def should_not_depend_on_the_order_of_answers_by_one_bit(
    labels: dict[str, int], data: st.DataObject, priors: list[float]
) -> None:
    skills = {person: data.draw(any_skill()) for person in labels}
    shuffled = dict(data.draw(st.permutations(list(labels.items()))))
    assert posteriors(shuffled, skills, priors) == posteriors(labels, skills, priors)


@given(any_labels(), st.data(), any_shares(), st.permutations(range(CATEGORIES)))
def should_give_the_same_belief_when_categories_change_places(
    labels: dict[str, int], data: st.DataObject, priors: list[float], order: list[int]
) -> None:
    skills = {person: data.draw(any_skill()) for person in labels}
    place = [order.index(category) for category in range(CATEGORIES)]  # of the old category among the new
    moved = posteriors(
        {person: place[label] for person, label in labels.items()},
        {person: [[skill[a][b] for b in order] for a in order] for person, skill in skills.items()},
        [priors[category] for category in order],
    )
    assert [moved[place[category]] for category in range(CATEGORIES)] == pytest.approx(
        posteriors(labels, skills, priors)
    )


@given(any_shares(), any_skill())
def should_need_an_answer_between_not_at_all_and_fully(beliefs: list[float], skill: list[list[float]]) -> None:
    assert 0.0 <= need(beliefs, skill) <= 1.0


def should_need_most_where_least_is_known_and_nothing_from_someone_who_guesses() -> None:
    assert need(uniform(4), default_skill(4, 1.0)) == pytest.approx(1.0)
    assert need([1.0, 0.0, 0.0, 0.0]) == pytest.approx(0.0)
    assert need(uniform(4), [uniform(4)] * 4) == pytest.approx(0.0)


def should_have_an_edge_where_the_own_strength_is_asked_for() -> None:
    """Whoever tells 0 from 1 better than most, and 2 from 3 worse, is wanted where 0 and 1 are in doubt."""
    skill = [[0.95, 0.05, 0, 0], [0.05, 0.95, 0, 0], [0, 0, 0.5, 0.5], [0, 0, 0.5, 0.5]]
    assert edge([0.5, 0.5, 0, 0], skill) > 0.05
    assert edge([0, 0, 0.5, 0.5], skill) < -0.05
    assert edge([1.0, 0, 0, 0], skill) == pytest.approx(0.0, abs=1e-9)


@given(any_shares())
def should_have_no_edge_as_long_as_nothing_is_known_of_a_person(beliefs: list[float]) -> None:
    assert edge(beliefs) == 0.0
    assert edge(beliefs, default_skill(len(beliefs))) == 0.0


def should_value_people_by_what_they_tell_and_not_by_how_often_they_are_right() -> None:
    priors = [0.9, 0.05, 0.05]
    always_the_largest = [[1.0, 0.0, 0.0]] * 3  # right in nine of ten
    swapped = [[0.02, 0.96, 0.02], [0.96, 0.02, 0.02], [0.02, 0.02, 0.96]]  # right in one of twenty
    assert worth(always_the_largest, priors) == pytest.approx(0.0)
    assert worth(default_skill(3), priors) == pytest.approx(1.0)
    assert worth(swapped, priors) > 1.5


WORTHS = st.dictionaries(st.text("abcdefgh", min_size=1, max_size=2), st.floats(0.0, 2.0), min_size=1)


@given(WORTHS, st.floats(0.0, 0.99), st.integers(-2, 9), st.data())
def should_let_go_only_of_those_who_tell_least_as_far_as_it_is_known(
    worths: dict[str, float], least: float, spare: int, data: st.DataObject
) -> None:
    compared = data.draw(st.dictionaries(st.sampled_from(sorted(worths)), st.integers(0, 1_000)))
    gone = telling_little(worths, compared, least=least, spare=spare)
    assert set(gone) <= {person for person, answers in compared.items() if answers >= JUDGED_AFTER}
    assert len(gone) <= max(0, spare)
    assert all(share < least for share in gone.values())
    assert list(gone.values()) == sorted(gone.values())
    everyone = telling_little(worths, compared, least=least, spare=len(worths))
    assert list(gone.items()) == list(everyone.items())[: max(0, spare)]


def should_measure_people_against_all_who_answered_so_that_not_one_after_the_other_goes() -> None:
    worths = {"expert": 1.5, "careful": 1.3, "average": 1.0, "hasty": 0.6, "guesser": 0.0}
    many = dict.fromkeys(worths, 10_000)
    gone = telling_little(worths, many, least=0.75, spare=4)
    assert list(gone) == ["guesser", "hasty"]
    assert gone["hasty"] == pytest.approx(0.6 / 0.88, abs=1e-3)
    assert telling_little(worths, {name: many[name] for name in worths if name not in gone}, least=0.75, spare=4) == {}


def should_think_as_much_of_who_is_new_as_of_people_here_on_average() -> None:
    # Of 20 answers that could be compared 18 were right; what is thought of everybody at first still weighs on it.
    new = worth(default_skill(6, (0.8 * DEFAULT_WEIGHT + 18) / (DEFAULT_WEIGHT + 20)), uniform(6))
    old = worth(default_skill(6, 0.985), uniform(6))
    worths = {"new": new, **{f"old-{at}": old for at in range(6)}}
    assert new < 0.8 * old
    assert telling_little(worths, {"new": 20}, least=0.8, spare=4) == {}
    assert list(telling_little(worths, {"new": 2_000}, least=0.8, spare=4)) == ["new"]


def should_let_nobody_go_where_nobody_has_answered() -> None:
    assert telling_little({}, {}, least=0.9, spare=3) == {}
