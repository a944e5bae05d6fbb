"""A second factor of one's own: set up on the page, asked for at sign-in, turned off again."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import browser, opens  # noqa: F401  # fixtures
from tests.browser.device import DESKTOP, SMALL_PHONE, Device
from tests.browser.test_accessibility import faults
from tests.end_to_end.cloud import PASSWORD, Site
from tests.local.small_portal import totp

Opens = Callable[..., AbstractContextManager[Device]]


@pytest.fixture
def member(site: Site) -> str:
    """A member of the team, by their address."""
    name, pools = f"rin-{uuid.uuid4().hex[:6]}@example.com", site.cloud.client("cognito-idp")
    attributes = [{"Name": "email", "Value": name}, {"Name": "email_verified", "Value": "true"}]
    pools.admin_create_user(UserPoolId=site.pool, Username=name, UserAttributes=attributes, MessageAction="SUPPRESS")
    pools.admin_set_user_password(UserPoolId=site.pool, Username=name, Password=PASSWORD, Permanent=True)
    pools.admin_add_user_to_group(UserPoolId=site.pool, Username=name, GroupName="menulens-local-annotators")
    return name


def _sign_in(page: Page, name: str, secret: str = "") -> None:
    page.locator('input[name="username"]').fill(name)
    page.locator('input[name="password"]').fill(PASSWORD)
    page.locator('input[name="password"]').press("Enter")
    if secret:
        page.locator('input[name="code"]').fill(totp(secret))
        page.locator('input[name="code"]').press("Enter")


def _kept(page: Page, store: str, name: str) -> dict[str, Any]:
    told = page.evaluate(f"{store}.getItem('{name}')")
    return json.loads(told) if told else {}


def _call(site: Site, token: str, method: str = "GET", body: Any = None) -> httpx.Response:
    return httpx.request(
        method, f"{site.portal_url}/api/account/second-factor", json=body, trust_env=False, timeout=30,
        headers={"authorization": f"Bearer {token}"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "language", "theme"),
    [(SMALL_PHONE, "ja", "dark"), (DESKTOP, "en", "light")],
    ids=["phone", "desktop"],
)
def should_ask_for_a_code_from_the_day_it_is_set_up_until_it_is_turned_off(
    site: Site,
    member: str,
    opens: Opens,  # noqa: F811
    kind: Any,
    language: str,
    theme: str,
) -> None:
    with opens(kind, language=language, color_scheme=theme, reduced_motion="reduce") as one:
        page = one.page

        def looks_right() -> None:
            assert faults(one) == []
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            assert not re.findall(r"\baccount\.[a-z_.]+", page.locator("body").inner_text()), "a text has no words"

        page.goto(f"{site.portal_url}/account.html")
        page.locator("button.primary").click()
        _sign_in(page, member)
        expect(page.locator(".account h2")).to_be_visible()
        looks_right()
        labels_with = _kept(page, "localStorage", "menulens.session")["access_token"]
        refused = _call(site, labels_with)
        assert (refused.status_code, refused.json().get("error", refused.text)["code"]) == (403, "confirm-first")

        page.locator("button.primary").click()  # confirm that it is you
        _sign_in(page, member)
        expect(page.locator(".account h2")).to_be_visible()
        page.locator("button.primary").click()  # set up
        expect(page.locator(".qr")).to_be_visible()
        page.locator("details summary").click()
        secret = page.locator(".secret").inner_text().replace(" ", "")
        looks_right()
        now = totp(secret)
        page.locator("#code").fill(f"{(int(now) + 1) % 1_000_000:06d}")
        page.locator("#code").press("Enter")
        expect(page.locator("#wrong")).to_be_visible()
        looks_right()
        confirmed = _kept(page, "sessionStorage", "menulens.account")
        page.locator("#code").fill(totp(secret))
        page.locator("#code").press("Enter")
        expect(page.locator("a.button.primary")).to_be_visible()
        looks_right()
        assert _kept(page, "sessionStorage", "menulens.account") == {}, "good for one change"
        assert _kept(page, "localStorage", "menulens.session")["access_token"] == labels_with
        renewed = _renewed(site, confirmed["refresh_token"])
        assert renewed.status_code == 400, "given back"

        page.goto(f"{site.portal_url}/account.html")
        page.locator("button.primary").click()
        _sign_in(page, member, secret)
        expect(page.locator("button.danger")).to_be_visible()
        looks_right()
        page.locator("button.danger").click()
        looks_right()
        page.locator("button.danger").click()
        expect(page.locator("a.button.primary")).to_be_visible()

        page.goto(f"{site.portal_url}/account.html")
        page.locator("button.primary").click()
        _sign_in(page, member)
        expect(page.locator("button.danger")).to_have_count(0)
        expect(page.locator(".account button.primary")).to_be_visible()


def should_be_found_in_the_menu(site: Site, member: str, opens: Opens) -> None:  # noqa: F811
    with opens(DESKTOP) as one:
        one.page.goto(f"{site.portal_url}/")
        one.page.locator("button.primary").click()
        _sign_in(one.page, member)
        one.page.get_by_role("button", name="Menu").click()
        one.page.get_by_role("link", name="Sign-in security").click()
        expect(one.page.get_by_role("heading", name="A second step at sign-in")).to_be_visible()


def should_take_no_code_that_is_none(site: Site) -> None:
    token = site.members[0].tokens.access
    for code in ("12345", "1234567", "abcdef", "１２３４５６", ""):
        assert _call(site, token, "PUT", {"code": code}).status_code == 422
    assert _call(site, token, "PUT", {"code": "123456"}).json()["error"]["code"] == "confirm-first"
    assert _call(site, token, "DELETE").json()["error"]["code"] == "confirm-first"
    assert _call(site, token, "POST").json()["error"]["code"] == "confirm-first"


def _renewed(site: Site, token: str) -> httpx.Response:
    told = httpx.get(f"{site.portal_url}/config.json", trust_env=False).json()
    address = httpx.URL(f"{site.portal_url}/").join(told["sign_in"].rstrip("/") + "/oauth2/token")
    form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": told["client_id"]}
    return httpx.post(address, data=form, trust_env=False)
