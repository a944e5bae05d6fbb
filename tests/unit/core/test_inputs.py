"""Inputs of state machines: the message names the field, the value and what is allowed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from menulens.core import names
from menulens.core.inputs import INPUTS, InvalidInputError, Place, check

PLACE = Place(
    environment="test",
    buckets={room: f"menulens-test-{room}" for room in ("photos", "labels", "datasets", "models", "vectors")},
    photo_prefix="photos/",
    max_photos=1_000,
)
PACKAGE = "arn:aws:sagemaker:us-east-1:123456789012:model-package/menulens-test-classifier/3"


def should_know_every_machine() -> None:
    assert set(INPUTS) == set(names.MACHINES)


@pytest.mark.parametrize(
    ("machine", "given_", "expected"),
    [
        (
            "label",
            {"photos": "photos/soba/"},
            {
                "photos": "s3://menulens-test-photos/photos/soba/",
                "manifest": None,
                "job_name": None,
                "resume_from": None,
                "max_photos": 1_000,
            },
        ),
        (
            "label",
            {"resume_from": "arn:aws:sagemaker:us-east-1:123456789012:labeling-job/spring", "max_photos": "20"},
            {"photos": None, "manifest": None, "job_name": None, "resume_from": "spring", "max_photos": 20},
        ),
        (
            "clean",
            {"manifest": "s3://menulens-test-datasets/inbox/by hand.manifest", "reindex": True},
            {
                "manifest": "s3://menulens-test-datasets/inbox/by hand.manifest",
                "labeling_job": None,
                "name": None,
                "reindex": True,
            },
        ),
        (
            "clean",
            {"labeling_job": "arn:aws:sagemaker:us-east-1:123456789012:labeling-job/spring"},
            {"manifest": None, "labeling_job": "spring", "name": None, "reindex": False},
        ),
        (
            "clean",
            {"labeling_job": ["arn:aws:sagemaker:us-east-1:123456789012:labeling-job/spring"], "name": "may"},
            {"manifest": None, "labeling_job": "spring", "name": "may", "reindex": False},
        ),
        (
            "snapshot",
            {"job_name": "spring", "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": "arn:aws:states:…"},
            {"job_name": "spring"},
        ),
        (
            "add",
            {"job_name": "spring", "photos": "photos/new/", "addition": "2026-11-28T06:16:25.123456Z-0a1b2c3d"},
            {
                "job_name": "spring",
                "photos": "s3://menulens-test-photos/photos/new/",
                "manifest": None,
                "addition": "2026-11-28T06:16:25.123456Z-0a1b2c3d",
            },
        ),
        ("train", {"dataset": "latest"}, {"dataset": "latest"}),
        (
            "train",
            {"dataset": "s3://menulens-test-datasets/spring-0123456789ab"},
            {"dataset": "s3://menulens-test-datasets/spring-0123456789ab/"},
        ),
        ("deploy", {"model_package": PACKAGE, "environment": "test"}, {"model_package": PACKAGE}),
        ("vectorise", {}, {"photos": "s3://menulens-test-photos/photos/", "model_package": None}),
    ],
)
def should_fill_in_what_was_left_out(machine: str, given_: dict[str, Any], expected: dict[str, Any]) -> None:
    assert check(machine, given_, PLACE) == {"environment": "test", **expected}


@pytest.mark.parametrize(
    ("machine", "given_", "words"),
    [
        ("label", {}, "at least one of photos, manifest, resume_from is due; there: none"),
        (
            "label",
            {"photos": "photos/", "manifest": "s3://menulens-test-labels/a.manifest"},
            "at most one of photos, manifest is due; there: photos, manifest",
        ),
        (
            "label",
            {"photos": "s3://elsewhere/photos/"},
            "photos = 's3://elsewhere/photos/': not allowed; allowed: a pre",
        ),
        ("label", {"photos": "photos/", "max_photos": 1_001}, "allowed: a whole number from 1 to 1000"),
        ("label", {"photos": "photos/", "max_photos": True}, "max_photos = True: not allowed"),
        ("label", {"photos": "photos/", "job_name": "-x"}, "job_name = '-x': not allowed; allowed: 1 to 63 letters"),
        ("label", {"photo": "photos/"}, "photo: no such field; allowed: photos, manifest, job_name"),
        ("clean", {"manifest": "s3://menulens-test-datasets/spring/train.manifest"}, "menulens-test-datasets/inbox/"),
        ("clean", {"manifest": "s3://menulens-test-labels/jobs/"}, "manifest = 's3://menulens-test-labels/jobs/'"),
        ("clean", {"labeling_job": "a", "manifest": "s3://menulens-test-labels/a"}, "exactly one of"),
        ("clean", {"labeling_job": "a", "reindex": "yes"}, "reindex = 'yes': not allowed; allowed: true or false"),
        ("snapshot", {}, "job_name: missing; allowed: a labeling job's name or ARN"),
        ("add", {"job_name": "spring"}, "add: exactly one of photos, manifest is due; there: none"),
        ("add", {"photos": "photos/"}, "job_name: missing"),
        ("add", {"job_name": "spring", "photos": "photos/", "addition": "x#y"}, "addition = 'x#y': not allowed"),
        ("train", {"dataset": "s3://menulens-test-models/x/"}, "allowed: latest, a dataset's id, or its place"),
        ("deploy", {"model_package": PACKAGE.replace("test-", "live-")}, "group menulens-test-classifier"),
        ("deploy", {"model_package": PACKAGE, "environment": "live"}, "environment = 'live': not allowed"),
        ("vectorise", [], "the input is []; a JSON object is due"),
        ("bake", {}, "machine = 'bake': not allowed; allowed: label, clean"),
    ],
)
def should_say_which_field_and_what_is_allowed(machine: str, given_: Any, words: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        check(machine, given_, PLACE)
    assert words in str(caught.value)


def should_tell_every_fault_at_once() -> None:
    with pytest.raises(InvalidInputError) as caught:
        check("label", {"photos": 3, "max_photos": 0, "colour": "red"}, PLACE)
    assert all(name in str(caught.value) for name in ("photos = 3", "max_photos = 0", "colour: no such field"))


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)
any_fields = st.dictionaries(
    st.sampled_from(sorted({field.name for wanted in INPUTS.values() for field in wanted.fields})), any_json
)


@given(machine=st.sampled_from(names.MACHINES), value=any_json | any_fields)
def should_answer_or_explain_whatever_comes(machine: str, value: Any) -> None:
    try:
        answer = check(machine, value, PLACE)
    except InvalidInputError as error:
        assert str(error).startswith(f"{machine}: ")
    else:
        assert set(answer) == {"environment", *(field.name for field in INPUTS[machine].fields)}
