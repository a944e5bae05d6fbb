import io
import json
import tarfile
from pathlib import Path

import pytest

from menulens.training.gate import EvaluationError, judge, read_evaluation

GATE = {"min_accuracy": 0.5, "min_class_recall": 0.2, "max_accuracy_drop": 0.02}


def any_evaluation(**changes: object) -> dict[str, object]:
    return {
        "photos": 200,
        "accuracy": 0.8,
        "recall": {"meal": 0.9, "drink": 0.7},
        "classes": ["meal", "drink"],
        "champion": None,
        **changes,
    }


def any_champion(low: float, high: float) -> dict[str, object]:
    return {"model_version": "old", "accuracy": 0.84, "classes": ["meal", "drink"], "difference_ci": [low, high]}


def archive(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def should_pass_the_first_model_over_its_floors() -> None:
    verdict = judge(any_evaluation(), GATE)
    assert verdict.passed
    assert verdict.reason == "Accuracy 0.800 on 200 photos. There is no champion yet."


def should_turn_away_a_model_below_the_accuracy_floor_and_say_by_which_setting() -> None:
    verdict = judge(any_evaluation(accuracy=0.499), GATE)
    assert not verdict.passed
    assert verdict.reason == "Accuracy 0.499 on 200 photos is below gate.min_accuracy (0.5)."


def should_pass_a_model_that_stands_exactly_on_its_floors() -> None:
    assert judge(any_evaluation(accuracy=0.5, recall={"meal": 0.2, "drink": 0.2}), GATE).passed


def should_name_every_class_below_its_floor() -> None:
    verdict = judge(any_evaluation(recall={"meal": 0.1, "drink": None}), GATE)
    assert not verdict.passed
    assert "meal: recall 0.100 is below gate.min_class_recall (0.2)." in verdict.reason
    assert "drink: no evaluation photo, so nothing is known of it." in verdict.reason


def should_turn_away_a_challenger_only_when_the_whole_interval_is_below_the_tolerated_drop() -> None:
    clearly_worse = judge(any_evaluation(champion=any_champion(-0.09, -0.021)), GATE)
    assert not clearly_worse.passed
    assert "Clearly worse than the champion old" in clearly_worse.reason
    assert "difference between -0.090 and -0.021 (95 %)" in clearly_worse.reason
    may_be_chance = judge(any_evaluation(champion=any_champion(-0.09, -0.02)), GATE)
    assert may_be_chance.passed
    assert "The champion old has 0.840 on the same photos" in may_be_chance.reason


def should_ask_for_photos_of_every_class_only_where_each_has_a_floor() -> None:
    evaluation = any_evaluation(recall={"meal": 0.9, "drink": None})
    assert "drink: no evaluation photo" in judge(evaluation, GATE).reason
    assert judge(evaluation, GATE | {"min_class_recall": 0.0}).passed


def should_hold_the_floors_even_against_a_worse_champion() -> None:
    assert not judge(any_evaluation(accuracy=0.4, champion=any_champion(0.1, 0.2)), GATE).passed


def should_say_that_a_champion_of_other_classes_was_not_compared() -> None:
    champion = {"model_version": "old", "accuracy": None, "classes": ["soup"], "difference_ci": None}
    verdict = judge(any_evaluation(champion=champion), GATE)
    assert verdict.passed
    assert "knows other classes and was not compared" in verdict.reason


@pytest.mark.parametrize("name", ["evaluation.json", "./evaluation.json"])
def should_find_the_evaluation_in_a_stream_among_other_files(tmp_path: Path, name: str) -> None:
    members = {"metrics.jsonl": b"{}\n" * 1000, name: json.dumps(any_evaluation()).encode(), "z": b"z"}
    with archive(tmp_path / "output.tar.gz", members).open("rb") as stream:
        assert read_evaluation(stream, "output.tar.gz") == any_evaluation()


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"metrics.jsonl": b""}, "no evaluation.json in it"),
        ({"evaluation.json": b"{"}, "evaluation.json is no JSON"),
        ({"evaluation.json": b'{"photos": 3}'}, "lacks accuracy, recall, classes"),
        ({"evaluation.json": json.dumps(any_evaluation(photos=0)).encode()}, "no photo at all"),
    ],
)
def should_say_what_is_wrong_with_an_evaluation(tmp_path: Path, members: dict[str, bytes], message: str) -> None:
    with archive(tmp_path / "output.tar.gz", members).open("rb") as stream, pytest.raises(EvaluationError) as error:
        read_evaluation(stream, "s3://models/training/job/output/output.tar.gz")
    assert message in str(error.value)
    assert "s3://models/training/job/output/output.tar.gz" in str(error.value)


@pytest.mark.parametrize("content", [b"no archive", b"\x1f\x8b\x08\x00broken"])
def should_say_that_an_archive_is_broken(content: bytes) -> None:
    with pytest.raises(EvaluationError, match=r"not readable as tar\.gz"):
        read_evaluation(io.BytesIO(content), "output.tar.gz")


def should_say_that_an_archive_is_cut_off(tmp_path: Path) -> None:
    whole = archive(
        tmp_path / "output.tar.gz", {"other": bytes(range(256)) * 4000, "evaluation.json": b"{}"}
    ).read_bytes()
    with pytest.raises(EvaluationError, match=r"not readable as tar\.gz|no evaluation\.json"):
        read_evaluation(io.BytesIO(whole[: len(whole) // 2]), "output.tar.gz")
