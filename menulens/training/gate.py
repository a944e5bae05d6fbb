"""The gate: may a challenger be registered? Floors of its own, and no clear loss against the champion."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

EVALUATION: Final = "evaluation.json"
LARGEST_EVALUATION: Final = 16 << 20  # a report of 50 classes has some 20 kB; more is no report


class EvaluationError(Exception):
    """A training job's evaluation that can't be read; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate decided, and why, in one sentence a fault."""

    passed: bool
    reason: str


def read_evaluation(archive: BinaryIO, name: str) -> dict[str, Any]:
    """Return ``evaluation.json`` from a job's ``output.tar.gz``, read as a stream.

    Raises
    ------
    EvaluationError
        If the archive is broken, holds none, or what it holds is no evaluation of a model.
    """
    try:
        with tarfile.open(fileobj=archive, mode="r|gz") as tar:
            for member in tar:
                if member.isfile() and member.name.removeprefix("./") == EVALUATION:
                    return _parse(_content(tar, member, name), name)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise EvaluationError(f"{name}: not readable as tar.gz: {error}.") from None
    raise EvaluationError(f"{name}: no {EVALUATION} in it. Training writes it to /opt/ml/output/data.")


def judge(evaluation: Mapping[str, Any], gate: Mapping[str, Any]) -> Verdict:
    """Decide on a challenger.

    Parameters
    ----------
    evaluation
        What training found on the evaluation photos.
    gate
        The settings' ``gate``: ``min_accuracy`` and ``min_class_recall`` are floors; ``max_accuracy_drop`` is how much
        worse than the champion a challenger may be.

    Notes
    -----
    Challenger and champion are compared on the same photos. A challenger is turned away when it is clearly worse: when
    the whole 95 % interval of the difference (challenger minus champion) lies below ``-max_accuracy_drop``. A small
    difference on few photos is chance, and the floors hold in any case.
    """
    faults = [*_below_floors(evaluation, gate), *_worse_than_champion(evaluation, gate)]
    if faults:
        return Verdict(False, " ".join(faults))
    return Verdict(
        True, f"Accuracy {evaluation['accuracy']:.3f} on {evaluation['photos']} photos.{_beside(evaluation)}"
    )


def _below_floors(evaluation: Mapping[str, Any], gate: Mapping[str, Any]) -> list[str]:
    faults = []
    if evaluation["accuracy"] < gate["min_accuracy"]:
        faults.append(
            f"Accuracy {evaluation['accuracy']:.3f} on {evaluation['photos']} photos is below gate.min_accuracy "
            f"({gate['min_accuracy']:g})."
        )
    for name in evaluation["classes"]:
        recall = evaluation["recall"].get(name)
        if recall is None and gate["min_class_recall"] > 0:
            faults.append(f"{name}: no evaluation photo, so nothing is known of it.")
        elif recall is not None and recall < gate["min_class_recall"]:
            faults.append(f"{name}: recall {recall:.3f} is below gate.min_class_recall ({gate['min_class_recall']:g}).")
    return faults


def _worse_than_champion(evaluation: Mapping[str, Any], gate: Mapping[str, Any]) -> list[str]:
    interval = _interval(evaluation)
    if interval is None or interval[1] >= -gate["max_accuracy_drop"]:
        return []
    champion = evaluation["champion"]
    return [
        f"Clearly worse than the champion {champion['model_version']} on the same {evaluation['photos']} photos: "
        f"accuracy {evaluation['accuracy']:.3f} against {champion['accuracy']:.3f}, difference between "
        f"{interval[0]:+.3f} and {interval[1]:+.3f} (95 %), gate.max_accuracy_drop {gate['max_accuracy_drop']:g}."
    ]


def _beside(evaluation: Mapping[str, Any]) -> str:
    champion, interval = evaluation.get("champion"), _interval(evaluation)
    if not champion:
        return " There is no champion yet."
    if interval is None:
        return f" The champion {champion['model_version']} knows other classes and was not compared."
    return (
        f" The champion {champion['model_version']} has {champion['accuracy']:.3f} on the same photos; difference "
        f"between {interval[0]:+.3f} and {interval[1]:+.3f} (95 %)."
    )


def _interval(evaluation: Mapping[str, Any]) -> tuple[float, float] | None:
    champion = evaluation.get("champion")
    if not champion or not champion.get("difference_ci"):
        return None
    low, high = champion["difference_ci"]
    return float(low), float(high)


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> bytes:
    if member.size > LARGEST_EVALUATION:
        raise EvaluationError(f"{name}: {EVALUATION} has {member.size} bytes; at most {LARGEST_EVALUATION} are read.")
    stream = tar.extractfile(member)
    if stream is None:
        raise EvaluationError(f"{name}: {EVALUATION} is no file.")
    return stream.read()


def _parse(text: bytes, name: str) -> dict[str, Any]:
    try:
        evaluation = json.loads(text)
    except ValueError as error:
        raise EvaluationError(f"{name}: {EVALUATION} is no JSON: {error}.") from None
    missing = [key for key in ("photos", "accuracy", "recall", "classes") if key not in evaluation]
    if missing:
        raise EvaluationError(f"{name}: {EVALUATION} lacks {', '.join(missing)}.")
    if not evaluation["photos"]:
        raise EvaluationError(f"{name}: {EVALUATION} was made on no photo at all.")
    return dict(evaluation)
