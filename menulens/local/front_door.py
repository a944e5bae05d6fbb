"""The local cloud's front door: the one origin where a browser finds page, API and sign-in, as in an account.

In an account these are two hosts, CloudFront's and Cognito's; here one loopback port stands before MiniStack, which
serves a distribution under its own host name. Sign-in pages are :mod:`menulens.local.hosted_sign_in`'s.
"""

from __future__ import annotations

import gzip
import json
import re
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import httpx
from botocore.exceptions import BotoCoreError, ClientError
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from menulens.cloud import LOCAL_ENVIRONMENT
from menulens.local import access_tokens, hosted_pages
from menulens.local.config import LocalConfig
from menulens.local.hosted_sign_in import REQUEST_FIELDS, Flow, HostedSignIn, SignInError

COMMENT = f"menulens-{LOCAL_ENVIRONMENT}-portal"  # how the portal's distribution is known among others
_COOKIE = "menulens_sign_in"
_MOST_BODY = 10 * 1024 * 1024  # what an HTTP API takes
_MOST_FORM = 16 * 1024
_TIMEOUT_SECONDS = 60.0
_KNOWN_SECONDS = 5.0
# What CloudFront compresses, and from how many bytes to how many.
_COMPRESSIBLE = re.compile(r"text/[\w.+-]+|application/(json|javascript|manifest\+json|xml)|image/svg\+xml")
_SHORTEST, _LONGEST = 1_000, 10_000_000
_HOP_BY_HOP = {
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding",
    "upgrade", "host", "content-length",
}  # fmt: skip
# What a signed-in person may ask of Cognito with their own access token, to have a second factor.
_OWN_OPERATIONS = {"GetUser", "AssociateSoftwareToken", "VerifySoftwareToken", "SetUserMFAPreference", "ChangePassword"}
_IDP = "AWSCognitoIdentityProviderService."
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_NOT_DEPLOYED = "The labeling portal is not deployed here (yet): menulens local up\n"


