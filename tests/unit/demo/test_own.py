"""A person's own photos: subfolders say the answers, and settings are made from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo.own import OwnPhotosError, category_key, find_photos, write_settings

BASE = Path("config/local.toml")


def any_folder(root: Path, **counts: int) -> Path:
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            (root / name / f"写真 {number}.JPG").write_bytes(b"\xff\xd8")
    return root


def should_take_subfolders_as_answers(tmp_path):
    found = find_photos(any_folder(tmp_path, Ramen=5, sushi=4))

    assert found.labeled
    assert found.categories == ("ramen", "sushi")
    assert sorted(set(found.answers.values())) == ["ramen", "sushi"]
    assert len(found.files) == len(found.answers) == 9
    assert all(key.startswith("photos/") and key.isascii() for key in found.files)


def should_take_a_flat_folder_as_photos_to_ask_about(tmp_path):
    (tmp_path / "a.png").write_bytes(b"x")
    (tmp_path / "notes.txt").write_bytes(b"x")

    found = find_photos(tmp_path)

    assert not found.labeled
    assert [path.name for path in found.files.values()] == ["a.png"]


def should_write_settings_that_hold(tmp_path):
    found = find_photos(any_folder(tmp_path / "photos", ramen=5, sushi=4, **{"Not for training": 3}))

    settings = write_settings(found, BASE, tmp_path / "config")

    assert [category.key for category in settings.categories] == ["ramen", "sushi", "not-for-training"]
    assert settings.classes == ("ramen", "sushi")
    assert settings.environment == "local"
    assert settings.split.group_pattern is None
    assert settings.gate.min_accuracy == 0.0
    assert len(settings.labeling.members) == 6


def should_ask_one_person_about_a_flat_folder_with_the_usual_categories(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"x")

    settings = write_settings(find_photos(tmp_path), BASE, tmp_path / "config")

    assert settings.labeling.workers_per_photo == 1
    assert len(settings.labeling.members) == 1
    assert "meal" in settings.classes


@pytest.mark.parametrize(
    ("counts", "message"),
    [({"ramen": 9}, "at least two subfolders"), ({"ramen": 9, "sushi": 3}, r"sushi \(3\)"), ({}, "no JPEG or PNG")],
)
def should_say_what_is_missing(tmp_path, counts, message):
    with pytest.raises(OwnPhotosError, match=message):
        find_photos(any_folder(tmp_path, **counts))


def should_say_that_there_is_no_such_folder(tmp_path):
    with pytest.raises(OwnPhotosError, match="no such folder"):
        find_photos(tmp_path / "none")


@pytest.mark.parametrize(
    ("name", "key"), [("Ramen & Udon", "ramen-udon"), ("2 courses", "c-2-courses"), ("a_b", "a_b")]
)
def should_make_a_category_of_a_name(name, key):
    assert category_key(name) == key


def should_refuse_a_name_without_latin_letters():
    with pytest.raises(OwnPhotosError, match="Latin letters"):
        category_key("料理")
