"""Cleaning in memory, for tests."""

import json
from typing import Any

from menulens.core.manifest import Cleaned, clean
from menulens.core.rules import CleaningRules
from tests.unit.core.generators.manifests import MemoryStore, any_rules


def run(data: bytes, rules: CleaningRules | None = None, **options: Any) -> tuple[MemoryStore, Cleaned]:
    store = MemoryStore(**{"in.manifest": data})
    return store, clean("in.manifest", rules or any_rules(), "out", store=store, **options)


def rejects(store: MemoryStore) -> dict[int, dict[str, Any]]:
    return {told["line"]: told for told in map(json.loads, store.objects["out/rejects.jsonl"].split(b"\n")[:-1])}
