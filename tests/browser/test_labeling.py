"""What a person does on the page, and which answers come of it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser.conftest import Opens
from tests.browser.desks import Desk, Photo
from tests.browser.device import DESKTOP, PHONE, SMALL_PHONE, Device

LOG = logging.getLogger(__name__)  # figures; shown by --log-cli-level=info
MOST_TRANSFER = 150 * 1000  # bytes before the first photo
HELD = 13  # photos: the shown one, and those for a tunnel


def start(one: Device, desk: Desk, job: str) -> None:
    """Open a job's link, sign in, and wait for the first photo."""
    one.page.goto(f"{desk.url}/?job={job}")
    one.tap(one.page.locator("button.primary"))
    desk.sign_in(one.page)
    one.ready()
    one.toast_away()


def until(one: Device, look: Callable[[], object]) -> None:
    """Wait for what the server gets to know."""
    for _ in range(100):
        if look():
            return
        one.page.wait_for_timeout(100)
    raise AssertionError("the server does not get to know of it")


def said(answers: list[dict], *names: str) -> list[tuple]:
    return [tuple(answer.get(name) for name in names) for answer in answers]


def encoded(photo: Photo, quality: int) -> Photo:
    """The same picture in other bytes, as sites keep it in several sizes and qualities."""
    body = io.BytesIO()
    Image.open(io.BytesIO(photo.content)).convert("RGB").save(body, "JPEG", quality=quality)
    return Photo(body.getvalue(), photo.context, scene="the same")


def should_label_by_tap_and_swipe_on_a_phone(desk: Desk, opens: Opens, pictures: list[Photo]) -> None:
    job = desk.photos(pictures[:8])
    with opens(SMALL_PHONE) as one:
        start(one, desk, job)
        one.label("Meal")
        one.label("Not for training")
        for direction, far in (("left", 170), ("up", 170), ("right", 60)):  # the last one is a flick
            one.ready()
            before = one.count
            one.swipe(direction, far, steps=8 if far > 100 else 2)
            expect(one.page.locator(".count")).to_have_text(str(before + 1))
        one.ready()
        shown = one.photo.get_attribute("src")
        one.swipe("down")
        expect(one.photo).not_to_have_attribute("src", shown)
        one.sent()
        assert one.shifts() == []
    assert said(desk.answers(job), "kind", "category") == [
        ("label", "meal"),
        ("label", "not-for-training"),
        ("label", "meal"),
        ("label", "sweets"),
        ("label", "drink"),
        ("skip", None),
    ]


def should_do_nothing_when_a_swipe_is_taken_back(contract: Desk, opens: Opens, pictures: list[Photo]) -> None:
    job = contract.photos(pictures[:3])
    with opens(PHONE) as one:
        start(one, contract, job)
        shown = one.photo.get_attribute("src")
        one.swipe("left", 30, steps=6)
        one.page.wait_for_timeout(300)
        assert one.photo.get_attribute("src") == shown
        assert one.page.locator(".preview").is_hidden()
    assert contract.answers(job) == []


def should_label_by_keys_on_a_desktop(desk: Desk, opens: Opens, pictures: list[Photo]) -> None:
    job = desk.photos(pictures[:12])
    with opens(DESKTOP) as one:
        start(one, desk, job)
        press = one.page.keyboard.press
        counts = one.page.locator(".count")
        for keys, count in (
            (["1"], 1),
            (["5"], 2),
            (["x"], 3),
            (["s"], 3),
            (["h", "2", "3"], 4),
            (["h", "4", "Enter"], 5),
        ):
            one.ready()
            shown = one.photo.get_attribute("src")
            for key in keys:
                press(key)
            expect(counts).to_have_text(str(count))
            expect(one.photo).not_to_have_attribute("src", shown)
        one.ready()
        press("r")
        one.page.get_by_role("button", name="Broken").click()
        expect(counts).to_have_text("6")
        one.ready()
        press("?")
        expect(one.page.get_by_role("dialog")).to_contain_text("The categories")
        press("1")  # keys label nothing while a sheet is open
        press("Escape")
        press("Space")
        expect(one.page.locator(".stage.zoomed")).to_be_visible()
        press("Space")
        expect(one.page.locator(".stage.zoomed")).to_have_count(0)
        press("z")
        expect(counts).to_have_text("5")
        one.ready()
        press("3")
        expect(counts).to_have_text("6")
        one.sent()
    answers = desk.answers(job)
    assert said(answers, "kind", "category", "second", "problem") == [
        ("label", "meal", None, None),
        ("label", "vegetable", None, None),
        ("label", "not-for-training", None, None),
        ("skip", None, None, None),
        ("hard", "sweets", "drink", None),
        ("hard", "fruit", None, None),
        ("report", None, None, "broken"),
        ("label", "drink", None, None),
    ]
    assert answers[-1]["replaces"] == answers[-2]["id"]
    assert answers[-1]["item"] == answers[-2]["item"]
    assert len({answer["item"] for answer in answers}) == 7


