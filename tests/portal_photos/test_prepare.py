"""From an input manifest to the index of what annotators see, through S3."""

from __future__ import annotations

import hashlib
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from menulens.portal import display_groups, display_index
from menulens.portal.decoding import Caps
from menulens.portal.display import Place, Prepared, prepare
from menulens.portal.display_index import Chunk, DisplayIndexError
from menulens.portal.sandbox import Decoders
from menulens.storage import ObjectMissingError, Storage
from tests.unit.portal_photos.generators import files

CAPS = Caps(2_000_000, 4_000_000)
JOB = "menulens-test-labels-1"
PROJECT = Path(__file__).resolve().parents[2]
Record = dict[str, Any]

HOSTILE = {
    "empty.jpg": (b"", "empty"),
    "logo.jpg": (files.SVG, "wrong-type"),
    "page.jpg": (files.HTML, "wrong-type"),
    "blinking.gif": (files.animated("GIF"), "wrong-type"),
    "dancing.png": (files.animated("PNG"), "animated"),
    "poster.png": (files.png((14_000, 12_000), 8, 2, bytes(1000)), "too-many-pixels"),
    "bomb.png": (files.png((2_000, 1_999), 8, 2, bytes(2_000)), "truncated"),
    "half.jpg": (files.any_jpeg((640, 480))[:5_000], "truncated"),
    "odd.jpg": (files.arithmetic_jpeg(), "undecodable-kind"),
    "large.jpg": (files.any_jpeg() + bytes(2_000_000), "too-large"),
    "two-sizes.jpg": (files.jpeg_of_two_sizes(), "broken-header"),
}


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    with Decoders(2, CAPS) as made:
        yield made


class Room:
    """A job's buckets, and what is put into them."""

    def __init__(self, s3: Any, buckets: tuple[str, str]) -> None:
        self.s3, (self.photos, self.labels) = s3, buckets
        self.storage = Storage(s3)
        self.place = Place(
            f"s3://{self.labels}/inputs/{JOB}/input.manifest", JOB, f"s3://{self.photos}/photos/", self.labels
        )

    def put(self, name: str, data: bytes) -> str:
        uri = f"s3://{self.photos}/photos/{name}"
        self.storage.write_bytes(uri, data)
        return uri

    def write(self, lines: list[Any], ending: str = "\n") -> None:
        texts = (line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines)
        self.storage.write_text(self.place.manifest, "".join(text + ending for text in texts))

    def plan(self, lines: int = 100) -> list[Chunk]:
        return display_index.plan(self.storage, self.place.manifest, lines=lines)

    def prepare(self, decoders: Decoders, chunks: list[Chunk], caps: Caps = CAPS) -> list[Prepared]:
        wanted = ("genre", "menu-text")
        return [
            prepare(chunk, self.place, caps, decoders=decoders, storage=self.storage, context_keys=wanted)
            for chunk in chunks
        ]

    def part(self, number: int = 0) -> list[Record]:
        return list(display_index.read(self.storage, display_index.part(self.labels, JOB, number)))

    def join(self, parts: int, lines: int, **options: int) -> display_groups.Joined:
        return display_groups.join(self.storage, bucket=self.labels, job=JOB, parts=parts, lines=lines, **options)

    def index(self) -> list[Record]:
        return list(display_index.read(self.storage, display_index.index(self.labels, JOB)))

    def copies(self) -> dict[str, Any]:
        return {item.key: item.modified for item in self.storage.list(f"s3://{self.labels}/display/")}


@pytest.fixture
def room(s3: Any, buckets: tuple[str, str]) -> Room:
    return Room(s3, buckets)


