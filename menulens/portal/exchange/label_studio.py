"""Label Studio's JSON: tasks with their annotations and predictions, in and out.

A task that Label Studio made is carried whole, so it goes back as it came, with what menulens learned since added.
A task made here is plain Label Studio (any of its versions shows it) and has the whole record under ``meta.menulens``,
which Label Studio keeps: it comes back as the same record.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal
from xml.sax.saxutils import quoteattr

from menulens.portal.exchange import strict_json
from menulens.portal.exchange.records import (
    PROBLEMS,
    CategoryNames,
    ExchangeError,
    GivenAnswer,
    Imported,
    Kind,
    Label,
    Places,
    Record,
    is_uuid,
    milliseconds,
    stable_id,
)

FORMAT: Final = "label-studio"
OURS: Final = "menulens"
CONTROL: Final = "category"
SECOND: Final = "second"
MARK: Final = "mark"
HARD: Final = "hard"
_OBJECT: Final = {"photo": "photo", "text": "text"}
_DATA_KEY: Final = {"photo": "image", "text": "text"}
_RESERVED: Final = frozenset({"source-ref", "source"})


@dataclass(frozen=True, slots=True)
class Reading:
    """How tasks are read.

    Attributes
    ----------
    data_key
        The key of ``data`` that holds the photo or text; None: ``image``, else ``text``, else its only text.
    control
        Name of the Choices control that counts (``from_name``); None: the only one that an annotation uses.
    """

    names: CategoryNames
    places: Places = field(default_factory=Places)
    data_key: str | None = None
    kind: Literal["photo", "text"] | None = None
    control: str | None = None


def read(data: bytes, reading: Reading, where: str = "Label Studio file") -> Imported:
    """Read a Label Studio export (or import) file.

    Raises
    ------
    ExchangeError
        If the file is no JSON.
    """
    found = Imported()
    for number, (text, task) in enumerate(strict_json.elements(strict_json.decode(data, where), where), 1):
        try:
            strict_json.check(task)
            found.records.append(_record(task, reading, found))
        except strict_json.FaultyValueError as fault:
            found.reject(number, fault.code, fault.reason, text)
    return found


def write(records: Iterable[Record]) -> Iterator[bytes]:
    """Yield the bytes of a Label Studio file: one task a line, so that a person finds one."""
    first = True
    for record in records:
        yield ("[\n" if first else ",\n").encode() + strict_json.dumps(task_of(record)).encode("utf-8")
        first = False
    yield b"[]\n" if first else b"\n]\n"


def labeling_config(names: CategoryNames, kind: Literal["photo", "text"] = "photo") -> str:
    """Return the labeling configuration that shows exported tasks in Label Studio."""
    shown = {key: " / ".join(dict.fromkeys(texts)) or key for key, texts in names.shown.items()}
    rows = [f"    <Choice value={quoteattr(name)} alias={quoteattr(key)}/>" for key, name in shown.items()]
    of = _OBJECT[kind]
    tag = "Image" if kind == "photo" else "Text"
    marks = "".join(f'    <Choice value="{mark}"/>\n' for mark in (HARD, *PROBLEMS))
    return (
        f'<View>\n  <{tag} name="{of}" value="${_DATA_KEY[kind]}"/>\n'
        f'  <Choices name="{CONTROL}" toName="{of}" choice="single" showInline="true">\n' + "\n".join(rows) + "\n"
        f'  </Choices>\n  <Choices name="{SECOND}" toName="{of}" choice="single">\n' + "\n".join(rows) + "\n"
        f'  </Choices>\n  <Choices name="{MARK}" toName="{of}" choice="single">\n{marks}  </Choices>\n</View>\n'
    )


def task_of(record: Record) -> dict[str, Any]:
    """Return a record as a task."""
    if record.carried is None or record.carried.get("format") != FORMAT:
        return _fresh(record)
    task: dict[str, Any] = copy.deepcopy(record.carried["task"])
    then = Record.from_json(record.carried["then"])
    if (then.answers, then.label, then.gold) == (record.answers, record.label, record.gold):
        return task
    if "data" not in task:
        task = {"data": task}  # all of a bare task is its data
    lists = {name: task.get(name) for name in ("annotations", "predictions")}
    odd = {name: value for name, value in lists.items() if value is not None and not isinstance(value, list)}
    gone = {answer.id for answer in then.answers} - {answer.id for answer in record.answers}
    annotations, present = [], set()
    for index, annotation in enumerate([] if "annotations" in odd else lists["annotations"] or []):
        identity = _identity(annotation, task, record.source, index)
        if identity not in gone:
            annotations.append(annotation)
            present.add(identity)
    if record.gold != then.gold:
        annotations = [_not_gold(annotation) for annotation in annotations]
        if record.gold is not None:
            annotations.append(_gold(record))
    annotations += [_annotation(answer, record.kind) for answer in record.answers if answer.id not in present]
    made = [] if "predictions" in odd else lists["predictions"] or []
    predictions = [item for item in made if not _is_our_prediction(item)]
    predictions += [] if record.label is None else [_prediction(record.label, record.kind)]
    task |= {"annotations": annotations, "predictions": predictions}
    # What stood in the task before stays there; the answers and the outcome are as they are now.
    task["meta"] = {**_meta(task), OURS: {"record": replace(record, carried=None).to_json(), **odd}}
    return task


def _fresh(record: Record) -> dict[str, Any]:
    key = _DATA_KEY[record.kind]
    annotations = [_annotation(answer, record.kind) for answer in record.answers]
    if record.gold is not None:
        annotations.append(_gold(record))
    return {
        "data": {key: record.source, **{name: value for name, value in record.attributes.items() if name != key}},
        "meta": {OURS: {"record": record.to_json()}},
        "annotations": annotations,
        "predictions": [] if record.label is None else [_prediction(record.label, record.kind)],
    }


def _choice(control: str, value: str, kind: str) -> dict[str, Any]:
    return {"from_name": control, "to_name": _OBJECT[kind], "type": "choices", "value": {"choices": [value]}}


def _annotation(answer: GivenAnswer, kind: str) -> dict[str, Any]:
    result = [_choice(CONTROL, answer.category, kind)] if answer.category is not None else []
    if answer.second is not None:
        result.append(_choice(SECOND, answer.second, kind))
    if answer.kind == "hard":
        result.append(_choice(MARK, HARD, kind))
    elif answer.kind == "report":
        result.append(_choice(MARK, answer.problem or PROBLEMS[0], kind))
    told: dict[str, Any] = {
        "unique_id": answer.id,
        "result": result,
        "was_cancelled": answer.kind == "skip",
        "ground_truth": False,
    }
    if answer.at is not None:
        told["created_at"] = answer.at
    if answer.shown_ms is not None:
        told["lead_time"] = answer.shown_ms / 1000
    return told


def _gold(record: Record) -> dict[str, Any]:
    return {
        "unique_id": stable_id("gold", record.source),
        "result": [_choice(CONTROL, record.gold or "", record.kind)],
        "was_cancelled": False,
        "ground_truth": True,
    }


def _not_gold(annotation: Any) -> Any:
    known = isinstance(annotation, dict) and annotation.get("ground_truth") is True
    return {**annotation, "ground_truth": False} if known else annotation


def _prediction(label: Label, kind: str) -> dict[str, Any]:
    told: dict[str, Any] = {"model_version": OURS, "result": [_choice(CONTROL, label.category, kind)]}
    if label.confidence is not None:
        told["score"] = label.confidence
    return told


def _is_our_prediction(value: Any) -> bool:
    return isinstance(value, dict) and value.get("model_version") == OURS


def _meta(task: Mapping[str, Any]) -> dict[str, Any]:
    meta = task.get("meta")
    return dict(meta) if isinstance(meta, dict) else {}


def _record(task: Any, reading: Reading, found: Imported) -> Record:
    """Read one task.

    Raises
    ------
    strict_json.FaultyValueError
        If it holds no item that could be shown.
    """
    if not isinstance(task, dict):
        raise strict_json.FaultyValueError("no-task", "A task is a JSON object.")
    made = _made_here(task)
    if made is not None and _fresh(made) == task:
        return made
    source, kind, key = _shown(task, reading)
    data = task.get("data", task)
    understood = _understood(task if "data" in task else {}, reading, source, found)
    carried = {"format": FORMAT, "task": task, "then": understood.to_json()}
    attributes = {name: value for name, value in data.items() if name != key and name not in _RESERVED}
    return replace(understood, kind=kind, attributes=attributes, carried=carried)


def _made_here(task: Mapping[str, Any]) -> Record | None:
    """Return the record that we put into a task; None if there is none that can be read."""
    ours = _meta(task).get(OURS)
    if not isinstance(ours, dict):
        return None
    try:
        return Record.from_json(ours.get("record"))
    except ExchangeError:
        return None  # someone changed it: the task counts as it stands


def _shown(task: Mapping[str, Any], reading: Reading) -> tuple[str, Literal["photo", "text"], str]:
    data = task.get("data", task)
    if not isinstance(data, dict):
        raise strict_json.FaultyValueError("no-data", 'The task\'s data is an object, as in {"image": "s3://…"}.')
    texts = [name for name, value in data.items() if isinstance(value, str)]
    key = reading.data_key or next((name for name in ("image", "text") if name in data), None)
    key = key or (texts[0] if len(texts) == 1 else None)
    if key is None or not isinstance(data.get(key), str):
        named = reading.data_key or "image"
        raise strict_json.FaultyValueError(
            "no-source", f"The task's data has no text under {named!r}; say which key holds the photo or text."
        )
    value: str = data[key]
    place = reading.places.ours(value)
    if reading.kind == "text" or (reading.kind is None and key == "text" and place is None):
        if not value.strip():
            raise strict_json.FaultyValueError("empty", f"The text under {key!r} is empty.")
        return value, "text", key
    if place is None:
        raise strict_json.FaultyValueError(
            "not-in-s3", f"{value:.200} is no photo in S3; copy the photos there and say which prefix became which."
        )
    return place, "photo", key


def _understood(task: Mapping[str, Any], reading: Reading, source: str, found: Imported) -> Record:
    """Return what a task says in our words; what it says beyond them is counted in ``found.notes``."""
    made = _made_here(task)
    told = {answer.id: answer for answer in made.answers} if made is not None else {}
    answers: list[GivenAnswer] = []
    golds: set[str] = set()
    for index, annotation in enumerate(_listed(task, "annotations", found)):
        if not isinstance(annotation, dict):
            found.notes["unreadable-annotation"] += 1
            continue
        identity = _identity(annotation, task, source, index)
        said = _said(annotation, reading, found)
        if said is None:
            continue
        if annotation.get("ground_truth") is True and said[1] is not None and said[0] == "label":
            golds.add(said[1])
            if identity == stable_id("gold", source):
                continue
        before = told.get(identity)
        if before is not None and (before.kind, before.category, before.second, before.problem) == said:
            answers.append(before)
            continue
        kind, category, second, problem = said
        lead, at = annotation.get("lead_time"), annotation.get("created_at")
        answers.append(
            GivenAnswer(
                id=identity,
                person=_person(annotation.get("completed_by")),
                kind=kind,
                category=category,
                second=second,
                problem=problem,
                at=at if isinstance(at, str) else None,
                shown_ms=milliseconds(lead),
            )
        )
    if len(golds) > 1:
        found.notes["gold-disagrees"] += 1
    for prediction in _listed(task, "predictions", found):
        found.notes["prediction"] += not _is_our_prediction(prediction)
    return Record(
        source=source,
        answers=tuple(answers),
        label=made.label if made is not None else None,
        gold=golds.pop() if len(golds) == 1 else None,
    )


def _listed(task: Mapping[str, Any], key: str, found: Imported) -> list[Any]:
    value = task.get(key)
    if value is not None and not isinstance(value, list):
        found.notes[f"unreadable-{key}"] += 1
    return value if isinstance(value, list) else []


def _identity(annotation: Any, task: Mapping[str, Any], source: str, index: int) -> str:
    named = annotation if isinstance(annotation, dict) else {}
    given = named.get("unique_id")
    if is_uuid(given):
        return str(given)
    return stable_id(FORMAT, source, strict_json.dumps([task.get("id"), named.get("id"), index]))


def _person(completed_by: Any) -> str:
    if isinstance(completed_by, dict):
        completed_by = completed_by.get("email") or completed_by.get("id")
    if isinstance(completed_by, bool) or not isinstance(completed_by, str | int):
        return f"{FORMAT}:unknown"
    name = str(completed_by)
    return name if "@" in name else f"{FORMAT}:{name}"


def _said(
    annotation: Mapping[str, Any], reading: Reading, found: Imported
) -> tuple[Kind, str | None, str | None, str | None] | None:
    """Return kind, category, second choice and problem; None if the annotation says none of these alone."""
    if annotation.get("was_cancelled") is True:
        return "skip", None, None, None
    picks = _picks(annotation.get("result"), found)
    marks, seconds = picks.pop(MARK, []), picks.pop(SECOND, [])
    second = reading.names.find(seconds[0]) if len(seconds) == 1 else None
    if len(marks) == 1 and not picks and marks[0] in (HARD, *PROBLEMS):
        return ("hard", None, second, None) if marks[0] == HARD else ("report", None, None, str(marks[0]))
    control = reading.control or (next(iter(picks)) if len(picks) == 1 else CONTROL)
    chosen = picks.get(control, [])
    category = reading.names.find(chosen[0]) if len(chosen) == 1 else None
    if category is None:
        several = len(chosen) > 1 or len(picks) > 1
        found.notes["unknown-category" if len(chosen) == 1 else "several-choices" if several else "no-choice"] += 1
        return None
    return ("hard", category, second, None) if HARD in marks else ("label", category, None, None)


def _picks(result: Any, found: Imported) -> dict[str, list[Any]]:
    """Return what was chosen in each Choices control, by its name."""
    picks: dict[str, list[Any]] = {}
    for region in result if isinstance(result, list) else []:
        value = region.get("value") if isinstance(region, dict) else None
        if isinstance(value, dict) and region.get("type") == "choices" and isinstance(value.get("choices"), list):
            picks.setdefault(str(region.get("from_name")), []).extend(value["choices"])
        else:
            found.notes["other-control"] += 1
    return picks