def should_undo_several_steps_and_send_only_what_changed(contract: Desk, opens: Opens, pictures: list[Photo]) -> None:
    job = contract.photos(pictures[:8])
    with opens(PHONE) as one:
        start(one, contract, job)
        expect(one.action("undo")).to_be_disabled()
        for name in ("Meal", "Sweets", "Drink", "Fruit"):
            one.label(name)
        one.ready()
        for name in ("Fruit", "Drink", "Sweets"):
            one.tap(one.action("undo"))
            expect(one.page.locator(".category.was")).to_contain_text(name)
        assert one.count == 1
        one.label("Vegetable")  # was Sweets
        one.label("Drink")  # as it was
        one.label("Fruit")  # as it was
        one.sent()
    answers = contract.answers(job)
    assert said(answers, "category") == [("meal",), ("sweets",), ("drink",), ("fruit",), ("vegetable",)]
    assert answers[4]["replaces"] == answers[1]["id"]


def should_lose_nothing_offline_over_a_reload_and_send_each_answer_once(
    contract: Desk, opens: Opens, pictures: list[Photo]
) -> None:
    job = contract.photos(pictures[:20])
    given = ["Meal", "Sweets", "Drink", "Fruit", "Vegetable", "Meal", "Drink", "Sweets"]
    with opens(PHONE) as one:
        start(one, contract, job)
        one.page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        for name in given[:2]:
            one.label(name)
        one.sent()
        one.page.wait_for_timeout(1500)  # photos ahead arrive
        one.context.set_offline(True)
        for name in given[2:5]:
            one.label(name)
        expect(one.page.locator(".sync.offline")).to_contain_text("3")
        one.page.reload()
        one.ready()
        assert one.count == 5
        expect(one.page.locator(".sync.offline")).to_contain_text("3")
        for name in given[5:]:
            one.label(name)
        expect(one.page.locator(".sync.offline")).to_contain_text("6")
        one.context.set_offline(False)
        one.sent()
        one.ready()
    answers = contract.answers(job)
    assert said(answers, "category") == [(name.lower(),) for name in given]
    assert len({answer["id"] for answer in answers}) == len({answer["item"] for answer in answers}) == len(given)


def should_transfer_little_before_the_first_photo(desk: Desk, opens: Opens, pictures: list[Photo]) -> None:
    job = desk.photos(pictures[:8])
    with opens(PHONE) as one:
        session = one.context.new_cdp_session(one.page)
        session.send("Network.enable")
        urls: dict[str, str] = {}
        sizes: dict[str, int] = {}
        session.on("Network.requestWillBeSent", lambda it: urls.setdefault(it["requestId"], it["request"]["url"]))
        session.on("Network.loadingFinished", lambda it: sizes.setdefault(it["requestId"], it["encodedDataLength"]))
        start(one, desk, job)
        # The sign-in's own pages are not ours; a photo is what it is.
        others = ("/api/photos/", "/oauth2/", "/login", "/sign-in")
        page_only = {urls[key]: size for key, size in sizes.items() if not any(part in urls[key] for part in others)}
    total = sum(page_only.values())
    LOG.info("before the first photo: %.0f kB in %d files", total / 1000, len(page_only))
    assert len(page_only) > 15
    assert total < MOST_TRANSFER


def should_label_texts_on_the_same_page(desk: Desk, opens: Opens) -> None:
    texts = ["自家製レモンサワー", "炙りサーモンといくらの親子丼", "Tiramisu"]
    job = desk.texts(texts)
    with opens(PHONE, language="ja") as one:
        start(one, desk, job)
        seen = []
        for name in ("飲み物", "料理", "スイーツ"):
            one.ready()
            seen.append(one.page.locator(".layer:not(.leaving) .text-item").inner_text())
            one.label(name)
        one.sent()
    assert sorted(seen) == sorted(texts)
    assert {answer["category"] for answer in desk.answers(job)} == {"drink", "meal", "sweets"}


def should_show_photos_alike_once(desk: Desk, opens: Opens, pictures: list[Photo]) -> None:
    job = desk.photos([*(encoded(pictures[0], quality) for quality in (92, 80, 70)), pictures[1]])
    with opens(PHONE) as one:
        start(one, desk, job)
        together = []
        for _ in range(2):
            one.ready()
            chip = one.page.locator(".together")
            together.append(chip.inner_text() if chip.is_visible() else "")
            one.label("Meal")
        one.sent()
    assert sorted(together) == ["", "3 photos alike"]
    assert len(desk.answers(job)) == 2


def should_show_names_and_context_as_text_never_as_code(desk: Desk, opens: Opens, pictures: list[Photo]) -> None:
    evil = "<img src=x onerror=window.hit=1><script>window.hit=1</script>'\"&lt;"
    job = desk.photos([Photo(pictures[0].content, {"genre": evil, "menu-text": f"{evil}2"}), *pictures[1:3]])
    texts = desk.texts([evil])
    with opens(DESKTOP) as one:
        start(one, desk, job)
        seen = []
        for _ in range(3):
            one.ready()
            seen.append(one.page.locator(".context dd").first.inner_text())
            one.label("Meal")
        assert any("<img src=x onerror" in text for text in seen)
        one.page.goto(f"{desk.url}/?job={texts}")
        one.ready()
        expect(one.page.locator(".text-item")).to_have_text(evil)
        assert one.page.evaluate("window.hit") is None
        assert one.page.locator(".work script, .text-item img, .context img").count() == 0


