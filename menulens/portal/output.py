"""The files of a labeling job, under the names and in the shapes that Ground Truth gives them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, Final

from menulens.core.keys import SOURCE_REF
from menulens.labeling import layout
from menulens.portal import intake
from menulens.portal.intake import SOURCE, Line
from menulens.portal.ledger import Told
from menulens.portal.rebuild import Outcome, Rebuilt, spent
from menulens.storage import Storage

BATCH: Final = 50
"""Objects of one consolidation."""

_THREADS: Final = 16
_ELEMENTS: Final = {"photo": "crowd-image-classifier", "text": "crowd-classifier"}
_MANIFEST_TYPE: Final = "application/octet-stream"


class Output:
    """Writes the output of one job below ``s3://<labels>/jobs/<job>/``."""

    def __init__(self, storage: Storage, labels_bucket: str, job: str) -> None:
        self._storage = storage
        self.base = f"{layout.outputs(labels_bucket)}{job}"
        self.manifest = layout.output_manifest(self.base)
        self.intermediate = f"{self.base}/annotations/intermediate/1/annotations.manifest"
        self.card = f"{self.base}/card.json"

    def write(self, made: Rebuilt) -> None:
        """Write all files; the card last: who finds it finds all the rest."""
        self._write_answers(made)
        self._write_consolidations(made)
        self.write_intermediate(made)
        self._storage.write_bytes(self.manifest, made.manifest, _MANIFEST_TYPE)
        self._storage.write_json(self.card, card(made))

    def write_intermediate(self, made: Rebuilt) -> None:
        """Write the running job's manifest: every line, labeled so far or not."""
        self._storage.write_bytes(self.intermediate, made.manifest, _MANIFEST_TYPE)

    def _write_answers(self, made: Rebuilt) -> None:
        folder = f"{self.base}/annotations/worker-response/iteration-1"
        # The name holds the time of the last answer: a file that is there says the same.
        there = {one.uri for one in self._storage.list(folder + "/")}
        files = (
            (place, body)
            for outcome in made.outcomes.values()
            if (body := _responses(made, outcome.told))
            for number in outcome.told.item.lines
            if (place := f"{folder}/{number}/{_last(outcome.told).replace(':', '-')}.json") not in there
        )
        with ThreadPoolExecutor(_THREADS) as pool:
            while some := list(islice(files, BATCH * _THREADS)):
                list(pool.map(lambda file: self._json(*file), some))

    def _write_consolidations(self, made: Rebuilt) -> None:
        of_line = {line.number: line for line in made.ledger.lines}
        objects = iter(
            [
                (of_line[number], outcome)
                for outcome in made.outcomes.values()
                if outcome.labeled and outcome.told.labels()
                for number in outcome.told.item.lines
            ]
        )
        folder = f"{self.base}/annotations/consolidated-annotation"
        number = 0
        while some := list(islice(objects, BATCH)):
            number += 1
            for kind, body in (("request", _requests(made, some)), ("response", _consolidated(some))):
                self._json(f"{folder}/consolidation-{kind}/iteration-1/{number:06d}.json", body)

    def _json(self, place: str, body: Any) -> None:
        text = json.dumps(body, ensure_ascii=False)
        self._storage.write_bytes(place, text.encode(), "application/json")


def card(made: Rebuilt) -> dict[str, Any]:
    """Return what a job's output was made of: with the log up to ``log.seq`` it can be made again, byte for byte."""
    ledger = made.ledger
    return {
        "format": 1,
        "job": ledger.job,
        "log": {"seq": ledger.seq, "sha256": ledger.digest},
        "manifest_sha256": hashlib.sha256(made.manifest).hexdigest(),
        "lines": len(ledger.lines),
        "labeled": made.labeled,
        "failed": sum(bool(line.failure) for line in ledger.lines),
        "passed": sum(line.passed for line in ledger.lines),
        "items": len(ledger.items),
        "answers": ledger.answers,
        "review": sum(told.state == "review" for told in ledger.items.values()),
        "machine": sum(told.settler == "machine" for told in ledger.items.values()),
    }


def _votes(told: Told) -> list[Mapping[str, Any]]:
    votes = [one for one in told.answers.values() if one["kind"] == "label"]
    return sorted(votes, key=lambda one: (one["recorded_at"], one["id"]))


def _last(told: Told) -> str:
    return str(_votes(told)[-1]["recorded_at"]).removesuffix("Z")


def _responses(made: Rebuilt, told: Told) -> dict[str, Any] | None:
    votes = _votes(told)
    return {"answers": [_annotation(made, one) for one in votes]} if votes else None


def _annotation(made: Rebuilt, answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return one answer as a worker-response file holds it."""
    issuer = str(answer.get("issuer", ""))
    region = issuer.rpartition("/")[2].partition("_")[0] or "local"
    return {
        "acceptanceTime": _milliseconds(answer["leased_at"]),
        "answerContent": _content(made, answer),
        "submissionTime": _milliseconds(answer["recorded_at"]),
        "timeSpentInSeconds": spent(answer),
        "workerId": f"private.{region}.{answer['person'].replace('-', '')[:16]}",
        "workerMetadata": {
            "identityData": {"identityProviderType": "Cognito", "issuer": issuer, "sub": answer["person"]}
        },
    }


def _content(made: Rebuilt, answer: Mapping[str, Any]) -> dict[str, Any]:
    name = made.ledger.categories[answer["category"]].key
    return {_ELEMENTS[made.ledger.kind]: {"label": name}}


def _milliseconds(at: str) -> str:
    return at[:-4] + "Z"


def _requests(made: Rebuilt, some: Iterable[tuple[Line, Outcome]]) -> list[dict[str, Any]]:
    return [
        {
            "datasetObjectId": str(line.number),
            "dataObject": _data(line),
            "annotations": [
                {"workerId": one["person"], "annotationData": {"content": json.dumps(_content(made, one))}}
                for one in _votes(outcome.told)
            ],
        }
        for line, outcome in some
    ]


def _consolidated(some: Iterable[tuple[Line, Outcome]]) -> list[dict[str, Any]]:
    return [
        {"datasetObjectId": str(line.number), "consolidatedAnnotation": {"content": dict(outcome.added)}}
        for line, outcome in some
    ]


def _data(line: Line) -> dict[str, Any]:
    value = intake.parse(line.raw)
    return {"s3Uri": value[SOURCE_REF]} if SOURCE_REF in value else {"content": value.get(SOURCE)}
