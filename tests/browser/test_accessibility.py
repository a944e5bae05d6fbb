"""Everybody can use it: by keyboard, by ear, with large letters, without motion, in light and dark."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Opens
from tests.browser.desks import ContractDesk, Photo
from tests.browser.device import DESKTOP, PHONE, SIZES, SMALL_PHONE, Device
from tests.browser.engine import AXE
from tests.browser.test_labeling import start

SERIOUS = ("serious", "critical")
SMALLEST_TARGET = 44  # CSS pixels, as Apple's guidelines and WCAG 2.5.5 have it


def faults(one: Device) -> list[str]:
    """What axe-core finds serious on the page as it is now."""
    one.page.wait_for_timeout(250)  # what moves in has arrived, and is not half transparent any more
    one.page.evaluate(AXE.read_text(encoding="utf-8"))
    found: dict[str, Any] = one.page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{fault['id']}: {node['target']}: {node['failureSummary']}"
        for fault in found["violations"]
        if fault["impact"] in SERIOUS
        for node in fault["nodes"]
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("size", "language"), [("360x640", "ja"), ("1280x800", "en")])
def should_have_nothing_serious_in_any_state(
    contract: ContractDesk,
    opens: Opens,
    pictures: list[Photo],
    size: str,
    language: str,
    theme: Literal["light", "dark"],
) -> None:
    job = contract.photos([pictures[0], pictures[0], *pictures[1:12]])
    contract.texts(["自家製レモンサワー"])
    with opens(SIZES[size], language=language, color_scheme=theme, reduced_motion="reduce") as one:
        one.page.goto(contract.url)
        assert faults(one) == [], "welcome"
        one.tap(one.page.locator("button.primary"))
        expect(one.page.locator(".job")).to_have_count(2)
        assert faults(one) == [], "jobs"
        one.page.goto(f"{contract.url}/?job={job}")
        one.ready()
        assert faults(one) == [], "work, with the first-time note"
        one.toast_away()
        one.page.locator(".pad .category").first.click()
        one.ready()
        one.action("undo").click()
        assert faults(one) == [], "undone"
        one.action("hard").click()
        one.page.locator(".pad .category").nth(1).click()
        assert faults(one) == [], "second choice"
        one.page.keyboard.press("Escape")
        one.action("report").click()
        assert faults(one) == [], "report"
        one.page.keyboard.press("Escape")
        one.page.locator(".rules").click()
        assert faults(one) == [], "rules"
        one.page.keyboard.press("Escape")
        one.page.locator(".bar .icon").last.click()
        assert faults(one) == [], "menu"
        one.page.keyboard.press("Escape")
        one.page.locator(".bar .icon").first.click()
        assert faults(one) == [], "pause"


def should_be_usable_by_tab_and_space_alone_without_losing_the_focus(
    contract: ContractDesk, opens: Opens, pictures: list[Photo]
) -> None:
    job = contract.photos(pictures[:8])
    with opens(DESKTOP) as one:
        start(one, contract, job)
        one.page.evaluate("document.activeElement.blur()")
        press = one.page.keyboard.press

        def focus() -> str:
            text: str = one.page.evaluate(
                "document.activeElement.getAttribute('aria-label') ?? document.activeElement.innerText"
            )
            return text

        order = []
        for _ in range(12):
            press("Tab")
            order.append(focus().split("\n")[-2] if "\n" in focus() else focus())
        assert order[0] == "Pause"
        assert order[3:9] == ["Meal", "Sweets", "Drink", "Fruit", "Vegetable", "Not for training"]
        one.page.locator(".category").nth(2).focus()
        for _ in range(2):
            one.ready()
            press("Space")
        one.ready()
        assert "Drink" in focus(), "the focus stays where it was"
        one.action("undo").focus()
        press("Enter")
        press("Enter")
        one.page.wait_for_timeout(200)
        assert one.page.evaluate("document.activeElement !== document.body"), (
            "undo was the last one: the focus went nowhere"
        )
        one.action("report").focus()
        press("Enter")
        press("Escape")
        assert "Report" in focus(), "the focus comes back from a sheet"
        one.page.get_by_role("button", name="Pause").focus()
        press("Enter")
        one.page.locator(".panel .primary").focus()
        press("Enter")
        assert one.page.evaluate("document.activeElement !== document.body")
        one.sent()
    assert [answer["category"] for answer in contract.answers(job)] == ["drink", "drink"]


def should_tell_by_ear_what_was_said_and_what_comes(
    contract: ContractDesk, opens: Opens, pictures: list[Photo]
) -> None:
    job = contract.photos(pictures[:6])
    with opens(PHONE, language="ja") as one:
        start(one, contract, job)
        one.label("料理")
        assert one.heard() == "料理。 写真 2. ジャンル: 和食. メニュー: 季節のパフェ 1."
        one.ready()
        one.tap(one.action("undo"))
        expect(one.page.locator("#live")).to_have_text("写真1に戻りました。前の回答: 料理。")
        one.ready()
        one.tap(one.action("hard"))
        expect(one.page.locator("#live")).to_have_text("いちばん近いのは？")
        one.context.set_offline(True)
        one.tap(one.category("飲み物"))
        one.tap(one.category("果物"))
        expect(one.page.locator("#live")).to_contain_text("ネットワークなし")
        assert one.photo.get_attribute("alt") == "写真 2"


def should_have_no_single_key_shortcuts_for_who_switches_them_off(
    contract: ContractDesk, opens: Opens, pictures: list[Photo]
) -> None:
    job = contract.photos(pictures[:4])
    with opens(DESKTOP) as one:
        start(one, contract, job)
        one.page.get_by_role("button", name="Menu").click()
        one.page.get_by_role("button", name="Off").click()
        one.page.keyboard.press("Escape")
        one.page.keyboard.press("1")
        one.page.wait_for_timeout(300)
        assert one.count == 0


@pytest.mark.parametrize("language", ["ja", "en"])
def should_have_targets_that_a_thumb_hits_within_the_screen(
    contract: ContractDesk, opens: Opens, pictures: list[Photo], language: str
) -> None:
    job = contract.photos(pictures[:3])
    with opens(SMALL_PHONE, language=language) as one:
        start(one, contract, job)
        boxes = one.page.locator(".work button:visible").evaluate_all(
            "all => all.map((one) => [one.innerText, one.getBoundingClientRect().toJSON()])"
        )
        assert len(boxes) == 13
        for name, box in boxes:
            assert min(box["width"], box["height"]) >= SMALLEST_TARGET, name
            assert box["left"] >= 0, name
            assert box["right"] <= 360, name
            assert box["bottom"] <= 640, name
        cut = one.page.locator(".category .name, .action .label").evaluate_all(
            "all => all.filter((one) => one.clientWidth && one.scrollWidth > one.clientWidth + 1)"
            ".map((one) => one.innerText)"
        )
        assert cut == []
        stage = one.page.locator(".stage").bounding_box()
        assert stage is not None
        assert stage["height"] > 0.45 * 640


@pytest.mark.parametrize(
    "viewport",
    [{"width": 640, "height": 400}, {"width": 320, "height": 512}, {"width": 844, "height": 390}],
    ids=["desktop at 200 %", "narrow phone", "phone on its side"],
)
def should_stay_usable_when_everything_is_large(
    contract: ContractDesk, opens: Opens, pictures: list[Photo], viewport: dict[str, int]
) -> None:
    job = contract.photos(pictures[:6])
    with opens({"viewport": viewport}) as one:
        start(one, contract, job)
        assert one.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"
        for name in ("Meal", "Not for training"):
            one.ready()
            one.category(name).click()
        stage = one.page.locator(".stage").bounding_box()
        assert stage is not None
        assert stage["height"] >= 120
        assert stage["width"] >= 120
        one.ready()
        one.action("hard").click()
        one.category("Drink").click()
        one.page.get_by_role("button", name="Nothing else").click()
        expect(one.page.locator(".count")).to_have_text("3")


def should_keep_still_for_who_wants_no_motion(contract: ContractDesk, opens: Opens, pictures: list[Photo]) -> None:
    job = contract.photos(pictures[:4])
    with opens(PHONE, reduced_motion="reduce") as one:
        start(one, contract, job)
        one.page.evaluate(
            "document.addEventListener('animationstart', (event) => {"
            "window.longest = parseFloat(getComputedStyle(event.target).animationDuration); })"
        )
        one.label("Meal")
        one.ready()
        assert one.page.evaluate("window.longest ?? 0") < 0.01
