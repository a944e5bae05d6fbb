import base64
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from menulens.search import plan as planning
from menulens.search.collect import Collected, CollectError, collect
from menulens.search.layout import Layout, Photo
from menulens.search.packs import write_pack
from menulens.search.plan import Plan, make_plan
from menulens.search.store import load_vectors
from menulens.storage import ObjectInfo, Storage
from tests.contract.machines.generators import answer_packs, any_jpeg

CAPS = {"max_bytes": 100_000, "max_pixels": 10_000}


@dataclass
class Rooms:
    """A photo bucket, a vectors bucket, and the verbs of the machine on them."""

    s3: Any
    storage: Storage
    photos: str
    vectors: str
    per_pack: int = 2

    def put(self, key: str, data: bytes) -> None:
        self.s3.put_object(Bucket=self.photos, Key=key, Body=data)

    def layout(self, plan: str = "") -> Layout:
        return Layout(self.vectors, "job-1", plan)

    def plan(self, **changes: Any) -> Plan:
        return make_plan(
            self.s3,
            self.storage,
            photos_bucket=self.photos,
            prefix="photos/",
            layout=self.layout(),
            photos_per_pack=self.per_pack,
            **changes,
        )

    def pack(self, plan: Plan) -> list[int]:
        return [
            write_pack(
                self.s3,
                self.storage,
                photos_bucket=self.photos,
                layout=self.layout(plan.plan),
                number=pack.number,
                first=pack.first,
                last=pack.last,
                caps=CAPS,
            ).photos
            for pack in plan.packs
        ]

    def run(self, refuse: frozenset[str] = frozenset()) -> Plan:
        plan = self.plan()
        if plan.photos:
            self.pack(plan)
            answer_packs(self.storage, self.layout(plan.plan), refuse=refuse)
            collect(self.storage, self.layout(plan.plan), model_package="arn")
        return plan

    def lines(self, location: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.storage.lines(location)]


@pytest.fixture
def rooms(s3: Any, storage: Storage, bucket: Callable[[str], str]) -> Rooms:
    return Rooms(s3, storage, bucket("photos"), bucket("vectors"))


def should_give_every_photo_a_vector_and_say_why_the_others_have_none(rooms: Rooms) -> None:
    good = [f"photos/店{number}/料理 {number}.jpg" for number in range(5)]
    for number, key in enumerate(good):
        rooms.put(key, any_jpeg(number))
    rooms.put("photos/a/empty.jpg", b"")
    rooms.put("photos/a/page.jpg", b"<!doctype html><title>404</title>")
    rooms.put("photos/a/large.jpg", bytes(CAPS["max_bytes"] + 1))
    rooms.put("photos/folder/", b"")
    rooms.put("elsewhere/other.jpg", any_jpeg())
    plan = rooms.run(refuse=frozenset({good[2]}))
    assert (plan.photos, plan.skipped, plan.more) == (8, 0, False)
    layout = rooms.layout(plan.plan)
    stored = load_vectors(rooms.storage, f"s3://{rooms.vectors}", "job-1")
    assert set(stored.ids) == set(good) - {good[2]}
    assert stored.vectors.shape == (4, 4)
    rejects = rooms.lines(layout.rejects)
    assert {reject["id"]: reject["code"] for reject in rejects} == {
        "photos/a/empty.jpg": "empty",
        "photos/a/large.jpg": "too-large",
        "photos/a/page.jpg": "wrong-type",
        good[2]: "not-served",
    }
    assert all(reject["reason"] and reject["etag"] for reject in rejects)
    card = rooms.storage.read_json(layout.done)
    assert (card["photos"], card["vectors"], card["rejected"], card["width"], card["shards"]) == (8, 4, 4, 4, 1)


