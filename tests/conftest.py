"""Tests run on two workers: the ones that share something costly stay together."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's notes on the processor are no result of a test

TESTS = Path(__file__).parent
CLOUD = "end_to_end"


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in this hook, too
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep what shares a local cloud, or a synthesized app, on one worker; what takes longest begins first."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    items.sort(key=lambda item: _group(item) != CLOUD)


def _group(item: pytest.Item) -> str:
    parts = item.path.relative_to(TESTS).parts
    if parts[0] == CLOUD or item.name.endswith("[deployed]"):
        return CLOUD
    return parts[0] if parts[0] == "infrastructure" else "/".join(parts)
