"""The demo's pictures: the same every time, as many as told, and the broken files really broken."""

from __future__ import annotations

import hashlib
import multiprocessing
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image, UnidentifiedImageError

from demo.concepts import CONCEPTS, RESTAURANTS, SHARES
from demo.pictures import VENDORS, Making, Picture, PicturesError, make_pictures, read_truth
from menulens.settings import load_settings


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, list[Picture]]:
    folder = tmp_path_factory.mktemp("pictures")
    return folder, make_pictures(folder, count=40, seed=3)


def should_make_as_many_of_each_category_as_told(made):
    _, truth = made
    counts = Counter(picture.category for picture in truth if picture.kind == "picture")

    assert counts.total() == 40
    assert {name: round(40 * share / 100) for name, share in SHARES.items()} == pytest.approx(counts, abs=1)


def should_write_every_file_that_the_truth_names_and_no_other(made):
    folder, truth = made

    assert {picture.key for picture in truth} == {
        path.relative_to(folder).as_posix() for path in folder.glob("photos/*/*")
    }
    assert read_truth(folder) == truth


def should_open_every_sound_picture_with_its_size_in_bounds(made):
    folder, truth = made
    for picture in truth:
        if picture.kind != "broken":
            with Image.open(folder / picture.key) as image:
                image.load()
                assert 480 <= min(image.size) <= max(image.size) <= 640


def should_give_the_same_bytes_for_the_same_seed(made, tmp_path):
    folder, truth = made
    again = make_pictures(tmp_path, count=40, seed=3, workers=1)

    assert again == truth
    for picture in truth:
        assert (tmp_path / picture.key).read_bytes() == (folder / picture.key).read_bytes(), picture.key


def should_give_other_pictures_for_another_seed(made, tmp_path):
    folder, _ = made
    make_pictures(tmp_path, count=40, seed=4)

    assert digests(tmp_path).isdisjoint(digests(folder) - broken_digests(folder))


def should_leave_a_finished_set_as_it_is(made):
    folder, truth = made
    before = {path: path.stat().st_mtime_ns for path in folder.glob("photos/*/*")}

    assert make_pictures(folder, count=40, seed=3) == truth
    assert {path: path.stat().st_mtime_ns for path in folder.glob("photos/*/*")} == before


def should_copy_duplicates_byte_for_byte(made):
    folder, truth = made
    copies = [picture for picture in truth if picture.kind == "duplicate"]

    assert copies
    for copy in copies:
        original = copy.note.removeprefix("a copy of ")
        assert (folder / copy.key).read_bytes() == (folder / original).read_bytes()


def should_break_the_broken_files_each_in_its_own_way(made):
    folder, truth = made
    broken = {Path(picture.key).name: folder / picture.key for picture in truth if picture.kind == "broken"}

    with pytest.raises(OSError, match="truncated"):
        Image.open(broken["truncated.jpg"]).load()
    for name in ("notes.jpg", "logo.jpg", "empty.jpg"):
        with pytest.raises(UnidentifiedImageError):
            Image.open(broken[name])
    with pytest.raises((UnidentifiedImageError, OSError, SyntaxError)):
        Image.open(broken["half-header.jpg"]).load()
    assert broken["empty.jpg"].stat().st_size == 0
    assert broken["logo.jpg"].read_bytes().startswith(b"<svg")
    with pytest.warns(Image.DecompressionBombWarning), Image.open(broken["poster.png"]) as poster:
        assert poster.width * poster.height == 168_000_000
    assert broken["poster.png"].stat().st_size < 1000
    with Image.open(broken["blinking.gif"]) as picture:
        assert picture.format == "GIF"


def should_spread_restaurants_so_that_one_side_of_a_split_is_other_tables(made):
    _, truth = made
    assert {picture.key.split("/")[1] for picture in truth} == set(RESTAURANTS)


def should_know_only_categories_of_the_settings():
    keys = {category.key for category in load_settings(Path("config/local.toml")).categories}

    assert set(SHARES) == set(CONCEPTS) == keys
    assert sum(SHARES.values()) == 100


def should_name_no_concept_in_two_categories():
    names = [name for concepts in CONCEPTS.values() for name in concepts]

    assert len(names) == len(set(names))


def should_say_how_to_get_the_icons_where_they_are_missing(tmp_path, monkeypatch):
    monkeypatch.setattr("demo.pictures.PROJECT", tmp_path)

    with pytest.raises(PicturesError, match=f"emoji-datasource-{VENDORS[0]} are missing.*npm ci"):
        make_pictures(tmp_path / "out", count=40)


def digests(folder: Path) -> set[str]:
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("photos/*/*")}


def broken_digests(folder: Path) -> set[str]:
    names = [Path(one.key).name for one in read_truth(folder) if one.kind == "broken"]
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("photos/*/*") if path.name in names}


def should_end_who_draws_when_the_block_is_left_early(tmp_path):
    before = {child.pid for child in multiprocessing.active_children()}

    with pytest.raises(KeyboardInterrupt), Making(tmp_path, count=400):
        drawing = {child.pid for child in multiprocessing.active_children()} - before
        raise KeyboardInterrupt

    assert drawing
    assert {child.pid for child in multiprocessing.active_children()} <= before
    assert not (tmp_path / "made.json").exists()


def should_draw_while_the_block_does_something_else_and_tell_how_far_it_is(tmp_path):
    told: list[tuple[int, int]] = []

    with Making(tmp_path, count=40, seed=3) as making:
        truth = making.finish(lambda done, total: told.append((done, total)))

    assert truth == read_truth(tmp_path)
    assert sorted(told)[-1] == (40, 40)