def should_copy_each_photo_once_and_tell_what_it_shows(room: Room, decoders: Decoders) -> None:
    photo = files.any_jpeg((640, 480))
    first, again = room.put("a/1.jpg", photo), room.put("b/2.jpg", photo)
    turned = room.put("a/3.jpg", files.held(6))
    room.write(
        [
            {"source-ref": first, "genre": "ラーメン", "menu-text": 3.5, "price": 980},
            {"source-ref": again, "genre": ["x"], "menu-text": True},
            {"source-ref": turned, "genre": "a\u202eb\0c"},
        ]
    )
    (done,) = room.prepare(decoders, room.plan())
    assert (done.records, done.shown, done.rejected) == (3, 3, 0)
    assert done.made in (2, 3)  # two threads may make the same copy at the same time
    one, two, three = room.part()
    digest = hashlib.sha256(photo).hexdigest()
    assert one["line"] == 0
    assert one["source_ref"] == first
    assert one["display"] == f"display/{digest[:2]}/{digest}.jpg"
    assert (one["sha256"], one["width"], one["height"]) == (digest, 640, 480)
    assert one["context"] == {"genre": "ラーメン", "menu-text": "3.5"}
    assert two["display"] == one["display"]
    assert two["context"] == {}
    assert (three["width"], three["height"]) == (64, 48)
    assert three["context"] == {"genre": "abc"}
    copy = room.s3.get_object(Bucket=room.labels, Key=one["display"])
    assert copy["ContentType"] == "image/jpeg"
    assert files.opened(copy["Body"].read()).size == (640, 480)


def should_reject_what_can_not_be_shown_and_keep_its_line(room: Room, decoders: Decoders) -> None:
    lines = []
    for name, (data, _) in HOSTILE.items():
        lines += [
            {"source-ref": room.put(f"bad/{name}", data)},
            {"source-ref": room.put(f"good/{name}", files.any_jpeg())},
        ]
    lines += [{"source-ref": f"s3://{room.photos}/photos/none.jpg"}, {"source-ref": "s3://other/photos/1.jpg"}]
    room.s3.put_object(Bucket=room.photos, Key="photos/old.jpg", Body=files.any_jpeg(), StorageClass="GLACIER")
    lines += [{"source-ref": f"s3://{room.photos}/photos/old.jpg"}]
    lines += [{"source-ref": f"s3://{room.photos}/private/1.jpg"}, {"source-ref": "/etc/passwd"}]
    lines += ["not json", "[1]", '{"source-ref": 5}', '{"source-ref": "s3://\\ud800"}', "{" * 5000]
    room.write(lines)
    (done,) = room.prepare(decoders, room.plan())
    records = room.part()
    assert [record["line"] for record in records] == list(range(len(lines)))
    codes = [record.get("reject", {}).get("code") for record in records]
    due: list[str | None] = []
    for _, code in HOSTILE.values():
        due += [code, None]
    due += ["missing", "not-ours", "archived", "not-ours", "not-ours", *["not-readable"] * 5]
    assert codes == due
    assert (done.records, done.shown, done.rejected) == (len(lines), len(HOSTILE), len(HOSTILE) + 10)
    assert all(record["reject"]["reason"] for record in records if "reject" in record)
    # Only the copy of the one sound photo, and what is known of it, were written.
    assert len(room.copies()) == 2
    joined = room.join(1, len(lines))
    assert joined.rejected == len(HOSTILE) + 10
    assert joined.reasons == {code: due.count(code) for code in sorted({code for code in due if code})}
    assert joined.items == 1


def should_pass_texts_with_what_is_seen_of_them(room: Room, decoders: Decoders) -> None:
    room.write(
        [
            {"source": "季節の天ぷら\r\n880円\t税込 \u202e\u0007", "genre": "和食"},
            {"source": "x" * 20_001},
            {"source": "\0\u200b \u2066"},
            {"source": 7},
            '{"source": "half \\ud800 a character"}',
        ]
    )
    room.prepare(decoders, room.plan())
    records = room.part()
    assert records[0] == {"line": 0, "source": "季節の天ぷら\n880円\t税込", "context": {"genre": "和食"}}
    assert [record.get("reject", {}).get("code") for record in records] == [
        None, "text-too-long", "empty-text", "not-readable", None,
    ]  # fmt: skip
    assert records[4]["source"] == "half  a character"
    room.join(1, 5)
    assert [record.get("group") for record in room.index()] == [0, None, None, None, 4]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\n\n"])
