"""Ground Truth's output: the manifest, and what each worker said, in; the same files out."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from menulens.core.keys import METADATA_SUFFIX
from menulens.portal.exchange import strict_json
from menulens.portal.exchange.records import (
    MOST_RECORDS,
    SOURCE,
    SOURCE_REF,
    CategoryNames,
    ExchangeError,
    GivenAnswer,
    Imported,
    Label,
    Places,
    Record,
    Reject,
    milliseconds,
    stable_id,
)

FORMAT: Final = "ground-truth"
RESPONSES: Final = "annotations/worker-response/"
_RESPONSE: Final = re.compile(r"annotations/worker-response/iteration-(\d+)/(\d+)/[^/]+\.json")


@dataclass(frozen=True, slots=True)
class Reading:
    """How a job's output is read: its label attribute, and what its categories mean here."""

    names: CategoryNames
    attribute: str


def read(
    lines: Iterable[bytes], responses: Iterable[tuple[str, bytes]], reading: Reading, where: str = "output.manifest"
) -> Imported:
    """Read a labeling job's output.

    Parameters
    ----------
    lines
        Of ``manifests/output/output.manifest``.
    responses
        (path below the job's folder, content) of the files of ``annotations/worker-response/``; others are left out.
    """
    found = Imported()
    said = _responses(responses, found)
    for number, raw in enumerate(lines, 1):
        text = raw.removesuffix(b"\n")
        if not text.strip():
            continue
        if number > MOST_RECORDS:
            raise ExchangeError(f"{where}: more than {MOST_RECORDS:,} lines; divide the manifest.")
        index = number - 1
        try:
            found.records.append(_record(text, said.pop(index, []), reading, found))
        except strict_json.FaultyValueError as fault:
            found.reject(number, fault.code, fault.reason, text.decode("utf-8", "backslashreplace"))
    for files in said.values():
        for path, body in files:
            found.reject(0, "no-line", f"{path}: answers about a line that the manifest does not have.", body)
    return found


def write(records: Iterable[Record], attribute: str, names: CategoryNames) -> Iterator[tuple[str, bytes]]:
    """Yield (path, content): the responses as they came, and last the manifest."""
    lines = []
    for record in records:
        carried = record.carried or {}
        if carried.get("format") == FORMAT:
            yield from ((path, body.encode("utf-8")) for path, body in carried["responses"])
        lines.append(_line(record, attribute, names).encode("utf-8") + b"\n")
    yield "manifests/output/output.manifest", b"".join(lines)


def _responses(responses: Iterable[tuple[str, bytes]], found: Imported) -> dict[int, list[tuple[str, str]]]:
    """Return the files of each line (index from 0), oldest first."""
    said: dict[int, list[tuple[int, str, str]]] = defaultdict(list)
    for path, data in responses:
        named = _RESPONSE.fullmatch(path)
        if named is None:
            found.notes["other-file"] += 1
            continue
        try:
            body = data.decode("utf-8")
        except UnicodeDecodeError:
            found.reject(0, "no-utf-8", f"{path}: no UTF-8.", data.decode("utf-8", "backslashreplace"))
            continue
        said[int(named[2])].append((int(named[1]), path, body))
    return {index: [(path, body) for _, path, body in sorted(files)] for index, files in said.items()}


def _record(line: bytes, files: list[tuple[str, str]], reading: Reading, found: Imported) -> Record:
    try:
        text = line.decode("utf-8")
        value = strict_json.loads(text, "line")
    except (UnicodeDecodeError, ExchangeError) as error:
        found.rejects.extend(_orphans(files))
        raise strict_json.FaultyValueError("no-json", f"The line is no JSON in UTF-8: {error}") from None
    source = value.get(SOURCE_REF, value.get(SOURCE)) if isinstance(value, dict) else None
    if not isinstance(source, str) or (SOURCE_REF in value and Places().ours(source) is None):
        found.rejects.extend(_orphans(files))
        raise strict_json.FaultyValueError("no-source-ref", "A JSON object with a photo in S3 under source-ref is due.")
    label = _label(value, reading, found)
    answers = tuple(answer for path, body in files for answer in _answers(path, body, source, reading, found))
    taken = (SOURCE_REF, SOURCE, reading.attribute, reading.attribute + METADATA_SUFFIX)
    return Record(
        source=source,
        kind="photo" if SOURCE_REF in value else "text",
        attributes={name: item for name, item in value.items() if name not in taken},
        answers=answers,
        label=label,
        carried={
            "format": FORMAT,
            "line": text,
            "responses": [list(file) for file in files],
            "then": label and label.to_json(),
        },
    )


