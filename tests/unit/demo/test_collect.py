"""What the report takes out of a run's files, on cases small enough to check by hand."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from demo.collect import Labels, Neighbours, consensus, photo_rejects, read_evaluation
from menulens.search.index import normalised
from menulens.search.store import StoredVectors, Tag
from menulens.storage import Storage, StorageError

TRUTH = {
    "photos/a/1.jpg": "meal",
    "photos/a/2.jpg": "meal",
    "photos/b/1.jpg": "meal",
    "photos/b/2.jpg": "drink",
    "photos/c/1.jpg": "drink",
}


def any_neighbours(truth: dict[str, str] = TRUTH) -> Neighbours:
    degrees = {
        "photos/a/1.jpg": 0,
        "photos/a/2.jpg": 5,
        "photos/b/1.jpg": 20,
        "photos/b/2.jpg": 80,
        "photos/c/1.jpg": 90,
    }
    turns = np.radians(np.array(list(degrees.values()), np.float32))
    vectors = normalised(np.stack([np.cos(turns), np.sin(turns)], axis=1).astype(np.float32))
    tags = tuple(Tag(TRUTH[photo], 0.9) for photo in degrees)
    stored = StoredVectors("m", tuple(degrees), vectors, tags, 1)
    return Neighbours(stored, truth, lambda key: b"no picture")


def should_leave_the_photo_itself_out_and_its_restaurant_when_asked():
    near = any_neighbours()

    assert [hit.id for hit in near.nearest("photos/a/1.jpg")][:2] == ["photos/a/2.jpg", "photos/b/1.jpg"]
    assert near.nearest("photos/a/1.jpg", elsewhere=True)[0].id == "photos/b/1.jpg"


def should_count_how_many_of_the_nearest_are_of_the_category():
    everywhere, elsewhere = any_neighbours().precision(["meal", "drink"])

    # Each of 3 meals has 2 meals among 4 others; each of 2 drinks has 1 drink among 4.
    assert everywhere == pytest.approx((3 * 2 / 4 + 2 * 1 / 4) / 5)
    # a/1, a/2: 1 of 3; b/1: 2 of 3; b/2: 1 of 3; c/1: 1 of 4.
    assert elsewhere == pytest.approx((1 / 3 + 1 / 3 + 2 / 3 + 1 / 3 + 1 / 4) / 5)


def should_show_a_query_of_every_category_and_the_worst_one():
    strips = any_neighbours().strips(["meal", "drink"])

    assert len(strips) == 3
    assert [strip.query.category for strip in strips[:2]] == ["meal", "drink"]
    assert "worst" in strips[2].note
    assert all(cell.problem == "no picture" for strip in strips for cell in strip.hits)


def should_do_without_known_answers():
    near = any_neighbours({})

    assert near.precision(["meal", "drink"]) == (None, None)
    assert all(cell.right is None for strip in near.strips(["meal", "drink"]) for cell in strip.hits)


def should_count_the_agreed_labels_that_are_true(tmp_path):
    def line(photo: str, said: str | None) -> str:
        entry: dict[str, object] = {"source-ref": f"s3://bucket/{photo}"}
        if said:
            entry |= {"label": 0, "label-metadata": {"class-name": said}}
        return json.dumps(entry) + "\n"

    file = tmp_path / "output.manifest"
    file.write_text(
        line("photos/a/1.jpg", "meal")
        + line("photos/b/2.jpg", "meal")
        + line("photos/c/1.jpg", None)
        + line("x", "meal")
    )

    assert consensus(Storage(), Labels("job", str(file), "label"), TRUTH) == (1, 2)


def should_show_rare_reasons_first_and_name_the_photo(tmp_path):
    def entry(code: str, photo: str) -> str:
        original = json.dumps({"source-ref": f"s3://bucket/{photo}"})
        return json.dumps({"line": None, "code": code, "reason": "why", "original": original}) + "\n"

    file = tmp_path / "rejects.jsonl"
    file.write_text(entry("duplicate", "photos/1") + entry("duplicate", "photos/2") + entry("empty", "photos/3"))

    found = photo_rejects(Storage(), str(file))

    assert [(one.what, one.code) for one in found] == [
        ("photos/3", "empty"),
        ("photos/1", "duplicate"),
        ("photos/2", "duplicate"),
    ]


def any_archive(folder: Path, name: str, content: bytes) -> str:
    target = folder / "output.tar.gz"
    with tarfile.open(target, "w:gz") as files:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        files.addfile(member, io.BytesIO(content))
    return str(target)


def should_read_the_evaluation_out_of_the_archive(tmp_path):
    assert read_evaluation(Storage(), any_archive(tmp_path, "./evaluation.json", b'{"photos": 3}')) == {"photos": 3}


def should_say_when_there_is_no_evaluation(tmp_path):
    with pytest.raises(StorageError, match=r"holds no evaluation\.json"):
        read_evaluation(Storage(), any_archive(tmp_path, "other.json", b"{}"))
