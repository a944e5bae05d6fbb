"""What every state machine takes: one table, checked by the first state of each machine.

To give a machine a field: add a :class:`Field` to its entry in :data:`INPUTS` (name, what is allowed in words, a check
that returns the value as the machine wants it or raises ValueError, and the value of an absent field). After the check
every field of the machine is present, absent ones with their default, so that a Choice may ask ``IsNull`` of each, and
``environment`` stands beside them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from menulens.core import keys, names
from menulens.core.lines import LONGEST_KEY

_JOB_NAME: Final = re.compile(r"[A-Za-z0-9](-*[A-Za-z0-9]){0,62}")
_DATASET_NAME: Final = re.compile(r"[A-Za-z0-9](-*[A-Za-z0-9]){0,39}")
_DATASET: Final = re.compile(r"[A-Za-z0-9](-*[A-Za-z0-9]){0,62}")
_ARN: Final = re.compile(r"arn:[a-z-]+:sagemaker:[a-z0-9-]+:\d{12}:([a-z-]+)/(.+)")
_ADDITION: Final = re.compile(r"[0-9T:.-]{26}Z-[0-9a-f]{8}")
_PARENT: Final = "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID"  # what Step Functions itself adds to a nested execution


class InvalidInputError(Exception):
    """An input that a state machine can't work with; the message names the field, the value and what is allowed."""


@dataclass(frozen=True, slots=True)
class Place:
    """What inputs are checked against: the environment's names and limits.

    Attributes
    ----------
    buckets
        Room (``photos``, ``labels`` …) to the bucket's name.
    """

    environment: str
    buckets: Mapping[str, str]
    photo_prefix: str
    max_photos: int