def _orphans(files: list[tuple[str, str]]) -> list[Reject]:
    return [Reject(0, "no-line", f"{path}: its line was not taken.", body) for path, body in files]


def _label(value: Mapping[str, Any], reading: Reading, found: Imported) -> Label | None:
    given, metadata = value.get(reading.attribute), value.get(reading.attribute + METADATA_SUFFIX)
    if given is None:
        return None
    told = metadata if isinstance(metadata, dict) else {}
    key = reading.names.find(told.get("class-name"))
    if key is None and "class-name" not in told:
        key = _by_index(given, reading.names)
    if key is None:
        found.notes["unknown-category"] += 1
        return None
    confidence = told.get("confidence")
    sure = confidence if isinstance(confidence, int | float) and not isinstance(confidence, bool) else None
    return Label(key, sure, told.get("human-annotated") != "no")


def _by_index(given: Any, names: CategoryNames) -> str | None:
    text = str(given)
    return names.keys[int(text)] if re.fullmatch(r"\d{1,4}", text) and int(text) < len(names.keys) else None


def _answers(path: str, body: str, source: str, reading: Reading, found: Imported) -> Iterator[GivenAnswer]:
    try:
        value = strict_json.loads(body, path)
    except (ExchangeError, strict_json.FaultyValueError):
        found.notes["unreadable-response"] += 1
        return
    answers = value.get("answers") if isinstance(value, dict) else None
    for number, answer in enumerate(answers if isinstance(answers, list) else []):
        content = answer.get("answerContent") if isinstance(answer, dict) else None
        picked = [part["label"] for part in (content or {}).values() if isinstance(part, dict) and "label" in part]
        key = reading.names.find(picked[0]) if len(picked) == 1 else None
        if key is None:
            found.notes["unknown-category" if len(picked) == 1 else "other-control"] += 1
            continue
        spent, at = answer.get("timeSpentInSeconds"), answer.get("submissionTime")
        yield GivenAnswer(
            id=stable_id(FORMAT, source, path, str(number)),
            person=_person(answer),
            kind="label",
            category=key,
            at=at if isinstance(at, str) else None,
            shown_ms=milliseconds(spent),
        )


def _person(answer: Mapping[str, Any]) -> str:
    metadata = answer.get("workerMetadata")
    identity = metadata.get("identityData") if isinstance(metadata, dict) else None
    sub = identity.get("sub") if isinstance(identity, dict) else None
    # A worker of a private team is the person of this id in its user pool: the same one here, if the pool is the same.
    return sub if isinstance(sub, str) and sub else f"{FORMAT}:{answer.get('workerId', 'unknown')}"


def _line(record: Record, attribute: str, names: CategoryNames) -> str:
    carried = record.carried or {}
    line: dict[str, Any] = record.line()
    if carried.get("format") == FORMAT:
        then = carried["then"]
        if (None if then is None else Label.from_json(then)) == record.label:
            return str(carried["line"])
        line = strict_json.loads(carried["line"], "line")
        for name in (attribute, attribute + METADATA_SUFFIX):
            line.pop(name, None)
    if record.label is not None:
        if record.label.category not in names.keys:
            raise ExchangeError(f"{record.label.category!r} is no category; there are: {', '.join(names.keys)}.")
        line[attribute] = names.keys.index(record.label.category)
        line[attribute + METADATA_SUFFIX] = {
            "class-name": record.label.category,
            "confidence": 1.0 if record.label.confidence is None else record.label.confidence,
            "type": "groundtruth/image-classification" if record.kind == "photo" else "groundtruth/text-classification",
            "human-annotated": "yes" if record.label.human else "no",
        }
    return strict_json.dumps(line)
