"""Settings of one environment: a frozen, validated reading of ``config/<environment>.toml``.

A wrong file fails here, before synth, with one message that names the file, the key, the value and what is allowed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from menulens.core import names
from menulens.core.rules import Category as CoreCategory
from menulens.core.rules import CleaningRules

CONFIG_FOLDER = Path("config")
CONFIG_VARIABLE = "MENULENS_CONFIG"  # an environment variable that names another folder
MOST_OF_A_BUCKET = 63  # characters of a bucket's name
NOT_IN_A_SIGN_IN_ADDRESS = ("amazon", "aws", "cognito")
# What EventBridge takes. Fields of cron: minutes, hours, day of the month, month, day of the week, year.
RATE = re.compile(r"rate\((1 (minute|hour|day)|([2-9]|[1-9]\d+) (minutes|hours|days))\)")
_FIELD = r"[0-9A-Z*,/#-]+"
CRON = re.compile(rf"cron\({_FIELD} {_FIELD} (\? {_FIELD} {_FIELD}|{_FIELD} {_FIELD} \?) {_FIELD}\)")

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,15}$")]
CategoryKey = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=128, strip_whitespace=True)]
Email = Annotated[str, StringConstraints(pattern=r"^[^@\s<>\"',;]+@[^@\s<>\"',;]+\.[A-Za-z]{2,}$", max_length=254)]
Region = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
InstanceType = Annotated[str, StringConstraints(pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9-]+$")]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Emoji = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x7f]{0,16}$")]
Hint = Annotated[str, StringConstraints(max_length=200, strip_whitespace=True)]
RulesText = Annotated[str, StringConstraints(max_length=1_000, strip_whitespace=True)]
ManifestKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,126}$")]
Domain = Annotated[str, StringConstraints(pattern=r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}$", max_length=253)]

# What a rule written as a regular expression means, for the message.
_ALLOWED = {
    r"^[a-z][a-z0-9-]{0,15}$": "1 to 16 small letters, digits and hyphens, a letter first",
    r"^[a-z][a-z0-9_-]{0,62}$": "1 to 63 small letters, digits, hyphens and underscores, a letter first",
    r"^[^@\s<>\"',;]+@[^@\s<>\"',;]+\.[A-Za-z]{2,}$": "an e-mail address, as in mai@example.com",
    r"^[a-z]{2}(-[a-z]+)+-\d$": "a region, as in ap-northeast-1",
    r"^ml\.[a-z0-9-]+\.[a-z0-9-]+$": "a SageMaker instance type, as in ml.g5.xlarge",
    r"^[^\x00-\x7f]{0,16}$": "one emoji, or nothing",
    r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,126}$": "a key of manifest lines, as in genre or menu-text",
    r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}$": "a domain name, as in labels.example.com",
    r"^arn:aws[a-z-]*:acm:us-east-1:\d{12}:certificate/[0-9a-f-]+$": "a certificate of us-east-1, CloudFront's region",
}


class SettingsError(Exception):
    """A settings file that can't be used; the message says which key, which value and what is allowed."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Category(_Section):
    """One thing an annotator can pick; its place in the list is its label index in a labeling job.

    ``emoji`` and the hints help to tell it from the others; both may be left out.
    """

    key: CategoryKey
    ja: Text
    en: Text
    trains: bool = True
    emoji: Emoji = ""
    hint_ja: Hint = ""
    hint_en: Hint = ""


class Photos(_Section):
    """Where the photos are: a bucket of our own (no ``bucket``), or one that exists and is imported."""

    bucket: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")] | None = None
    prefix: Annotated[str, StringConstraints(pattern=r"^([^/].*/)?$", max_length=512)] = "photos/"
    max_bytes: Annotated[int, Field(ge=1, le=40_000_000)] = 20_000_000
    max_pixels: Annotated[int, Field(ge=1, le=100_000_000)] = 50_000_000


