"""Take the pictures of docs/owners.md: the real page on the real API, on composed icons (no photos).

Run: ``python -m tests.portal_owner.pictures``, where a Japanese font is installed (Debian: ``fonts-noto-cjk``).
"""

from __future__ import annotations

import io
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from PIL import Image
from playwright.sync_api import Browser

from menulens.local.cloud_state import CloudState
from menulens.local.hosting import free_port
from menulens.local.lifecycle import start_server, stop
from menulens.portal.context import portal_of
from menulens.portal.table import definition
from tests.browser.device import PHONE
from tests.browser.engine import PROJECT, chromium, require_japanese

from . import page_server, scenes
from .conftest import Maker, Session

FOLDER: Final = PROJECT / "docs" / "pictures"
HEIGHT: Final = 900
GAP: Final = 24
WIDE: Final[Mapping[str, Any]] = {"viewport": {"width": 1180, "height": 844}}


def main() -> None:
    """Write both pictures."""
    with tempfile.TemporaryDirectory() as folder:
        state = CloudState(Path(folder) / "cloud")
        state.folder.mkdir()
        (Path(folder) / "pictures").mkdir()
        try:
            session = Session(start_server(state, port=free_port()).port, state.folder)
            session.client("dynamodb").create_table(**definition("labeling"))
            buckets = [f"{room}-{uuid.uuid4().hex[:8]}" for room in ("answers", "labels")]
            for bucket in buckets:
                session.client("s3").create_bucket(Bucket=bucket)
            portal = portal_of(
                session, environment="test", table="labeling", answers_bucket=buckets[0], labels_bucket=buckets[1]
            )
            job = scenes.busy_job(Maker(portal), *scenes.pictures(Path(folder) / "pictures"))
            with page_server.running(portal) as server, chromium() as browser:
                require_japanese(browser)
                for language in ("ja", "en"):
                    address = f"{server.origin}/owner.html?job={job.name}&view="
                    shots = [
                        _shot(browser, f"{address}overview", PHONE, language),
                        _shot(browser, f"{address}review", WIDE, language),
                    ]
                    _beside(shots).save(FOLDER / f"owner-{language}.webp", quality=80, method=6)
        finally:
            stop(state)


def _shot(browser: Browser, url: str, size: Mapping[str, Any], language: str) -> Image.Image:
    context = browser.new_context(**size)
    kept = {"menulens.session": page_server.session(), "menulens.language": language, "menulens.theme": "light"}
    for name, value in kept.items():
        context.add_init_script(f"localStorage.setItem({name!r}, {value!r})")
    page = context.new_page()
    page.goto(url)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(500)
    shot = Image.open(io.BytesIO(page.screenshot()))
    context.close()
    return shot.resize((round(shot.width * HEIGHT / shot.height), HEIGHT), Image.Resampling.LANCZOS)


def _beside(shots: list[Image.Image]) -> Image.Image:
    whole = Image.new("RGB", (sum(shot.width for shot in shots) + GAP * (len(shots) + 1), HEIGHT + 2 * GAP), "#d9d2c9")
    x = GAP
    for shot in shots:
        whole.paste(shot.convert("RGB"), (x, GAP))
        x += shot.width + GAP
    return whole


if __name__ == "__main__":
    main()
