"""What bringing up a local cloud leaves, and what it keeps for the next one."""

from __future__ import annotations

import json

from tests.end_to_end.cloud import Site


def should_unpack_the_cdk_once_for_all_local_clouds(site: Site) -> None:
    synthesized = json.loads((site.state / "cdk.out" / "manifest.json").read_text())
    assert synthesized["artifacts"]
    assert not (site.state / "home" / ".cache" / "aws").exists()
