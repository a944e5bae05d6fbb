"""A portal on a real table and real buckets of a local cloud without stacks; each test has its own."""

from __future__ import annotations

import pytest

from benchmarks._portal_room import Room, any_room


@pytest.fixture
def room(port: int) -> Room:
    return any_room(port)