def place_of(settings: Mapping[str, Any], buckets: Mapping[str, str]) -> Place:
    """Return what inputs are checked against in an environment, given its settings as functions have them."""
    return Place(
        environment=settings["environment"],
        buckets=buckets,
        photo_prefix=settings["photos"]["prefix"],
        max_photos=settings["labeling"]["max_photos_per_job"],
    )


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an input.

    Attributes
    ----------
    allowed
        What may stand there, in words; ``{photos}`` and so on stand for bucket names.
    check
        Returns the value as the machine wants it, or raises ValueError.
    default
        The value of an absent field; called with the place if it can be.
    """

    name: str
    allowed: str
    check: Callable[[Any, Place], Any]
    default: Any = None
    required: bool = False


@dataclass(frozen=True, slots=True)
class Input:
    """The fields of one machine, and sets of which one at least or exactly one is due."""

    fields: tuple[Field, ...]
    exactly_one: tuple[str, ...] = ()
    at_least_one: tuple[str, ...] = ()
    never_both: tuple[str, ...] = ()


def check(machine: str, given: Any, place: Place) -> dict[str, Any]:
    """Return a machine's input with every field present.

    Raises
    ------
    InvalidInputError
        If a field is missing, unknown or not allowed. The message lists every fault found.
    """
    if machine not in INPUTS:
        raise InvalidInputError(f"machine = {machine!r}: not allowed; allowed: {', '.join(INPUTS)}.")
    wanted = INPUTS[machine]
    if not isinstance(given, Mapping):
        raise InvalidInputError(
            f"{machine}: the input is {given!r}; a JSON object is due, as in {{{_example(wanted)}}}."
        )
    known = [field.name for field in wanted.fields]
    faults = [
        f"{machine}: {name}: no such field; allowed: {', '.join(known)}."
        for name in given
        if name not in known and name not in (keys.ENVIRONMENT, _PARENT)
    ]
    if given.get(keys.ENVIRONMENT, place.environment) != place.environment:
        faults.append(
            f"{machine}: environment = {given[keys.ENVIRONMENT]!r}: not allowed; allowed: {place.environment!r}."
        )
    answer: dict[str, Any] = {keys.ENVIRONMENT: place.environment}
    for field in wanted.fields:
        value = given.get(field.name)
        if value is None:
            if field.required:
                faults.append(f"{machine}: {field.name}: missing; allowed: {_allowed(field, place)}.")
            answer[field.name] = field.default(place) if callable(field.default) else field.default
            continue
        try:
            answer[field.name] = field.check(value, place)
        except ValueError:
            faults.append(f"{machine}: {field.name} = {value!r}: not allowed; allowed: {_allowed(field, place)}.")
    faults += _set_faults(machine, wanted, given)
    if faults:
        raise InvalidInputError(" ".join(faults))
    return answer


def _set_faults(machine: str, wanted: Input, given: Mapping[str, Any]) -> list[str]:
    faults = []
    for group, fewest, most, words in (
        (wanted.exactly_one, 1, 1, "exactly one"),
        (wanted.at_least_one, 1, len(wanted.at_least_one), "at least one"),
        (wanted.never_both, 0, 1, "at most one"),
    ):
        present = [name for name in group if given.get(name) is not None]
        if group and not fewest <= len(present) <= most:
            there = ", ".join(present) or "none"
            faults.append(f"{machine}: {words} of {', '.join(group)} is due; there: {there}.")
    return faults


def _allowed(field: Field, place: Place) -> str:
    return field.allowed.format(
        **place.buckets,
        prefix=place.photo_prefix,
        max_photos=place.max_photos,
        group=names.model_package_group(place.environment),
    )


def _example(wanted: Input) -> str:
    return ", ".join(f'"{field.name}": …' for field in wanted.fields[:2])


# --- checks: each returns the value as the machine wants it ---------------------------------------------


def _s3(value: Any) -> tuple[str, str]:
    """Take an S3 location apart."""
    if not isinstance(value, str) or not value.startswith("s3://"):
        raise ValueError
    bucket, _, key = value.removeprefix("s3://").partition("/")
    if not bucket or len(key.encode()) > LONGEST_KEY or "\n" in key:
        raise ValueError
    return bucket, key


def _photo_prefix(value: Any, place: Place) -> str:
    """Return a prefix in the photo bucket as ``s3://…``; ``photos/soba/`` alone means that bucket."""
    if isinstance(value, str) and value and "://" not in value:
        value = f"s3://{place.buckets['photos']}/{value.lstrip('/')}"
    bucket, key = _s3(value)
    if bucket != place.buckets["photos"] or not key.startswith(place.photo_prefix):
        raise ValueError
    return f"s3://{bucket}/{key}"


def _manifest_in(*places: tuple[str, str]) -> Callable[[Any, Place], str]:
    """Return a check for a file under one of (room, key prefix)."""

    def checked(value: Any, place: Place) -> str:
        bucket, key = _s3(value)
        fits = any(bucket == place.buckets[room] and key.startswith(prefix) for room, prefix in places)
        if not key or key.endswith("/") or not fits:
            raise ValueError
        return f"s3://{bucket}/{key}"

    return checked


def _matches(pattern: re.Pattern[str]) -> Callable[[Any, Place], str]:
    def checked(value: Any, _: Place) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise ValueError
        return value

    return checked


def _labeling_job(value: Any, _: Place) -> str:
    """Return a labeling job's name, given the name, the ARN, or the one ARN among an event's resources."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, str) and (match := _ARN.fullmatch(value)) and match[1] == "labeling-job":
        value = match[2]
    return _matches(_JOB_NAME)(value, _)


def _photo_count(value: Any, place: Place) -> int:
    # The console's people write 100 as well as "100"; true is no number.
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= place.max_photos:
        raise ValueError
    return value


def _switch(value: Any, _: Place) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _dataset(value: Any, place: Place) -> str:
    """Let through ``latest``, a dataset's id or its ``s3://…/<id>/``."""
    if isinstance(value, str) and value.startswith("s3://"):
        bucket, key = _s3(value)
        if bucket != place.buckets["datasets"] or not _DATASET.fullmatch(key.rstrip("/")):
            raise ValueError
        return f"s3://{bucket}/{key.rstrip('/')}/"
    return _matches(_DATASET)(value, place)


