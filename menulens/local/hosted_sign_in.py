"""The local cloud's hosted sign-in: what Cognito's own pages do in an account, by Cognito's real operations.

MiniStack's page knows neither a second factor nor a forgotten password. Here each step is an operation of the user
pool (AdminInitiateAuth, AdminRespondToAuthChallenge, ForgotPassword, …); the code at the end is MiniStack's, so that
its ``/oauth2/token`` redeems it.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from botocore.exceptions import ClientError

from menulens.local import ministack_hooks as hooks
from menulens.local.config import LocalConfig
from menulens.local.lockout import LockedError, Lockout

Stage = Literal["password", "new_password", "totp", "enrol", "forgot", "reset"]
REQUEST_FIELDS = (
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
)
_CLIENT = "hosted-sign-in"  # the app client that these pages check passwords with, as Cognito's pages have theirs
_LIFETIME = 3600.0
_MOST_FLOWS = 1000
_WRONG = ("NotAuthorizedException", "UserNotFoundException", "UserNotConfirmedException", "InvalidParameterException")
_BAD_CODE = ("CodeMismatchException", "ExpiredCodeException", "EnableSoftwareTokenMFAException")


class SignInError(Exception):
    """A step that was refused; ``reason`` is the key of what the page says, ``detail`` completes it."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason} {detail}".strip())
        self.reason = reason
        self.detail = detail


@dataclass
class Flow:
    """One person's way through the pages, bound to their browser.

    Attributes
    ----------
    request
        What the application asked of ``/oauth2/authorize``.
    stage
        The page that is due; no other step is taken.
    """

    id: str
    browser: str
    pool: str
    request: dict[str, str]
    language: str
    ends: float
    stage: Stage = "password"
    username: str = ""
    cognito_session: str = ""
    access_token: str = ""
    secret: str = ""
    notice: str = ""


