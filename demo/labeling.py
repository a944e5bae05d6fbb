"""The demo's labeling job, seen as its owner sees it: through the portal's API."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from demo.annotators import come_in
from menulens.client.portal import PortalClient
from menulens.cloud import Cloud
from menulens.labeling import layout
from menulens.portal import display_index
from menulens.search.store import photo_key
from menulens.storage import Storage

FIXED: Final = 3
"""Answers to each photo where the number is fixed: what the report compares with."""
_THREADS: Final = 8


@dataclass(frozen=True, slots=True)
class Effort:
    """What the labels took.

    Attributes
    ----------
    photos, shown
        Photos asked about; those of them that people were shown, since near-duplicates are shown once.
    answers
        Labels that people gave.
    contested
        Shown photos that are left for the owner to look at.
    alpha
        Krippendorff's, with its 95 % interval; None where there is nothing to tell.
    intact
        Whether every line of the log of answers is as it was written.
    """

    photos: int
    shown: int
    answers: int
    contested: int
    alpha: tuple[float, float, float] | None
    log_lines: int
    intact: bool

    @property
    def fixed(self) -> int:
        """Answers that three people for every photo would have taken."""
        return FIXED * self.photos

    @property
    def spared(self) -> float:
        """Share of those that nobody had to give."""
        return 1 - self.answers / self.fixed if self.fixed else 0.0


@dataclass
class Owner:
    """The owner's desk."""

    portal: PortalClient
    since: datetime

    @classmethod
    def come_in(cls, portal_url: str, email: str, temporary: str, since: datetime) -> Owner:
        """Sign in for the first time; jobs before ``since`` are another run's."""
        return cls(come_in(portal_url, email, temporary), since)

    def job(self) -> dict[str, Any] | None:
        """Return this run's job and how far it is; None before it is open."""
        for row in self.portal.get("/api/owner/jobs")["jobs"]:
            if began(row) >= self.since:
                found: dict[str, Any] = row
                return found
        return None

    def effort(self, job: str) -> Effort:
        """Return what a job took."""
        told = self.portal.get(f"/api/owner/jobs/{job}")
        log = self.portal.get(f"/api/owner/jobs/{job}/log/verify")
        progress, agreement = told["progress"], told["agreement"]
        alpha = None
        if agreement["alpha"] is not None and agreement["low"] is not None:
            alpha = agreement["alpha"], agreement["low"], agreement["high"]
        shown_lines = sum(count["lines"] for count in told["counts"])
        return Effort(
            shown_lines, progress["total"], progress["answers"], progress["review"], alpha, log["lines"], log["intact"]
        )


def began(row: Mapping[str, Any]) -> datetime:
    """Return when a job was created."""
    return datetime.fromisoformat(row["created_at"])


def shown_truth(cloud: Cloud, job: str, truth: Mapping[str, str]) -> dict[str, str]:
    """Return SHA-256 of each display copy of a job to the category of the photo that it shows.

    People are shown copies, not the files themselves; copies are named by the files that they were made of.
    """
    storage, bucket = Storage(cloud.client("s3")), cloud.bucket("labels")
    records = list(display_index.read(storage, display_index.index(bucket, job)))
    copies = {one["display"]: truth[photo_key(one["source_ref"])] for one in records if "display" in one}

    def digest(key: str) -> str:
        return hashlib.sha256(storage.read_bytes(f"s3://{bucket}/{key}")).hexdigest()

    with ThreadPoolExecutor(_THREADS) as pool:
        return dict(zip(pool.map(digest, copies), copies.values(), strict=True))


def output_manifest(cloud: Cloud, job: str) -> str:
    """Return where a job's labels are."""
    return layout.output_manifest(f"{layout.outputs(cloud.bucket('labels'))}{job}")
