"""Take the pictures of docs/annotators.md: screenshots of the real page at work on composed icons (no photos).

Run: ``python -m tests.browser.pictures``, where a Japanese font is installed (Debian: ``fonts-noto-cjk``). The files
are small WebP; the page's version decides what is on them.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.sync_api import Browser

from tests.browser import menu
from tests.browser.contract_server import ContractServer
from tests.browser.desks import ContractDesk, Photo
from tests.browser.device import DESKTOP, SMALL_PHONE, Device, device
from tests.browser.engine import PROJECT, chromium, require_japanese

FOLDER: Final = PROJECT / "docs" / "pictures"
HEIGHT: Final = 960  # pixels of a phone's picture
GAP: Final = 24


def main() -> None:
    """Write all pictures."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        require_japanese(browser)
        for language in ("ja", "en"):
            photos = menu.photos(Path(folder), language)
            with ContractServer().running() as server:
                _phone(browser, ContractDesk(server), photos, language)
            with ContractServer().running() as server:
                _desktop(browser, ContractDesk(server), photos, language)


def _phone(browser: Browser, desk: ContractDesk, photos: list[Photo], language: str) -> None:
    job = desk.photos([photos[0], photos[1], photos[1], photos[1], *photos[2:]])
    desk.server.jobs[job].definition["categories"][1]["example"] = f"/api/photos/{job}/0000000"
    with device(browser, SMALL_PHONE, language=language) as one:
        one.page.goto(f"{desk.url}/?job={job}")
        sign_in = _shot(one)
        one.tap(one.page.locator("button.primary"))
        one.ready()
        one.toast_away()
        work = _shot(one)
        one.page.locator(".category").nth(1).tap()
        one.ready()
        group = _shot(one)
        box = one.page.locator(".stage").bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        session = one.context.new_cdp_session(one.page)
        for kind, points in (("touchStart", [(x, y)]), ("touchMove", [(x - 30, y)]), ("touchMove", [(x - 110, y + 8)])):
            touches = [{"x": at[0], "y": at[1]} for at in points]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})
        swipe = _shot(one)
        session.send("Input.dispatchTouchEvent", {"type": "touchCancel", "touchPoints": []})
        one.action("hard").tap()
        one.page.locator(".category").nth(1).tap()
        hard = _shot(one)
        one.action("hard").tap()
        one.page.locator(".rules").tap()
        one.page.wait_for_timeout(500)
        rules = _shot(one)
        one.page.keyboard.press("Escape")
        one.action("report").tap()
        report = _shot(one)
        one.page.keyboard.press("Escape")
        one.action("undo").tap()
        undo = _shot(one)
        one.ready()
        one.context.set_offline(True)
        for place in (1, 0, 2):
            one.ready()
            one.page.locator(".category").nth(place).tap()
        one.page.wait_for_timeout(600)
        offline = _shot(one)
        one.context.set_offline(False)
        one.page.evaluate("document.documentElement.dataset.theme = 'dark'")
        one.sent()
        one.ready()
        dark = _shot(one)
        one.page.locator(".bar .icon").first.tap()
        pause = _shot(one)
    _save(f"label-{language}", work, swipe, group)
    _save(f"doubt-{language}", hard, report, undo)
    _save(f"start-{language}", sign_in, rules)
    _save(f"train-{language}", offline, dark, pause)


def _desktop(browser: Browser, desk: ContractDesk, photos: list[Photo], language: str) -> None:
    job = desk.photos(photos[:20])
    with device(browser, DESKTOP, language=language) as one:
        one.page.goto(f"{desk.url}/?job={job}")
        one.page.locator("button.primary").click()
        one.ready()
        one.toast_away()
        one.page.mouse.move(5, 5)
        _save(f"desktop-{language}", _shot(one), height=800)


def _shot(one: Device) -> Image.Image:
    one.page.wait_for_timeout(350)
    return Image.open(io.BytesIO(one.page.screenshot())).convert("RGB")


def _save(name: str, *shots: Image.Image, height: int = HEIGHT) -> None:
    """Put screenshots side by side, with a thin frame around each, and save them small."""
    scaled = [
        shot.resize((round(shot.width * height / shot.height), height), Image.Resampling.LANCZOS) for shot in shots
    ]
    width = sum(shot.width for shot in scaled) + GAP * (len(scaled) + 1)
    sheet = Image.new("RGB", (width, height + 2 * GAP), "#d9d2c8")
    left = GAP
    for shot in scaled:
        sheet.paste("#8d8075", (left - 1, GAP - 1, left + shot.width + 1, GAP + height + 1))
        sheet.paste(shot, (left, GAP))
        left += shot.width + GAP
    sheet.save(FOLDER / f"{name}.webp", quality=72, method=6)


if __name__ == "__main__":
    main()
