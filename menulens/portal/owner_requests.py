"""What the owner's API takes, as its OpenAPI document tells it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Key = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
Named = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"\S")]
Short = Annotated[str, StringConstraints(max_length=500)]
ItemId = Annotated[str, StringConstraints(pattern=r"^[0-9]{7}$")]
JobName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9](-?[A-Za-z0-9]){0,62}$")]
S3Place = Annotated[str, StringConstraints(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[^\s]{0,1000}$")]
Photos = Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class _Given(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _NewJob(_Given):
    job_name: JobName | None = None
    max_photos: Annotated[int, Field(ge=1, le=100_000)] | None = None


class JobOfPhotos(_NewJob):
    """A job about the photos below a prefix; with ``resume_from`` about those that this job left unlabeled or lacks."""

    photos: Photos
    resume_from: JobName | None = None


class JobOfManifest(_NewJob):
    """A job about the lines of a manifest."""

    manifest: S3Place
    resume_from: JobName | None = None


class JobResumed(_NewJob):
    """A job about what another one left unlabeled."""

    resume_from: JobName


NewJob = JobOfPhotos | JobOfManifest | JobResumed


class NewItems(_Given):
    """A manifest whose display copies are made, and the index of these."""

    manifest: S3Place
    display: S3Place | None = None


class PhotosOfPrefix(_Given):
    """The photos below a prefix of the photo bucket."""

    photos: Photos


class PhotosOfManifest(_Given):
    """The lines of a manifest."""

    manifest: S3Place


NewPhotos = PhotosOfPrefix | PhotosOfManifest


class NewCategory(_Given):
    """A category that is asked for from now on."""

    key: Key
    ja: Named
    en: Named
    trains: bool = True
    emoji: Annotated[str, StringConstraints(max_length=16)] = ""
    hint_ja: Short = ""
    hint_en: Short = ""


class CategoryChange(_Given):
    """What is to be said of a category from now on; what is left out stays."""

    key: Key | None = None
    ja: Named | None = None
    en: Named | None = None
    trains: bool | None = None
    emoji: Annotated[str, StringConstraints(max_length=16)] | None = None
    hint_ja: Short | None = None
    hint_en: Short | None = None
    example: ItemId | None = None


class Decision(_Given):
    """What an owner decides of an item: its category, that it has none, or that people are asked once more."""

    item: ItemId
    version: Annotated[int, Field(ge=0, le=2**53)]
    decision: Literal["label", "reject", "again"]
    category: Key | None = None
    reason: Short = ""


class Known(_Given):
    """The category that an item is known to be of."""

    category: Key


class Split(_Given):
    """Lines that leave a group; each becomes an item of its own."""

    lines: Annotated[list[Annotated[int, Field(ge=0, le=10**7)]], Field(min_length=1, max_length=1000)]


class Leaver(_Given):
    """Whose leases are handed back."""

    person: Annotated[str, StringConstraints(min_length=1, max_length=128)]


class Why(_Given):
    """Why a person gets no more work."""

    reason: Short = ""
