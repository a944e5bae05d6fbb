"""A person's own photos: subfolders say the answers, and settings are made from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo.own import OwnPhotosError, category_key, find_photos, write_settings
from menulens.settings import load_settings

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
    assert found.categories == {"ramen": "Ramen", "sushi": "sushi"}
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


def should_take_a_name_in_another_script_as_a_category_of_the_settings_or_a_new_one(tmp_path):
    (tmp_path / "photos").mkdir()
    folder = any_folder(
        tmp_path / "photos", **{"料理": 4, "甘い もの": 5, "Not for training": 2, "辛い1": 4, "甘い1": 4}
    )

    found = find_photos(folder, load_settings(BASE).categories)
    settings = write_settings(found, BASE, tmp_path / "config")

    names = {category.key: category.ja for category in settings.categories}
    assert names["meal"] == "料理"
    assert "甘い もの" in names.values()
    assert len(names) == 5  # two names that differ only in Japanese are two categories
    assert [category.key for category in settings.categories if not category.trains] == ["not-for-training"]


def should_find_nested_photos_and_name_what_is_left_out(tmp_path):
    folder = any_folder(tmp_path, ramen=4, sushi=3)
    (folder / "sushi" / "rolls" / "best").mkdir(parents=True)
    (folder / "sushi" / "rolls" / "best" / "a roll.PNG").write_bytes(b"x")
    (folder / "sushi" / "rolls" / ".hidden").mkdir()
    (folder / "sushi" / "rolls" / ".hidden" / "b.png").write_bytes(b"x")
    (folder / "sushi" / "notes.txt").write_bytes(b"x")
    (folder / "beside.jpg").write_bytes(b"x")
    (folder / "empty").mkdir()

    found = find_photos(folder)

    assert sorted(found.answers.values()) == ["ramen"] * 4 + ["sushi"] * 4
    assert {path.name for path in found.left_out} == {"notes.txt", "beside.jpg"}
    assert all(key.isascii() and " " not in key for key in found.files)


def should_keep_every_other_setting_of_the_base(tmp_path):
    base = load_settings(BASE)
    settings = write_settings(find_photos(any_folder(tmp_path / "photos", ramen=5, sushi=4)), BASE, tmp_path / "config")

    assert (settings.serving, settings.training, settings.region) == (base.serving, base.training, base.region)
    assert settings.labeling.workers_per_photo == 1