def should_cut_a_manifest_into_chunks_that_hold_every_line_once(room: Room, decoders: Decoders, ending: str) -> None:
    room.write([{"source": f"{number} 定食"} for number in range(23)], ending)
    chunks = room.plan(lines=5)
    assert [(chunk.start, chunk.end) for chunk in chunks] == [(0, 5), (5, 10), (10, 15), (15, 20), (20, 23)]
    assert [Chunk.from_json(json.loads(json.dumps(chunk.to_json()))) for chunk in chunks] == chunks
    room.prepare(decoders, chunks[::-1])
    joined = room.join(len(chunks), 23)
    assert (joined.records, joined.items, joined.rejected) == (23, 23, 0)
    assert [record["source"] for record in room.index()] == [f"{number} 定食" for number in range(23)]
    assert [record["line"] for record in room.index()] == list(range(23))


def should_keep_the_number_of_chunks_small(room: Room) -> None:
    room.write([{"source": "x"}] * 1_001)
    chunks = display_index.plan(room.storage, room.place.manifest, lines=1, most_chunks=10)
    assert len(chunks) == 10
    assert (chunks[0].end, chunks[-1].end) == (101, 1_001)
    room.storage.write_text(room.place.manifest, "")
    assert room.plan() == []


def should_group_photos_that_show_the_same_and_ask_once(room: Room, decoders: Decoders) -> None:
    photos = [files.any_image((800, 600), seed) for seed in (1, 2)]
    flat = files.encoded(files.Image.new("RGB", (600, 400), (200, 180, 90)))
    uris = [
        room.put("1.jpg", files.encoded(photos[0])),
        room.put("2.jpg", files.encoded(photos[1])),
        room.put("empty.jpg", b""),
        room.put("3.jpg", files.encoded(photos[0].resize((400, 300)))),
        room.put("4.png", files.encoded(photos[1], "PNG")),
        room.put("5.jpg", flat),
        room.put("6.jpg", files.encoded(files.Image.new("RGB", (600, 400), (201, 180, 90)))),
        room.put("7.jpg", flat),
    ]
    room.write([{"source-ref": uri} for uri in uris])
    chunks = room.plan(lines=3)
    room.prepare(decoders, chunks)
    assert "colours" in room.part()[0]
    joined = room.join(len(chunks), len(uris))
    # Flat photos are alike in every hash; only those of the same bytes are the same.
    assert [record.get("group") for record in room.index()] == [0, 1, None, 0, 1, 5, 6, 5]
    assert (joined.records, joined.rejected, joined.items, joined.reasons) == (8, 1, 4, {"empty": 1})
    assert not any("colours" in record for record in room.index())
    first = room.storage.read_bytes(joined.uri)
    room.join(len(chunks), len(uris))
    assert room.storage.read_bytes(joined.uri) == first
    assert room.join(len(chunks), len(uris), most_apart=0).items == 6


def should_not_write_an_index_of_parts_that_do_not_fit(room: Room, decoders: Decoders) -> None:
    room.write([{"source": "x"}] * 6)
    chunks = room.plan(lines=3)
    room.prepare(decoders, chunks[:1])
    with pytest.raises(ObjectMissingError):
        room.join(2, 6)
    with pytest.raises(DisplayIndexError, match="3 records, its manifest 6 lines"):
        room.join(1, 6)
    room.prepare(decoders, [replace(chunks[0], number=1)])
    with pytest.raises(DisplayIndexError, match="line 0 of the manifest stands where line 3 is due"):
        room.join(2, 6)
    assert not room.storage.exists(display_index.index(room.labels, JOB))


def should_make_a_copy_again_only_when_it_is_made_in_another_way(room: Room, decoders: Decoders) -> None:
    room.write([{"source-ref": room.put(f"{seed}.jpg", files.any_jpeg((640, 480), seed))} for seed in range(5)])
    chunks = room.plan()
    assert room.prepare(decoders, chunks)[0].made == 5
    part, copies = room.part(), room.copies()
    assert room.prepare(decoders, chunks)[0].made == 0
    assert (room.part(), room.copies()) == (part, copies)
    # A card that tells less than is asked today says nothing.
    card = f"s3://{room.labels}/{next(key for key in copies if key.endswith('.json'))}"
    known = room.storage.read_json(card)
    room.storage.write_json(card, {name: known[name] for name in known if name != "colours"})
    assert room.prepare(decoders, chunks)[0].made == 1
    assert room.part() == part
    small = replace(CAPS, longest_side=320)
    with Decoders(1, small) as others:
        assert room.prepare(others, chunks, small)[0].made == 5
    assert {(record["width"], record["height"]) for record in room.part()} == {(320, 240)}