def should_write_shards_that_numpy_reads_in_the_order_of_their_ids(rooms: Rooms) -> None:
    for number in range(5):
        rooms.put(f"photos/{number}.jpg", any_jpeg(number))
    plan = rooms.plan()
    rooms.pack(plan)
    layout = rooms.layout(plan.plan)
    answer_packs(rooms.storage, layout)
    due = {}
    for item in rooms.storage.list(layout.answers):
        for answer in rooms.lines(item.uri):
            due[answer["id"]] = answer["vector_b64"]
    collect(rooms.storage, layout, model_package="arn")
    vectors = np.load(io.BytesIO(rooms.storage.read_bytes(layout.shard(0, "npy"))))
    ids = rooms.lines(layout.shard(0, "ids.jsonl"))
    assert vectors.dtype == np.dtype("<f4")
    assert [entry["id"] for entry in ids] == sorted(due)
    for entry, vector in zip(ids, vectors, strict=True):
        assert base64.b64encode(vector.tobytes()).decode() == due[entry["id"]]
        assert (entry["category"], entry["confidence"]) == ("meal", 0.75)


def should_skip_what_the_same_model_has_done_and_take_what_changed(rooms: Rooms) -> None:
    for number in range(4):
        rooms.put(f"photos/{number}.jpg", any_jpeg(number))
    rooms.put("photos/broken.jpg", b"no photo at all, and it stays so")
    assert rooms.run().photos == 5
    again = rooms.run()
    assert (again.plan, again.photos, again.skipped, again.packs) == ("", 0, 5, ())
    rooms.put("photos/1.jpg", any_jpeg(99))
    rooms.put("photos/9.jpg", any_jpeg(9))
    rooms.put("photos/broken.jpg", any_jpeg(5))
    changed = rooms.run()
    assert (changed.photos, changed.skipped) == (3, 3)
    stored = load_vectors(rooms.storage, f"s3://{rooms.vectors}", "job-1")
    assert len(stored.ids) == 6
    assert stored.replaced == 1
    assert rooms.run().photos == 0


def should_plan_all_again_for_another_model(rooms: Rooms) -> None:
    rooms.put("photos/1.jpg", any_jpeg(1))
    assert rooms.run().photos == 1
    other = make_plan(
        rooms.s3,
        rooms.storage,
        photos_bucket=rooms.photos,
        prefix="photos/",
        layout=Layout(rooms.vectors, "job-2"),
        photos_per_pack=2,
    )
    assert other.photos == 1


def should_plan_the_same_photos_under_the_same_name(rooms: Rooms) -> None:
    rooms.put("photos/1.jpg", any_jpeg(1))
    first = rooms.plan()
    assert rooms.plan() == first
    rooms.put("photos/2.jpg", any_jpeg(2))
    assert rooms.plan().plan != first.plan


def should_go_on_where_a_full_round_ended(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "PACKS_A_ROUND", 2)
    for number in range(7):
        rooms.put(f"photos/{number}.jpg", any_jpeg(number))
    first = rooms.plan()
    assert (first.photos, first.cursor, first.more) == (4, "photos/3.jpg", True)
    second = rooms.plan(after=first.cursor)
    assert (second.photos, second.cursor, second.more) == (3, "photos/6.jpg", False)
    assert first.plan != second.plan


