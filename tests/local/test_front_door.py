"""The front door: page, API and sign-in at one origin, and who is kept out."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config

from menulens.client.sign_in import HostedSignIn, PortalSignInError, read_form
from menulens.local.cloud_state import CloudState
from menulens.local.config import ACCOUNT
from tests.local import small_portal
from tests.local.small_portal import PASSWORD, PHOTO, SmallPortal, totp


@pytest.fixture(scope="module")
def portal(bare_cloud: CloudState) -> SmallPortal:
    record = bare_cloud.running()
    assert record
    gateway = f"http://127.0.0.1:{record.port}"

    def client(service: str) -> Any:
        return boto3.client(
            service, endpoint_url=gateway, region_name="us-east-1", aws_access_key_id=ACCOUNT,
            aws_secret_access_key=ACCOUNT, config=Config(proxies={}, s3={"addressing_style": "path"}),
        )  # fmt: skip

    return small_portal.make(client, gateway, record.labeling_url)


def _claims(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return claims


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def should_serve_the_page_with_the_headers_of_its_policy(portal: SmallPortal) -> None:
    page = httpx.get(f"{portal.url}/", trust_env=False)
    assert (page.status_code, page.text) == (200, "<!doctype html><title>portal</title>")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"] == small_portal.CSP
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["x-frame-options"] == "DENY"
    script = httpx.get(f"{portal.url}/app/main.js", trust_env=False)
    assert script.headers["content-type"] == "text/javascript"
    assert httpx.get(f"{portal.url}/no/such/file", trust_env=False).status_code in (403, 404)


def should_compress_long_texts_of_the_page_as_cloudfront_does(portal: SmallPortal) -> None:
    url, packed = f"{portal.url}/app/long.js", {"Accept-Encoding": "gzip"}
    answer = httpx.get(url, headers=packed, trust_env=False)
    assert answer.headers["content-encoding"] == "gzip"
    assert int(answer.headers["content-length"]) < len(small_portal.LONG) / 5
    assert answer.content == small_portal.LONG
    assert answer.headers["content-security-policy"] == small_portal.CSP
    again = httpx.get(url, headers={**packed, "If-None-Match": answer.headers["etag"]}, trust_env=False)
    assert (again.status_code, again.content) == (304, b"")
    plain = httpx.get(url, headers={"Accept-Encoding": "identity"}, trust_env=False)
    assert "content-encoding" not in plain.headers
    assert "content-encoding" not in httpx.get(f"{portal.url}/", headers=packed, trust_env=False).headers


def should_carry_requests_to_the_api_and_bytes_back(portal: SmallPortal) -> None:
    token = portal.browser().run(portal.member(*small_portal.GROUPS), PASSWORD).access
    told = httpx.post(
        f"{portal.url}/api/jobs/a%20b?x=1&x=2",
        json={"dish": "親子丼"},
        headers=_bearer(token),
        trust_env=False,
    )
    assert told.status_code == 202
    assert told.headers["x-told"] == "yes"
    assert told.headers["content-security-policy"] == small_portal.CSP
    heard = told.json()
    assert (heard["path"], heard["query"]) == ("/api/jobs/a b", "x=1&x=2")
    assert json.loads(heard["body"]) == {"dish": "親子丼"}
    assert heard["claims"]["sub"] == _claims(token)["sub"]
    assert heard["claims"]["cognito:groups"] == "[annotators owners]"
    photo = httpx.get(f"{portal.url}/api/photos/one", headers=_bearer(token), trust_env=False)
    assert photo.headers["content-type"] == "image/jpeg"
    assert photo.content == PHOTO


@pytest.mark.parametrize("token", [None, "no.token.atall", "forged"])
def should_let_the_api_refuse_who_is_not_signed_in(portal: SmallPortal, token: str | None) -> None:
    assert httpx.get(f"{portal.url}/api/health", trust_env=False).status_code == 202
    if token == "forged":
        head, body, mark = portal.browser().run(portal.member("annotators"), PASSWORD).access.split(".")
        claims = {**_claims(f"{head}.{body}.{mark}"), "cognito:groups": ["owners"]}
        body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
        token = f"{head}.{body}.{mark}"
    answer = httpx.get(f"{portal.url}/api/me", headers=_bearer(token) if token else {}, trust_env=False)
    assert answer.status_code == 401


def should_sign_in_for_the_first_time_with_a_temporary_password(portal: SmallPortal) -> None:
    name = portal.invite("annotators")
    browser = portal.browser()
    page = browser.submit(browser.open(), {"username": name, "password": "Temporary-pass-1"})
    assert set(read_form(page.text).fields) == {"flow", "new_password", "confirm_password"}
    weak = browser.submit(page, {"new_password": "weak", "confirm_password": "weak"})
    assert "at least" in read_form(weak.text).said or "12" in read_form(weak.text).said
    differ = browser.submit(weak, {"new_password": PASSWORD, "confirm_password": PASSWORD + "x"})
    assert read_form(differ.text).said == "The two passwords differ."
    done = browser.submit(differ, {"new_password": PASSWORD, "confirm_password": PASSWORD})
    code = browser.code(done)
    assert code is not None
    tokens = browser.redeem(code)
    assert _claims(tokens.access)["cognito:groups"] == ["annotators"]
    assert portal.browser().run(name, PASSWORD).access
    with pytest.raises(PortalSignInError, match="Incorrect"):
        portal.browser().run(name, "Temporary-pass-1")


def should_keep_the_groups_of_a_refreshed_token(portal: SmallPortal) -> None:
    browser = portal.browser()
    first = browser.run(portal.member("owners"), PASSWORD)
    again = browser.refresh(first.refresh)
    for token in (again.access, again.identity):
        assert _claims(token)["cognito:groups"] == ["owners"]
    browser.http.post(
        f"{portal.url}/oauth2/revoke", data={"token": first.refresh, "client_id": portal.client_id}
    ).raise_for_status()
    with pytest.raises(PortalSignInError, match="Invalid"):
        browser.refresh(first.refresh)


def should_redeem_a_code_once_and_for_its_verifier_only(portal: SmallPortal) -> None:
    browser = portal.browser()
    name = portal.member()
    code = browser.code(browser.submit(browser.open(), {"username": name, "password": PASSWORD}))
    assert code is not None
    thief = portal.browser()
    thief.open()
    with pytest.raises(PortalSignInError, match="PKCE"):
        thief.redeem(code)
    assert browser.redeem(code).access
    with pytest.raises(PortalSignInError, match="Invalid or expired"):
        browser.redeem(code)


def _own(portal: SmallPortal, operation: str, **body: Any) -> httpx.Response:
    headers = {
        "X-Amz-Target": f"AWSCognitoIdentityProviderService.{operation}",
        "Content-Type": "application/x-amz-json-1.1",
    }
    return httpx.post(f"{portal.url}/cognito-idp/", json=body, headers=headers, trust_env=False)


def _enrolled(portal: SmallPortal) -> tuple[str, str]:
    name = portal.member("annotators")
    token = portal.browser().run(name, PASSWORD).access
    secret = _own(portal, "AssociateSoftwareToken", AccessToken=token).json()["SecretCode"]
    verified = _own(portal, "VerifySoftwareToken", AccessToken=token, UserCode=totp(secret))
    assert verified.json()["Status"] == "SUCCESS"
    return name, secret


def should_ask_for_the_second_factor_of_who_has_one(portal: SmallPortal) -> None:
    name, secret = _enrolled(portal)
    browser = portal.browser()
    page = browser.submit(browser.open(), {"username": name, "password": PASSWORD})
    assert set(read_form(page.text).fields) == {"flow", "code"}
    assert browser.code(page) is None
    wrong = browser.submit(page, {"code": f"{(int(totp(secret)) + 500_000) % 1_000_000:06d}"})
    assert read_form(wrong.text).said == "The code is wrong or too old."
    code = browser.code(browser.submit(wrong, {"code": totp(secret)}))
    assert code is not None
    assert browser.redeem(code).access


def should_stop_guesses_at_the_second_factor_even_from_new_sign_ins(portal: SmallPortal) -> None:
    name, secret = _enrolled(portal)
    signing_in = []
    for _ in range(6):  # all before the lock, which begins with one second
        browser = portal.browser()
        signing_in.append((browser, browser.submit(browser.open(), {"username": name, "password": PASSWORD})))
    for browser, page in signing_in[:5]:
        browser.submit(page, {"code": f"{(int(totp(secret)) + 500_000) % 1_000_000:06d}"})
    browser, page = signing_in[5]
    locked = browser.submit(page, {"code": totp(secret)})
    assert "Too many attempts" in read_form(locked.text).said


def should_have_a_second_factor_set_up_where_the_pool_asks_everybody_for_one(portal: SmallPortal) -> None:
    factors = {"SoftwareTokenMfaConfiguration": {"Enabled": True}}
    name = portal.member()
    portal.cognito.set_user_pool_mfa_config(UserPoolId=portal.pool, MfaConfiguration="ON", **factors)
    try:
        browser = portal.browser()
        page = browser.submit(browser.open(), {"username": name, "password": PASSWORD})
        secret = re.search(r"<code>([A-Z2-7]+)</code>", page.text)
        assert secret is not None
        assert browser.code(browser.submit(page, {"code": "000000"})) is None
        assert browser.code(browser.submit(page, {"code": totp(secret[1])}))
    finally:
        portal.cognito.set_user_pool_mfa_config(UserPoolId=portal.pool, MfaConfiguration="OPTIONAL", **factors)


def should_pass_on_what_people_do_for_themselves_with_genuine_tokens_alone(portal: SmallPortal) -> None:
    token = portal.browser().run(portal.member(), PASSWORD).access
    assert _own(portal, "GetUser", AccessToken=token).status_code == 200
    assert _own(portal, "AssociateSoftwareToken", AccessToken=token[:-8] + "AAAAAAAA").status_code == 400
    assert _own(portal, "AdminGetUser", AccessToken=token, UserPoolId=portal.pool).status_code == 400
    assert _own(portal, "AdminCreateUser", UserPoolId=portal.pool, Username="eve").status_code == 400


def _reset_page(portal: SmallPortal, browser: HostedSignIn, name: str) -> httpx.Response:
    page = browser.open()
    link = re.search(r'href="(/forgotPassword[^"]+)"', page.text)
    assert link is not None
    return browser.submit(browser.http.get(portal.url + link[1]), {"username": name})


def should_reset_a_forgotten_password_by_a_mailed_code(portal: SmallPortal) -> None:
    name = portal.member()
    browser = portal.browser()
    page = _reset_page(portal, browser, name)
    mail = portal.mails(name)[-1]
    code = re.search(r"\b(\d{6})\b", json.dumps(mail))
    assert code is not None
    new = {"new_password": "Hot-noodles-2026", "confirm_password": "Hot-noodles-2026"}
    wrong = browser.submit(page, {"code": f"{(int(code[1]) + 1) % 1_000_000:06d}", **new})
    assert read_form(wrong.text).said == "The code is wrong or too old."
    done = browser.submit(wrong, {"code": code[1], **new})
    assert "Password changed" in done.text
    assert portal.browser().run(name, "Hot-noodles-2026").access
    with pytest.raises(PortalSignInError, match="Incorrect"):
        portal.browser().run(name, PASSWORD)


def should_answer_the_same_for_a_forgotten_password_of_nobody(portal: SmallPortal) -> None:
    there, not_there = (_reset_page(portal, portal.browser(), name) for name in (portal.member(), "nobody@example.com"))

    def without_names(page: httpx.Response) -> str:
        return re.sub(r'(name="flow" value=|flow=)"?[\w-]+', r"\1", page.text)

    assert without_names(there) == without_names(not_there)


def should_stop_guesses_at_passwords_of_people_there_and_not_there(portal: SmallPortal) -> None:
    for name in (portal.member(), "nobody-there@example.com"):
        ready = portal.browser()
        page = ready.open()  # before the lock, which begins with one second
        for _ in range(5):
            with pytest.raises(PortalSignInError, match="Incorrect"):
                portal.browser().run(name, "wrong")
        locked = ready.submit(page, {"username": name.upper(), "password": PASSWORD})
        assert "Too many attempts" in read_form(locked.text).said


def should_keep_a_sign_in_to_the_browser_that_began_it(portal: SmallPortal) -> None:
    page = portal.browser().open()
    thief = portal.browser()
    thief.open()
    taken = thief.submit(page, {"username": portal.member(), "password": PASSWORD})
    assert taken.status_code == 400
    assert thief.code(taken) is None


def should_escape_what_people_type_and_allow_no_script(portal: SmallPortal) -> None:
    browser = portal.browser()
    page = browser.submit(browser.open(), {"username": '"><script>alert(1)</script>', "password": "x"})
    assert "<script" not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
    assert page.headers["cache-control"] == "no-store"
    assert "HttpOnly" in browser.open().headers.get("set-cookie", "")


def should_speak_the_language_of_the_browser(portal: SmallPortal) -> None:
    browser = portal.browser()
    browser.http.headers["Accept-Language"] = "ja,en;q=0.8"
    assert '<html lang="ja">' in browser.open().text


@pytest.mark.parametrize(
    ("name", "value"),
    [("redirect_uri", "https://elsewhere.example/"), ("client_id", "nobody"), ("response_type", "token")],
)
def should_show_no_sign_in_for_a_request_that_cognito_refuses(portal: SmallPortal, name: str, value: str) -> None:
    asked = dict(portal.browser().open().url.params)
    answer = httpx.get(f"{portal.url}/oauth2/authorize", params={**asked, name: value}, trust_env=False)
    assert answer.status_code == 400
    assert "<form" not in answer.text


def should_answer_to_its_own_name_only(portal: SmallPortal) -> None:
    port = portal.url.rpartition(":")[2]
    assert httpx.get(f"{portal.url}/", headers={"Host": "evil.example"}, trust_env=False).status_code == 400
    moved = httpx.get(f"http://localhost:{port}/owner.html?job=a", trust_env=False)
    assert moved.headers["location"] == f"{portal.url}/owner.html?job=a"


def should_refuse_what_is_too_large(portal: SmallPortal) -> None:
    big = httpx.post(f"{portal.url}/login", content=b"x" * 20_000, trust_env=False)
    assert big.status_code == 413
