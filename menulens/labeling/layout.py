"""Where labeling keeps what: every place in the labels bucket, spelled once."""

from __future__ import annotations

from typing import Final

INPUTS: Final = "inputs/"
JOBS: Final = "jobs/"
MERGED: Final = "merged/"
SNAPSHOTS: Final = "snapshots/"
RESCUED: Final = "rescued/"

INPUT_MANIFEST: Final = "input.manifest"
CATEGORIES: Final = "categories.json"
TEMPLATE: Final = "template.liquid.html"
OUTPUT_MANIFEST: Final = "output.manifest"


def inputs(bucket: str, job: str) -> str:
    """Return the folder of what a job is given."""
    return f"s3://{bucket}/{INPUTS}{job}"


def input_card(bucket: str, job: str) -> str:
    """Return the card that says what a job was made from; written last."""
    return f"{inputs(bucket, job)}/card.json"


def outputs(bucket: str) -> str:
    """Return the output path that every job gets; a job writes below ``<path><job>/``."""
    return f"s3://{bucket}/{JOBS}"


def output_manifest(job_output: str) -> str:
    """Return where Ground Truth writes a job's manifest."""
    return f"{job_output}/manifests/output/{OUTPUT_MANIFEST}"


def intermediate_folders(job_output: str) -> tuple[str, ...]:
    """Return where a running job's manifests are, one file an iteration."""
    return f"{job_output}/annotations/intermediate/", f"{job_output}/manifests/intermediate/"


def merged_manifest(bucket: str, job: str) -> str:
    """Return where the labels of a resumed job and of those before it come together."""
    return f"s3://{bucket}/{MERGED}{job}/{OUTPUT_MANIFEST}"


def chained_manifest(bucket: str, job: str) -> str:
    """Return where the same labels come together for the job that goes on from it, merged or not."""
    return f"{inputs(bucket, job)}/chained.manifest"


def snapshot_manifest(bucket: str, job: str, digest: str) -> str:
    """Return where a running job's labels are kept as they were at one moment."""
    return f"s3://{bucket}/{SNAPSHOTS}{job}-{digest[:12]}/{OUTPUT_MANIFEST}"


def rescued_manifest(bucket: str, job: str) -> str:
    """Return where the labels of a failed job that left no manifest are brought together."""
    return f"s3://{bucket}/{RESCUED}{job}/{OUTPUT_MANIFEST}"
