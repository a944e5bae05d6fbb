"""Cleaning beyond one function's time: whether a manifest is divided, into what, and where the work in between lies."""

from __future__ import annotations

from typing import Any, Final

from menulens.core import keys
from menulens.core.manifest import Cleaned, Store
from menulens.core.partition import PART_BYTES, plan_parts

WORK_PREFIX: Final = "unfinished/"
"""Of the bucket of datasets; no rule listens there, and what lies there expires."""

ONE_FUNCTION_BYTES: Final = 2 << 30
"""What one function cleans in its 15 minutes with a margin of four: lines of no usual shape, each parsed in full, went
through at 11 MB/s on a busy core, which makes three minutes of this."""

MOST_PARTS: Final = 500
"""A part is some 120 bytes of the state, in which 256 KiB have room; a larger manifest has larger parts."""

# Environment variables of the planning function.
ONE_FUNCTION_VARIABLE: Final = "ONE_FUNCTION_BYTES"
PART_VARIABLE: Final = "PART_BYTES"


def work_folder(datasets_bucket: str, execution: str) -> str:
    """Return the folder of one execution, so that none meets another's half-done work."""
    return f"s3://{datasets_bucket}/{WORK_PREFIX}{execution}"


def plan(
    store: Store,
    manifest: str,
    work: str,
    *,
    one_function_bytes: int = ONE_FUNCTION_BYTES,
    part_bytes: int = PART_BYTES,
) -> dict[str, Any]:
    """Decide who cleans a manifest.

    Parameters
    ----------
    store, manifest
        The gateway, and the manifest's location.
    work
        The folder for what lies between the steps.
    one_function_bytes
        Up to this size one function does it all.
    part_bytes
        The size of a part, about, of a larger one.

    Returns
    -------
    dict
        ``count`` of parts, ``parts`` (empty where one function does it all), ``work``.
    """
    size = store.size(manifest)
    if size <= one_function_bytes:
        return {keys.COUNT: 1, "parts": [], "work": work}
    parts = plan_parts(store, manifest, max(part_bytes, -(-size // MOST_PARTS)))
    return {keys.COUNT: len(parts), "parts": [part.to_json() for part in parts], "work": work}


def answer(event: dict[str, Any], cleaned: Cleaned) -> dict[str, Any]:
    """Return what the machine ``clean`` gives out for a dataset, however it was made."""
    return {
        keys.ENVIRONMENT: event[keys.ENVIRONMENT],
        keys.MANIFEST: event[keys.MANIFEST],
        keys.DATASET: cleaned.dataset,
        keys.DATASET_URI: f"{cleaned.folder}/",
        **{name: cleaned.card[name] for name in ("kept", "rejected", "reasons")},
    }
