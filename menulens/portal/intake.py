"""From an input manifest and its display index to what is asked: the same bytes give the same items, now and later."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from menulens.core.keys import METADATA_SUFFIX, SOURCE_REF
from menulens.portal.model import Item, JobKind, PortalError, item_id

SOURCE: Final = "source"
LONGEST_TEXT: Final = 20_000  # characters of a text item; the table's entries have room for 400 KB
LONGEST_CONTEXT: Final = 500


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a job's input.

    Attributes
    ----------
    raw
        Its bytes without the line ending.
    failure
        Why nobody is asked about it; empty if somebody is.
    passed
        It has a label from before.
    """

    number: int
    raw: bytes
    failure: str = ""
    passed: bool = False


@dataclass(frozen=True, slots=True)
class Intake:
    """Lines of one input manifest, and the items that they make."""

    lines: tuple[Line, ...]
    items: tuple[Item, ...]
    kind: JobKind

    @property
    def passed(self) -> int:
        """Lines with a label from before."""
        return sum(line.passed for line in self.lines)


@dataclass(slots=True)
class _Draft:
    display: Mapping[str, Any]
    value: Mapping[str, Any]
    lines: list[int] = field(default_factory=list)


def split_lines(manifest: bytes) -> list[bytes]:
    """Return the lines of a manifest without their endings; empty ones are no lines."""
    return [line for raw in manifest.split(b"\n") if (line := raw.removesuffix(b"\r"))]


def read(
    manifest: bytes,
    display: bytes,
    *,
    job: str,
    attribute: str,
    first_line: int = 0,
    context_keys: Collection[str] = (),
    grouped: bool = True,
    known: Collection[str] = (),
) -> Intake:
    """Read an input manifest.

    Parameters
    ----------
    display
        The index of display copies, a JSON object a line with ``line`` (0-based place in this manifest); empty if the
        items have none.
    first_line
        Number of its first line among the job's lines.
    grouped
        Near-duplicates make one item; otherwise each line is one.
    known
        Photos that the job has from before; a line with one of them fails as a duplicate.

    Raises
    ------
    PortalError
        If the display index does not fit the manifest, or photos and texts are mixed.
    """
    shown = _display(display)
    lines: list[Line] = []
    drafts: dict[int, _Draft] = {}
    for place, raw in enumerate(split_lines(manifest)):
        number = first_line + place
        value = parse(raw)
        told = shown.get(place, {})
        failure = _failure(value, told)
        if not failure and value.get(SOURCE_REF) in known:
            failure = f"duplicate: {value[SOURCE_REF]} is in the job from before"
        passed = bool(value) and not failure and value.get(attribute) is not None
        lines.append(Line(number, raw, failure, passed))
        if failure or passed:
            continue
        leader = first_line + int(told.get("group", place) if grouped else place)
        draft = drafts.setdefault(leader, _Draft(told, value))
        if number == leader:
            draft.display, draft.value = told, value
        draft.lines.append(number)
    if shown and max(shown) >= len(lines):
        raise PortalError("display", f"{job}: the display index names line {max(shown)}; there are {len(lines)}.")
    items = tuple(_item(job, draft, context_keys) for draft in drafts.values())
    texts = sum(bool(item.text) for item in items)
    if 0 < texts < len(items):
        raise PortalError("mixed", f"{job}: {texts} of {len(items)} items are texts; a job has photos or texts.")
    return Intake(tuple(lines), items, "text" if texts else "photo")


def without_label(raw: bytes, attribute: str) -> dict[str, Any]:
    """Return a line as an object without what an earlier attempt left under the attribute; other keys as they came."""
    return {key: value for key, value in parse(raw).items() if key not in (attribute, attribute + METADATA_SUFFIX)}


def _item(job: str, draft: _Draft, context_keys: Collection[str]) -> Item:
    # A group whose leader is failed or passed is led by the first line that is asked.
    lines = tuple(sorted(draft.lines))
    told, value = draft.display, draft.value
    # The index has a text without what would mislead an eye: control characters, turned directions.
    text = str(told.get(SOURCE, value.get(SOURCE, ""))) if SOURCE_REF not in value else ""
    context = {key: str(value[key])[:LONGEST_CONTEXT] for key in context_keys if _shows(value.get(key))}
    context |= {key: str(one)[:LONGEST_CONTEXT] for key, one in told.get("context", {}).items() if _shows(one)}
    return Item(
        id=item_id(lines[0]),
        job=job,
        lines=lines,
        display=str(told.get("display", "")),
        width=int(told.get("width", 0)),
        height=int(told.get("height", 0)),
        text=text,
        context=context,
    )


def _failure(value: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    if reject := told.get("reject"):
        return f"{reject.get('code', 'unusable')}: {reject.get('reason', '')}".strip(": ")
    if isinstance(value.get(SOURCE_REF), str):
        return ""
    text = value.get(SOURCE)
    if not isinstance(text, str) or not text.strip():
        return "no-source: a JSON object with a text under source-ref or source is due"
    return f"too-long: a text may have {LONGEST_TEXT:,} characters" if len(text) > LONGEST_TEXT else ""


def _shows(value: Any) -> bool:
    return isinstance(value, (str, int, float)) and not isinstance(value, bool) and value != ""


def _display(index: bytes) -> dict[int, dict[str, Any]]:
    shown: dict[int, dict[str, Any]] = {}
    for raw in split_lines(index):
        value = parse(raw)
        if not isinstance(value.get("line"), int):
            raise PortalError("display", f"A line of the display index has no number under line: {raw[:200]!r}.")
        shown[value["line"]] = value
    return shown


def parse(raw: bytes) -> dict[str, Any]:
    """Return a line as an object; empty if it is none."""
    try:
        value = json.loads(raw)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
