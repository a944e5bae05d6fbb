"""The report: every figure of the run on it, every text escaped, nothing run and nothing loaded."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from demo.labeling import Effort
from demo.report import Bar, Outcome, Person, Reject, Stage, duration, figures, matrix, render
from menulens.search.contact_sheet import Cell, Strip

HOSTILE = "<script>alert('x')</script>"


def any_evaluation() -> dict:
    baseline = {"accuracy": 0.4, "balanced_accuracy": 0.387, "balanced_accuracy_ci": [0.31, 0.46]}
    return {
        "photos": 140,
        "accuracy": 0.9214,
        "accuracy_ci": [0.871, 0.964],
        "balanced_accuracy": 0.9142,
        "balanced_accuracy_ci": [0.861, 0.957],
        "recall": {"meal": 0.95, "drink": None},
        "confusion": [[19, 1], [0, 0]],
        "classes": ["meal", "drink"],
        "skipped": 0,
        "baselines": {"colour_histogram": baseline, "random_weights": baseline, "majority": 0.2},
        "champion": None,
    }


def any_outcome(**changes) -> Outcome:
    cell = Cell("aoi-diner/0001.jpg", "data:image/jpeg;base64,AAAA", "meal", 0.97, 0.912, True)
    outcome = Outcome(
        composed=True,
        stages=[Stage("make pictures", 0.0, 28.4), Stage("training", 61.0, 95.0, "two epochs")],
        photos=823,
        photo_rejects=[Reject("photos/a/empty.jpg", "empty", "no bytes")],
        card={
            "dataset": "label-abc-0123456789ab",
            "kept": 700,
            "rejected": 102,
            "reasons": {"not-for-training": 88, "conflict": 14},
            "counts": {"train": {"meal": 300, "drink": 260}, "eval": {"meal": 80, "drink": 60}},
        },
        line_rejects=[],
        evaluation=any_evaluation(),
        model_version="label-abc-train",
        backbone="efficientnet_lite0",
        vectors=815,
        vector_width=1280,
        people=[Person("aki@example.com", 400, 10, 0.02), Person("ben@example.com", 0, 0, 0.1)],
        consensus_right=790,
        consensus_all=800,
        strips=[Strip(cell, (replace(cell, right=False),), "The middle one of meal.")],
        alike=[Bar("this model's vectors", 0.814, 0.79, 0.83, ours=True), Bar("chance", 0.26, 0.26, 0.26)],
        alike_elsewhere=[Bar("this model's vectors", 0.743, 0.71, 0.77, ours=True), Bar("chance", 0.25, 0.25, 0.25)],
        labeled_by="six people",
        effort=Effort(802, 790, 1402, 7, (0.861, 0.841, 0.882), 1431, intact=True),
    )
    return replace(outcome, **changes)


def should_show_the_figures_of_the_run():
    page = render(any_outcome())

    for text in (
        "823", "91.4 %", "0.914", "[0.861, 0.957]", "0.387",
        "1,402", "42 %", "2,406", "0.86", "[0.84, 0.88]", "intact", "1,431",
        "Labeled by six people", "0.814", "[0.790, 0.830]", "0.743", "[0.710, 0.770]", "0.260", "0.250",
        "790 of 800", "98.8 %", "2.5 %",
        "conflict", "2 min 36 s", "815", "1280", "label-abc-train", "meal ✗",
    ):  # fmt: skip
        assert text in page, text


def should_say_that_composed_icons_are_no_photos_and_only_then():
    assert "These are composed icons, not photos." in render(any_outcome())
    assert "composed icons" not in render(any_outcome(composed=False))


def should_run_and_load_nothing():
    page = render(any_outcome())

    assert "default-src 'none'" in page
    assert not re.search(r"<script|\son\w+=|javascript:|url\(|@import|<link|<iframe", page)
    assert set(re.findall(r'src="([^"]{0,5})', page)) == {"data:"}


def should_escape_every_text():
    cell = Cell(HOSTILE, None, HOSTILE, 0.1, 0.2, False, HOSTILE)
    card = any_outcome().card | {"dataset": HOSTILE, "reasons": {HOSTILE: 1}}

    page = render(
        any_outcome(
            stages=[Stage(HOSTILE, 0, 1, HOSTILE)],
            photo_rejects=[Reject(HOSTILE, HOSTILE, HOSTILE)],
            vector_rejects=[Reject(HOSTILE, HOSTILE, HOSTILE)],
            people=[Person(HOSTILE, 1, 0)],
            strips=[Strip(cell, (cell,), HOSTILE)],
            card=card,
            model_version=HOSTILE,
            backbone=HOSTILE,
        )
    )

    assert "<script" not in page
    assert "&lt;script&gt;" in page


def should_stand_without_annotators_or_known_answers():
    page = render(any_outcome(people=[], alike=[], alike_elsewhere=[], consensus_all=0))

    assert "How good the labels are" not in page
    assert "ten nearest" not in page


def should_speak_of_no_restaurants_and_no_icons_in_a_report_of_ones_own_photos():
    page = render(any_outcome(composed=False, people=[], alike_elsewhere=[], labeled_by="the names of their folders"))

    for word in ("restaurant", "Noto Emoji", "composed", "annotators"):
        assert word not in page, word
    assert "0.814" in page


def should_put_the_model_first_among_the_figures():
    bars = figures(any_evaluation())

    assert [bar.ours for bar in bars] == [True, False, False, False]
    assert (bars[3].value, bars[3].low, bars[3].high) == (0.2, 0.2, 0.2)


def should_shade_by_the_share_of_the_row_and_survive_an_empty_one():
    rows = matrix(any_evaluation())

    assert rows[0] == ("meal", [(19, 0.95), (1, 0.05)], 0.95)
    assert rows[1] == ("drink", [(0, 0.0), (0, 0.0)], None)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0.0 s"), (8.24, "8.2 s"), (60, "1 min 00 s"), (185.9, "3 min 05 s")]
)
def should_say_a_time_as_people_do(seconds, text):
    assert duration(seconds) == text