@dataclass
class HostedSignIn:
    """Every running flow."""

    config: LocalConfig
    clock: Callable[[], float] = time.monotonic
    _flows: dict[str, Flow] = field(default_factory=dict)
    _clients: dict[str, str] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self._lockout = Lockout(self.clock)

    @property
    def _cognito(self) -> Any:
        return self.config.client("cognito-idp")

    def begin(self, request: Mapping[str, str], browser: str, language: str) -> Flow:
        """Return a new flow for a request that ``/oauth2/authorize`` found in order."""
        pool = hooks.pool_of_client(request["client_id"])
        if pool is None:
            raise SignInError("unknown_client")
        flow = Flow(
            secrets.token_urlsafe(24),
            browser,
            pool,
            {name: request.get(name, "") for name in REQUEST_FIELDS},
            language,
            self.clock() + _LIFETIME,
        )
        with self._lock:
            self._flows[flow.id] = flow
            while len(self._flows) > _MOST_FLOWS:
                del self._flows[next(iter(self._flows))]
        return flow

    def flow(self, flow_id: str, browser: str) -> Flow:
        """Return a running flow of this browser.

        Raises
        ------
        SignInError
            If there is none.
        """
        with self._lock:
            flow = self._flows.get(flow_id)
        if flow is None or flow.ends < self.clock() or not secrets.compare_digest(flow.browser, browser):
            raise SignInError("expired")
        return flow

    def step(self, flow: Flow, form: Mapping[str, str]) -> str | None:
        """Take the step that is due; return where to go when the person is signed in.

        Raises
        ------
        SignInError
            If it was refused; ``flow.stage`` says which page is due next.
        """
        steps: dict[Stage, Callable[[Flow, Mapping[str, str]], str | None]] = {
            "password": self._password,
            "new_password": self._new_password,
            "totp": self._totp,
            "enrol": self._enrol,
            "forgot": self._forgot,
            "reset": self._reset,
        }
        flow.notice = ""
        with self._lock:  # one step at a time: guesses in parallel would pass the lockout
            return steps[flow.stage](flow, form)

    def forget_password(self, flow: Flow) -> None:
        """Turn to the page for a forgotten password."""
        if flow.stage in ("password", "forgot", "reset"):
            flow.stage = "forgot"

    def _password(self, flow: Flow, form: Mapping[str, str]) -> str | None:
        flow.username = form.get("username", "").strip()
        client = self._client(flow.pool)
        answer = self._guarded(
            _key("password", flow),
            "wrong_password",
            _WRONG,
            lambda: self._cognito.admin_initiate_auth(
                UserPoolId=flow.pool,
                ClientId=client,
                AuthFlow="ADMIN_USER_PASSWORD_AUTH",
                AuthParameters={"USERNAME": flow.username, "PASSWORD": form.get("password", "")},
            ),
            reset=flow,
        )
        return self._answered(flow, answer)

    def _new_password(self, flow: Flow, form: Mapping[str, str]) -> str | None:
        password = self._checked(flow, form)
        return self._answered(flow, self._respond(flow, "NEW_PASSWORD_REQUIRED", NEW_PASSWORD=password))

    def _totp(self, flow: Flow, form: Mapping[str, str]) -> str | None:
        code = form.get("code", "").replace(" ", "")
        answer = self._guarded(
            _key("code", flow),
            "wrong_code",
            _BAD_CODE,
            lambda: self._respond(flow, "SOFTWARE_TOKEN_MFA", SOFTWARE_TOKEN_MFA_CODE=code),
        )
        return self._answered(flow, answer)

    def _respond(self, flow: Flow, challenge: str, **responses: str) -> Any:
        return self._cognito.admin_respond_to_auth_challenge(
            UserPoolId=flow.pool,
            ClientId=self._client(flow.pool),
            ChallengeName=challenge,
            Session=flow.cognito_session,
            ChallengeResponses={"USERNAME": flow.username, **responses},
        )

    def _answered(self, flow: Flow, answer: Mapping[str, Any]) -> str | None:
        """Go where Cognito's answer leads: to a challenge's page, or back to the application."""
        stages: dict[str, Stage] = {"NEW_PASSWORD_REQUIRED": "new_password", "SOFTWARE_TOKEN_MFA": "totp"}
        if challenge := answer.get("ChallengeName"):
            if challenge not in stages:
                raise SignInError("unknown_challenge", challenge)
            flow.stage, flow.cognito_session = stages[challenge], answer["Session"]
            return None
        flow.access_token = answer["AuthenticationResult"]["AccessToken"]
        if self._must_enrol(flow):
            flow.stage = "enrol"
            flow.secret = self._cognito.associate_software_token(AccessToken=flow.access_token)["SecretCode"]
            return None
        return self._signed_in(flow)

    def _must_enrol(self, flow: Flow) -> bool:
        """Return whether the pool asks everybody for a second factor and this person has none yet."""
        if self._cognito.get_user_pool_mfa_config(UserPoolId=flow.pool).get("MfaConfiguration") != "ON":
            return False
        user = self._cognito.admin_get_user(UserPoolId=flow.pool, Username=flow.username)
        return "SOFTWARE_TOKEN_MFA" not in user.get("UserMFASettingList", [])

    def _enrol(self, flow: Flow, form: Mapping[str, str]) -> str | None:
        code = form.get("code", "").replace(" ", "")
        self._guarded(
            _key("code", flow),
            "wrong_code",
            _BAD_CODE,
            lambda: self._cognito.verify_software_token(AccessToken=flow.access_token, UserCode=code),
        )
        return self._signed_in(flow)

    def _signed_in(self, flow: Flow) -> str:
        user = self._cognito.admin_get_user(UserPoolId=flow.pool, Username=flow.username)
        self._end(flow)
        try:
            return hooks.authorization_code(flow.pool, user["Username"], flow.request)
        except ValueError as error:
            raise SignInError("unknown_client", str(error)) from None

    def _forgot(self, flow: Flow, form: Mapping[str, str]) -> None:
        flow.username = form.get("username", "").strip()
        key = _key("forgot", flow)
        self._check(key)
        self._lockout.failed(key)  # each mail counts, so that nobody floods another's mailbox
        try:
            self._cognito.forgot_password(ClientId=flow.request["client_id"], Username=flow.username)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _WRONG:
                raise
        flow.stage, flow.notice = "reset", "code_sent"  # the same for somebody who is not there

    def _reset(self, flow: Flow, form: Mapping[str, str]) -> None:
        password = self._checked(flow, form)
        self._guarded(
            _key("reset", flow),
            "wrong_code",
            (*_BAD_CODE, *_WRONG),
            lambda: self._cognito.confirm_forgot_password(
                ClientId=flow.request["client_id"],
                Username=flow.username,
                ConfirmationCode=form.get("code", "").strip() or "-",
                Password=password,
            ),
        )
        self._lockout.succeeded(_key("password", flow))
        flow.stage, flow.notice = "password", "password_changed"

    def _checked(self, flow: Flow, form: Mapping[str, str]) -> str:
        """Return the new password of a form if it is given twice and meets the pool's policy."""
        password = form.get("new_password", "")
        if password != form.get("confirm_password", ""):
            raise SignInError("passwords_differ")
        if errors := hooks.password_errors(flow.pool, password):
            raise SignInError("weak_password", "; ".join(errors))
        return password

    def _guarded(
        self,
        name: str,
        reason: str,
        refusals: tuple[str, ...],
        operation: Callable[[], Any],
        *,
        reset: Flow | None = None,
    ) -> Any:
        """Call an operation that someone may guess at, and count its refusals."""
        self._check(name)
        try:
            answer = operation()
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "PasswordResetRequiredException" and reset is not None:
                self._lockout.succeeded(name)
                reset.stage = "forgot"
                raise SignInError("reset_due") from None
            if code not in refusals:
                raise
            self._lockout.failed(name)
            raise SignInError(reason) from None
        self._lockout.succeeded(name)
        return answer

    def _check(self, name: str) -> None:
        try:
            self._lockout.check(name)
        except LockedError as error:
            raise SignInError("locked", f"{max(1, round(error.seconds))}") from None

    def _end(self, flow: Flow) -> None:
        self._flows.pop(flow.id, None)

    def _client(self, pool: str) -> str:
        """Return the app client of a pool that may check passwords; made at the first sign-in."""
        if pool not in self._clients:
            made = self._cognito.create_user_pool_client(
                UserPoolId=pool, ClientName=_CLIENT, ExplicitAuthFlows=["ALLOW_ADMIN_USER_PASSWORD_AUTH"]
            )
            self._clients[pool] = made["UserPoolClient"]["ClientId"]
        return self._clients[pool]


def _key(kind: str, flow: Flow) -> str:
    """Return what failures are counted by: a name in any case is one person."""
    return f"{kind} {flow.pool} {flow.username.lower()}"
