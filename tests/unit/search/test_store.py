"""Reading the vectors that the vectorise machine wrote."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from menulens.search.store import VectorStoreError, load_tags, load_vectors, model_versions
from menulens.storage import Storage


def any_shard(root: Path, version: str, plan: str, ids: list[str], *, width: int = 3, age: int = 0, done: bool = True):
    folder = root / version / "shards"
    folder.mkdir(parents=True, exist_ok=True)
    rows = np.eye(width, dtype=np.float32)[np.arange(len(ids)) % width]
    file = folder / f"{plan}-00000.npy"
    np.save(file, rows)
    lines = [json.dumps({"id": name, "category": "meal", "confidence": 0.9, "etag": f"e-{plan}"}) for name in ids]
    (folder / f"{plan}-00000.ids.jsonl").write_text("\n".join(lines) + "\n")
    os.utime(file, (1_700_000_000 - age, 1_700_000_000 - age))
    if done:
        (root / version / "done").mkdir(exist_ok=True)
        (root / version / "done" / f"{plan}.json").write_text("{}")
    return file


def should_put_all_shards_of_a_version_together(tmp_path):
    any_shard(tmp_path, "m-1", "aa", ["photos/a/1.jpg", "photos/a/2.jpg"])
    any_shard(tmp_path, "m-1", "bb", ["photos/b/1.jpg"])

    stored = load_vectors(Storage(), str(tmp_path))

    assert stored.ids == ("photos/a/1.jpg", "photos/a/2.jpg", "photos/b/1.jpg")
    np.testing.assert_array_equal(stored.vectors, [[1, 0, 0], [0, 1, 0], [1, 0, 0]])
    assert (stored.model_version, stored.shards, stored.replaced) == ("m-1", 2, 0)
    assert stored.tags[0].category == "meal"


def should_take_the_newest_vector_of_a_photo_done_twice(tmp_path):
    any_shard(tmp_path, "m-1", "aa", ["x", "y"], age=0)
    any_shard(tmp_path, "m-1", "bb", ["y"], age=500)

    stored = load_vectors(Storage(), str(tmp_path))

    assert (len(stored.ids), stored.replaced) == (2, 1)
    assert stored.tags[stored.row_of("y")].etag == "e-aa"


def should_leave_out_a_plan_that_is_not_finished(tmp_path):
    any_shard(tmp_path, "m-1", "aa", ["x"])
    any_shard(tmp_path, "m-1", "bb", ["y"], done=False)

    assert load_vectors(Storage(), str(tmp_path)).ids == ("x",)


def should_know_versions_by_age_and_load_the_newest(tmp_path):
    any_shard(tmp_path, "m-2", "aa", ["x"], age=90)
    any_shard(tmp_path, "m-1", "aa", ["x"], age=5)

    assert model_versions(Storage(), str(tmp_path)) == ["m-2", "m-1"]
    assert load_vectors(Storage(), str(tmp_path)).model_version == "m-1"
    assert load_vectors(Storage(), str(tmp_path), "m-2").model_version == "m-2"


def should_find_a_photo_by_key_and_by_uri(tmp_path):
    any_shard(tmp_path, "m-1", "aa", ["photos/a/1.jpg", "s3://other/photos/b.jpg"])
    stored = load_vectors(Storage(), str(tmp_path))

    assert stored.row_of("s3://bucket/photos/a/1.jpg") == 0
    assert stored.row_of("photos/a/1.jpg") == 0
    assert stored.row_of("photos/b.jpg") == 1
    assert stored.row_of("photos/none.jpg") is None


def should_tell_tags_without_reading_a_vector(tmp_path):
    file = any_shard(tmp_path, "m-1", "aa", ["photos/a/1.jpg", "photos/a/2.jpg"])
    file.write_bytes(b"no vectors")

    stored = load_tags(Storage(), str(tmp_path))

    assert stored.tags[stored.row_of("s3://bucket/photos/a/2.jpg")].category == "meal"
    assert (stored.model_version, stored.ids, stored.shards) == ("m-1", ("photos/a/1.jpg", "photos/a/2.jpg"), 1)


def should_hold_the_vectors_once_while_they_are_read(tmp_path):
    shards, rows, width = 10, 100, 1000
    for shard in range(shards):
        any_shard(tmp_path, "m-1", f"p{shard}", [f"{shard}/{row}.jpg" for row in range(rows)], width=width)
    tracemalloc.start()
    stored = load_vectors(Storage(), str(tmp_path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert stored.vectors.shape == (shards * rows, width)
    np.testing.assert_array_equal(stored.vectors[stored.row_of("7/42.jpg")], np.eye(width)[42])
    assert peak < 2 * stored.vectors.nbytes  # one shard beside them, not all of them again


def should_say_when_there_are_no_vectors(tmp_path):
    with pytest.raises(VectorStoreError, match="holds no vectors yet"):
        load_vectors(Storage(), str(tmp_path))
    any_shard(tmp_path, "m-1", "aa", ["x"])
    with pytest.raises(VectorStoreError, match="no vectors of model m-9"):
        load_vectors(Storage(), str(tmp_path), "m-9")


def should_refuse_rows_and_ids_that_differ_in_number(tmp_path):
    file = any_shard(tmp_path, "m-1", "aa", ["x", "y"])
    ids = file.with_suffix(".ids.jsonl")
    ids.write_text(ids.read_text() + '{"id": "z"}\n')

    with pytest.raises(VectorStoreError, match=r"has 2 rows but .* names 3"):
        load_vectors(Storage(), str(tmp_path))


@pytest.mark.parametrize("line", ["{", "[]", "{}", "null", "7"])
def should_name_the_line_of_ids_that_is_wrong(tmp_path, line):
    file = any_shard(tmp_path, "m-1", "aa", ["x"])
    file.with_suffix(".ids.jsonl").write_text(line + "\n")

    with pytest.raises(VectorStoreError, match="line 1"):
        load_vectors(Storage(), str(tmp_path))


def should_refuse_a_damaged_shard_and_never_unpickle(tmp_path):
    file = any_shard(tmp_path, "m-1", "aa", ["x"])
    file.write_bytes(b"\x80\x04not an array")
    with pytest.raises(VectorStoreError, match=r"no readable \.npy"):
        load_vectors(Storage(), str(tmp_path))
    np.save(file, np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(VectorStoreError, match=r"no readable \.npy"):
        load_vectors(Storage(), str(tmp_path))


def should_refuse_two_widths_in_one_version(tmp_path):
    any_shard(tmp_path, "m-1", "aa", ["x"], width=3, age=9)
    any_shard(tmp_path, "m-1", "bb", ["y"], width=4)

    with pytest.raises(VectorStoreError, match="one model version has one width"):
        load_vectors(Storage(), str(tmp_path))
