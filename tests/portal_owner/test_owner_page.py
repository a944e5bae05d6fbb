"""The owner's page in a real browser, on the real API: seen, decided by key and by tap, read out, and in the dark."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from menulens.portal import additions, jobs, keys, log, owner_api, owner_desk, review, work
from menulens.portal.context import Portal
from menulens.portal.model import Job
from menulens.portal.table import Update
from tests.browser.device import DESKTOP, PHONE, SMALL_PHONE, matters
from tests.browser.engine import AXE, chromium

from . import page_server, scenes
from .conftest import Maker, Session, any_photo

VIEWS = ("overview", "review", "disputes", "items", "gold", "people", "groups", "rejects")
_WATCH = """
window.breaches = [];
document.addEventListener("securitypolicyviolation", (event) => window.breaches.push(event.violatedDirective));
"""

# Words that do not fit into what holds them, or reach out of the window (what scrolls by itself may).
_CUT = """[...document.querySelectorAll("button, .chip, h1, h2, dd, dt, td, th, .badge, select, figcaption, li > p")]
    .filter((one) => one.checkVisibility() && !one.closest(".tabs, .visually-hidden"))
    .filter((one) => one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display !== "inline"
        || one.getBoundingClientRect().right > innerWidth + 1)
    .map((one) => one.outerHTML.slice(0, 200))"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def server(portal: Portal, photos: str) -> Iterator[page_server.PageServer]:
    with page_server.running(portal, photos) as found:
        yield found


@pytest.fixture(scope="module")
def photos(session: Session) -> str:
    """A photo bucket."""
    name = f"photos-{uuid.uuid4().hex[:12]}"
    session.client("s3").create_bucket(Bucket=name)
    return name


@pytest.fixture(scope="module")
def busy(portal: Portal) -> Job:
    return scenes.busy_job(Maker(portal))


@contextmanager
def opened(
    browser: Browser,
    server: page_server.PageServer,
    path: str,
    size: Any = DESKTOP,
    language: str = "en",
    theme: str = "light",
) -> Iterator[Page]:
    """Open a page as someone who is signed in; nothing may go wrong in it unseen."""
    context = browser.new_context(**size)
    kept = {"menulens.session": page_server.session(), "menulens.language": language, "menulens.theme": theme}
    for name, value in kept.items():
        context.add_init_script(f"localStorage.getItem({name!r}) ?? localStorage.setItem({name!r}, {value!r})")
    context.add_init_script(_WATCH)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if matters(said.type, said.text) else None)
    try:
        page.goto(f"{server.origin}/owner.html{path}")
        yield page
        assert page.evaluate("window.breaches") == []
        assert wrong == []
    finally:
        context.close()


