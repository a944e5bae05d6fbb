"""A person's device: a browser context with its page, and what goes wrong in it unseen."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

PHONE: Mapping[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}
SMALL_PHONE: Mapping[str, Any] = {**PHONE, "viewport": {"width": 360, "height": 640}}
DESKTOP: Mapping[str, Any] = {"viewport": {"width": 1280, "height": 800}}
SIZES: Mapping[str, Mapping[str, Any]] = {"360x640": SMALL_PHONE, "390x844": PHONE, "1280x800": DESKTOP}
Direction = Literal["left", "right", "up", "down"]

# Every breach of the content security policy and every shift of the layout, from the first byte on.
_WATCH = """
window.breaches = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.breaches.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sample}`);
});
window.shifts = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    const moved = entry.sources.map((one) => one.node?.className ?? one.node?.nodeName);
    window.shifts.push({ value: entry.value, moved, input: entry.hadRecentInput });
  }
}).observe({ type: "layout-shift", buffered: true });
"""


@dataclass
class Device:
    """One browser context with one page (``page``); tests look at it as a person would."""

    context: BrowserContext
    page: Page
    errors: list[str] = field(default_factory=list)

    # --- what is to be seen ------------------------------------------------------------------------

    @property
    def photo(self) -> Locator:
        """The shown photo; the one that is leaving is not it."""
        return self.page.locator(".layer:not(.leaving) .photo")

    @property
    def count(self) -> int:
        """The session counter."""
        return int(self.page.locator(".count").inner_text())

    def category(self, name: str) -> Locator:
        """A category's button."""
        return self.page.locator(".pad .category", has_text=name)

    def action(self, name: str) -> Locator:
        """Undo, skip, hard or report."""
        return self.page.locator(f'[data-action="{name}"]')

    def ready(self) -> None:
        """Wait until something can be answered, as long as a person takes to see it."""
        expect(self.page.locator(".work:not(.idle)")).to_be_visible(timeout=15_000)
        self.page.wait_for_timeout(260)

    def sent(self) -> None:
        """Wait until every answer is sent."""
        expect(self.page.locator(".sync.sent")).to_be_visible(timeout=20_000)

    def heard(self) -> str:
        """What a screen reader was told last."""
        return self.page.locator("#live").inner_text()

    def toast_away(self) -> None:
        """Close what was said in passing."""
        self.page.evaluate("document.querySelector('.toast')?.remove()")

    # --- fingers -----------------------------------------------------------------------------------

    def tap(self, target: Locator) -> None:
        """Tap or click."""
        if self.page.evaluate("navigator.maxTouchPoints > 0"):
            target.tap()
        else:
            target.click()

    def label(self, name: str) -> None:
        """Look at a photo and tap a category; the next photo is there afterwards."""
        self.ready()
        before = self.count
        self.tap(self.category(name))
        expect(self.page.locator(".count")).to_have_text(str(before + 1))

    def swipe(self, direction: Direction, far: int = 170, steps: int = 8) -> None:
        """Move a finger over the photo."""
        x, y = {"left": (-far, 0), "right": (far, 0), "up": (0, -far), "down": (0, far)}[direction]
        start = self._middle()
        self.fingers([[(start[0] + x * step / steps, start[1] + y * step / steps)] for step in range(steps + 1)])

    def pinch(self, before: float, after: float, steps: int = 6) -> None:
        """Move two fingers apart (or together)."""
        x, y = self._middle()
        spreads = [before + (after - before) * step / steps for step in range(steps + 1)]
        self.fingers([[(x - spread / 2, y), (x + spread / 2, y)] for spread in spreads])

    def double_tap(self) -> None:
        """Tap the photo twice."""
        self.fingers([[self._middle()]], times=2)

    def fingers(self, path: list[list[tuple[float, float]]], times: int = 1) -> None:
        """Put fingers down, move them along a path, lift them: real touch events of the browser."""
        session = self.context.new_cdp_session(self.page)

        frames = itertools.count()
        began = time.time()

        def send(kind: str, points: list[tuple[float, float]]) -> None:
            touches = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
            # The finger's own clock: a busy machine makes no slow finger of a quick one.
            event = {"type": kind, "touchPoints": touches, "timestamp": began + next(frames) * 0.016}
            session.send("Input.dispatchTouchEvent", event)

        for _ in range(times):
            send("touchStart", path[0])
            for points in path[1:]:
                send("touchMove", points)
            send("touchEnd", [])
        session.detach()

    def _middle(self) -> tuple[float, float]:
        box = self.page.locator(".stage").bounding_box()
        assert box is not None
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    # --- what must not be --------------------------------------------------------------------------

    def breaches(self) -> list[str]:
        """Breaches of the content security policy on the page as it is now."""
        found: list[str] = self.page.evaluate("window.breaches")
        return found

    def shifts(self) -> list[dict[str, Any]]:
        """Shifts of the layout that nobody's tap explains."""
        found: list[dict[str, Any]] = self.page.evaluate(
            "window.shifts.filter((one) => !one.input && one.value > 0.001)"
        )
        return found


@contextmanager
def device(browser: Browser, kind: Mapping[str, Any], *, language: str = "en", **more: Any) -> Iterator[Device]:
    """Open a device; leaving the block fails when a script failed or the content security policy was breached."""
    options = {"locale": "ja-JP" if language == "ja" else "en-GB", **kind, **more}
    context = browser.new_context(**options)
    context.set_default_timeout(20_000)
    context.add_init_script(_WATCH)
    page = context.new_page()
    one = Device(context, page)
    watch(one, page)
    try:
        yield one
        for open_page in context.pages:
            assert open_page.evaluate("window.breaches") == []
        assert one.errors == []
    finally:
        context.close()


def watch(one: Device, page: Page) -> None:
    """Keep what fails unseen on a page."""
    page.on("pageerror", lambda error: one.errors.append(f"{error}\n{error.stack}"))
    page.on("console", lambda message: one.errors.append(message.text) if matters(message.type, message.text) else None)


def matters(kind: str, text: str) -> bool:
    """Tell whether something that a console says is a fault of the page."""
    # A request that fails is a line of the console by itself; what the page makes of it is what the tests look at.
    return kind in ("error", "warning") and not text.startswith("Failed to load resource")
