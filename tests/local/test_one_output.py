"""The same answers through both labeling providers leave the same files, field by field."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from menulens.portal import finish, jobs
from menulens.portal.model import Category, JobOptions
from menulens.settings import settings_of
from tests.local.conftest import Room, any_name
from tests.local.crowd import CATEGORIES, Crowd, Person, gather

# What each of two people says of each photo; the providers may weigh a disagreement differently.
SAID = {"aki": ("meal", "drink", "not-for-training"), "ben": ("meal", "drink", "not-for-training")}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d[:-]\d\d[:-]\d\d(\.\d+)?Z?")
_NUMBER = re.compile(r"\d{6}\.json$")
# What must differ: names, times, and a probability that each provider computes in its own way.
_FREE = {"confidence", "timeSpentInSeconds"}


@pytest.fixture(scope="module")
def made(cloud: Room) -> tuple[dict[str, Any], dict[str, Any]]:
    crowd = gather(cloud)
    lines = [*crowd.put_photos(3), json.dumps({"source-ref": f"s3://{crowd.bucket}/photos/gone.png", "genre": "ramen"})]
    passed = {
        "source-ref": f"s3://{crowd.bucket}/photos/old.png",
        "category": 1,
        "category-metadata": {"class-name": "drink", "confidence": 0.8, "human-annotated": "yes"},
    }
    lines.append(json.dumps(passed))
    by_ground_truth = crowd.start(3, lines, NumberOfHumanWorkersPerDataObject=2)
    by_portal = any_name("labels")
    _open(crowd, by_portal, lines, like=by_ground_truth)
    for name in (by_ground_truth, by_portal):
        _answer(crowd, name)
    crowd.status(by_ground_truth)
    assert jobs.conclude(crowd.portal, jobs.get(crowd.portal, by_portal)).state == "complete"
    finish.finish(crowd.portal, by_portal)
    return _files(crowd, by_ground_truth), _files(crowd, by_portal)


def _open(crowd: Crowd, name: str, lines: list[str], *, like: str) -> None:
    settings = settings_of("local")
    named = {one.key: one for one in settings.categories}
    categories = [
        Category.from_json(named[key].model_dump(mode="json")) if key in named else Category(key, key, key)
        for key in CATEGORIES
    ]
    # The index of display copies is by line of what is asked; the photos are the same ones.
    asked = crowd.portal.storage.read_bytes(f"s3://{crowd.bucket}/inputs/{like}/display.jsonl").splitlines()
    asked.append(json.dumps({"line": len(asked), "context": {}}).encode())
    crowd.put_manifest(f"{name}-index", [line.decode() for line in asked])
    jobs.create(
        crowd.portal,
        name=name,
        manifest=crowd.put_manifest(name, lines),
        display=f"s3://{crowd.bucket}/inputs/{name}-index/input.manifest",
        attribute="category",
        categories=categories,
        options=JobOptions(confidence=0.9, min_answers=2, max_answers=2, gold_share=0.0),
    )


def _answer(crowd: Crowd, job: str) -> None:
    for name, said in SAID.items():
        person = Person(crowd.portal, name)
        for task in person.tasks(job):
            assert person.answer(task, said[task.lines[0]]).status == "accepted"


def _files(crowd: Crowd, job: str) -> dict[str, Any]:
    """Return a job's files by path: the times in the paths told apart by order only."""
    listed = crowd.s3.list_objects_v2(Bucket=crowd.bucket, Prefix=f"jobs/{job}/")["Contents"]
    found: dict[str, Any] = {}
    for key in sorted(item["Key"] for item in listed):
        body = crowd.s3.get_object(Bucket=crowd.bucket, Key=key)["Body"].read().decode().replace(job, "JOB")
        path = _TIME.sub("TIME", key.removeprefix(f"jobs/{job}/"))
        if "/consolidation-re" in path:
            # Objects are consolidated as they come, in as many files as it takes.
            path = _NUMBER.sub("NUMBER.json", path)
            found[path] = sorted([*found.get(path, []), *json.loads(body)], key=lambda one: str(one["datasetObjectId"]))
            continue
        assert path not in found, path
        if path.endswith(".manifest"):
            found[path] = [json.loads(line) for line in body.splitlines()]
        elif path != "card.json":  # the portal's: what the output was made of
            found[path] = json.loads(body)
    return found


def _shape(value: Any, key: str = "") -> Any:
    """Return a value with its types in place of what may differ."""
    if isinstance(value, dict):
        return {name: _shape(one, name) for name, one in value.items()}
    if isinstance(value, list):
        return [_shape(one, key) for one in value]
    if isinstance(value, str):
        if value.startswith("{"):
            return _shape(json.loads(value))
        return _TIME.sub(lambda match: re.sub(r"\d", "0", match[0]), value)
    if key in _FREE:
        return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else value
    return value


def should_leave_the_same_files(made: tuple[dict[str, Any], dict[str, Any]]) -> None:
    assert list(made[0]) == list(made[1])
    assert "manifests/output/output.manifest" in made[0]
    assert sum(path.startswith("annotations/worker-response/") for path in made[0]) == 3


@pytest.mark.parametrize(
    "part", ["manifests/", "worker-response/", "consolidation-request/", "consolidation-response/"]
)
def should_agree_in_every_field(made: tuple[dict[str, Any], dict[str, Any]], part: str) -> None:
    ground_truth, portal = ({path: body for path, body in files.items() if part in path} for files in made)
    assert ground_truth
    for path, body in ground_truth.items():
        assert _shape(portal[path]) == _shape(body), path
        assert json.dumps(_shape(portal[path])) == json.dumps(_shape(body)), f"{path}: the order of keys differs"


def should_agree_in_the_running_jobs_manifest(made: tuple[dict[str, Any], dict[str, Any]]) -> None:
    path = "annotations/intermediate/1/annotations.manifest"
    assert _shape(made[0][path]) == _shape(made[1][path])
