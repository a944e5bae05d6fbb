"""Portal jobs as every labeling job is described: what locating, resuming and snapshots know of one."""

from __future__ import annotations

from typing import Final

from menulens.labeling import layout
from menulens.labeling.jobs import Finder
from menulens.labeling.jobs import Job as LabelingJob
from menulens.portal.context import Portal
from menulens.portal.model import seconds
from menulens.portal.reading import find
from menulens.storage import join

_STATUS: Final = {
    "creating": "Initializing",
    "open": "InProgress",
    "paused": "InProgress",
    "stopped": "Stopped",
    "complete": "Completed",
}


def finder(portal: Portal) -> Finder:
    """Return what looks for jobs of the portal."""
    return lambda name: describe(portal, name)


def describe(portal: Portal, name: str) -> LabelingJob | None:
    """Return a portal job as Ground Truth would describe it; None if there is none of this name.

    A job counts as running until its output is written. One whose output is its caller's is the caller's to describe.
    """
    job = find(portal, name)
    if job is None or job.output == "caller":
        return None
    output = join(layout.outputs(portal.labels_bucket), job.name)
    status = "Stopping" if job.finish_due else _STATUS[job.state]
    return LabelingJob(
        name=job.name,
        status=status,
        label_attribute=job.attribute,
        # A job of this name that was made from another input could not have been opened.
        input_manifest=f"{layout.inputs(portal.labels_bucket, job.name)}/{layout.INPUT_MANIFEST}",
        output=output,
        manifest=layout.output_manifest(output) if status in ("Stopped", "Completed") else None,
        reason="",
        age=max(0.0, portal.clock() - seconds(job.created_at)),
        kind=job.kind,
    )
