"""Tests run on two workers: the ones that share something costly stay together."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's notes on the processor are no result of a test

TESTS = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep what shares a local cloud, or a synthesized app, on one worker."""
    for item in items:
        parts = item.path.relative_to(TESTS).parts
        group = parts[0] if parts[0] in ("end_to_end", "infrastructure") else "/".join(parts)
        item.add_marker(pytest.mark.xdist_group(group))
