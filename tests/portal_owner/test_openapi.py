"""The owner's API holds what its OpenAPI document promises, whatever it is sent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import allow_header_conformance, unsupported_method

from menulens.portal import owner_api
from menulens.portal.context import Portal
from menulens.portal.model import Job

from . import page_server
from .conftest import Maker

schema = schemathesis.openapi.from_dict(owner_api.openapi())
ROUTES = 26
# A method that no route has never comes here: API Gateway knows the routes.
OTHER_METHODS = [unsupported_method, allow_header_conformance]


@pytest.fixture(scope="module")
def server(portal: Portal) -> Iterator[page_server.PageServer]:
    with page_server.running(portal) as found:
        yield found


@pytest.fixture(scope="module")
def job(portal: Portal) -> Job:
    make = Maker(portal)
    found = make.job(6, groups={3: 2})
    make.answer(found, "aki", "0000000", "meal")
    make.answer(found, "ben", "0000001", kind="report", problem="broken")
    return found


def should_document_every_route() -> None:
    paths = owner_api.openapi()["paths"]
    routes = [(method, path) for path, methods in paths.items() for method in methods]
    assert len(routes) == ROUTES
    assert all(path.startswith("/api/owner/jobs") for _, path in routes)
    for _, path in routes:
        for described in paths[path].values():
            assert {"200", "401", "403", "404", "422", "429"} <= set(described["responses"])


@schema.parametrize()
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def should_answer_anything_as_documented(case: Case, server: page_server.PageServer) -> None:
    case.call_and_validate(base_url=server.origin, headers=_signed_in(case), excluded_checks=OTHER_METHODS)


@schema.parametrize()
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def should_answer_about_a_job_that_is_there_as_documented(case: Case, server: page_server.PageServer, job: Job) -> None:
    for name, value in (("job", job.name), ("item", "0000002"), ("person", "aki"), ("key", "drink")):
        if name in case.path_parameters:
            case.path_parameters[name] = value
    if isinstance(case.body, dict) and "item" in case.body:
        case.body["item"] = "0000001"
    case.call_and_validate(base_url=server.origin, headers=_signed_in(case), excluded_checks=OTHER_METHODS)


def _signed_in(case: Case) -> dict[str, str]:
    # A person of its own for each route: the rate limit is another test's.
    return {"authorization": f"Bearer {page_server.token(f'{case.method}-{case.path}')}"}
