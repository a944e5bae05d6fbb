"""One round of the vectorise state machine: which model, which photos, and what must still be done about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from menulens.core import keys, names
from menulens.search.layout import Layout
from menulens.search.plan import make_plan
from menulens.serving import deployment
from menulens.storage import Storage, parse_s3_uri
from menulens.training import outcome, registry

Next = Literal["nothing", "running", "pack", "collect"]


class NoModelError(Exception):
    """Photos can't be vectorised because there is no model; the message says how to get one."""


@dataclass(frozen=True, slots=True)
class Rooms:
    """Where photos are read and vectors are written."""

    environment: str
    photos_bucket: str
    vectors_bucket: str


def plan_round(
    photos: str,
    model_package: str | None,
    rooms: Rooms,
    settings: Mapping[str, Any],
    *,
    s3: Any,
    sagemaker: Any,
    after: str = "",
    out_of_time: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Plan one round.

    Parameters
    ----------
    photos
        ``s3://bucket/prefix`` to vectorise.
    model_package
        ARN of an approved package; none: the one that serves, or the newest approved where none does.
    after
        The cursor that the round before left.

    Returns
    -------
    dict
        ``next``: ``nothing`` (no photo is new), ``running`` (another execution has this very plan under way), ``pack``,
        or ``collect`` (its transform job had completed already); the plan's names, its packs, and how to go on
        (``more``, ``cursor``).
    """
    package = _package(sagemaker, model_package, rooms.environment)
    named = deployment.resource_names(rooms.environment, package, settings["serving"])
    plan = make_plan(
        s3,
        Storage(s3),
        photos_bucket=rooms.photos_bucket,
        prefix=parse_s3_uri(photos).key,
        layout=Layout(rooms.vectors_bucket, package.model_version),
        photos_per_pack=settings["serving"]["photos_per_pack"],
        after=after,
        out_of_time=out_of_time,
    )
    layout = Layout(rooms.vectors_bucket, package.model_version, plan.plan)
    name, job, step = "", None, "nothing"
    if plan.photos:
        wanted = f"{names.prefix(rooms.environment)}-{plan.plan}"
        # Answers are removed once they are collected: where vectors were removed later, there is nothing to collect.
        answered = any(True for _ in Storage(s3).list(layout.answers))
        name, job = outcome.next_attempt(
            sagemaker, "transform", wanted, lambda job: job.status != outcome.COMPLETED or answered
        )
        step = _next(job)
    return {
        "next": step,
        keys.MODEL_PACKAGE: package.arn,
        keys.MODEL_VERSION: package.model_version,
        "create_model": not deployment.model_exists(sagemaker, named.model),
        "model_name": named.model,
        "model_data_url": package.model_data_url,
        "image": package.image,
        "plan": plan.plan,
        "transform_job": name,
        "photos": plan.photos,
        "skipped": plan.skipped,
        "packs": [asdict(pack) for pack in plan.packs] if step == "pack" else [],
        "packs_uri": layout.packs,
        "answers_uri": layout.answers.rstrip("/"),
        keys.VECTORS_URI: layout.shards,
        "cursor": plan.cursor,
        "more": plan.more,
    }


def _package(sagemaker: Any, arn: str | None, environment: str) -> registry.Package:
    if arn:
        return deployment.approved(sagemaker, arn, environment)
    group = names.model_package_group(environment)
    package = deployment.serving_package(sagemaker, environment) or registry.champion(sagemaker, group)
    if package is None:
        raise NoModelError(f"{group}: no approved model yet. Start train, or approve a model in the model registry.")
    return package


def _next(job: outcome.Job | None) -> Next:
    if job is None:
        return "pack"
    return "collect" if job.status == outcome.COMPLETED else "running"