def _model_package(value: Any, place: Place) -> str:
    """Let through the ARN of a version in our group."""
    match = _ARN.fullmatch(value) if isinstance(value, str) else None
    if not match or match[1] != "model-package":
        raise ValueError
    group, _, version = match[2].rpartition("/")
    if group.lower() != names.model_package_group(place.environment).lower() or not version.isdigit():
        raise ValueError
    return str(value)


# --- the table ------------------------------------------------------------------------------------------

_JOB_NAME_WORDS = "1 to 63 letters, digits and hyphens between them"
_PHOTOS = Field(
    keys.PHOTOS, "a prefix in the photo bucket, as in s3://{photos}/{prefix}soba/ or {prefix}soba/", _photo_prefix
)
_MANIFEST = Field(
    keys.MANIFEST, "a manifest in s3://{labels}/ or s3://{photos}/", _manifest_in(("labels", ""), ("photos", ""))
)
_MODEL_PACKAGE = Field(
    keys.MODEL_PACKAGE, "the ARN of a version in the model package group {group}, ending in /1 or so", _model_package
)

INPUTS: Final[Mapping[str, Input]] = {
    "label": Input(
        fields=(
            _PHOTOS,
            _MANIFEST,
            Field(keys.JOB_NAME, _JOB_NAME_WORDS, _matches(_JOB_NAME)),
            Field(keys.RESUME_FROM, "a labeling job's name or ARN", _labeling_job),
            Field(
                keys.MAX_PHOTOS,
                "a whole number from 1 to {max_photos}",
                _photo_count,
                default=lambda place: place.max_photos,
            ),
        ),
        at_least_one=(keys.PHOTOS, keys.MANIFEST, keys.RESUME_FROM),
        never_both=(keys.PHOTOS, keys.MANIFEST),
    ),
    "clean": Input(
        fields=(
            Field(
                keys.MANIFEST,
                "a manifest in s3://{labels}/ or s3://{datasets}/" + keys.INBOX_PREFIX,
                _manifest_in(("labels", ""), ("datasets", keys.INBOX_PREFIX)),
            ),
            Field(keys.LABELING_JOB, "a labeling job's name or ARN", _labeling_job),
            Field(keys.NAME, "1 to 40 letters, digits and hyphens between them", _matches(_DATASET_NAME)),
            Field(keys.REINDEX, "true or false", _switch, default=False),
        ),
        exactly_one=(keys.MANIFEST, keys.LABELING_JOB),
    ),
    "snapshot": Input(fields=(Field(keys.JOB_NAME, "a labeling job's name or ARN", _labeling_job, required=True),)),
    "add": Input(
        fields=(
            Field(keys.JOB_NAME, _JOB_NAME_WORDS, _matches(_JOB_NAME), required=True),
            _PHOTOS,
            _MANIFEST,
            Field(keys.ADDITION, "what the owner's page calls this addition; else nothing", _matches(_ADDITION)),
        ),
        exactly_one=(keys.PHOTOS, keys.MANIFEST),
    ),
    "train": Input(
        fields=(
            Field(keys.DATASET, "latest, a dataset's id, or its place s3://{datasets}/<id>/", _dataset, required=True),
        )
    ),
    "deploy": Input(
        fields=(Field(keys.MODEL_PACKAGE, _MODEL_PACKAGE.allowed, _model_package, required=True),),
    ),
    "vectorise": Input(
        fields=(
            Field(
                keys.PHOTOS,
                _PHOTOS.allowed,
                _photo_prefix,
                default=lambda place: f"s3://{place.buckets['photos']}/{place.photo_prefix}",
            ),
            _MODEL_PACKAGE,
        )
    ),
}
