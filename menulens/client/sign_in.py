"""The hosted sign-in as a browser goes through it: authorization code with PKCE, forms filled by name."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx

_MOST_PAGES = 8


class PortalSignInError(Exception):
    """A sign-in that ended on a page again, or with an error; the message is what the page says."""


@dataclass(frozen=True)
class Tokens:
    """What ``/oauth2/token`` gave."""

    access: str
    identity: str
    refresh: str
    seconds: int


@dataclass
class Form:
    """One form of a page, and what the page says beside it."""

    action: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    said: str = ""


class _Parser(HTMLParser):
    """Takes a page's first form and its alert."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.alert = ""
        self._alert = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(given.get("action", "")))
        elif tag == "input" and self.forms and given.get("name"):
            self.forms[-1].fields[given["name"]] = given.get("value", "")
        self._alert = given.get("role") == "alert"

    def handle_data(self, data: str) -> None:
        if self._alert:
            self.alert += data

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 (the base class's signature)
        self._alert = False


def read_form(html: str) -> Form:
    """Return a page's first form.

    Raises
    ------
    PortalSignInError
        If the page has none.
    """
    parser = _Parser()
    parser.feed(html)
    if not parser.forms:
        raise PortalSignInError(parser.alert.strip() or f"This page has no form: {html[:300]}")
    form = parser.forms[0]
    form.said = parser.alert.strip()
    return form


@dataclass
class HostedSignIn:
    """One sign-in through the pages that the portal's ``config.json`` names.

    Parameters
    ----------
    http
        Client with cookies, one for each person.
    origin
        Address of the portal, without a slash at the end.
    """

    http: httpx.Client
    origin: str

    def __post_init__(self) -> None:
        answer = self.http.get(f"{self.origin}/config.json")
        answer.raise_for_status()
        self.config: dict[str, Any] = answer.json()
        self.base = urljoin(f"{self.origin}/", str(self.config["sign_in"])).rstrip("/")
        self._verifier = ""
        self._state = ""

    @property
    def redirect_uri(self) -> str:
        """Where the sign-in comes back to."""
        return f"{self.origin}/"

    def open(self) -> httpx.Response:
        """Go to the sign-in page."""
        self._verifier, self._state = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
        digest = hashlib.sha256(self._verifier.encode()).digest()
        request = {
            "client_id": str(self.config["client_id"]),
            "redirect_uri": self.redirect_uri,
            "response_type": "code",
            "scope": "openid email",
            "state": self._state,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        return self.http.get(f"{self.base}/oauth2/authorize", params=request)

    def submit(self, page: httpx.Response, values: Mapping[str, str]) -> httpx.Response:
        """Fill a page's form and send it."""
        form = read_form(page.text)
        filled = {name: values.get(name, value) for name, value in form.fields.items()}
        return self.http.post(urljoin(str(page.url), form.action), data=filled)

    def code(self, response: httpx.Response) -> str | None:
        """Return the authorization code of an answer that leads back to the portal, None of any other.

        Raises
        ------
        PortalSignInError
            If it leads back with an error or with another sign-in's state.
        """
        target = str(response.headers.get("location", ""))
        if not target.startswith(self.redirect_uri):
            return None
        query = parse_qs(urlsplit(target).query)
        if "code" not in query or query.get("state") != [self._state]:
            raise PortalSignInError(f"The sign-in came back without a code: {target}")
        return query["code"][0]

    def redeem(self, code: str) -> Tokens:
        """Exchange a code for tokens.

        Raises
        ------
        PortalSignInError
            If it is refused.
        """
        return self._token(
            grant_type="authorization_code", code=code, redirect_uri=self.redirect_uri, code_verifier=self._verifier
        )

    def refresh(self, token: str) -> Tokens:
        """Return new tokens for a refresh token.

        Raises
        ------
        PortalSignInError
            If it is refused.
        """
        return self._token(grant_type="refresh_token", refresh_token=token)

    def _token(self, **form: str) -> Tokens:
        answer = self.http.post(f"{self.base}/oauth2/token", data={"client_id": str(self.config["client_id"]), **form})
        if answer.status_code != httpx.codes.OK:
            raise PortalSignInError(f"/oauth2/token answered {answer.status_code}: {answer.text[:300]}")
        given = answer.json()
        return Tokens(
            given["access_token"],
            given.get("id_token", ""),
            given.get("refresh_token", form.get("refresh_token", "")),
            int(given["expires_in"]),
        )

    def run(self, username: str, password: str, new_password: str | None = None) -> Tokens:
        """Sign in, with a new password in place of a temporary one when that is asked.

        Raises
        ------
        PortalSignInError
            If the pages refuse; the message is theirs.
        """
        page = self.open()
        values = {"username": username, "password": password}
        for _ in range(_MOST_PAGES):
            form = read_form(page.text)
            if form.said:
                raise PortalSignInError(form.said)
            if "new_password" in form.fields:
                if new_password is None:
                    raise PortalSignInError("A new password is due in place of the temporary one.")
                values = {"new_password": new_password, "confirm_password": new_password}
            elif not set(values) & set(form.fields):
                raise PortalSignInError(f"This page asks for {', '.join(form.fields)}.")
            page = self.submit(page, values)
            if code := self.code(page):
                return self.redeem(code)
        raise PortalSignInError("The sign-in did not come to an end.")
