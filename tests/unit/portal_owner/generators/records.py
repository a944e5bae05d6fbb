"""Records as people and other tools might make them."""

from __future__ import annotations

import uuid
from typing import Any

from hypothesis import strategies as st

from menulens.portal.exchange.records import CategoryNames, GivenAnswer, Label, Record

NAMES = CategoryNames([("meal", "料理", "Meal"), ("sweets", "スイーツ", "Sweets"), ("drink", "飲み物", "Drink")])
ATTRIBUTE = "menu-category"

any_key = st.sampled_from(NAMES.keys)
# Everything that UTF-8 holds; what breaks tables comes often.
any_text = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    [
        "=1+1",
        "'=1+1",
        "''@x",
        "-5",
        "'-5",
        "+81",
        "\t=x",
        "＝cmd",
        'a"b',
        "a,b",
        "a\r\nb",
        "\rb",
        "\n",
        "'",
        " ",
        "",
        "寿司「特上」",
        "\ufeff",
        "\0",
        "a;b",
        "{}",
        "null",
        "NaN",
    ]
)
any_wild_text = any_text | st.text(st.characters(), max_size=5) | st.just("\ud800")
any_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | any_wild_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_wild_text, inner, max_size=3),
    max_leaves=6,
)
any_uuid = st.integers(0, 2**128 - 1).map(lambda number: str(uuid.UUID(int=number)))
any_place = st.tuples(st.sampled_from(["s3://photos/photos/", "s3://写真/"]), any_text).map(
    lambda parts: parts[0] + parts[1] + "é.jpg"
)
any_name = any_text | st.sampled_from(
    [
        "image",
        "text",
        "source",
        "category",
        "gold",
        "answers",
        "answers:json",
        "menulens:json",
        "attribute:x",
        "x:json",
        "attribute:",
        "confidence",
        "human",
        "carried",
        "menulens",
        "annotations",
    ]
)


@st.composite
def any_answer(draw: st.DrawFn) -> GivenAnswer:
    kind = draw(st.sampled_from(["label", "hard", "skip", "report"]))
    return GivenAnswer(
        id=draw(any_uuid),
        person=draw(any_text),
        kind=kind,
        category=draw(any_key) if kind == "label" else draw(st.none() | any_key) if kind == "hard" else None,
        second=draw(st.none() | any_key) if kind == "hard" else None,
        problem=draw(st.sampled_from(["broken", "improper"])) if kind == "report" else None,
        at=draw(st.none() | st.datetimes().map(lambda moment: moment.isoformat() + "Z")),
        shown_ms=draw(st.none() | st.integers(0, 10**7)),
    )


any_label = st.builds(Label, any_key, st.none() | st.floats(0, 1), st.booleans())


@st.composite
def any_record(draw: st.DrawFn) -> Record:
    photo = draw(st.booleans())
    names = any_name.filter(lambda name: name not in ("source-ref", "source"))
    return Record(
        source=draw(any_place) if photo else draw(any_text.filter(bool)),
        kind="photo" if photo else "text",
        attributes=draw(st.dictionaries(names, any_json, max_size=4)),
        answers=tuple(draw(st.lists(any_answer(), max_size=3))),
        label=draw(st.none() | any_label),
        gold=draw(st.none() | any_key),
        carried=draw(st.none() | any_json.map(lambda value: {"format": "other tool", "value": value})),
    )


@st.composite
def any_region(draw: st.DrawFn) -> Any:
    if draw(st.booleans()):
        return {
            "id": draw(any_text),
            "from_name": draw(st.sampled_from(["category", "tag", "second", "mark"])),
            "to_name": "img",
            "type": "choices",
            "value": {
                "choices": draw(st.lists(any_key | st.sampled_from(["飲み物", "寿司", "hard", "broken"]), max_size=2))
            },
        }
    return {"from_name": "box", "type": "rectanglelabels", "value": {"x": 1.5, "rectanglelabels": ["Moonwalker"]}}


@st.composite
def any_task(draw: st.DrawFn) -> Any:
    """Return a task of Label Studio; some have no photo, or parts of another type than they should have."""
    annotation = st.fixed_dictionaries(
        {"result": st.lists(any_region(), max_size=3) | any_json},
        optional={
            "id": st.integers(0, 10**6) | st.just("1001"),
            "unique_id": any_uuid | st.just("none"),
            "completed_by": st.integers(0, 20) | st.just({"id": 3, "email": "aki@example.com"}) | any_json,
            "was_cancelled": st.booleans(),
            "ground_truth": st.booleans(),
            "lead_time": st.floats(0, 1e6) | any_json,
            "created_at": st.just("2021-03-09T22:16:08.728353Z") | any_json,
            "extra": any_json,
        },
    )
    place = any_place | any_text
    data = st.dictionaries(any_name, any_json, max_size=3)
    task = {
        "data": draw(st.builds(lambda rest, photo: {**rest, "image": photo}, data, place) | data),
        **draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "id": st.integers(0, 10**9),
                    "annotations": st.lists(annotation | any_json, max_size=3) | any_json,
                    "predictions": st.lists(any_json, max_size=2) | any_json,
                    "meta": any_json | st.just({"menulens": {"record": 3}}),
                    "project": st.integers(1, 99),
                    "drafts": any_json,
                },
            )
        ),
    }
    return draw(st.just(task) | any_json)
