"""A portal on a real table and real buckets of a local cloud without stacks; each test has its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks._portal_room import Room, any_room
from menulens.local.cloud_state import CloudState
from menulens.local.hosting import free_port
from menulens.local.lifecycle import start_server, stop


@pytest.fixture(scope="session")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    state = CloudState(tmp_path_factory.mktemp("cloud"))
    try:
        yield start_server(state, port=free_port()).port
    finally:
        stop(state)


@pytest.fixture
def room(port: int) -> Room:
    return any_room(port)