def should_keep_the_place_in_a_pause_and_hand_back_the_rest(
    contract: Desk, opens: Opens, pictures: list[Photo]
) -> None:
    job = contract.photos(pictures[:20])
    with opens(PHONE) as one:
        start(one, contract, job)
        one.label("Meal")
        one.sent()
        one.ready()
        [answered] = contract.answers(job)
        until(one, lambda: len(set(contract.server.jobs[job].leased) - {answered["item"]}) == HELD)
        one.page.wait_for_timeout(800)
        held = set(contract.server.jobs[job].leased) - {answered["item"]}
        shown = one.photo.get_attribute("src")
        one.tap(one.page.get_by_role("button", name="Pause"))
        expect(one.page.locator(".panel")).to_contain_text("Take your time")
        expect(one.page.locator(".figures")).to_contain_text("Session")
        until(one, lambda: contract.server.handed_back)
        back = set(contract.server.handed_back)
        assert back < held
        assert len(held - back) == 1, "the shown photo is the place, and stays"
        one.page.keyboard.press("1")  # nothing is answered in a pause
        one.tap(one.page.locator(".panel .primary"))
        one.ready()
        assert one.photo.get_attribute("src") == shown
        one.label("Drink")
        one.sent()
    assert said(contract.answers(job), "category") == [("meal",), ("drink",)]


def should_lead_to_the_job_of_the_link_after_sign_in_and_out(desk: Desk, opens: Opens, pictures: list[Photo]) -> None:
    job = desk.photos(pictures[:3])
    with opens(PHONE) as one:
        start(one, desk, job)
        assert one.page.url == f"{desk.url}/?job={job}"
        one.tap(one.page.get_by_role("button", name="Menu"))
        one.tap(one.page.get_by_role("button", name="Sign out"))
        expect(one.page.get_by_role("button", name="Sign in", exact=True)).to_be_visible()
        kept = one.page.evaluate("JSON.stringify(localStorage)")
        assert "token" not in json.dumps(kept)


def should_remember_language_and_theme(contract: Desk, opens: Opens, pictures: list[Photo]) -> None:
    job = contract.photos(pictures[:3])
    with opens(DESKTOP, language="ja") as one:
        start(one, contract, job)
        expect(one.page.locator(".rules")).to_contain_text("この写真はどれですか？")
        expect(one.category("料理")).to_be_visible()
        one.page.locator(".bar .icon").last.click()
        one.page.get_by_role("button", name="English").click()
        one.page.get_by_role("button", name="Dark").click()
        one.page.keyboard.press("Escape")
        expect(one.page.locator(".rules")).to_contain_text("What does this photo show?")
        expect(one.category("Meal")).to_be_visible()
        one.page.reload()
        one.ready()
        expect(one.category("Meal")).to_be_visible()
        assert one.page.evaluate("[document.documentElement.lang, document.documentElement.dataset.theme]") == [
            "en",
            "dark",
        ]
        assert one.page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(23, 19, 16)"


def should_zoom_by_pinch_double_tap_and_wheel(contract: Desk, opens: Opens, pictures: list[Photo]) -> None:
    job = contract.photos(pictures[:3])
    zoomed = ".stage.zoomed"
    with opens(PHONE) as one:
        start(one, contract, job)
        one.pinch(60, 220)
        expect(one.page.locator(zoomed)).to_be_visible()
        one.swipe("left")  # pans: no answer
        expect(one.page.locator(zoomed)).to_be_visible()
        one.double_tap()
        expect(one.page.locator(zoomed)).to_have_count(0)
        one.page.wait_for_timeout(400)
        one.double_tap()
        expect(one.page.locator(zoomed)).to_be_visible()
        one.label("Meal")
        expect(one.page.locator(zoomed)).to_have_count(0)
        one.sent()
    with opens(DESKTOP) as one:
        start(one, contract, job)
        one.page.locator(".stage").hover()
        one.page.mouse.wheel(0, -400)
        expect(one.page.locator(zoomed)).to_be_visible()
        one.page.keyboard.press("Escape")
        expect(one.page.locator(zoomed)).to_have_count(0)
    assert len(contract.answers(job)) == 1


@pytest.mark.parametrize("state", ["paused", "stopped", "complete", "about to end"])
def should_say_why_there_is_nothing_to_do(contract: Desk, opens: Opens, pictures: list[Photo], state: str) -> None:
    job = contract.photos(pictures[:2])
    words = {"paused": "This job is paused", "stopped": "This job has been stopped"}
    contract.server.jobs[job].ends = state != "about to end"
    with opens(PHONE) as one:
        start(one, contract, job)
        one.label("Meal")
        one.sent()
        if state in words:
            contract.server.jobs[job].state = state
        one.label("Sweets")
        expect(one.page.locator(".panel h2")).to_have_text(words.get(state, "All done. Thank you!"))
        expect(one.action("undo")).to_be_enabled()
        one.sent()
    assert len(contract.answers(job)) == 2
