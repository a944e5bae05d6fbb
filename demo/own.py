"""A person's own photos: a folder of folders says the answers, a flat folder asks the person."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from menulens.settings import Category, Settings, load_settings

ENDINGS: Final = (".jpg", ".jpeg", ".png")
NOT_FOR_TRAINING: Final = "not-for-training"
FEWEST: Final = 4


class OwnPhotosError(Exception):
    """A folder that the demo can't work with; the message says what is missing."""


@dataclass(frozen=True)
class OwnPhotos:
    """Photos of a folder: key in the photo bucket to file, and to answer where subfolders say it."""

    files: dict[str, Path]
    answers: dict[str, str]
    categories: tuple[str, ...]

    @property
    def labeled(self) -> bool:
        """Whether the folder says what its photos show."""
        return bool(self.answers)


def find_photos(folder: Path, prefix: str = "photos/") -> OwnPhotos:
    """Look through a folder.

    Raises
    ------
    OwnPhotosError
        If it holds no photos, or subfolders of which too few or too small ones train.
    """
    if not folder.is_dir():
        raise OwnPhotosError(f"{folder}: no such folder.")
    below = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    files: dict[str, Path] = {}
    answers: dict[str, str] = {}
    counts: dict[str, int] = {}
    for place in below:
        category = category_key(place.name)
        for path in _photos(place):
            key = f"{prefix}{category}/{len(files):05d}-{_plain(path.name)}"
            files[key], answers[key] = path, category
            counts[category] = counts.get(category, 0) + 1
    if not files:
        for path in _photos(folder):
            files[f"{prefix}own/{len(files):05d}-{_plain(path.name)}"] = path
        if not files:
            raise OwnPhotosError(f"{folder} holds no JPEG or PNG photos, nor folders of them.")
        return OwnPhotos(files, {}, ())
    training = {name: count for name, count in counts.items() if name != NOT_FOR_TRAINING}
    small = [f"{name} ({count})" for name, count in training.items() if count < FEWEST]
    if len(training) < 2 or small:
        raise OwnPhotosError(
            f"{folder}: at least two subfolders with {FEWEST} photos or more are due; found "
            f"{', '.join(f'{name} ({count})' for name, count in counts.items())}."
        )
    return OwnPhotos(files, answers, tuple(counts))


def category_key(name: str) -> str:
    """Return the category that a subfolder's name stands for: small letters, digits, hyphens."""
    key = re.sub(r"[^a-z0-9_-]+", "-", name.strip().lower()).strip("-_")
    if not key:
        raise OwnPhotosError(f"subfolder {name!r}: a name with Latin letters or digits is due, it becomes a category.")
    return (key if key[0].isalpha() else f"c-{key}")[:63]


def write_settings(photos: OwnPhotos, base: Path, folder: Path) -> Settings:
    """Write ``local.toml`` for these photos into ``folder``, and return what it says.

    Categories come from the subfolders (a flat folder keeps those of ``base``). Each photo counts by itself in the
    split, and the gate lets every model pass: a small set of one's own should get to the end of the chain.
    """
    given = load_settings(base)
    if photos.labeled:
        order = sorted(photos.categories, key=lambda name: (name == NOT_FOR_TRAINING, name))
        categories = [Category(key=name, ja=name, en=name, trains=name != NOT_FOR_TRAINING) for name in order]
    else:
        categories = list(given.categories)
    members = given.labeling.members if photos.labeled else given.labeling.members[:1]
    lines = [f"environment = {_text(given.environment)}", f"region = {_text(given.region)}"]
    for category in categories:
        lines += [
            "", "[[categories]]", f"key = {_text(category.key)}", f"ja = {_text(category.ja)}",
            f"en = {_text(category.en)}", f"trains = {str(category.trains).lower()}",
        ]  # fmt: skip
    training = given.training
    lines += [
        "", "[labeling]", f"provider = {_text(given.labeling.provider)}",
        f"members = [{', '.join(_text(member) for member in members)}]",
        f"workers_per_photo = {given.labeling.workers_per_photo if photos.labeled else 1}",
        "", "[split]", "min_per_category = 2",
        "", "[training]", f"backbone = {_text(training.backbone)}",
        f"epochs = {training.epochs}", f"head_epochs = {training.head_epochs}",
        "", "[gate]", "min_accuracy = 0.0", "min_class_recall = 0.0", "max_accuracy_drop = 1.0",
        "", "[serving]", f"photos_per_pack = {given.serving.photos_per_pack}",
    ]  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{given.environment}.toml"
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return load_settings(target)


def _photos(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and path.suffix.lower() in ENDINGS and not path.name.startswith(".")
    )


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name)[-80:]


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)  # a JSON string is a TOML basic string