class FrontDoor:
    """What answers at the portal's address.

    Attributes
    ----------
    application
        The ASGI application.
    """

    def __init__(self, config: LocalConfig) -> None:
        self._config = config
        self._sign_in = HostedSignIn(config)
        self._tokens = access_tokens.AccessTokens(config)
        self._distribution: tuple[float, str | None] = (0.0, None)  # looked up until when, its host
        self._client: httpx.AsyncClient | None = None
        self.application = Starlette(
            routes=[
                Route("/sign-in.css", _style),
                Route("/oauth2/authorize", self._authorize),
                Route("/login", self._login),
                Route("/login", self._step, methods=["POST"]),
                Route("/forgotPassword", self._forgot),
                Route("/oauth2/token", self._to_cognito, methods=["POST"]),
                Route("/oauth2/userInfo", self._to_cognito, methods=["GET", "POST"]),
                Route("/oauth2/revoke", self._revoke, methods=["POST"]),
                Route("/logout", self._to_cognito),
                Route("/{pool}/.well-known/{file}", self._to_cognito),
                Route("/cognito-idp/", self._own_operation, methods=["POST"]),
                Route("/{path:path}", self._to_distribution, methods=list(_METHODS)),
            ],
            middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])],
            exception_handlers={_TooLargeError: _too_large},
            lifespan=self._lifespan,
        )

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        limits = httpx.Limits(max_connections=200, max_keepalive_connections=50)
        async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS, trust_env=False, limits=limits) as self._client:
            yield

    # --- sign-in ---------------------------------------------------------------------------------
    async def _authorize(self, request: Request) -> Response:
        checked = await self._to_cognito(request)  # Cognito judges client, address, scopes and PKCE
        if checked.status_code != httpx.codes.OK:
            return checked
        browser = request.cookies.get(_COOKIE) or secrets.token_urlsafe(24)
        asked = {name: request.query_params.get(name, "") for name in REQUEST_FIELDS}
        language = hosted_pages.language_of(
            request.query_params.get("lang", ""), request.headers.get("accept-language", "")
        )
        try:
            flow = await run_in_threadpool(self._sign_in.begin, asked, browser, language)
        except SignInError as error:
            return _failed(request, error)
        response = _shown(flow)
        response.set_cookie(_COOKIE, browser, httponly=True, samesite="lax", path="/")
        return response

    async def _login(self, request: Request) -> Response:
        return await self._show(request, forgotten=False)

    async def _forgot(self, request: Request) -> Response:
        return await self._show(request, forgotten=True)

    async def _show(self, request: Request, *, forgotten: bool) -> Response:
        try:
            flow = self._flow(request, request.query_params.get("flow", ""))
        except SignInError as error:
            return _failed(request, error)
        if forgotten:
            self._sign_in.forget_password(flow)
        elif flow.stage in ("forgot", "reset"):
            flow.stage, flow.notice = "password", ""
        return _shown(flow)

    async def _step(self, request: Request) -> Response:
        try:
            body = await _body(request, _MOST_FORM)
            form = {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
            flow = self._flow(request, form.get("flow", ""))
        except SignInError as error:
            return _failed(request, error)
        try:
            target = await run_in_threadpool(self._sign_in.step, flow, form)
        except SignInError as error:
            return _shown(flow, error)
        if target is None:
            return _shown(flow)
        return RedirectResponse(target, 303, headers=_HEADERS)

    def _flow(self, request: Request, flow_id: str) -> Flow:
        return self._sign_in.flow(flow_id, request.cookies.get(_COOKIE, ""))

    async def _revoke(self, request: Request) -> Response:
        body = await _body(request, _MOST_FORM)
        form = {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
        given = {"Token": form.get("token", ""), "ClientId": form.get("client_id", "")}
        try:
            await run_in_threadpool(lambda: self._config.client("cognito-idp").revoke_token(**given))
        except (ClientError, BotoCoreError) as error:
            text = json.dumps({"error": "invalid_request", "error_description": str(error)})
            return Response(text, 400, _HEADERS, "application/json")
        return Response(status_code=200, headers=_HEADERS)

    async def _own_operation(self, request: Request) -> Response:
        """Pass on an operation of Cognito that a person does for themselves, if their access token is genuine."""
        operation = request.headers.get("x-amz-target", "").removeprefix(_IDP)
        body = await _body(request, _MOST_FORM)
        try:
            asked = json.loads(body)
            token = asked["AccessToken"]
            if operation not in _OWN_OPERATIONS:
                raise access_tokens.TokenError(f"{operation} can't be asked for here.")
            await run_in_threadpool(self._tokens.check, token)
        except (ValueError, TypeError, KeyError, access_tokens.TokenError) as error:
            refusal = {"__type": "NotAuthorizedException", "message": str(error)}
            return Response(json.dumps(refusal), 400, _HEADERS, "application/x-amz-json-1.1")
        return await self._passed_on(request, "/", {}, body)

    # --- what MiniStack answers ------------------------------------------------------------------
    async def _to_cognito(self, request: Request) -> Response:
        return await self._passed_on(request, _target(request), {}, await _body(request, _MOST_FORM))

    async def _to_distribution(self, request: Request) -> Response:
        own = urlsplit(self._config.labeling_url).netloc
        if request.headers.get("host") != own and request.method in ("GET", "HEAD"):
            return RedirectResponse(f"http://{own}{_target(request)}", 307)  # signed in at one origin, not two
        host = await run_in_threadpool(self._portal)
        if host is None:
            return Response(_NOT_DEPLOYED, 503, {**_HEADERS, "Retry-After": "5"}, "text/plain")
        more = {"host": host, "x-forwarded-proto": "https"}  # a distribution sends others there
        if known := request.headers.get("if-none-match"):
            more["if-none-match"] = known.replace('W/"', '"')
        answer = await self._passed_on(request, _target(request), more, await _body(request, _MOST_BODY))
        # A behavior without a cache compresses nothing, and that is the API's.
        return answer if request.url.path.startswith("/api/") else await _compressed(request, answer)

    def _portal(self) -> str | None:
        """Return the host name of the portal's distribution."""
        known_until, host = self._distribution
        if known_until < time.monotonic():
            pages = self._config.client("cloudfront").get_paginator("list_distributions").paginate()
            items = [item for page in pages for item in page["DistributionList"].get("Items", [])]
            host = next((str(item["DomainName"]) for item in items if item["Comment"] == COMMENT), None)
            self._distribution = (time.monotonic() + _KNOWN_SECONDS, host)
        return host

    async def _passed_on(self, request: Request, target: str, more: Mapping[str, str], body: bytes) -> Response:
        if self._client is None:
            raise RuntimeError("the front door is not open")
        headers = [(name, value) for name, value in request.headers.items() if name not in {*_HOP_BY_HOP, *more}]
        url = self._config.endpoint_url + target
        asked = httpx.Request(request.method, url, headers=[*headers, *more.items()], content=body or None)
        try:
            answer = await self._client.send(asked, stream=True)
        except httpx.HTTPError as error:
            return Response(f"The local cloud did not answer: {error!r}\n", 502, _HEADERS, "text/plain")
        response = StreamingResponse(answer.aiter_raw(), answer.status_code, background=BackgroundTask(answer.aclose))
        length = [(b"content-length", answer.headers["content-length"].encode())] if _whole(request, answer) else []
        response.raw_headers = length + [
            (name.lower(), value) for name, value in answer.headers.raw if name.decode().lower() not in _HOP_BY_HOP
        ]
        return response


_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def _whole(request: Request, answer: httpx.Response) -> bool:
    return "content-length" in answer.headers and request.method != "HEAD"


async def _compressed(request: Request, answer: Response) -> Response:
    """Return a page's file as CloudFront does that compresses: gzip for who takes it, if it is text of some length."""
    kind = answer.headers.get("content-type", "").partition(";")[0].strip()
    length = int(answer.headers.get("content-length", 0))
    if (
        not isinstance(answer, StreamingResponse)
        or answer.status_code != httpx.codes.OK
        or "gzip" not in request.headers.get("accept-encoding", "")
        or not _COMPRESSIBLE.fullmatch(kind)
        or "content-encoding" in answer.headers
        or not _SHORTEST <= length <= _LONGEST
    ):
        return answer
    content = b"".join([bytes(chunk) async for chunk in answer.body_iterator if not isinstance(chunk, str)])
    if answer.background is not None:
        await answer.background()
    packed = gzip.compress(content, compresslevel=6, mtime=0)
    headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
    headers |= {"content-encoding": "gzip", "vary": "Accept-Encoding"}
    if "etag" in headers:
        headers["etag"] = f"W/{headers['etag'].removeprefix('W/')}"
    return Response(packed, answer.status_code, headers)


def _target(request: Request) -> str:
    """Return path and query as the browser sent them."""
    raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
    query: bytes = request.scope["query_string"]
    return raw.decode("latin-1") + (f"?{query.decode('latin-1')}" if query else "")


async def _body(request: Request, most: int) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise _TooLargeError
    return body


class _TooLargeError(Exception):
    """A request over what an HTTP API takes."""


async def _too_large(_request: Request, _error: Exception) -> Response:
    return Response("The request is too large.\n", 413, _HEADERS, "text/plain")


async def _style(_request: Request) -> Response:
    return Response(hosted_pages.CSS, 200, {**_HEADERS, "Cache-Control": "max-age=600"}, "text/css")


def _shown(flow: Flow, error: SignInError | None = None) -> Response:
    return HTMLResponse(hosted_pages.page(flow, error), 200, _HEADERS)


def _failed(request: Request, error: SignInError) -> Response:
    language = hosted_pages.language_of("", request.headers.get("accept-language", ""))
    return HTMLResponse(hosted_pages.failure_page(language, error), 400, _HEADERS)
