"""The API against its own OpenAPI document: schemathesis sends what it allows, and what it does not."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import boto3
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import allow_header_conformance, ignored_auth, negative_data_rejection, unsupported_method

from benchmarks._portal_room import ANNOTATORS, Room, any_room
from benchmarks._portal_worker import load, serve, token_of
from menulens.local.hosting import free_port
from menulens.portal import api
from menulens.portal.model import JobOptions
from tests.portal.killing import API
from tests.portal.people import Annotator, any_id

schema = schemathesis.openapi.from_dict(api.openapi())
# API Gateway sends every method here; one that no route has is answered as a path that is not there.
# A token goes with each request here; what comes without one is another test's.
NOT_HERE = [unsupported_method, allow_header_conformance, ignored_auth]


@dataclass
class Served:
    """The deployed handler behind HTTP."""

    origin: str
    room: Room
    job: str
    person: Annotator
    seen: Counter[int] = field(default_factory=Counter)


@pytest.fixture(scope="module")
def served(port: int) -> Iterator[Served]:
    room = any_room(port)
    before = dict(os.environ)
    os.environ.update(room.variables())
    boto3.setup_default_session()
    try:
        own = free_port()
        threading.Thread(target=serve, args=(load(str(API)), own), daemon=True).start()
        job = room.job(items=300, options=JobOptions(gold_share=0.0))
        person = Annotator(room, job.name)
        person.lease(5)
        yield Served(f"http://127.0.0.1:{own}", room, job.name, person)
    finally:
        os.environ.clear()
        os.environ.update(before)
        boto3.setup_default_session()


def should_describe_every_route() -> None:
    document = api.openapi()
    assert document["openapi"].startswith("3.1")
    assert {(method, path) for path, methods in document["paths"].items() for method in methods} == {
        ("get", "/api/health"),
        ("get", "/api/me"),
        ("get", "/api/jobs/{job}"),
        ("post", "/api/jobs/{job}/leases"),
        ("delete", "/api/jobs/{job}/leases"),
        ("post", "/api/jobs/{job}/answers"),
        ("get", "/api/photos/{token}"),
        *((method, "/api/account/second-factor") for method in ("get", "post", "put", "delete")),
    }
    assert json.loads(json.dumps(document)) == document


@schema.parametrize()
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def should_answer_anything_as_documented(case: Case, served: Served) -> None:
    # Someone new each time: who asks for what is not there is soon locked out.
    headers = {"authorization": f"Bearer {token_of(any_id(), ANNOTATORS)}"}
    case.call_and_validate(base_url=served.origin, headers=headers, excluded_checks=NOT_HERE)


@schema.include(path_regex="/api/jobs/").parametrize()
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def should_answer_about_a_job_that_is_there_as_documented(case: Case, served: Served) -> None:
    case.path_parameters["job"] = served.job
    headers = {"authorization": f"Bearer {token_of(served.person.id, ANNOTATORS)}"}
    # What was wrong with the job's name is put right here.
    unchecked = [*NOT_HERE, negative_data_rejection]
    answer = case.call_and_validate(base_url=served.origin, headers=headers, excluded_checks=unchecked)
    served.seen[answer.status_code] += 1


def should_not_have_refused_all_alike(served: Served) -> None:
    # Of the test before. What it sends depends on the modules that are loaded, so no more is said of how many.
    assert served.seen[200] > 0
    assert set(served.seen) <= {200, 401, 404, 415, 422, 429}