def serious(page: Page) -> list[str]:
    """Return what axe-core finds that keeps people out."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:200]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(
    ("size", "language", "theme"), [(SMALL_PHONE, "ja", "dark"), (PHONE, "en", "light"), (DESKTOP, "ja", "light")]
)
def should_be_for_everyone(
    browser: Browser, server: page_server.PageServer, busy: Job, view: str, size: Any, language: str, theme: str
) -> None:
    with opened(browser, server, f"?job={busy.name}&view={view}", size, language, theme) as page:
        expect(page.locator(".view > *").first).to_be_visible()
        page.wait_for_load_state("networkidle")
        assert serious(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert not re.findall(r"\bowner\.[a-z_.]+", page.locator("body").inner_text()), "a text has no words"


@pytest.mark.parametrize("language", ["ja", "en"])
@pytest.mark.parametrize(
    "viewport",
    [{"width": 640, "height": 400}, {"width": 320, "height": 512}, {"width": 844, "height": 390}],
    ids=["desktop at 200 %", "narrow phone", "phone on its side"],
)
def should_stay_usable_when_everything_is_large(
    browser: Browser, server: page_server.PageServer, busy: Job, viewport: dict[str, int], language: str
) -> None:
    with opened(browser, server, "", {"viewport": viewport}, language) as page:
        for view in (None, *VIEWS):
            if view is not None:
                page.goto(f"{server.origin}/owner.html?job={busy.name}&view={view}")
                expect(page.locator(".view > *").first).to_be_visible()
            page.wait_for_load_state("networkidle")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{view} scrolls sideways"
            assert page.evaluate(_CUT) == [], view
            assert serious(page) == [], view
        assert page.locator(".top").bounding_box()["height"] < 0.2 * viewport["height"]  # type: ignore[index]


@pytest.mark.parametrize(
    "viewport", [{"width": 640, "height": 400}, {"width": 320, "height": 512}], ids=["desktop at 200 %", "narrow phone"]
)
def should_decide_and_change_a_job_when_everything_is_large(
    browser: Browser, server: page_server.PageServer, portal: Portal, viewport: dict[str, int]
) -> None:
    make = Maker(portal)
    job = make.job(2, max_answers=2, confidence=0.999)
    make.answer(job, "aki", "0000000", "meal")
    make.answer(job, "ben", "0000000", "drink")
    with opened(browser, server, f"?job={job.name}&view=review", {"viewport": viewport}) as page:
        page.get_by_role("button", name="Drink").click()
        expect(page.get_by_text("Nothing waits for you.")).to_be_visible()
        page.get_by_role("link", name="Overview").click()
        page.get_by_role("button", name="Add a category").click()
        dialog = page.get_by_role("dialog")
        for name, value in (("key", "fruit"), ("ja", "果物"), ("en", "Fruit")):
            dialog.locator(f"input[name={name}]").fill(value)
        box = dialog.bounding_box()
        assert box is not None
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= viewport["height"]
        dialog.get_by_role("button", name="Add a category").click()
        expect(page.locator(".category")).to_have_count(5)
        page.get_by_role("button", name="Pause").click()
        dialog.get_by_role("button", name="Pause").click()
        expect(page.locator(".job-head .chip")).to_have_text("Paused")
    assert jobs.get_item(portal, job.name, "0000000").label == 2


def should_list_jobs_and_lead_to_one(browser: Browser, server: page_server.PageServer, busy: Job) -> None:
    with opened(browser, server, "") as page:
        page.locator(".job-card", has_text=busy.name).get_by_role("link", name="Autumn menu").click()
        expect(page.locator("h1")).to_have_text("Autumn menu")
        expect(page.locator(".thumb img").first).to_be_visible()
        page.go_back()
        expect(page.locator(".job-card").first).to_be_visible()


def should_decide_by_key_and_take_a_decision_back(
    browser: Browser, server: page_server.PageServer, portal: Portal
) -> None:
    make = Maker(portal)
    job = make.job(3, max_answers=2, confidence=0.999)
    for item in ("0000000", "0000001"):
        make.answer(job, "aki", item, "meal")
        make.answer(job, "ben", item, "drink")
    with opened(browser, server, f"?job={job.name}&view=review") as page:
        expect(page.locator(".answers tbody tr")).to_have_count(2)
        page.keyboard.press("3")
        expect(page.locator("figcaption")).to_contain_text("No. 1")
        assert jobs.get_item(portal, job.name, "0000000").label == 2
        page.keyboard.press("z")
        expect(page.locator("figcaption")).to_contain_text("No. 0")
        page.keyboard.press("1")
        expect(page.locator("figcaption")).to_contain_text("No. 1")
        assert jobs.get_item(portal, job.name, "0000000").label == 0
        page.keyboard.press("x")
        page.locator("dialog input[name=reason]").fill("blurred <b>")
        page.keyboard.press("Enter")
        expect(page.get_by_text("Nothing waits for you.")).to_be_visible()
        rejected = jobs.get_item(portal, job.name, "0000001")
        assert (rejected.state, rejected.label, rejected.reason) == ("settled", None, "rejected: blurred <b>")


def should_ask_before_it_stops_a_job(browser: Browser, server: page_server.PageServer, portal: Portal) -> None:
    job = Maker(portal).job(2)
    with opened(browser, server, f"?job={job.name}", PHONE) as page:
        page.get_by_role("button", name="Stop").tap()
        page.get_by_role("dialog").get_by_role("button", name="Cancel").tap()
        assert jobs.get(portal, job.name).state == "open"
        page.get_by_role("button", name="Pause").tap()
        page.get_by_role("dialog").get_by_role("button", name="Pause").tap()
        expect(page.locator(".job-head .chip")).to_have_text("Paused")
        assert jobs.get(portal, job.name).state == "paused"
        page.get_by_role("button", name="Snapshot").tap()
        page.get_by_role("dialog").get_by_role("button", name="Snapshot").tap()
        expect(page.locator(".toast")).to_contain_text("snapshot")
        assert server.started[-1] == ("snapshot", {"job_name": job.name})


def should_mark_a_photo_as_known(browser: Browser, server: page_server.PageServer, portal: Portal) -> None:
    job = Maker(portal).job(2)
    with opened(browser, server, f"?job={job.name}&view=items") as page:
        page.locator(".item-card button").first.click()
        page.get_by_role("dialog").get_by_role("button", name="Mark as known").click()
        page.get_by_role("dialog").last.get_by_role("button", name="Drink").click()
        expect(page.locator(".tabs a", has_text="Known photos")).to_contain_text("1")
        assert jobs.get_item(portal, job.name, "0000000").gold == 2


def should_split_a_group_and_look_after_people(
    browser: Browser, server: page_server.PageServer, portal: Portal
) -> None:
    job = Maker(portal).job(4, groups={1: 0, 2: 0})
    assert len(work.lease(portal, job, "ben", limit=2, name="Ben").items) == 2
    with opened(browser, server, f"?job={job.name}&view=groups") as page:
        page.get_by_label("Differs").nth(1).check()
        page.get_by_role("button", name="Split off 1").click()
        page.get_by_role("dialog").get_by_role("button", name="Split off").click()
        expect(page.locator(".member")).to_have_count(2)
        assert jobs.get(portal, job.name).asked == 3
        page.get_by_role("link", name="People").click()
        page.get_by_role("button", name="Hand back photos").click()
        page.get_by_role("dialog").get_by_role("button", name="Hand back photos").click()
        expect(page.get_by_role("button", name="Hand back photos")).to_have_count(0)
        page.get_by_role("button", name="Block").click()
        page.get_by_role("dialog").get_by_role("button", name="Block").click()
        expect(page.locator(".person .chip")).to_have_text("Blocked")
        assert work.person_of(portal, job.name, "ben").blocked


@pytest.mark.parametrize(
    ("language", "says", "asks"),
    [
        (
            "en",
            "An answer tells 31% of what the average one does",
            "tells at least 80% of the average",
        ),
        ("ja", "回答から分かること：平均の31%", "回答から分かることが平均の80%以上"),
    ],
)
def should_say_why_somebody_is_asked_no_more_and_what_is_due(
    browser: Browser, server: page_server.PageServer, portal: Portal, language: str, says: str, asks: str
) -> None:
    job = Maker(portal).job(4)
    work.lease(portal, job, "ben", limit=1, name="Ben")
    reason = {"blocked": True, "blocked_reason": "worth: 31%"}
    portal.table.write(Update(keys.person(job.name, "ben"), set=reason, exists=True))
    with opened(browser, server, f"?job={job.name}&view=people", language=language) as page:
        expect(page.locator(".person")).to_contain_text(says)
        page.goto(page.url.replace("view=people", "view=overview"))
        expect(page.locator("main")).to_contain_text(asks)


def should_open_a_large_job_by_itself_once_it_is_counted(
    browser: Browser, server: page_server.PageServer, portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "CHUNK", 2)
    monkeypatch.setattr(owner_desk, "COUNTING_SECONDS", 0.0)
    job = Maker(portal).job(5)
    with opened(browser, server, f"?job={job.name}") as page:
        expect(page.get_by_role("heading", name="Counting the answers")).to_be_visible()
        expect(page.get_by_role("progressbar", name="Counting the answers")).to_have_attribute(
            "value", re.compile("33|67")
        )
        expect(page.get_by_role("heading", name="Categories")).to_be_visible(timeout=15_000)


def should_say_that_nobody_disagrees_only_once_that_is_counted(
    browser: Browser, server: page_server.PageServer, portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "CHUNK", 1)
    make = Maker(portal)
    job = make.job(4, max_answers=2, confidence=0.999)
    make.answer(job, "aki", "0000003", "meal")
    make.answer(job, "ben", "0000003", "drink")

    def by_another_function(route: Route) -> None:  # one that has counted nothing yet
        owner_desk._counted.clear()
        monkeypatch.setattr(owner_desk, "COUNTING_SECONDS", 0.0)
        route.continue_()

    with opened(browser, server, "", PHONE) as page:
        page.route("**/disagreements*", by_another_function, times=1)
        page.goto(f"{server.origin}/owner.html?job={job.name}&view=disputes")
        expect(page.get_by_role("progressbar", name="Counting the answers")).to_have_attribute(
            "value", re.compile("25|50|75")
        )
        assert page.get_by_text("Nobody disagrees").count() == 0
        expect(page.locator("figcaption")).to_contain_text("No. 3", timeout=15_000)
        page.route("**/disagreements*", lambda route: route.fulfill(status=503, body="{}"))
        page.get_by_role("button", name="Drink").tap()
        expect(page.locator(".view")).to_contain_text("can't be reached")
        assert page.get_by_text("Nobody disagrees").count() == 0
        page.unroute("**/disagreements*")
        page.locator(".view").get_by_role("button", name="Look again").tap()
        expect(page.get_by_text("Nobody disagrees")).to_be_visible()


@pytest.mark.parametrize(("language", "looks"), [("en", "40% so far"), ("ja", "40%まで確認")])
def should_go_on_looking_for_photos_that_are_rare_and_say_so(
    browser: Browser, server: page_server.PageServer, portal: Portal, monkeypatch: pytest.MonkeyPatch,
    language: str, looks: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(keys, "CHUNK", 1)
    monkeypatch.setattr(review, "LOOKING_SECONDS", 0.0)
    make = Maker(portal)
    job = make.job(5, groups={4: 3})
    make.answer(job, "aki", "0000003", kind="report", problem="broken")
    with opened(browser, server, f"?job={job.name}&view=items", PHONE, language) as page:
        expect(page.locator(".item-card")).to_have_count(1)
        page.locator(".foot button").tap()
        expect(page.locator(".item-card")).to_have_count(2)
        held: list[Route] = []

        def hold(route: Route) -> None:
            held.append(route)

        page.route("**/items*after=0000002*", hold)
        page.locator("select").nth(1).select_option("review")
        expect(page.locator(".foot [role=status]")).to_contain_text(looks)
        assert page.locator(".item-card").count() == 0
        held.pop().fulfill(status=503, body="{}")
        page.unroute("**/items*after=0000002*")
        page.locator(".foot button").tap()
        expect(page.locator(".item-card")).to_have_count(1)
        page.locator(".foot button").tap()
        expect(page.locator(".foot")).to_have_text("")
        page.locator("select").nth(1).select_option("settled")
        expect(page.locator(".foot p:not([role=status])")).to_be_visible()
        page.goto(page.url.replace("view=items", "view=groups"))
        expect(page.locator(".member")).to_have_count(2)


@pytest.mark.parametrize(
    ("language", "says", "verb", "refuses"),
    [("en", "some minutes after your last decision", "Ask again", "Reopen it first"),
     ("ja", "最後の決定から数分後に結果へ", "もう一度聞く", "先に「再び開く」")],
)  # fmt: skip
def should_say_what_becomes_of_decisions_on_a_job_that_has_ended(
    browser: Browser, server: page_server.PageServer, portal: Portal, language: str, says: str, verb: str, refuses: str
) -> None:
    make = Maker(portal)
    job = make.job(2)
    make.answer(job, "aki", "0000000", kind="report", problem="broken")
    jobs.stop(portal, job.name)
    with opened(browser, server, f"?job={job.name}&view=review", PHONE, language) as page:
        expect(page.locator(".job-head .note")).to_contain_text(says)
        page.get_by_role("button", name=verb).tap()
        expect(page.locator(".toast")).to_contain_text(refuses)
        assert serious(page) == []
        page.locator(".choices button").nth(2).tap()
        expect(page.locator(".view .empty")).to_be_visible()
    assert jobs.get_item(portal, job.name, "0000000").label == 2


def should_decide_nothing_in_a_view_that_was_left(
    browser: Browser, server: page_server.PageServer, portal: Portal
) -> None:
    make = Maker(portal)
    job = make.job(2, max_answers=2, confidence=0.999)
    make.answer(job, "aki", "0000000", "meal")
    make.answer(job, "ben", "0000000", "drink")
    with opened(browser, server, f"?job={job.name}&view=review") as page:
        expect(page.locator(".answers tbody tr")).to_have_count(2)
        page.locator(".tabs").get_by_role("link", name="Overview").click()
        expect(page.get_by_role("heading", name="Categories")).to_be_visible()
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("3")
        page.locator(".tabs").get_by_role("link", name="To decide").click()
        expect(page.locator(".answers tbody tr")).to_have_count(2)
    assert jobs.get_item(portal, job.name, "0000000").state == "review"


def should_name_the_command_that_checks_a_log_too_long_for_the_page(
    browser: Browser, server: page_server.PageServer, portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner_api, "MOST_LINES", 0)
    job = Maker(portal).job(1)
    log.seal(portal, job.name)
    with opened(browser, server, f"?job={job.name}", PHONE) as page:
        page.get_by_text("How people are asked, and the log").tap()
        page.get_by_role("button", name="Check the log").tap()
        expect(page.get_by_role("status").filter(has_text="too long")).to_contain_text(
            f"menulens label verify {job.name}"
        )


def should_add_and_rename_a_category(browser: Browser, server: page_server.PageServer, portal: Portal) -> None:
    job = Maker(portal).job(2)
    with opened(browser, server, f"?job={job.name}", PHONE, "ja") as page:
        page.get_by_role("button", name="カテゴリーを追加").tap()
        for name, value in (("key", "fruit"), ("ja", "<img src=x>"), ("en", "Fruit")):
            page.locator(f"dialog input[name={name}]").fill(value)
        page.get_by_role("dialog").get_by_role("button", name="カテゴリーを追加").tap()
        expect(page.locator(".category")).to_have_count(5)
        expect(page.locator(".category").last).to_contain_text("<img src=x>")
        assert [one.key for one in jobs.get(portal, job.name).categories][-1] == "fruit"


@pytest.mark.parametrize(("size", "language"), [(PHONE, "ja"), (DESKTOP, "en")])
def should_add_photos_and_tell_what_became_of_them(
    browser: Browser, server: page_server.PageServer, portal: Portal, photos: str, size: Any, language: str
) -> None:
    job = Maker(portal).job(2)
    folder = f"photos/{job.name}/"
    for name, content in (
        ("1.jpg", any_photo(71)),
        ("2.jpg", any_photo(72)),
        ("3.jpg", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("4.jpg", any_photo(74)[:700]),
    ):
        portal.storage.write_bytes(f"s3://{photos}/{folder}{name}", content, "image/jpeg")
    words = {
        "en": ("Add photos", "2 photos added, 2 turned away", "can't be taken from there"),
        "ja": ("写真を追加", "2枚を追加しました。2枚は対象外です", "この場所の写真は使えません"),
    }[language]
    with opened(browser, server, f"?job={job.name}", size, language) as page:
        page.get_by_role("button", name=words[0]).click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_role("textbox").fill("elsewhere/")
        dialog.get_by_role("button", name=words[0]).click()
        expect(dialog.get_by_role("alert")).to_contain_text(words[2])
        expect(dialog.get_by_role("textbox")).to_have_value("elsewhere/")
        assert serious(page) == []
        dialog.get_by_role("textbox").fill(folder)
        dialog.get_by_role("button", name=words[0]).click()
        expect(page.locator(".arrival")).to_contain_text(words[1], timeout=120_000)
        expect(page.locator(".job-head .progress")).to_contain_text("4")
        expect(page.locator(".coming")).to_have_count(0)
        assert serious(page) == []
        page.locator(".card", has=page.locator(".arrivals")).get_by_role("button").click()
        expect(page.locator(".reject")).to_have_count(2)
    grown = jobs.get(portal, job.name)
    assert (grown.lines, grown.asked) == (5, 4)
    assert server.started[-1][0] == "add"


def should_tell_why_photos_could_not_be_added(browser: Browser, server: page_server.PageServer, portal: Portal) -> None:
    job = Maker(portal).job(1)
    with opened(browser, server, f"?job={job.name}") as page:
        page.get_by_role("button", name="Add photos").click()
        place = f"s3://{portal.labels_bucket}/no/such.manifest"
        page.get_by_role("textbox").fill(place)
        page.get_by_role("dialog").get_by_role("button", name="Add photos").click()
        expect(page.locator(".arrival")).to_contain_text("Not added", timeout=120_000)
        expect(page.locator(".arrival")).to_contain_text("such.manifest")
    assert jobs.get(portal, job.name).lines == 1


def should_show_how_far_photos_are_and_keep_the_focus(
    browser: Browser, server: page_server.PageServer, portal: Portal
) -> None:
    job = Maker(portal).job(1)
    addition = additions.begin(portal, job.name, additions.new_id(portal), "photos/tanuki/")
    with opened(browser, server, f"?job={job.name}&view=items") as page:
        expect(page.locator(".coming")).to_contain_text("Looking through photos/tanuki/")
        page.get_by_role("button", name="Pause").focus()
        additions.note(portal, job.name, addition.id, state="running", asked=300, ready=120)
        expect(page.locator(".coming")).to_contain_text("120 of 300", timeout=30_000)
        assert page.evaluate("document.activeElement.textContent") == "Pause"
        assert serious(page) == []
        additions.note(portal, job.name, addition.id, state="done", ready=300, unusable=1)
        expect(page.locator(".toast")).to_contain_text("299 photos added, 1 turned away", timeout=30_000)
        expect(page.locator("#live")).to_contain_text("299 photos added")


def should_keep_out_who_is_no_owner(browser: Browser, server: page_server.PageServer, busy: Job) -> None:
    context = browser.new_context(**DESKTOP)
    session = page_server.session("aki", page_server.ANNOTATORS)
    context.add_init_script(f"localStorage.setItem('menulens.session', {session!r})")
    page = context.new_page()
    page.goto(f"{server.origin}/owner.html?job={busy.name}")
    expect(page.get_by_text("did not work")).to_be_visible()
    assert page.locator(".tile").count() == 0
    context.close()