class Labeling(_Section):
    """Who is asked, and how.

    ``portal`` is our own page; ``ground_truth`` needs an account that had SageMaker Ground Truth before 2026-07-30.
    ``workers_per_photo`` people answer for each photo in Ground Truth; the portal asks by need (``[portal]``).
    """

    provider: Literal["portal", "ground_truth"] = "portal"
    label_attribute: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9](-?[A-Za-z0-9])*$", max_length=127)] = (
        "menu-category"
    )
    members: tuple[Email, ...] = ()
    owners: tuple[Email, ...] = ()
    workforce_arn: str | None = None
    require_totp: Literal["off", "optional", "required"] = "optional"
    workers_per_photo: Annotated[int, Field(ge=1, le=9)] = 3
    task_seconds: Annotated[int, Field(ge=30, le=28_800)] = 300
    job_days: Annotated[int, Field(ge=1, le=30)] = 30
    max_photos_per_job: Annotated[int, Field(ge=1, le=100_000)] = 100_000
    automated: bool = False
    question_ja: Text = "この写真はどれですか？"
    question_en: Text = "What does this photo show?"
    rules_ja: RulesText = ""
    rules_en: RulesText = ""

    @field_validator("label_attribute")
    @classmethod
    def _usable_as_label(cls, value: str) -> str:
        if value.endswith(("-metadata", "-ref")):
            raise ValueError("a label attribute may not end in -metadata or -ref")
        return value


class Portal(_Section):
    """Our own labeling page and what stands behind it.

    Attributes
    ----------
    confidence
        Posterior of the consensus at which no further answer is asked for.
    min_answers, max_answers
        Answers that each item gets at least and at most. Few need many: asked by need, five at most cost fewer labels
        than three for each.
    gold_share, gold_min_accuracy, gold_min_seen
        Share of known items among those shown; an annotator who saw ``gold_min_seen`` of them and falls under the
        accuracy gets no more work.
    least_worth
        An annotator whose answers tell less than this share of what people's answers tell on average gets no more work
        of a job that has ``max_answers`` others; 0: everybody goes on. The higher, the fewer labels a job takes, and
        the fewer people give them.
    lease_seconds
        How long an item that was handed out waits for its answer.
    context_keys
        Keys of manifest lines whose text is shown beside the photo, as in ``genre``.
    near_duplicate_bits
        Photos whose perceptual hashes (256 bits) differ in at most so many bits are shown once; 0 shows each.
    display_pixels, display_quality
        Longer side and JPEG quality of the copies that browsers get.
    machine_error, machine_certainty
        Automated labeling: the largest error of machine labels, and how certain its bound must be.
    domain, certificate_arn
        Address of the page, if it is not to be one of CloudFront's own; both or neither.
    requests_per_second, burst
        What the API takes from everyone together.
    """

    confidence: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.95
    min_answers: Annotated[int, Field(ge=1, le=9)] = 1
    max_answers: Annotated[int, Field(ge=1, le=9)] = 5
    gold_share: Annotated[float, Field(ge=0.0, le=0.5)] = 0.05
    gold_min_accuracy: Share = 0.6
    gold_min_seen: Annotated[int, Field(ge=1, le=1_000)] = 10
    least_worth: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.8
    lease_seconds: Annotated[int, Field(ge=30, le=28_800)] = 900
    context_keys: Annotated[tuple[ManifestKey, ...], Field(max_length=5)] = ()
    near_duplicate_bits: Annotated[int, Field(ge=0, le=64)] = 31
    display_pixels: Annotated[int, Field(ge=320, le=1_600)] = 1_600
    display_quality: Annotated[int, Field(ge=50, le=95)] = 82
    machine_error: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.05
    machine_certainty: Annotated[float, Field(ge=0.8, lt=1.0)] = 0.95
    domain: Domain | None = None
    certificate_arn: (
        Annotated[str, StringConstraints(pattern=r"^arn:aws[a-z-]*:acm:us-east-1:\d{12}:certificate/[0-9a-f-]+$")]
        | None
    ) = None
    requests_per_second: Annotated[int, Field(ge=1, le=5_000)] = 100
    burst: Annotated[int, Field(ge=1, le=5_000)] = 200

    @model_validator(mode="after")
    def _possible(self) -> Portal:
        if self.min_answers > self.max_answers:
            raise ValueError(f"min_answers must be at most max_answers ({self.max_answers})")
        if (self.domain is None) != (self.certificate_arn is None):
            raise ValueError("domain and certificate_arn: both or neither; a domain is served with its certificate")
        return self


