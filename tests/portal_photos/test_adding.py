"""More photos for a job that runs."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace

import pytest

from benchmarks._portal_room import CATEGORIES, Room, any_room
from menulens.portal import adding, additions, display_index, jobs, rejected
from menulens.portal.model import Job, JobOptions, PortalError
from menulens.settings import settings_of
from tests.unit.portal_photos.generators import files

SETTINGS = settings_of("local").model_dump(mode="json")


@pytest.fixture
def room(port: int) -> Room:
    return any_room(port)


@pytest.fixture
def photos(room: Room) -> str:
    name = f"photos-{uuid.uuid4().hex[:12]}"
    room.portal.s3.create_bucket(Bucket=name)
    return name


def put(room: Room, photos: str, name: str, data: bytes) -> str:
    uri = f"s3://{photos}/photos/{name}"
    room.portal.storage.write_bytes(uri, data)
    return uri


def opened(room: Room, lines: list[dict[str, str]]) -> Job:
    name = f"job-{uuid.uuid4().hex[:12]}"
    manifest = room.write(f"inputs/{name}/input.manifest", list(lines))
    return jobs.create(
        room.portal,
        name=name,
        manifest=manifest,
        attribute="menu-category",
        categories=CATEGORIES,
        options=JobOptions(gold_share=0.0),
    )


def added(room: Room, job: Job, bucket: str, **what: str) -> adding.Added:
    return adding.add(room.portal, job.name, settings=SETTINGS, photo_bucket=bucket, **what)


def should_add_what_the_job_lacks_with_copies_and_groups(room: Room, photos: str) -> None:
    image = files.any_image((640, 480), 1)
    first = put(room, photos, "a/1.jpg", files.any_jpeg((640, 480), 7))
    job = opened(room, [{"source-ref": first}])
    put(room, photos, "a/2.jpg", files.encoded(image))
    put(room, photos, "a/3.jpg", files.encoded(image.resize((320, 240))))
    put(room, photos, "a/4.jpg", files.any_jpeg((640, 480), 2))
    put(room, photos, "a/5.jpg", files.SVG)
    told = added(room, job, photos, photos=f"s3://{photos}/photos/a/")
    assert (told.records, told.had, told.asked, told.rejected, told.items) == (5, 1, 3, 1, 2)
    assert json.loads(room.portal.storage.read_text(told.rejects))["code"] == "wrong-type"
    grown = jobs.get(room.portal, job.name)
    assert (grown.lines, grown.asked) == (4, 3)
    new = [item for item in jobs.items(room.portal, grown) if item.display]
    assert sorted(item.lines for item in new) == [(1, 2), (3,)]
    for item in new:
        copy = room.portal.storage.read_bytes(f"s3://{room.portal.labels_bucket}/{item.display}")
        assert files.opened(copy).size == (item.width, item.height) == (640, 480)
    # The same call again finds nothing that the job lacks.
    again = added(room, job, photos, photos=f"s3://{photos}/photos/a/")
    assert (again.had, again.asked, again.rejected) == (4, 0, 1)
    assert jobs.get(room.portal, job.name).lines == 4
    # Whoever looks is told of both calls, and of what was turned away once.
    last, first_call = additions.recent(room.portal, job.name)
    assert (last.state, last.had, last.asked) == ("done", 4, 0)
    assert (first_call.state, first_call.ready, first_call.items) == ("done", 3, 2)
    assert [one["code"] for one in rejected.rejects(room.portal, grown)] == ["wrong-type"]


def should_leave_what_is_too_much_for_the_next_call(room: Room, photos: str) -> None:
    job = opened(room, [{"source-ref": put(room, photos, "0.jpg", files.any_jpeg((640, 480), 9))}])
    for number in range(1, 4):
        put(room, photos, f"b/{number}.jpg", files.any_jpeg((640, 480), number))
    for due in ((2, 0, 1), (1, 2, 0), (0, 3, 0)):
        told = adding.add(
            room.portal,
            job.name,
            settings=SETTINGS,
            photo_bucket=photos,
            photos=f"s3://{photos}/photos/b/",
            most=2,
        )
        assert (told.asked, told.had, told.left) == due
    assert jobs.get(room.portal, job.name).lines == 4


def should_tell_why_it_failed_and_that_it_was_killed(room: Room, photos: str) -> None:
    job = opened(room, [{"source": "天丼"}])
    put(room, photos, "1.jpg", files.any_jpeg())
    with pytest.raises(PortalError, match="asks about a text"):
        added(room, job, photos, photos=f"s3://{photos}/photos/")
    (failed,) = additions.recent(room.portal, job.name)
    assert (failed.state, failed.what) == ("failed", f"s3://{photos}/photos/")
    assert "asks about a text" in failed.message
    begun = additions.begin(room.portal, job.name, additions.new_id(room.portal), "photos/")
    assert additions.begin(room.portal, job.name, begun.id, "others/") == begun
    later = replace(room.portal, clock=lambda: room.portal.clock() + additions.QUIET_SECONDS + 1)
    assert [one.state for one in additions.recent(room.portal, job.name)] == ["waiting", "failed"]
    assert [one.state for one in additions.recent(later, job.name)] == ["failed", "failed"]


def should_keep_the_line_of_a_photo_that_can_not_be_shown(room: Room, photos: str) -> None:
    job = opened(room, [{"source-ref": put(room, photos, "1.jpg", files.any_jpeg())}])
    half = put(room, photos, "2.jpg", files.any_jpeg((640, 480))[:4_000])
    manifest = room.write("inbox/more.manifest", [{"source-ref": half, "genre": "寿司"}])
    told = added(room, job, photos, manifest=manifest)
    assert (told.asked, told.rejected, told.items) == (1, 0, 0)
    grown = jobs.get(room.portal, job.name)
    assert (grown.lines, grown.asked) == (2, 1)
    (record,) = display_index.read(room.portal.storage, grown.parts[1].display)
    assert record["reject"]["code"] == "truncated"


def should_not_mix_photos_and_texts(room: Room, photos: str) -> None:
    job = opened(room, [{"source": "天丼"}])
    put(room, photos, "1.jpg", files.any_jpeg())
    with pytest.raises(PortalError, match="asks about a text"):
        added(room, job, photos, photos=f"s3://{photos}/photos/")
    more = room.write("inbox/texts.manifest", [{"source": "天丼"}, {"source": "うどん"}])
    told = added(room, job, photos, manifest=more)
    assert (told.had, told.asked, told.items) == (1, 1, 1)
    assert [item.text for item in jobs.items(room.portal, jobs.get(room.portal, job.name))] == ["天丼", "うどん"]
