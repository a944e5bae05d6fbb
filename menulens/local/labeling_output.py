"""The files of a Ground Truth labeling job, under the names and in the shapes that Ground Truth gives them."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from menulens.local import objects
from menulens.local.labeling_items import Given, Item

TASK_TYPE = "groundtruth/image-classification"
_ELEMENT = "crowd-image-classifier"


def iso(seconds: float) -> str:
    """Return a time as Ground Truth writes it: ISO 8601, microseconds, UTC without a suffix."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


def labeled(attribute: str, index: int, name: str, confidence: float, *, job: str, now: float) -> dict[str, Any]:
    """Return what a labeled line gains: the label attribute and its metadata."""
    return {
        attribute: index,
        f"{attribute}-metadata": {
            "class-name": name,
            "job-name": f"labeling-job/{job}",
            "confidence": confidence,
            "type": TASK_TYPE,
            "human-annotated": "yes",
            "creation-date": iso(now),
        },
    }


def failed(attribute: str, reason: str, job: str, now: float) -> dict[str, Any]:
    """Return what a line gains whose object could not be labeled: metadata with the reason, no label."""
    return {
        f"{attribute}-metadata": {
            "failure-reason": reason,
            "job-name": f"labeling-job/{job}",
            "type": TASK_TYPE,
            "human-annotated": "yes",
            "creation-date": iso(now),
        }
    }


def output_line(item: Item) -> str:
    """Return an item's line of the output manifest; without an outcome it equals its input."""
    if not item.output:
        return item.line
    return json.dumps({**item.data, **item.output}, ensure_ascii=False, separators=(",", ":"))


def annotation(given: Given) -> dict[str, Any]:
    """Return one answer as a worker-response file holds it."""
    return {
        "acceptanceTime": iso(given.accepted_at)[:-3] + "Z",
        "answerContent": {_ELEMENT: {"label": given.answer}},
        "submissionTime": iso(given.submitted_at)[:-3] + "Z",
        "timeSpentInSeconds": round(given.submitted_at - given.accepted_at, 3),
        "workerId": f"private.{given.worker.pool.partition('_')[0]}.{given.worker.sub.replace('-', '')[:16]}",
        "workerMetadata": {
            "identityData": {
                "identityProviderType": "Cognito",
                "issuer": given.worker.issuer,
                "sub": given.worker.sub,
            }
        },
    }


class JobOutput:
    """Writes the output of one job below ``<S3OutputPath>/<job>/``."""

    def __init__(self, s3: Any, output_path: str, job: str) -> None:
        self._s3 = s3
        self.base = f"{output_path.rstrip('/')}/{job}"
        self.manifest = f"{self.base}/manifests/output/output.manifest"
        self.intermediate = f"{self.base}/annotations/intermediate/1/annotations.manifest"

    def write_responses(self, items: Sequence[Item]) -> None:
        """Write the workers' answers of items."""
        for item in items:
            answers = sorted(item.answers.values(), key=lambda given: given.submitted_at)
            stamp = iso(answers[-1].submitted_at if answers else time.time()).replace(":", "-")
            body = {"answers": [annotation(given) for given in answers]}
            self._json(f"annotations/worker-response/iteration-1/{item.index}/{stamp}.json", body)

    def write_consolidation(self, number: int, request: list[Any], response: list[Any]) -> None:
        """Write what consolidation got and gave."""
        for kind, body in (("request", request), ("response", response)):
            path = f"annotations/consolidated-annotation/consolidation-{kind}/iteration-1/{number:06d}.json"
            self._json(path, body)

    def request_uri(self, number: int) -> str:
        """Return where a consolidation request stands."""
        name = f"consolidation-request/iteration-1/{number:06d}.json"
        return f"{self.base}/annotations/consolidated-annotation/{name}"

    def write_request(self, number: int, request: list[Any]) -> None:
        """Write a consolidation request before its function reads it."""
        objects.write(self._s3, self.request_uri(number), json.dumps(request).encode(), "application/json")

    def write_intermediate(self, items: Sequence[Item]) -> None:
        """Write the running job's manifest: every line, labeled so far or not."""
        self._manifest(self.intermediate, items)

    def write_manifest(self, items: Sequence[Item]) -> None:
        """Write the output manifest."""
        self._manifest(self.manifest, items)

    def _manifest(self, uri: str, items: Sequence[Item]) -> None:
        text = "".join(output_line(item) + "\n" for item in items)
        objects.write(self._s3, uri, text.encode(), "application/octet-stream")

    def _json(self, path: str, body: Any) -> None:
        objects.write(
            self._s3, f"{self.base}/{path}", json.dumps(body, ensure_ascii=False).encode(), "application/json"
        )
