"""What the page does when the network, the sign-in, the device or another tab gets in the way."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Opens
from tests.browser.contract_server import PORTAL
from tests.browser.desks import ContractDesk, Photo
from tests.browser.device import DESKTOP, PHONE, watch
from tests.browser.test_labeling import said, start


@pytest.mark.parametrize("faults", [["lost"], [503], [429, 429], ["lost", 502, "lost"], [403]], ids=str)
def should_send_again_what_got_no_reply_and_count_it_once(
    contract: ContractDesk, opens: Opens, pictures: list[Photo], faults: list[int | str]
) -> None:
    job = contract.photos(pictures[:10])
    with opens(PHONE) as one:
        start(one, contract, job)
        contract.server.fail_answers = list(faults)
        for name in ("Meal", "Sweets", "Drink"):
            one.label(name)
        one.sent()
    assert contract.server.fail_answers == []
    assert said(contract.answers(job), "category") == [("meal",), ("sweets",), ("drink",)]
    sent = [answer["id"] for answer in contract.server.received]
    assert list(dict.fromkeys(sent)) == [answer["id"] for answer in contract.answers(job)], "not in order"


def should_begin_by_itself_when_what_the_job_asks_comes_late(
    contract: ContractDesk, opens: Opens, pictures: list[Photo]
) -> None:
    job = contract.photos(pictures[:10])
    contract.server.fail_jobs = [503, 502]
    with opens(PHONE) as one:
        start(one, contract, job)
        one.label("Meal")
        one.sent()
    assert contract.server.fail_jobs == []
    assert said(contract.answers(job), "category") == [("meal",)]


def should_offer_a_category_that_is_added_while_people_work(
    contract: ContractDesk, opens: Opens, pictures: list[Photo]
) -> None:
    job = contract.photos(pictures[:20])
    with opens(PHONE) as one:
        start(one, contract, job)
        served = contract.server.jobs[job]
        categories = served.definition["categories"]
        soup = categories[0] | {"index": len(categories), "key": "soup", "ja": "スープ", "en": "Soup", "example": None}
        served.definition = served.definition | {"categories": [*categories, soup]}
        served.version += 1
        for _ in range(4):  # the next photos are fetched, and with them the news
            one.label("Meal")
        one.label("Soup")
        one.sent()
    assert said(contract.answers(job), "category")[-1] == ("soup",)


def should_renew_the_sign_in_unseen(contract: ContractDesk, opens: Opens, pictures: list[Photo]) -> None:
    job = contract.photos(pictures[:10])
    with opens(PHONE) as one:
        start(one, contract, job)
        one.label("Meal")
        one.sent()
        contract.server.forget_tokens()
        one.label("Sweets")
        one.label("Drink")
        one.sent()
    assert contract.server.renewals == 1
    assert contract.server.sign_ins == 1
    assert len(contract.answers(job)) == 3


def should_renew_before_the_token_ends(contract: ContractDesk, opens: Opens, pictures: list[Photo]) -> None:
    job = contract.photos(pictures[:6])
    contract.server.token_seconds = 61  # a minute before its end it is renewed: from its second second on
    with opens(PHONE) as one:
        start(one, contract, job)
        one.page.wait_for_timeout(1500)
        contract.server.token_seconds = 3600
        one.label("Meal")
        one.sent()
    assert contract.server.renewals >= 1


def should_keep_answers_when_the_sign_in_has_ended_and_send_them_after_the_next(
    contract: ContractDesk, opens: Opens, pictures: list[Photo]
) -> None:
    job = contract.photos(pictures[:20])
    with opens(PHONE) as one:
        start(one, contract, job)
        one.page.wait_for_timeout(1000)
        contract.server.refresh_works = False
        contract.server.forget_tokens()
        one.label("Meal")
        expect(one.page.locator(".panel h2")).to_have_text("Please sign in again")
        contract.server.refresh_works = True
        one.tap(one.page.locator(".panel .primary"))
        one.ready()
        assert one.page.url.endswith(f"?job={job}")
        one.sent()
        one.label("Drink")
        one.sent()
    assert said(contract.answers(job), "category") == [("meal",), ("drink",)]
    assert contract.server.sign_ins == 2


@pytest.mark.parametrize("hours", [-3, 3])
def should_hold_photos_ahead_as_long_as_leased_whatever_the_device_thinks_the_time_is(
    contract: ContractDesk, opens: Opens, pictures: list[Photo], hours: int
) -> None:
    job = contract.photos(pictures[:30])
    with opens(PHONE) as one:
        one.context.add_init_script(
            f"const right = Date.now; window.later = 0; Date.now = () => right() + {hours} * 3_600_000 + window.later"
        )
        start(one, contract, job)
        for _ in range(3):
            one.label("Meal")
        one.sent()
        one.page.evaluate("window.later = 301_000; null")  # past the contract's leases: few are held still
        with one.page.expect_request(lambda it: it.url.endswith("/leases") and len(it.post_data_json["have"]) <= 2):
            one.label("Meal")
        one.sent()
    assert contract.server.lease_requests < 20, "two fill the device, then one follows each answer"
    assert len(contract.answers(job)) == 4


def should_take_no_photos_for_who_signs_in_for_the_owners_page(
    contract: ContractDesk, opens: Opens, pictures: list[Photo]
) -> None:
    job = contract.photos(pictures[:20])
    with opens(DESKTOP) as one:
        asked: list[str] = []
        one.page.on("request", lambda request: asked.append(request.url))
        one.page.goto(f"{contract.url}/owner.html?job={job}&view=people")
        one.page.get_by_role("button", name="Sign in").click()
        expect(one.page.locator("h1")).to_have_text("That did not work")  # the contract has no owner's side
        assert one.page.url == f"{contract.url}/owner.html?job={job}&view=people"
        assert [url for url in asked if "/api/" in url and "/api/owner/" not in url] == []
    assert contract.server.jobs[job].leased == {}


def should_let_one_tab_work_and_the_other_take_over(
    contract: ContractDesk, opens: Opens, pictures: list[Photo]
) -> None:
    job = contract.photos(pictures[:12])
    with opens(DESKTOP) as one:
        start(one, contract, job)
        one.label("Meal")
        other = one.context.new_page()
        watch(one, other)
        other.goto(f"{contract.url}/?job={job}")
        expect(other.locator(".panel h2")).to_have_text("Open in another tab")
        other.locator(".panel .primary").click()
        expect(other.locator(".work:not(.idle)")).to_be_visible()
        expect(one.page.locator(".panel h2")).to_have_text("Open in another tab")
        other.wait_for_timeout(300)
        other.keyboard.press("2")
        expect(other.locator(".sync.sent")).to_be_visible()
        one.page.bring_to_front()
        one.page.keyboard.press("3")  # the tab that has lost the job answers nothing
        one.page.locator(".panel .primary").click()
        one.ready()
        one.page.keyboard.press("4")
        one.sent()
    answers = contract.answers(job)
    assert said(answers, "category") == [("meal",), ("sweets",), ("fruit",)]
    assert len({answer["item"] for answer in answers}) == 3


def should_say_that_another_device_answered_first(contract: ContractDesk, opens: Opens, pictures: list[Photo]) -> None:
    job = contract.photos(pictures[:4])
    with opens(PHONE) as one, opens(PHONE) as two:
        start(one, contract, job)
        start(two, contract, job)
        one.label("Meal")
        one.sent()
        two.label("Drink")
        expect(two.page.locator(".toast")).to_contain_text("answered this photo already")
        two.sent()
    assert said(contract.answers(job), "category") == [("meal",)]


def should_say_at_the_list_of_jobs_too_that_an_answer_was_not_taken(
    contract: ContractDesk, opens: Opens, pictures: list[Photo]
) -> None:
    job = contract.photos(pictures[:4])
    contract.photos(pictures[4:8])
    with opens(PHONE) as one:
        start(one, contract, job)
        contract.server.fail_answers = [503] * 50
        one.label("Drink")
        one.page.goto(contract.url)
        expect(one.page.locator("h1")).to_have_text("Your jobs")
        contract.server.jobs[job].answers["0000000"] = [{"id": "of another device", "kind": "label"}]
        contract.server.fail_answers = []
        expect(one.page.locator(".toast")).to_contain_text("answered this photo already")
    assert contract.answers(job) == []


def should_count_a_double_tap_once(contract: ContractDesk, opens: Opens, pictures: list[Photo]) -> None:
    job = contract.photos(pictures[:6])
    with opens(PHONE) as one:
        start(one, contract, job)
        # The page's own clock: a busy machine makes no slow tap of a quick one.
        one.page.evaluate(
            "const now = performance.now(); window.later = 0; performance.now = () => now + window.later;"
            "window.tap = () => document.querySelector('.category').click(); tap(); tap()"
        )
        one.ready()  # the next photo is there
        one.page.evaluate("later = 90; tap()")
        one.ready()
        one.sent()
        assert one.count == 1
        one.page.evaluate("later = 290; tap()")
        expect(one.page.locator(".count")).to_have_text("2")
        one.sent()
    assert len(contract.answers(job)) == 2


@pytest.mark.parametrize("away", ["paused", "hidden"])
def should_not_count_as_looking_while_nobody_looks(
    contract: ContractDesk, opens: Opens, pictures: list[Photo], away: str
) -> None:
    job = contract.photos(pictures[:4])
    with opens(PHONE) as one:
        one.context.add_init_script(
            "const right = performance.now.bind(performance); window.later = 0;"
            "performance.now = () => right() + window.later"
        )
        start(one, contract, job)
        if away == "paused":
            one.tap(one.page.get_by_role("button", name="Pause"))
            expect(one.page.locator(".panel")).to_contain_text("Take your time")
        one.page.evaluate("window.later = 30 * 3_600_000; null")
        if away == "paused":
            one.tap(one.page.locator(".panel .primary"))
        else:
            one.page.evaluate("document.dispatchEvent(new Event('visibilitychange')); null")
        one.label("Meal")
        one.sent()
    [answer] = contract.answers(job)
    assert 0 < answer["shown_ms"] < 3_600_000


def should_never_show_a_spinner_while_photos_are_slow(
    contract: ContractDesk, opens: Opens, pictures: list[Photo]
) -> None:
    job = contract.photos(pictures[:12])
    contract.server.photo_delay = 0.4
    with opens(PHONE) as one:
        start(one, contract, job)
        one.page.wait_for_timeout(1200)  # as long as a person looks at the first photo
        one.page.evaluate(
            "new MutationObserver(() => { window.waited ||= document.querySelector('.panel.waiting') !== null; })"
            ".observe(document.body, { subtree: true, childList: true })"
        )
        for _ in range(6):
            one.label("Meal")
            one.page.wait_for_timeout(400)
        assert not one.page.evaluate("window.waited ?? false")


def should_say_what_to_do_about_a_photo_that_is_none(
    contract: ContractDesk, opens: Opens, pictures: list[Photo]
) -> None:
    job = contract.photos([Photo(b"no photo at all"), pictures[0]])
    with opens(PHONE) as one:
        start(one, contract, job)
        expect(one.page.locator(".panel")).to_contain_text("can't be shown")
        one.tap(one.action("report"))
        one.tap(one.page.get_by_role("button", name="Broken"))
        one.ready()
        expect(one.photo).to_be_visible()
        one.sent()
    assert said(contract.answers(job), "kind", "problem") == [("report", "broken")]


def should_say_what_to_do_about_a_wrong_link(contract: ContractDesk, opens: Opens) -> None:
    with opens(PHONE) as one:
        one.page.goto(f"{contract.url}/?job=nowhere")
        one.tap(one.page.locator("button.primary"))
        expect(one.page.get_by_role("alert")).to_contain_text("There is no such job. Check the link")
        one.tap(one.page.get_by_role("button", name="All jobs"))
        expect(one.page.locator("h1")).to_have_text("Your jobs")


def should_refuse_to_work_where_no_answer_would_be_safe(contract: ContractDesk, opens: Opens) -> None:
    with opens(PHONE) as one:
        one.context.add_init_script("indexedDB.open = () => { throw new DOMException('no', 'SecurityError'); }")
        one.page.goto(contract.url)
        expect(one.page.get_by_role("alert")).to_contain_text("can't keep answers")


def should_say_so_and_show_the_photo_again_when_an_answer_can_not_be_kept(
    contract: ContractDesk, opens: Opens, pictures: list[Photo]
) -> None:
    job = contract.photos(pictures[:4])
    with opens(PHONE) as one:
        start(one, contract, job)
        one.page.evaluate("IDBObjectStore.prototype.add = () => { throw new DOMException('full', 'Quota'); }; null")
        one.tap(one.category("Meal"))
        expect(one.page.get_by_role("alert")).to_contain_text("can't keep answers")
        assert one.count == 0
        one.tap(one.page.get_by_role("button", name="Try again"))
        one.label("Drink")
        one.sent()
    assert [(answer["item"], answer["category"]) for answer in contract.answers(job)] == [("0000000", "drink")]


def should_open_without_a_network_once_it_was_there(
    contract: ContractDesk, opens: Opens, pictures: list[Photo]
) -> None:
    job = contract.photos(pictures[:15])
    with opens(PHONE) as one:
        start(one, contract, job)
        one.page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        one.page.wait_for_timeout(1500)
        one.context.set_offline(True)
        one.page.goto(f"{contract.url}/?job={job}")
        one.ready()
        expect(one.photo).to_be_visible()
        one.label("Meal")
        expect(one.page.locator(".sync.offline")).to_contain_text("1")
        one.page.goto(f"{contract.url}/")
        expect(one.page.locator("h1")).to_be_visible()
        one.context.set_offline(False)
    assert len(contract.server.received) <= 1


def should_take_a_new_version_of_the_page_whole(contract: ContractDesk, opens: Opens, pictures: list[Photo]) -> None:
    job = contract.photos(pictures[:6])
    with opens(PHONE) as one:
        start(one, contract, job)
        one.page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        deploy(contract, "app/main.js", "app/owner.js", "app/account.js")
        for place, title in (("owner.html", "That did not work"), ("account.html", "Sign-in security")):
            for _ in range(2):  # the labeling page has not been opened: its old files are kept still
                one.page.goto(f"{contract.url}/{place}")
                expect(one.page.locator("h1")).to_have_text(title)
        one.page.goto(f"{contract.url}/?job={job}")
        one.ready()
        # What a function promises is true to Playwright at once: the page itself has to wait.
        one.page.evaluate(
            """async () => {
                for (let n = 0; (await caches.keys()).join() !== "menulens-111111111111"; n += 1) {
                    if (n > 600) throw new Error("the new version is not kept");
                    await new Promise((resolve) => setTimeout(resolve, 50));
                }
            }"""
        )
        one.page.reload()
        one.ready()
        assert one.page.evaluate("window.deployed") == 2


def deploy(desk: ContractDesk, *pages: str) -> None:
    """Put out a version of the page in which some scripts need what a script that all use did not have before."""
    shared = "app/dom.js"
    for page in pages:
        text = (PORTAL / page).read_text(encoding="utf-8")
        desk.server.changed[page] = f'import {{ deployed }} from "./dom.js"; window.deployed = deployed;\n{text}'
    desk.server.changed[shared] = (PORTAL / shared).read_text(encoding="utf-8") + "export const deployed = 2;\n"
    desk.server.version = "111111111111"