def should_end_a_round_when_its_time_is_up(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = [[Photo(f"photos/{number}.jpg", "e", 1)] for number in range(3)]
    monkeypatch.setattr(planning, "_pages", lambda *_: iter(pages))
    plan = rooms.plan(out_of_time=lambda: True)
    assert (plan.photos, plan.cursor, plan.more) == (1, "photos/0.jpg", True)


def should_close_a_pack_before_it_has_too_many_bytes(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "BYTES_A_PACK", 1000)
    for number in range(3):
        rooms.put(f"photos/{number}.jpg", bytes(600))
    assert len(rooms.plan().packs) == 3


def should_not_vectorise_a_photo_that_was_replaced_or_deleted_after_it_was_listed(rooms: Rooms) -> None:
    for number in range(3):
        rooms.put(f"photos/{number}.jpg", any_jpeg(number))
    plan = rooms.plan()
    rooms.put("photos/0.jpg", any_jpeg(10))
    rooms.s3.delete_object(Bucket=rooms.photos, Key="photos/1.jpg")
    rooms.pack(plan)
    layout = rooms.layout(plan.plan)
    answer_packs(rooms.storage, layout)
    collected = collect(rooms.storage, layout, model_package="arn")
    assert (collected.vectors, collected.rejected) == (1, 2)
    assert [reject["code"] for reject in rooms.lines(layout.rejects)] == ["changed", "gone"]
    assert rooms.plan().photos == 1


def should_leave_out_an_archived_photo_until_it_is_restored(rooms: Rooms) -> None:
    rooms.put("photos/1.jpg", any_jpeg(1))
    rooms.s3.put_object(Bucket=rooms.photos, Key="photos/2.jpg", Body=any_jpeg(2), StorageClass="GLACIER")
    assert rooms.run().photos == 2
    for _ in range(2):
        alone = rooms.run()
        assert (alone.photos, alone.skipped) == (1, 1)
        (reject,) = rooms.lines(rooms.layout(alone.plan).rejects)
        assert (reject["id"], reject["code"]) == ("photos/2.jpg", "archived")
    rooms.put("photos/2.jpg", any_jpeg(2))  # the same bytes, readable
    assert rooms.run() == alone
    assert load_vectors(rooms.storage, f"s3://{rooms.vectors}", "job-1").ids == ("photos/1.jpg", "photos/2.jpg")
    assert rooms.plan().photos == 0


def should_collect_rejects_alone_where_no_photo_is_good(rooms: Rooms) -> None:
    rooms.put("photos/1.jpg", b"broken")
    plan = rooms.plan()
    assert rooms.pack(plan) == [0]
    collected = collect(rooms.storage, rooms.layout(plan.plan), model_package="arn")
    assert (collected.vectors, collected.rejected) == (0, 1)
    assert rooms.plan().photos == 0


def should_leave_nothing_in_between_and_answer_the_same_when_asked_again(rooms: Rooms) -> None:
    rooms.put("photos/1.jpg", any_jpeg(1))
    plan = rooms.run()
    layout = rooms.layout(plan.plan)
    kept = {item.key for item in rooms.storage.list(f"s3://{rooms.vectors}/")}
    assert kept == {
        f"job-1/{name}"
        for name in (
            f"plans/{plan.plan}.jsonl",
            f"shards/{plan.plan}-00000.npy",
            f"shards/{plan.plan}-00000.ids.jsonl",
            f"rejects/{plan.plan}.jsonl",
            f"done/{plan.plan}.json",
        )
    }
    assert collect(rooms.storage, layout, model_package="arn").vectors == 1


def should_write_the_same_bytes_when_a_broken_off_collection_is_repeated(rooms: Rooms) -> None:
    for number in range(3):
        rooms.put(f"photos/{number}.jpg", any_jpeg(number))

    def once() -> dict[str, bytes]:
        plan = rooms.plan()
        rooms.pack(plan)
        answer_packs(rooms.storage, rooms.layout(plan.plan))
        collect(rooms.storage, rooms.layout(plan.plan), model_package="arn")
        found = {item.key: rooms.storage.read_bytes(item.uri) for item in rooms.storage.list(f"s3://{rooms.vectors}/")}
        rooms.storage.delete(rooms.layout(plan.plan).done)
        return found

    assert once() == once()


@pytest.mark.parametrize("at", ["/plans/", "/rejects/", "/transform/"])
def should_answer_what_another_execution_collected_and_tidied_meanwhile(rooms: Rooms, at: str) -> None:
    for number in range(3):
        rooms.put(f"photos/{number}.jpg", any_jpeg(number))
    plan = rooms.plan()
    rooms.pack(plan)
    layout = rooms.layout(plan.plan)
    answer_packs(rooms.storage, layout)
    first: list[Collected] = []

    class Overtaken(Storage):
        """Storage of an execution that another one overtakes before it reads from a place."""

        def lines(self, location: str) -> Iterator[bytes]:
            if at in location and not first:
                first.append(collect(rooms.storage, layout, model_package="arn"))
            return super().lines(location)

    assert collect(Overtaken(rooms.s3), layout, model_package="arn") == first[0]
    assert first[0].vectors == len(load_vectors(rooms.storage, f"s3://{rooms.vectors}", "job-1").ids) == 3
    assert rooms.plan().photos == 0


def should_vectorise_a_photo_again_that_was_replaced_and_then_restored(rooms: Rooms) -> None:
    soba, ramen = any_jpeg(1), any_jpeg(2)
    seen = []
    for dish in (soba, ramen, soba, ramen, soba):
        rooms.put("photos/1.jpg", dish)
        assert rooms.run().photos == 1
        assert rooms.plan().photos == 0
        seen.append(load_vectors(rooms.storage, f"s3://{rooms.vectors}", "job-1").vectors.tolist())
    assert seen[0] == seen[2] == seen[4] != seen[1] == seen[3]


def should_vectorise_a_photo_again_whose_replacement_was_turned_away(rooms: Rooms) -> None:
    for data in (any_jpeg(1), b"no photo", any_jpeg(1), b"no photo"):
        rooms.put("photos/1.jpg", data)
        assert rooms.run().photos == 1
        assert rooms.plan().photos == 0


def should_plan_though_another_execution_takes_a_card_away_meanwhile(rooms: Rooms) -> None:
    rooms.put("photos/1.jpg", any_jpeg(1))
    plan = rooms.run()

    class Raced(Storage):
        """Storage of an execution that sees the cards just before another one takes them away."""

        def list(self, location: str) -> Iterator[ObjectInfo]:
            for item in list(super().list(location)):
                if "/done/" in location:
                    self.delete(item.uri)
                yield item

    rooms.storage = Raced(rooms.s3)
    assert rooms.plan() == plan


@pytest.mark.parametrize("ending", ["npy", "ids.jsonl"])
def should_do_again_what_someone_removed(rooms: Rooms, ending: str) -> None:
    for number in range(3):
        rooms.put(f"photos/{number}.jpg", any_jpeg(number))
    first = rooms.run()
    rooms.storage.delete(rooms.layout(first.plan).shard(0, ending))
    assert rooms.run() == first
    assert len(load_vectors(rooms.storage, f"s3://{rooms.vectors}", "job-1").ids) == 3
    assert rooms.run().photos == 0


def _drop_answer(rooms: Rooms, layout: Layout) -> str:
    rooms.storage.delete(next(rooms.storage.list(layout.answers)).uri)
    return "no answer"


def _drop_line(rooms: Rooms, layout: Layout) -> str:
    uri = next(rooms.storage.list(layout.answers)).uri
    rooms.storage.write_bytes(uri, next(rooms.storage.lines(uri)) + b"\n")
    return "asked and not answered, among them photos/1.jpg"


def _double_line(rooms: Rooms, layout: Layout) -> str:
    uri = next(rooms.storage.list(layout.answers)).uri
    rooms.storage.write_bytes(uri, rooms.storage.read_bytes(uri) * 2)
    return "or answers it twice"


def _cut_line(rooms: Rooms, layout: Layout) -> str:
    uri = next(rooms.storage.list(layout.answers)).uri
    rooms.storage.write_bytes(uri, rooms.storage.read_bytes(uri)[:-20])
    return "is no JSON"


def _change(rooms: Rooms, layout: Layout, **values: Any) -> None:
    uri = next(rooms.storage.list(layout.answers)).uri
    first, *rest = rooms.lines(uri)
    lines = [json.dumps(line) for line in ({**first, **values}, *rest)]
    rooms.storage.write_text(uri, "\n".join(lines) + "\n")


def _other_model(rooms: Rooms, layout: Layout) -> str:
    _change(rooms, layout, model_version="job-0")
    return "is answered by 'job-0'; 'job-1' is due"


def _other_width(rooms: Rooms, layout: Layout) -> str:
    _change(rooms, layout, vector_b64="AAAAAAAAAAA=")
    return "bytes; 8 are due"


def _no_base64(rooms: Rooms, layout: Layout) -> str:
    _change(rooms, layout, vector_b64="?")
    return "is not readable"


@pytest.mark.parametrize(
    "spoil", [_drop_answer, _drop_line, _double_line, _cut_line, _other_model, _other_width, _no_base64]
)
def should_not_finish_a_plan_whose_answers_do_not_account_for_every_photo(
    rooms: Rooms, spoil: Callable[[Rooms, Layout], str]
) -> None:
    for number in range(2):
        rooms.put(f"photos/{number}.jpg", any_jpeg(number))
    plan = rooms.plan()
    rooms.pack(plan)
    layout = rooms.layout(plan.plan)
    answer_packs(rooms.storage, layout)
    message = spoil(rooms, layout)
    with pytest.raises(CollectError, match=message):
        collect(rooms.storage, layout, model_package="arn")
    assert not rooms.storage.exists(layout.done)
    assert rooms.plan() == plan
