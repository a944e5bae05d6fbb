"""Manifest lines, good and bad, and a store in memory."""

import hashlib
import io
import json
from typing import Any

from hypothesis import strategies as st

from menulens.core.rules import Category, CleaningRules

ATTRIBUTE = "menu-category"
METADATA = "menu-category-metadata"
KEYS = ("meal", "sweets", "drink", "not-for-training")


def any_rules(**changes: Any) -> CleaningRules:
    values: dict[str, Any] = {
        "label_attribute": ATTRIBUTE,
        "categories": tuple(Category(key, key != "not-for-training") for key in KEYS),
        "photo_bucket": "photos-of-menus",
        "photo_prefix": "photos/",
        "eval_share": 0.25,
        "min_per_category": 2,
        "group_pattern": None,
    }
    return CleaningRules(**(values | changes))


def any_record(key: str = "photos/r1/a.jpg", category: int = 0, **changes: Any) -> dict[str, Any]:
    """Return a line as Ground Truth writes it; a change of None takes the key out."""
    record: dict[str, Any] = {
        "source-ref": f"s3://photos-of-menus/{key}",
        ATTRIBUTE: category,
        METADATA: {
            "class-name": KEYS[category],
            "job-name": "labeling-job/menus",
            "confidence": 0.94,
            "type": "groundtruth/image-classification",
            "human-annotated": "yes",
            "creation-date": "2026-11-20T10:11:12.131415",
        },
    }
    record |= {name.replace("_", "-"): value for name, value in changes.items()}
    return {name: value for name, value in record.items() if value is not None}


def any_line(*args: Any, **changes: Any) -> bytes:
    return json.dumps(any_record(*args, **changes), separators=(",", ":"), ensure_ascii=False).encode()


def any_manifest(photos: int = 120, restaurants: int = 30, offset: int = 0) -> bytes:
    """Return good lines of the three categories that train."""
    numbers = range(offset, offset + photos)
    return b"".join(any_line(f"photos/r{n % restaurants}/{n}.jpg", n % 3) + b"\n" for n in numbers)


_keys = st.builds(
    "photos/{}/{}".format,
    st.sampled_from(["r1", "r2", "r3", "寿司", "", "a b"]),
    st.sampled_from(["1.jpg", "2.jpg", "3.png", "x/y.jpg", "é.jpg", '"q".jpg', "back\\slash", "", "tab\t.jpg"]),
)
_labels = st.one_of(
    st.integers(-1, 5),
    st.sampled_from(["0", "1", "2", "3", "00", "-0", "1.0", "", "x", " 1"]),
    st.sampled_from([0.0, 1.0, 1e0, True, None, [1], [], {"a": 1}, 10**30]),
)
_names = st.sampled_from([*KEYS, *KEYS, "soup", "", None, 3, "料理"])
_extras = st.sampled_from(
    [
        {},
        {"id": 7},
        {"genre": "sushi", "genre-metadata": {"class-name": "sushi", "confidence": 1}},
        {"ケ": "値"},
        {"nested": {"class-name": "meal", "human-annotated": "no", "list": [1, {"a": "b"}, {}, "c"]}},
        {"flag": True, "none": None},
    ]
)


@st.composite
def records(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a line's value, sometimes good."""
    metadata: Any = {"class-name": draw(_names), "confidence": draw(st.sampled_from([0, 1, 0.5, 1e-7, -1]))}
    if draw(st.booleans()):
        metadata["human-annotated"] = draw(st.sampled_from(["yes", "no", "Yes", 1, {"yes": "yes"}]))
    if draw(st.integers(0, 9)) == 0:
        metadata["failure-reason"] = "no worker answered"
    category = draw(st.integers(0, 3))
    record = any_record(draw(_keys), category)
    if draw(st.booleans()):
        record[ATTRIBUTE], record[METADATA] = draw(_labels), metadata
    for name in draw(st.sets(st.sampled_from([*record]), max_size=1)) if draw(st.integers(0, 4)) == 0 else ():
        del record[name]
    if draw(st.integers(0, 9)) == 0:
        source = st.sampled_from([3, None, "http://x/y.jpg", "s3://other/photos/a.jpg", "s3://photos-of-menus/b.jpg"])
        record["source-ref"] = draw(source)
    extra = draw(_extras)
    return {**extra, **record} if draw(st.booleans()) else {**record, **extra}


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """Draw a line without its end: as a job writes it, in another spelling, or broken."""
    value = draw(records())
    spaced, ascii_only = draw(st.booleans()), draw(st.integers(0, 3)) == 0
    text = json.dumps(value, separators=(", ", ": ") if spaced else (",", ":"), ensure_ascii=ascii_only)
    line = text.encode("utf-8", "surrogatepass")
    kind = draw(st.integers(0, 11))
    if kind == 0:
        at = draw(st.integers(0, len(line)))
        piece = draw(
            st.sampled_from([b"", b'"', b"\\", b"\0", b"\xff", b"\r", b"\t", b",", b"}", b"1", b"NaN", b"\x1f"])
        )
        line = line[:at] + piece + line[at + draw(st.integers(0, 3)) :]
    elif kind == 1:
        # A key that stands twice, at the top or in the metadata.
        doubled = draw(st.sampled_from([b'"menu-category":2,', b'"source-ref":"s3://photos-of-menus/photos/z.jpg",']))
        line = line[:1] + doubled + line[1:]
    elif kind == 2:
        line += b"\r"
    elif kind == 3:
        line = draw(st.sampled_from([b"", b" ", b"[]", b"3", b"null", b'"x"', b"{}", b"{", b"NaN", b"\xef\xbb\xbf{}"]))
    return line.replace(b"\n", b"")


def of_lines(given: list[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in given)


class MemoryStore:
    """Objects in a dictionary; a writer shows nothing before it is told to publish."""

    def __init__(self, **objects: bytes) -> None:
        self.objects = dict(objects)
        self.order: list[str] = []

    def open(self, location: str, start: int = 0, end: int | None = None) -> io.BytesIO:
        return io.BytesIO(self.objects[location][start:end])

    def writer(self, location: str, content_type: str = "") -> "_MemoryWriter":
        return _MemoryWriter(self, location)

    def exists(self, location: str) -> bool:
        return location in self.objects

    def size(self, location: str) -> int:
        return len(self.objects[location])

    def identity(self, location: str) -> str:
        return hashlib.sha256(self.objects[location]).hexdigest()

    def delete(self, location: str) -> None:
        self.objects.pop(location, None)


class _MemoryWriter(io.BytesIO):
    def __init__(self, store: MemoryStore, location: str) -> None:
        super().__init__()
        self._store, self._location = store, location

    def publish(self) -> None:
        self._store.objects[self._location] = self.getvalue()
        self._store.order.append(self._location)

    def discard(self) -> None:
        self.close()