class Split(_Section):
    """How a dataset is divided; ``group_pattern`` takes a restaurant from a photo's key (its first group).

    With ``min_per_category`` 0 a category may be without photos: the model then never says it.
    """

    eval_share: Annotated[float, Field(gt=0.0, lt=0.9)] = 0.2
    min_per_category: Annotated[int, Field(ge=0)] = 10
    group_pattern: str | None = None

    @field_validator("group_pattern")
    @classmethod
    def _one_group(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                groups = re.compile(value).groups
            except re.error as error:
                raise ValueError(f"a regular expression is due, but {error}") from None
            if groups < 1:
                raise ValueError("a regular expression with one (group) is due")
        return value


class Training(_Section):
    """The training job."""

    instance_type: InstanceType = "ml.g5.xlarge"
    volume_gb: Annotated[int, Field(ge=10, le=16_384)] = 50
    max_hours: Annotated[int, Field(ge=1, le=120)] = 12
    backbone: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,40}$")] = "inception_v2"
    image_size: Annotated[int, Field(ge=32, le=1024)] = 224
    batch_size: Annotated[int, Field(ge=1, le=1024)] = 32
    head_epochs: Annotated[int, Field(ge=0, le=100)] = 2
    epochs: Annotated[int, Field(ge=1, le=1000)] = 8
    learning_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 1e-4
    max_undecodable_share: Share = 0.01


class Gate(_Section):
    """What a challenger must show before it may replace the champion."""

    min_accuracy: Share = 0.5
    min_class_recall: Share = 0.2
    max_accuracy_drop: Share = 0.0
    approval: Literal["automatic", "manual"] = "automatic"


def _has_gpu(instance_type: str) -> bool:
    """Tell by the family, as AWS's list of containers does."""
    return instance_type.split(".")[1][0] in "gp"


class Serving(_Section):
    """The endpoint and the transform job.

    Both run the same model in the same container, which is made for machines with a GPU, or for those without:
    ``transform_instance_type`` must be of the same kind as ``instance_type``, which it is where it is left out.
    """

    instance_type: InstanceType = "ml.g5.xlarge"
    min_instances: Annotated[int, Field(ge=1, le=100)] = 1
    max_instances: Annotated[int, Field(ge=1, le=100)] = 2
    transform_instance_type: InstanceType = Field(default_factory=lambda given: given["instance_type"])
    photos_per_pack: Annotated[int, Field(ge=1, le=10_000)] = 200

    @model_validator(mode="after")
    def _room_to_scale(self) -> Serving:
        if self.max_instances < self.min_instances:
            raise ValueError(f"max_instances must be at least min_instances ({self.min_instances})")
        return self

    @model_validator(mode="after")
    def _one_container(self) -> Serving:
        if _has_gpu(self.instance_type) != _has_gpu(self.transform_instance_type):
            raise ValueError(
                f"instance_type ({self.instance_type}) and transform_instance_type ({self.transform_instance_type}) "
                "must both have a GPU, or both have none: they run the same container"
            )
        return self


class Operations(_Section):
    """Who is told, when retraining starts by itself, and what may be spent in a month."""

    alarm_emails: tuple[Email, ...] = ()
    retrain_schedule: str | None = None
    vectorise_schedule: str | None = None
    monthly_budget_usd: Annotated[float, Field(gt=0)] | None = None

    @field_validator("retrain_schedule", "vectorise_schedule")
    @classmethod
    def _schedule(cls, value: str | None) -> str | None:
        if value is not None and not (RATE.fullmatch(value) or CRON.fullmatch(value)):
            raise ValueError(
                "a schedule is due, as in rate(1 day), rate(7 days) or cron(0 3 ? * MON *): "
                "six fields, one ? for the day of the month or of the week"
            )
        return value


