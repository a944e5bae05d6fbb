"""The labeling page and its JSON API, on a loopback port of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from menulens.local import objects
from menulens.local.config import LocalConfig
from menulens.local.errors import JobFailedError
from menulens.local.labeling_job import LabelingJob
from menulens.local.labeling_store import Item, TaskError, Worker
from menulens.local.service import SageMaker
from menulens.local.sign_in import SignIn, SignInError

_PAGE = Path(__file__).parent / "page"
_COOKIE = "menulens_session"
_MOST_TASKS = 20
_MAX_REQUEST = 16 * 1024
_MAX_PHOTO = 40 * 1024 * 1024  # what Ground Truth takes
_SIGNATURES = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF8", "image/gif"),
    (b"RIFF", "image/webp"),
)
_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/app.js": ("app.js", "text/javascript; charset=utf-8"),
    "/app.css": ("app.css", "text/css; charset=utf-8"),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class _SecurityHeaders:
    """Adds the headers that every answer carries."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                more = [
                    (k.lower().encode(), v.encode()) for k, v in _HEADERS.items() if k.lower().encode() not in given
                ]
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        await self._app(scope, receive, with_headers)


class LabelingPage:
    """The server of the page; runs in a thread of its own."""

    def __init__(self, service: SageMaker, config: LocalConfig) -> None:
        self._config = config
        self._labeling = service.labeling
        self._sign_in = SignIn(config, service.workforces)

    def application(self) -> Starlette:
        """Return the ASGI application."""
        files = [Route(path, partial(_file, name, kind)) for path, (name, kind) in _FILES.items()]
        return Starlette(
            routes=[
                *files,
                Route("/api/sign-in", self._post_sign_in, methods=["POST"]),
                Route("/api/sign-out", _post_sign_out, methods=["POST"]),
                Route("/api/status", self._authorised(self._status)),
                Route("/api/tasks", self._authorised(self._tasks)),
                Route("/api/tasks/{task}", self._authorised(self._answer, with_body=True), methods=["POST"]),
                Route("/api/tasks/{task}/photo", self._authorised(self._photo)),
            ],
            middleware=[
                Middleware(_SecurityHeaders),
                Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"]),
            ],
            exception_handlers={HTTPException: _refuse},
        )

    async def _post_sign_in(self, request: Request) -> Response:
        body = await _json_body(request)
        username, password = body.get("username"), body.get("password")
        new_password = body.get("new_password")
        if not isinstance(username, str) or not isinstance(password, str):
            raise HTTPException(400, "username and password are required.")
        if new_password is not None and not isinstance(new_password, str):
            raise HTTPException(400, "new_password must be text.")
        try:
            answer = await run_in_threadpool(self._sign_in.start, username, password, new_password)
        except SignInError as error:
            raise HTTPException(401, str(error)) from None
        response = JSONResponse(answer)
        if "token" in answer:
            response.set_cookie(_COOKIE, answer["token"], httponly=True, samesite="strict", path="/")
        return response

    def _authorised(self, answer: Callable[..., Response], *, with_body: bool = False) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            kind, _, bearer = request.headers.get("authorization", "").partition(" ")
            token = bearer if kind.lower() == "bearer" else request.cookies.get(_COOKIE, "")
            if not token:
                raise HTTPException(401, "Sign in first.")
            given = (await _json_body(request),) if with_body else ()
            try:
                worker = await run_in_threadpool(self._sign_in.worker, token)
                return await run_in_threadpool(answer, worker, request, *given)
            except SignInError as error:
                raise HTTPException(401, str(error)) from None
            except TaskError as error:
                raise HTTPException(error.status, str(error)) from None

        return endpoint

    def _status(self, worker: Worker, _request: Request) -> Response:
        jobs = [
            {
                "name": job.name,
                "status": job.status,
                "counters": job.describe()["LabelCounters"],
                "mine": sum(worker.sub in item.answers for item in store.items),
            }
            for job, store in self._labeling.jobs_of(worker)
        ]
        return JSONResponse({"worker": worker.name, "groups": sorted(worker.groups), "jobs": jobs})

    def _tasks(self, worker: Worker, request: Request) -> Response:
        asked = request.query_params.get("limit", "5")
        limit = min(_MOST_TASKS, int(asked)) if asked.isdecimal() else 0
        if limit < 1:
            raise HTTPException(400, f"limit is {asked!r}; a number from 1 to {_MOST_TASKS} is due.")
        tasks: list[dict[str, Any]] = []
        for job, store in self._labeling.jobs_of(worker):
            tasks += [_task(job, item) for item in store.lease(worker, limit - len(tasks))]
        return JSONResponse({"tasks": tasks})

    def _answer(self, worker: Worker, request: Request, body: dict[str, Any]) -> Response:
        answer = body.get("answer")
        if not isinstance(answer, str):
            raise HTTPException(400, 'answer is required, as in {"answer": "<category>"}.')
        _, store, index = self._labeling.task(worker, request.path_params["task"])
        store.answer(worker, index, answer)
        return JSONResponse({"accepted": True})

    def _photo(self, worker: Worker, request: Request) -> Response:
        _, item = self._labeling.leased(worker, request.path_params["task"])
        ref = item.data.get("source-ref")
        if not isinstance(ref, str):
            raise HTTPException(404, "This task has no photo.")
        try:
            photo = objects.read(self._config.client("s3"), ref)
        except JobFailedError as error:
            raise HTTPException(404, str(error)) from None
        kind = next((kind for signature, kind in _SIGNATURES if photo.startswith(signature)), None)
        if kind is None or len(photo) > _MAX_PHOTO:
            raise HTTPException(415, "This file is no JPEG, PNG, GIF or WebP photo of up to 40 MB.")
        return Response(photo, media_type=kind, headers={"Cache-Control": "private, max-age=300"})


def _task(job: LabelingJob, item: Item) -> dict[str, Any]:
    task_id = f"{job.name}.{item.index}"
    return {
        "id": task_id,
        "job": job.name,
        "photo_url": f"/api/tasks/{task_id}/photo",
        "title": job.human["TaskTitle"],
        "description": job.human["TaskDescription"],
        "categories": job.categories,
        "task": item.task_input,
    }


async def _file(name: str, kind: str, _request: Request) -> Response:
    body = await run_in_threadpool((_PAGE / name).read_bytes)
    return Response(body, headers={"Content-Type": kind})


async def _post_sign_out(_request: Request) -> Response:
    response = JSONResponse({"signed_out": True})
    response.delete_cookie(_COOKIE, path="/", httponly=True, samesite="strict")
    return response


async def _json_body(request: Request) -> dict[str, Any]:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "application/json is due.")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_REQUEST:
            raise HTTPException(413, f"The request is over {_MAX_REQUEST} bytes.")
    try:
        value = json.loads(body)
    except ValueError:
        raise HTTPException(400, "The request is no JSON.") from None
    if not isinstance(value, dict):
        raise HTTPException(400, "A JSON object is due.")
    return value


async def _refuse(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = error.detail if isinstance(error, HTTPException) else "Something went wrong."
    return JSONResponse({"error": detail}, status_code=status)
