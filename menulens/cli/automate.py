"""``menulens label automate``: the machine labels what it is surely right about, and people check that it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import numpy as np
import typer

from menulens.cli._label_app import FAILURES, Environment, JobName, fail, out
from menulens.cli._label_cloud import open_labeling
from menulens.cli._photos import open_room
from menulens.cloud import Cloud, CloudError
from menulens.core.split import grouper
from menulens.search.store import StoredVectors, photo_key

if TYPE_CHECKING:
    from menulens.portal.automation import Report, Vectors

Array = np.ndarray[Any, Any]

_SAID: Final[Mapping[str, str]] = {
    "too few labels": "People have labeled too few photos to learn from; go on labeling.",
    "nothing sure": "The model is not sure enough of any photos to label them; people are asked about the most "
    "uncertain first.",
    "probing": "People are asked about the probe first; run this again when they have answered.",
    "labeled": "The machine's labels stand.",
    "stopped": "The machine is wrong too often: its labels are withdrawn, and people are asked.",
    "nothing left": "Nothing is left that nobody has answered.",
}
ModelVersion = Annotated[
    str | None, typer.Option("--model-version", help="Whose vectors to learn from; the newest if not given.")
]


def automate(
    job: JobName,
    check: Annotated[
        bool, typer.Option("--check", help="Have people look at more probes of labels that stand already.")
    ] = False,
    model_version: ModelVersion = None,
    environment: Environment = "local",
) -> None:
    """Do what is due for a job's machine labels, and report it; run it again as people go on labeling."""
    from menulens.portal import automation  # noqa: PLC0415 (scikit-learn takes seconds to import; help is to come fast)

    try:
        labeling = open_labeling(environment)
        stored = open_room(environment).vectors(model_version)
        asked = labeling.cloud.settings.portal
        report = automation.advance(
            labeling.portal,
            job,
            vectors_of(stored),
            model=stored.model_version,
            error=asked.machine_error,
            certainty=asked.machine_certainty,
            check=check,
            group_of=groups_of(labeling.cloud),
        )
    except (*FAILURES, CloudError) as error:
        raise fail(error, job) from None
    for line in lines(report):
        out.print(line, soft_wrap=True)


def vectors_of(stored: StoredVectors) -> Vectors:
    """Return what finds the vectors of photos among those that are stored."""

    def found(photos: Sequence[str]) -> dict[str, Array]:
        rows = {photo: stored.row_of(photo) for photo in photos}
        return {photo: stored.vectors[row] for photo, row in rows.items() if row is not None}

    return found


def groups_of(cloud: Cloud) -> Callable[[str], str] | None:
    """Return what tells a photo's restaurant, as datasets are divided by it; None if settings name no pattern."""
    rules = cloud.settings.cleaning_rules(cloud.bucket("photos"))
    if rules.group_pattern is None:
        return None
    group = grouper(rules)

    def found(photo: str) -> str:
        key = photo_key(photo)
        return group(key) or key

    return found


def lines(report: Report) -> list[str]:
    """Say what was found and done, a fact a line."""
    said = [_SAID[report.did]]
    if report.error_before is not None and report.error_after is not None:
        said.append(
            f"Learned from {report.learned:,} labels; calibration error {report.error_before:.3f}, "
            f"{report.error_after:.3f} at the temperature that fits."
        )
    elif report.learned or report.did == "too few labels":
        said.append(f"Labels to learn from: {report.learned:,}.")
    if report.without_vector:
        said.append(f"{report.without_vector:,} items have no vector; the state machine vectorise makes them.")
    if report.batch is not None and report.verdict is not None:
        verdict, batch = report.verdict, report.batch
        said.append(
            f"Batch {batch.number} of {batch.model}: {len(batch.candidates):,} candidates of confidence "
            f"{batch.threshold:.3f} and more."
        )
        if verdict.bound is not None:
            said.append(
                f"Probe: {verdict.errors} of {verdict.probes} wrong; with {batch.certainty:.0%} certainty at most "
                f"{verdict.bound:.1%} (allowed: {batch.error:.0%})."
            )
        if verdict.due is not None:
            said.append(f"The next look is due at {verdict.due} probes.")
    if report.labeled or report.withdrawn:
        said.append(f"Labeled by machine now: {report.labeled:,}; withdrawn: {report.withdrawn:,}.")
    said.append(f"People are spared {report.photos:,} photos so far, some {report.answers:,.0f} answers.")
    return said
