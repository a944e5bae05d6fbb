"""A person's own photos: a folder of folders says the answers, a flat folder asks the person."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from menulens.settings import Category, Settings, load_settings

ENDINGS: Final = (".jpg", ".jpeg", ".png")
NOT_FOR_TRAINING: Final = "not-for-training"
FEWEST: Final = 4


class OwnPhotosError(Exception):
    """A folder that the demo can't work with; the message says what is missing."""


@dataclass(frozen=True)
class OwnPhotos:
    """Photos of a folder.

    Attributes
    ----------
    files
        Key in the photo bucket to file.
    answers
        Key to category, where subfolders say it; empty for a flat folder.
    categories
        Category to the name that its folder has.
    left_out
        Files that are no photos or lie beside the folders.
    """

    files: dict[str, Path]
    answers: dict[str, str]
    categories: dict[str, str]
    left_out: tuple[Path, ...] = ()

    @property
    def labeled(self) -> bool:
        """Whether the folder says what its photos show."""
        return bool(self.answers)


def find_photos(folder: Path, known: Sequence[Category] = (), prefix: str = "photos/") -> OwnPhotos:
    """Look through a folder and the folders below it, however deep; hidden ones are passed over.

    Parameters
    ----------
    known
        Categories of the settings: a subfolder with the key or a shown name of one stands for it.

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
    categories: dict[str, str] = {}
    counts: Counter[str] = Counter()
    left_out: list[Path] = []
    for number, place in enumerate(below, 1):
        photos, others = _photos(place, deep=True)
        left_out += others
        if photos:
            category = category_key(place.name, number, known)
            categories.setdefault(category, place.name)
            counts[category] += len(photos)
        for path in photos:
            key = f"{prefix}{category}/{len(files):05d}-{_plain(path.name)}"
            files[key], answers[key] = path, category
    photos, others = _photos(folder, deep=False)
    if not files:
        if not photos:
            raise OwnPhotosError(f"{folder} holds no JPEG or PNG photos, nor folders of them.")
        flat = {f"{prefix}own/{number:05d}-{_plain(path.name)}": path for number, path in enumerate(photos)}
        return OwnPhotos(flat, {}, {}, (*left_out, *others))
    training = {name: count for name, count in counts.items() if name != NOT_FOR_TRAINING}
    small = [name for name, count in training.items() if count < FEWEST]
    if len(training) < 2 or small:
        raise OwnPhotosError(
            f"{folder}: at least two subfolders with {FEWEST} photos or more are due; found "
            f"{', '.join(f'{categories[name]} ({count})' for name, count in counts.items())}."
        )
    return OwnPhotos(files, answers, categories, (*left_out, *photos, *others))


def category_key(name: str, number: int = 1, known: Sequence[Category] = ()) -> str:
    """Return the category that a subfolder's name stands for.

    That is the category of the settings with this name, else the name in small letters, digits and hyphens; a name in
    another script becomes ``category-<number>`` and is shown as it is.
    """
    plain = unicodedata.normalize("NFKC", name).strip()
    for category in known:
        if plain.casefold() in {text.casefold() for text in (category.key, category.ja, category.en)}:
            return category.key
    key = re.sub(r"[^a-z0-9_-]+", "-", plain.lower()).strip("-_")
    if not key or not plain.isascii():
        return f"category-{number}"
    return (key if key[0].isalpha() else f"c-{key}")[:63].rstrip("-_")


def write_settings(photos: OwnPhotos, base: Path, folder: Path) -> Settings:
    """Write ``local.toml`` for these photos into ``folder``, and return what it says.

    Categories come from the subfolders (a flat folder keeps those of ``base``). Each photo counts by itself in the
    split, one answer labels it, and the gate lets every model pass: a small set of one's own should get to the end of
    the chain.
    """
    given = load_settings(base)
    values: dict[str, Any] = given.model_dump(mode="json", exclude_unset=True)
    if photos.labeled:
        usual = {category.key: category for category in given.categories}
        order = sorted(photos.categories, key=lambda name: (name == NOT_FOR_TRAINING, name))
        values["categories"] = [
            usual[name].model_dump(mode="json")
            if name in usual
            else {"key": name, "ja": photos.categories[name], "en": photos.categories[name]}
            for name in order
        ]
    members = values["labeling"]["members"]
    values["labeling"] |= {"workers_per_photo": 1, "members": members if photos.labeled else members[:1]}
    values["portal"] = {**values.get("portal", {}), "min_answers": 1, "max_answers": 1}
    # Where a person labels, nobody knows beforehand which categories their photos show.
    values["split"] = {"min_per_category": 2 if photos.labeled else 0}
    values["gate"] = {"min_accuracy": 0.0, "min_class_recall": 0.0, "max_accuracy_drop": 1.0}
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{given.environment}.toml"
    target.write_text(_toml(values), encoding="utf-8")
    return load_settings(target)


def _toml(values: dict[str, Any]) -> str:
    """Return settings as TOML: values first, then sections, then lists of tables."""
    lines = [f"{name} = {_text(value)}" for name, value in values.items() if not _is_table(value)]
    for name, section in values.items():
        tables = section if isinstance(section, list) else [section]
        if _is_table(section):
            for table in tables:
                lines += ["", f"[[{name}]]" if isinstance(section, list) else f"[{name}]"]
                lines += [f"{key} = {_text(value)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))


def _photos(folder: Path, *, deep: bool) -> tuple[list[Path], list[Path]]:
    """Return a folder's photos and its other files."""
    found = folder.rglob("*") if deep else folder.iterdir()
    files = sorted(
        path
        for path in found
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    photos = [path for path in files if path.suffix.lower() in ENDINGS]
    return photos, [path for path in files if path.suffix.lower() not in ENDINGS]


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name)[-80:]


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)  # JSON's texts, numbers, truths and lists are TOML's as well