def should_survive_whatever_bytes_a_folder_holds(room: Room, decoders: Decoders) -> None:
    draw = random.Random(9)
    sound = [files.any_jpeg((320, 240), mode=mode) for mode in ("RGB", "L", "CMYK")]
    sound += [files.any_png((320, 240), mode=mode) for mode in ("RGB", "RGBA", "P", "LA")]
    sound += [files.multi_picture_jpeg(), files.any_jpeg((320, 240), progressive=True)]
    lines = []
    for number in range(150):
        data = bytearray(draw.choice(sound))
        for _ in range(draw.randrange(1, 20)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        cut = draw.randrange(len(data)) if draw.random() < 0.3 else len(data)
        lines.append({"source-ref": room.put(f"{number}.jpg", bytes(data[:cut]))})
    room.write(lines)
    (done,) = room.prepare(decoders, room.plan(lines=150))
    assert done.records == done.shown + done.rejected == 150
    assert done.shown > 20
    assert done.rejected > 20
    for record in room.part():
        if "reject" not in record:
            files.opened(room.storage.read_bytes(f"s3://{room.labels}/{record['display']}")).load()


RUN = """
import sys
from menulens.portal.decoding import Caps
from menulens.portal.display import Place, prepare
from menulens.portal.display_index import plan
from menulens.portal.sandbox import Decoders
from menulens.storage import Storage
from tests.portal_photos.conftest import client_at

place = Place(*sys.argv[2:])
storage, caps = Storage(client_at(int(sys.argv[1]))), Caps(2_000_000, 4_000_000)
with Decoders(1, caps) as decoders:
    for chunk in plan(storage, place.manifest):
        prepare(chunk, place, caps, decoders=decoders, storage=storage)
"""


def _at_rest(room: Room) -> dict[str, Any]:
    """Return the copies when no more come: what a killed process has sent may arrive after its end."""
    before, now = None, room.copies()
    while now != before:
        time.sleep(0.3)
        before, now = now, room.copies()
    return now


def should_go_on_after_kill_9_where_it_was_and_give_the_same_bytes(room: Room, port: int, decoders: Decoders) -> None:
    count = 60
    with ThreadPoolExecutor(8) as pool:
        photos = pool.map(lambda seed: room.put(f"{seed}.jpg", files.any_jpeg((1_200, 900), seed)), range(count))
    room.write([{"source-ref": uri} for uri in photos])
    place = room.place
    part = display_index.part(room.labels, JOB, 0)
    arguments = [str(port), place.manifest, place.job, place.photos, place.labels_bucket]
    killed = subprocess.Popen([sys.executable, "-c", RUN, *arguments], cwd=PROJECT)
    try:
        deadline = time.monotonic() + 120
        while len(room.copies()) < 20:
            assert killed.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    before = _at_rest(room)
    assert not room.storage.exists(part)
    (done,) = room.prepare(decoders, room.plan())
    # What had its card was done; a copy without one is made again, to the same bytes.
    cards = sum(key.endswith(".json") for key in before)
    assert 0 < cards < count
    assert (done.records, done.shown, done.made) == (count, count, count - cards)
    after = room.copies()
    assert len(after) == 2 * count
    for key in before:
        if key.endswith(".json"):
            assert after[key] == before[key]
    whole = room.storage.read_bytes(part)
    untouched = {key: room.storage.read_bytes(f"s3://{room.labels}/{key}") for key in after}
    for key in after:
        room.storage.delete(f"s3://{room.labels}/{key}")
    assert room.prepare(decoders, room.plan())[0].made == count
    assert room.storage.read_bytes(part) == whole
    assert {key: room.storage.read_bytes(f"s3://{room.labels}/{key}") for key in after} == untouched
