"""Cleaning in parts gives what cleaning in one go gives, byte for byte."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from menulens.core.manifest import DatasetTooSmallError, ManifestChangedError, clean
from menulens.core.partition import Part, clean_in_parts, join_parts, plan_parts, scan_part, write_part
from tests.unit.core.generators.manifests import MemoryStore, any_manifest, any_rules, lines, of_lines


@settings(max_examples=30, deadline=None)
@given(st.lists(lines(), max_size=10), st.integers(1, 30_000), st.booleans(), st.booleans())
def should_give_the_same_bytes_in_parts(drawn: list[bytes], part_bytes: int, ended: bool, reindex: bool) -> None:
    data = of_lines(drawn) + any_manifest(60) + of_lines(drawn[::-1]) + any_manifest(63, offset=30)
    data = data if ended else data[:-1]
    rules = any_rules(group_pattern="^photos/([^/]+)/")
    store = MemoryStore(**{"in.manifest": data})
    whole = clean("in.manifest", rules, "out", store=store, reindex=reindex)
    parted = clean_in_parts(
        "in.manifest", rules, "parted", store=store, work="work", reindex=reindex, part_bytes=max(part_bytes, 300)
    )
    assert whole.card == parted.card
    for file in ("train.manifest", "eval.manifest", "rejects.jsonl", "card.json"):
        assert store.objects[f"out/{file}"] == store.objects[f"parted/{file}"]


@given(st.lists(st.binary(max_size=9).map(lambda line: line.replace(b"\n", b"")), max_size=40), st.integers(1, 50))
def should_cut_at_the_ends_of_lines_only(drawn: list[bytes], part_bytes: int) -> None:
    data = of_lines(drawn)
    parts = plan_parts(MemoryStore(m=data), "m", part_bytes)
    pieces = [data[part.start : part.end] for part in parts]
    assert b"".join(pieces) == data
    assert all(piece.endswith(b"\n") for piece in pieces if piece)
    assert all(0 < len(piece) < part_bytes + 10 for piece in pieces[:-1])
    assert [Part.from_json(part.to_json()) for part in parts] == parts


def should_publish_nothing_of_a_dataset_that_is_too_small() -> None:
    store = MemoryStore(**{"in.manifest": any_manifest(6)})
    with pytest.raises(DatasetTooSmallError, match="'meal' has 2 photos, 8 fewer"):
        clean_in_parts("in.manifest", any_rules(min_per_category=10), "out", store=store, work="work", part_bytes=500)
    assert not [location for location in store.objects if location.startswith("out/")]


@pytest.mark.parametrize("step", ["scan", "join", "write"])
def should_notice_a_manifest_that_changes_between_the_steps(step: str) -> None:
    store, rules = MemoryStore(**{"in.manifest": any_manifest(60)}), any_rules()
    parts = plan_parts(store, "in.manifest", 5_000)
    if step != "scan":
        for part in parts:
            scan_part(store, "in.manifest", rules, part, "work")
    if step == "write":
        join_parts(store, "in.manifest", rules, parts, "work")
    # As long as before, line for line: only what the object is told by can tell.
    store.objects["in.manifest"] = any_manifest(60).replace(b"11-20T", b"11-21T")
    with pytest.raises(ManifestChangedError, match=r"in\.manifest was changed while it was being cleaned"):
        if step == "scan":
            scan_part(store, "in.manifest", rules, parts[0], "work")
        elif step == "join":
            join_parts(store, "in.manifest", rules, parts, "work")
        else:
            write_part(store, "in.manifest", rules, parts[0], "work")
