"""The portal as its pages meet it: the files of ``portal/``, and the real APIs behind what API Gateway would do.

Only the token's signature is not checked here: whoever the token names is believed.
"""

from __future__ import annotations

import base64
import contextlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from menulens.core import inputs, keys
from menulens.local.hosting import free_port
from menulens.portal import adding, owner_api
from menulens.portal.api import Api
from menulens.portal.context import Portal
from menulens.portal.model import PortalError
from menulens.portal.second_factor import SecondFactor
from menulens.settings import settings_of
from menulens.storage import StorageError

FILES = Path(__file__).resolve().parents[2] / "portal"
OWNERS = "menulens-test-owners"
ANNOTATORS = "menulens-test-annotators"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types menulens"
)


def token(person: str = "owner-1", group: str = OWNERS) -> str:
    """Return an access token that this server believes."""
    claims = {"sub": person, "username": person, "cognito:groups": [group], "token_use": "access"}
    parts = ({"alg": "none"}, claims, {})
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)


def session(person: str = "owner-1", group: str = OWNERS) -> str:
    """Return what the page keeps of a sign-in."""
    ends = int(time.time() * 1000) + 3_600_000
    return json.dumps({"access_token": token(person, group), "refresh_token": "none", "ends": ends})


@dataclass
class PageServer:
    """A running server."""

    origin: str
    started: list[tuple[str, Any]]


def no_pool() -> SecondFactor:
    """There is no user pool behind these pages."""
    raise PortalError("no-second-factor", "This user pool takes no codes.", 409)


@contextmanager
def running(portal: Portal, photos: str = "photos") -> Iterator[PageServer]:
    """Serve a portal's pages on a free port.

    What an owner sets going is checked as its state machine does, and noted; only photos are really added, from the
    bucket ``photos``.
    """
    settings = settings_of("local").model_dump(mode="json")
    place = inputs.place_of(settings, {"photos": photos, "labels": portal.labels_bucket})
    adders: list[Thread] = []
    port = free_port()
    started: list[tuple[str, Any]] = []
    one_at_a_time = Lock()  # as a Lambda function answers
    annotators = Api(lambda: portal, ANNOTATORS, OWNERS, no_pool).handler()

    def add(given: dict[str, Any]) -> None:
        with contextlib.suppress(PortalError, StorageError):  # the page tells of it
            adding.add(
                portal,
                given[keys.JOB_NAME],
                settings=settings,
                photo_bucket=photos,
                photos=given[keys.PHOTOS],
                manifest=given[keys.MANIFEST],
                addition=given[keys.ADDITION],
            )

    def start(machine: str, given: Any) -> str:
        checked = inputs.check(machine, given, place)
        started.append((machine, given))
        if machine == "add":
            adders.append(Thread(target=add, args=(checked,)))
            adders[-1].start()
        return f"arn:aws:states:us-east-1:123456789012:execution:{machine}:{len(started)}"

    async def api(request: Request) -> Response:
        event = _event(request, await request.body())
        answer = await run_in_threadpool(answered, request, event)
        body = answer["body"]
        content = base64.b64decode(body) if answer.get("isBase64Encoded") else body
        return Response(content, int(answer["statusCode"]), answer.get("headers"))

    def answered(request: Request, event: dict[str, Any]) -> dict[str, Any]:
        with one_at_a_time:
            if request.url.path.startswith("/api/owner/"):
                return owner_api.answer(event, None, portal, owners=OWNERS, start=start)
            return annotators(event, None)

    def config(_: Request) -> Response:
        return JSONResponse(
            {"region": "us-east-1", "client_id": "none", "issuer": "none", "sign_in": "", "api": "/api"}
        )

    app = Starlette(
        routes=[
            Route("/config.json", config),
            Route(
                "/api/{rest:path}", api, methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"]
            ),
            Mount("/", StaticFiles(directory=FILES, html=True)),
        ]
    )

    async def secured(scope: Any, receive: Any, send: Any) -> None:
        async def with_policy(message: Any) -> None:
            if message["type"] == "http.response.start" and not scope["path"].startswith("/api/"):
                message["headers"] = [*message["headers"], (b"content-security-policy", POLICY.encode())]
            await send(message)

        await app(scope, receive, with_policy)

    server = uvicorn.Server(uvicorn.Config(secured, port=port, log_level="warning"))
    thread = Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    try:
        yield PageServer(f"http://127.0.0.1:{port}", started)
    finally:
        server.should_exit = True
        thread.join(10)
        for adder in adders:
            adder.join()


def _event(request: Request, body: bytes) -> dict[str, Any]:
    bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
    claims: dict[str, Any] = {}
    try:
        text, is_binary = body.decode() or None, False
    except UnicodeDecodeError:
        text, is_binary = base64.b64encode(body).decode(), True
    if bearer.count(".") == 2:
        part = bearer.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        claims["cognito:groups"] = f"[{' '.join(claims['cognito:groups'])}]"  # as API Gateway flattens a list
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": request.url.path,
        "rawQueryString": request.url.query,
        "queryStringParameters": dict(request.query_params),
        "headers": dict(request.headers),
        "requestContext": {
            "http": {"method": request.method, "path": request.url.path, "sourceIp": "127.0.0.1"},
            "stage": "$default",
            "requestId": "1",
            "authorizer": {"jwt": {"claims": claims}},
        },
        "body": text,
        "isBase64Encoded": is_binary,
    }