class Settings(_Section):
    """Everything that differs between two deployments."""

    environment: Slug
    region: Region
    photos: Photos = Photos()
    categories: Annotated[tuple[Category, ...], Field(min_length=2, max_length=50)]
    labeling: Labeling = Labeling()
    portal: Portal = Portal()
    split: Split = Split()
    training: Training = Training()
    gate: Gate = Gate()
    serving: Serving = Serving()
    operations: Operations = Operations()

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        for what, values in (
            ("categories: key", [category.key for category in self.categories]),
            ("categories: ja", [category.ja for category in self.categories]),
            ("categories: en", [category.en for category in self.categories]),
            ("labeling.members", [member.lower() for member in self.labeling.members]),
            ("labeling.owners", [owner.lower() for owner in self.labeling.owners]),
            ("portal.context_keys", list(self.portal.context_keys)),
            ("operations.alarm_emails", [email.lower() for email in self.operations.alarm_emails]),
        ):
            doubles = sorted({value for value in values if values.count(value) > 1})
            if doubles:
                raise ValueError(f"{what}: {', '.join(map(repr, doubles))} stands twice; each may stand once")
        if sum(category.trains for category in self.categories) < 2:
            raise ValueError("categories: at least two must train (trains = true)")
        self._deployable_name()
        return self

    def _deployable_name(self) -> None:
        """Check what AWS takes of names that the environment's is part of; the account's number is known later only."""
        buckets = (names.bucket(self.environment, room, "0" * 12, self.region) for room in get_args(names.Room))
        over = max(map(len, buckets)) - MOST_OF_A_BUCKET
        if over > 0:
            raise ValueError(
                f"environment: {self.environment!r} is too long: names of buckets hold it, and S3 takes "
                f"{MOST_OF_A_BUCKET} characters; {len(self.environment) - over} are left for it in {self.region}"
            )
        refused = [word for word in NOT_IN_A_SIGN_IN_ADDRESS if word in self.environment]
        if refused:
            raise ValueError(
                f"environment: {self.environment!r} holds {refused[0]!r}, which Cognito allows in no sign-in address"
            )

    @property
    def classes(self) -> tuple[str, ...]:
        """Keys of the categories that train, in order: the model's class list."""
        return tuple(category.key for category in self.categories if category.trains)

    def cleaning_rules(self, photo_bucket: str) -> CleaningRules:
        """Return what the cleaning step must know, given the name of the photo bucket."""
        return CleaningRules(
            label_attribute=self.labeling.label_attribute,
            categories=tuple(CoreCategory(category.key, category.trains) for category in self.categories),
            photo_bucket=photo_bucket,
            photo_prefix=self.photos.prefix,
            eval_share=self.split.eval_share,
            min_per_category=self.split.min_per_category,
            group_pattern=self.split.group_pattern,
        )

    def fingerprint(self) -> str:
        """Return a short hash of all settings."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def load_settings(path: Path | str) -> Settings:
    """Read and validate one settings file.

    Raises
    ------
    SettingsError
        If the file is missing, is no TOML, or a key or value is not allowed. The message lists every fault found.
    """
    path = Path(path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        have = ", ".join(sorted(file.stem for file in path.parent.glob("*.toml"))) or "none"
        raise SettingsError(f"{path}: no such settings file. Environments with one: {have}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not readable as TOML: {error}.") from None
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        # A default that is taken from a wrong value is no fault of its own.
        faults = [fault for fault in error.errors() if fault["type"] != "default_factory_not_called"]
        raise SettingsError("\n".join(_explain(path, fault) for fault in faults)) from None


def settings_of(environment: str, folder: Path | None = None) -> Settings:
    """Load the settings of an environment by its name, from ``config`` or the folder that ``MENULENS_CONFIG`` names."""
    folder = folder or Path(os.environ.get(CONFIG_VARIABLE, CONFIG_FOLDER))
    settings = load_settings(folder / f"{environment}.toml")
    if settings.environment != environment:
        raise SettingsError(
            f"{folder / environment}.toml: environment is {settings.environment!r}; "
            f"it must be the file's name, {environment!r}."
        )
    return settings


def _explain(path: Path, fault: Any) -> str:
    """Turn one pydantic error into: file: key = value: what is allowed."""
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault["loc"]).lstrip(".")
    kind, context, value = fault["type"], fault.get("ctx", {}), fault["input"]
    if kind == "extra_forbidden":
        return f"{path}: {key}: no such key. Allowed here: {', '.join(_keys_beside(fault['loc']))}."
    if kind == "missing":
        return f"{path}: {key}: missing; it has no default."
    if kind == "value_error":
        message = str(context.get("error", fault["msg"]))
        return f"{path}: {key}: {message}." if key else f"{path}: {message}."
    if kind == "string_pattern_mismatch":
        allowed = _ALLOWED.get(context["pattern"], f"text that matches {context['pattern']}")
    elif kind == "literal_error":
        allowed = context["expected"]
    else:
        allowed = fault["msg"][0].lower() + fault["msg"][1:]
    return f"{path}: {key} = {value!r}: not allowed; allowed: {allowed}."


def _keys_beside(location: tuple[int | str, ...]) -> list[str]:
    """Return the keys that the section holding ``location`` knows."""
    model: type[BaseModel] = Settings
    for part in location[:-1]:
        if part == "categories":
            model = Category
        elif isinstance(part, str):
            inner = model.model_fields[part].annotation
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                model = inner
    return sorted(model.model_fields)
