"""Cleaning: what is published, and when nothing is."""

import json
from typing import Any

import pytest

from menulens.core.lines import Reject
from menulens.core.manifest import DatasetTooSmallError, ManifestError, clean, dataset_id
from tests.unit.core.cleaning import run
from tests.unit.core.generators.manifests import (
    METADATA,
    MemoryStore,
    any_line,
    any_manifest,
    any_record,
    any_rules,
    of_lines,
)


def should_say_what_is_missing_and_publish_nothing() -> None:
    store = MemoryStore(**{"in.manifest": any_manifest(60) + any_line("photos/n.jpg", 3) + b"\n"})
    with pytest.raises(DatasetTooSmallError) as caught:
        clean("in.manifest", any_rules(min_per_category=25), "out", store=store)
    assert len(caught.value.missing) == 3
    assert "'meal' has 20 photos, 5 fewer than the 25" in str(caught.value)
    assert caught.value.reasons == {"not-for-training": 1}
    assert [*store.objects] == ["in.manifest"]


def should_go_without_a_category_that_has_no_photos_when_told() -> None:
    two_of_three = b"".join(any_line(f"photos/{n}.jpg", n % 2) + b"\n" for n in range(20))
    with pytest.raises(DatasetTooSmallError, match="'drink' has 0 photos"):
        run(two_of_three)
    _, cleaned = run(two_of_three + any_line("photos/alone.jpg", 2) + b"\n", any_rules(min_per_category=0))
    assert cleaned.card["classes"] == ["meal", "sweets", "drink"]
    assert cleaned.card["kept"] == 21
    one = b"".join(any_line(f"photos/{n}.jpg", 0) + b"\n" for n in range(20))
    with pytest.raises(DatasetTooSmallError, match="2 categories with 2 photos each are due; 1 have them"):
        run(one, any_rules(min_per_category=0))


@pytest.mark.parametrize("data", [b"", b"\n", b"not a manifest", b"\xff\xfe\0\0" * 9])
def should_fail_plainly_on_what_is_no_manifest(data: bytes) -> None:
    with pytest.raises(DatasetTooSmallError, match="'meal' has 0 photos"):
        run(data)


def should_refuse_a_line_that_memory_should_not_hold() -> None:
    with pytest.raises(ManifestError, match="16 MiB"):
        run(b"x" * (17 << 20))


def should_write_the_card_last_and_the_same_bytes_again() -> None:
    store, first = run(any_manifest(90))
    assert store.order == ["out/train.manifest", "out/eval.manifest", "out/rejects.jsonl", "out/card.json"]
    bytes_before = dict(store.objects)
    second = clean("in.manifest", any_rules(), "out", store=store)
    assert store.objects == bytes_before
    assert first == second
    assert json.loads(store.objects["out/card.json"]) == first.card


def should_withdraw_an_older_card_before_the_new_files_appear() -> None:
    store, _ = run(any_manifest(90))
    store.objects["in.manifest"] = any_manifest(99)
    seen = []
    publish = store.order
    original = store.delete

    def delete(location: str) -> None:
        seen.append((location, len(publish)))
        original(location)

    store.delete = delete  # type: ignore[method-assign]
    clean("in.manifest", any_rules(), "out", store=store)
    assert seen == [("out/card.json", 4)]


def should_publish_nothing_when_the_manifest_changes_meanwhile() -> None:
    class Changing(MemoryStore):
        opened = 0

        def open(self, location: str, start: int = 0, end: int | None = None) -> Any:
            self.opened += 1
            if self.opened > 1:
                self.objects["in.manifest"] = any_manifest(59)
            return super().open(location, start, end)

    store = Changing(**{"in.manifest": any_manifest(3000)})
    with pytest.raises(ManifestError, match="changed while"):
        clean("in.manifest", any_rules(), "out", store=store)
    assert [*store.objects] == ["in.manifest"]


def should_name_a_dataset_by_its_content() -> None:
    rules = any_rules()
    name = dataset_id("menus 2026/秋", "ab" * 32, rules)
    assert name == dataset_id("menus 2026/秋", "ab" * 32, rules)
    assert name.startswith("menus-2026-")
    assert len({name, dataset_id("menus", "ab" * 32, rules, True), dataset_id("menus", "cd" * 32, rules)}) == 3
    assert len(dataset_id("x" * 200, "ab" * 32, rules)) == 53
    store = MemoryStore(**{"in.manifest": any_manifest(90)})
    cleaned = clean("in.manifest", rules, "s3://datasets/{dataset}/", store=store)
    assert f"s3://datasets/{cleaned.dataset}/card.json" in store.objects


def should_tell_everything_on_the_card() -> None:
    rules = any_rules(group_pattern="^photos/([^/]+)/")
    machine = any_line("photos/m/m.jpg", 0, **{METADATA: any_record()[METADATA] | {"human-annotated": "no"}})
    _, cleaned = run(any_manifest(90, restaurants=30) + of_lines([machine, b"{}"]), rules, name="job-7")
    card = cleaned.card
    assert card["dataset"].startswith("job-7-")
    assert card["label_to_class"] == {"0": 0, "1": 1, "2": 2}
    assert card["classes"] == ["meal", "sweets", "drink"]
    assert card["categories"][3] == {"key": "not-for-training", "trains": False, "index": 3}
    assert (card["kept"], card["rejected"], card["human"], card["machine"]) == (91, 1, 90, 1)
    assert card["reasons"] == {"source-ref-missing": 1}
    assert card["split"] == {"eval_share": 0.25, "group_pattern": "^photos/([^/]+)/", "groups": 31}
    assert card["source"]["lines"] == 92
    assert next(iter(card["reasons"])) in set(Reject)
