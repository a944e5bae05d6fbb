"""Tests run on two workers: the ones that share something costly stay together."""

from pathlib import Path

import pytest

TESTS = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep what shares a local cloud, or a synthesized app, on one worker."""
    for item in items:
        parts = item.path.relative_to(TESTS).parts
        group = parts[0] if parts[0] in ("end_to_end", "infrastructure") else "/".join(parts)
        item.add_marker(pytest.mark.xdist_group(group))
