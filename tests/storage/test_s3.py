"""Objects in S3, as a real server answers: ranges, uploads that show whole or not at all, broken connections."""

from __future__ import annotations

import random
from typing import Any

import pytest

from menulens.core.manifest import ManifestChangedError, clean
from menulens.core.partition import clean_in_parts, plan_parts, scan_part
from menulens.storage import ObjectArchivedError, ObjectChangedError, ObjectMissingError, Storage, StorageError
from tests.storage.conftest import CuttingProxy, any_client
from tests.unit.core.generators.manifests import any_manifest, any_rules

PART = 5 << 20


def any_bytes(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@pytest.fixture
def storage(s3: Any) -> Storage:
    return Storage(s3)


@pytest.mark.parametrize(("start", "end"), [(0, None), (0, 1), (3, 9), (9, None), (10, None), (4, 4), (2, 99)])
def should_read_a_range(storage: Storage, bucket: str, start: int, end: int | None) -> None:
    storage.write_bytes(f"s3://{bucket}/o", b"0123456789")
    assert storage.read_bytes(f"s3://{bucket}/o", start, end) == b"0123456789"[start:end]


def should_stream_lines_across_blocks(storage: Storage, bucket: str) -> None:
    expected = [b"%d" % number + b"x" * (number % 977) for number in range(9000)] + [b"no end"]
    storage.write_bytes(f"s3://{bucket}/o", b"\n".join(expected))
    assert list(storage.lines(f"s3://{bucket}/o")) == expected


def should_show_an_upload_in_parts_only_when_it_is_whole(storage: Storage, s3: Any, bucket: str) -> None:
    data, place = any_bytes(2 * PART + 12345), f"s3://{bucket}/big"
    with storage.writer(place) as writer:
        for start in range(0, len(data), 700_001):
            writer.write(data[start : start + 700_001])
        uploads = s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
        assert [upload["Key"] for upload in uploads] == ["big"], "the parts must be on their way"
        assert not storage.exists(place)
    assert storage.read_bytes(place) == data
    assert not s3.list_multipart_uploads(Bucket=bucket).get("Uploads")


@pytest.mark.parametrize("size", [10, 2 * PART])
def should_leave_nothing_of_an_abandoned_write(storage: Storage, s3: Any, bucket: str, size: int) -> None:
    place = f"s3://{bucket}/o"
    storage.write_bytes(place, b"before")

    def write() -> None:
        with storage.writer(place) as writer:
            writer.write(any_bytes(size))
            raise KeyError("in the middle")

    with pytest.raises(KeyError):
        write()
    assert storage.read_bytes(place) == b"before"
    assert not s3.list_multipart_uploads(Bucket=bucket).get("Uploads")


def should_name_an_object_that_is_not_there(storage: Storage, bucket: str) -> None:
    place = f"s3://{bucket}/nowhere"
    assert not storage.exists(place)
    for ask in (storage.size, storage.identity, storage.read_bytes, lambda at: storage.copy(at, f"{at}-too")):
        with pytest.raises(ObjectMissingError, match=f"{place}.*no such object"):
            ask(place)
    storage.delete(place)
    with pytest.raises(StorageError, match="no-such-bucket-of-ours"):
        storage.write_bytes("s3://no-such-bucket-of-ours/o", b"x")


def should_go_on_reading_where_a_connection_broke(storage: Storage, bucket: str, proxy: CuttingProxy) -> None:
    data, place = any_bytes(4 << 20), f"s3://{bucket}/o"
    storage.write_bytes(place, data)
    proxy.cuts = 3
    assert Storage(any_client(proxy.port)).read_bytes(place) == data
    assert proxy.cut == 3


def should_give_up_on_a_connection_that_breaks_again_and_again(
    storage: Storage, bucket: str, proxy: CuttingProxy
) -> None:
    place = f"s3://{bucket}/o"
    storage.write_bytes(place, any_bytes(16 << 20))
    proxy.cuts = 1000
    with pytest.raises(StorageError, match=rf"{place}: reading broke off at byte [0-9]+ 5 times"):
        Storage(any_client(proxy.port)).read_bytes(place)


def should_refuse_to_join_two_versions_of_an_object(storage: Storage, bucket: str) -> None:
    place = f"s3://{bucket}/o"
    storage.write_bytes(place, b"first")
    with storage.open(place) as stream:
        storage.write_bytes(place, b"other")
        with pytest.raises(ObjectChangedError, match=f"{place}: replaced while"):
            stream.read()


def should_read_a_listed_version_through_broken_connections_or_not_at_all(
    storage: Storage, bucket: str, proxy: CuttingProxy
) -> None:
    data, place = any_bytes(4 << 20), f"s3://{bucket}/o"
    storage.write_bytes(place, data)
    (listed,) = storage.list(place)
    proxy.cuts = 3
    assert Storage(any_client(proxy.port)).read_version(place, listed.etag, listed.size) == data
    assert proxy.cut == 3
    storage.write_bytes(place, b"other")
    with pytest.raises(ObjectChangedError, match=f"{place}: replaced"):
        storage.read_version(place, listed.etag, listed.size)
    storage.delete(place)
    with pytest.raises(ObjectMissingError, match=place):
        storage.read_version(place, listed.etag, listed.size)


def should_say_that_an_object_lies_in_an_archive(storage: Storage, s3: Any, bucket: str) -> None:
    place = f"s3://{bucket}/o"
    s3.put_object(Bucket=bucket, Key="o", Body=b"x", StorageClass="DEEP_ARCHIVE")
    assert storage.size(place) == 1
    with pytest.raises(ObjectArchivedError, match=f"{place}: archived"):
        storage.read_bytes(place)


def should_copy_and_list_page_after_page(storage: Storage, bucket: str) -> None:
    folder = f"s3://{bucket}/many"
    for number in range(1003):
        storage.write_bytes(f"{folder}/{number:04d}", b"x" * (number % 3))
    storage.write_bytes(f"{folder}/", b"")
    storage.write_bytes(f"s3://{bucket}/manyfold", b"another prefix")
    storage.copy(f"{folder}/0002", f"{folder}/9999")
    found = list(storage.list(f"{folder}/"))
    assert [info.key for info in found] == [f"many/{number:04d}" for number in [*range(1003), 9999]]
    assert [info.size for info in found[:3]] == [0, 1, 2]
    assert storage.identity(f"{folder}/9999") == f"{found[-1].etag}-2"
    assert storage.read_bytes(found[-1].uri) == b"xx"


def should_clean_from_and_to_s3(storage: Storage, bucket: str) -> None:
    place, rules = f"s3://{bucket}/in.manifest", any_rules()
    storage.write_bytes(place, any_manifest(20_000))
    whole = clean(place, rules, f"s3://{bucket}/whole/{{dataset}}", store=storage)
    parted = clean_in_parts(
        place, rules, f"s3://{bucket}/parts/{{dataset}}", store=storage, work=f"s3://{bucket}/work", part_bytes=1 << 20
    )
    assert whole.card == parted.card
    assert whole.card["kept"] == 20_000
    for file in ("train.manifest", "eval.manifest", "rejects.jsonl", "card.json"):
        assert storage.read_bytes(f"{whole.folder}/{file}") == storage.read_bytes(f"{parted.folder}/{file}")


def should_notice_a_manifest_that_is_replaced_between_the_parts(storage: Storage, bucket: str) -> None:
    place = f"s3://{bucket}/in.manifest"
    storage.write_bytes(place, any_manifest(60))
    part = plan_parts(storage, place)[0]
    storage.write_bytes(place, any_manifest(60).replace(b"0.94", b"0.95"))
    with pytest.raises(ManifestChangedError, match=rf"{place} was changed while it was being cleaned"):
        scan_part(storage, place, any_rules(), part, f"s3://{bucket}/work")
