"""What the report takes out of a run's files, on cases small enough to check by hand."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from demo.collect import Labels, Strips, agreed, photo_rejects, read_evaluation, restaurants
from demo.retrieval import Neighbours
from menulens.search.contact_sheet import Strip
from menulens.search.store import StoredVectors, Tag
from menulens.storage import Storage, StorageError
from tests.unit.demo.generators import TRUTH, any_vectors


def any_strips(truth: dict[str, str] = TRUTH) -> list[Strip]:
    ids, vectors = any_vectors()
    stored = StoredVectors(
        model_version="m", ids=ids, tags=tuple(Tag(TRUTH[photo], 0.9) for photo in ids), shards=1, vectors=vectors
    )
    near = Neighbours(ids, vectors, restaurants("^photos/([^/]+)/"))
    return Strips(stored, near, truth, lambda key: b"no picture", {"drink": "飲み物"}).choose(["meal", "drink"])


def should_show_a_query_of_every_category_and_the_worst_one():
    strips = any_strips()

    assert len(strips) == 3
    assert [strip.query.category for strip in strips[:2]] == ["meal", "飲み物"]
    assert strips[1].note.startswith("The middle one of 飲み物")
    assert "worst" in strips[2].note
    assert all(cell.problem == "no picture" for strip in strips for cell in strip.hits)


def should_mark_no_category_as_right_or_wrong_where_nobody_knows():
    assert all(cell.right is None for strip in any_strips({}) for cell in strip.hits)


def should_tell_a_restaurant_by_the_pattern_of_the_settings():
    home = restaurants("^photos/([^/]+)/")

    assert home is not None
    assert home("photos/aoi/1.jpg") == home("photos/aoi/menu/2.jpg") == "aoi"
    assert home("elsewhere/1.jpg") == "elsewhere/1.jpg"
    assert restaurants(None) is None


def should_read_the_agreed_label_of_each_photo_that_has_one(tmp_path):
    def line(photo: str, said: str | None) -> str:
        entry: dict[str, object] = {"source-ref": f"s3://bucket/{photo}"}
        if said:
            entry |= {"label": 0, "label-metadata": {"class-name": said}}
        return json.dumps(entry) + "\n"

    file = tmp_path / "output.manifest"
    file.write_text(line("photos/a/1.jpg", "meal") + line("photos/b/2.jpg", "drink") + line("photos/c/1.jpg", None))

    found = agreed(Storage(), Labels("job", str(file), "label"))

    assert found == {"photos/a/1.jpg": "meal", "photos/b/2.jpg": "drink"}


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
