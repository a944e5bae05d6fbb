"""The portal's HTTP contract with its state in memory: faults that a deployed portal does not have on demand.

It keeps what it was told, so that a test can count: each answer, how often, and in which order. What the
page does is tested against the deployed portal as well; this one alone can refuse, delay, or lose a reply.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

PORTAL = Path(__file__).resolve().parents[2] / "portal"
SECURITY = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; connect-src 'self'; manifest-src 'self'; worker-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types menulens",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}
LEASE_SECONDS = 300
TIME = "%Y-%m-%dT%H:%M:%SZ"
KINDS = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
}


@dataclass
class Job:
    """One job, its items in order, and who may see it."""

    name: str
    definition: dict[str, Any]
    items: list[dict[str, Any]]
    title: dict[str, str]
    state: str = "open"
    version: int = 1
    ends: bool = True
    """Whether it ends with its last photo; a deployed one takes a moment."""
    answers: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Item to the answers that count."""
    leased: dict[str, str] = field(default_factory=dict)

    def settled(self) -> int:
        return sum(any(one["kind"] != "skip" for one in answers) for answers in self.answers.values())


class ContractServer:
    """Serves the page and the API; ``received`` holds every answer in order, repeated ones too."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.received: list[dict[str, Any]] = []
        self.accepted: dict[str, dict[str, Any]] = {}
        self.lease_requests = 0
        self.handed_back: list[str] = []
        self.sign_ins = 0
        self.renewals = 0
        self.token_seconds = 3600
        self.photo_delay = 0.0
        self.fail_answers: list[int | str] = []
        """What becomes of the next requests with answers: a status, or "lost" (kept, but no reply arrives)."""
        self.fail_jobs: list[int] = []
        """Statuses of the next requests for what a job asks."""
        self.refresh_works = True
        self.version = "000000000000"
        self.changed: dict[str, str] = {}
        """Files of the page that another deployment has changed: path below ``portal/`` to their text."""
        self._codes: dict[str, str] = {}
        self._valid: set[str] = set()
        self._lock = threading.Lock()
        self.url = ""

    # --- running -----------------------------------------------------------------------------------

    @contextmanager
    def running(self) -> Iterator[ContractServer]:
        config = uvicorn.Config(self.application(), host="127.0.0.1", port=0, log_level="warning", access_log=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        self.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.should_exit = True
            thread.join(5)

    def application(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/oauth2/authorize", self._authorize),
                Route("/oauth2/token", self._token, methods=["POST"]),
                Route("/oauth2/revoke", self._revoke, methods=["POST"]),
                Route("/logout", lambda request: RedirectResponse(request.query_params["logout_uri"])),
                Route("/config.json", self._config),
                Route("/api/me", self._me),
                Route("/api/jobs/{job}", self._job),
                Route("/api/jobs/{job}/leases", self._leases, methods=["POST", "DELETE"]),
                Route("/api/jobs/{job}/answers", self._answers, methods=["POST"]),
                Route("/api/photos/{token:path}", self._photo),
                Route("/{path:path}", self._file),
            ]
        )

    # --- sign-in -----------------------------------------------------------------------------------

    def _authorize(self, request: Request) -> Response:
        asked = request.query_params
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(8)
        self._codes[code] = asked["code_challenge"]
        self.sign_ins += 1
        return RedirectResponse(f"{asked['redirect_uri']}?code={code}&state={asked['state']}")

    async def _token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        if form["grant_type"] == "authorization_code":
            digest = hashlib.sha256(form["code_verifier"].encode()).digest()
            challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            if self._codes.pop(form["code"], None) != challenge:
                return JSONResponse({"error": "invalid_grant"}, 400)
            return JSONResponse({**self._fresh(), "refresh_token": "refresh"})
        if not self.refresh_works or form["refresh_token"] != "refresh":
            return JSONResponse({"error": "invalid_grant"}, 400)
        self.renewals += 1
        return JSONResponse(self._fresh())

    def _fresh(self) -> dict[str, Any]:
        claims = {
            "sub": "person-1",
            "username": "d9b1f6a2-0f5e-4b8f-8f52-5a4b3f1f6f1e",
            "cognito:groups": ["annotators"],
            "n": secrets.token_hex(4),
        }
        token = ".".join(
            base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
            for part in ({"alg": "none"}, claims, "signature")
        )
        self._valid.add(token)
        identity = base64.urlsafe_b64encode(json.dumps({"email": "mai@example.com"}).encode()).rstrip(b"=").decode()
        return {
            "id_token": f"x.{identity}.x",
            "access_token": token,
            "expires_in": self.token_seconds,
            "token_type": "Bearer",
        }

    def forget_tokens(self) -> None:
        """Let every access token end now."""
        self._valid.clear()

    async def _revoke(self, request: Request) -> Response:
        self._valid.clear()
        return Response(status_code=200)

    def _refused(self, request: Request) -> bool:
        return request.headers.get("authorization", "").removeprefix("Bearer ") not in self._valid

    # --- the API -----------------------------------------------------------------------------------

    def _counts(self, job: Job) -> dict[str, Any]:
        return {
            "mine": sum(map(len, job.answers.values())),
            "open": len(job.items) - job.settled(),
            "total": len(job.items),
            "state": job.state,
        }

    def _me(self, request: Request) -> Response:
        if self._refused(request):
            return JSONResponse({"message": "Unauthorized"}, 401)
        jobs = [{"job": job.name, **job.title, **self._counts(job)} for job in self.jobs.values()]
        return JSONResponse(
            {"person": {"id": "person-1", "name": "d9b1f6a2-0f5e-4b8f-8f52-5a4b3f1f6f1e", "owner": False}, "jobs": jobs}
        )

    def _job(self, request: Request) -> Response:
        if self._refused(request):
            return JSONResponse({"message": "Unauthorized"}, 401)
        if self.fail_jobs:
            return JSONResponse({"error": {"code": "busy", "message": "try later"}}, self.fail_jobs.pop(0))
        job = self.jobs.get(request.path_params["job"])
        if job is None:
            return JSONResponse({"error": {"code": "no-job", "message": "no such job"}}, 404)
        return JSONResponse({"job": job.name, "version": job.version, "state": job.state, **job.definition})

    async def _leases(self, request: Request) -> Response:
        if self._refused(request):
            return JSONResponse({"message": "Unauthorized"}, 401)
        job = self.jobs[request.path_params["job"]]
        body = await request.json()
        if request.method == "DELETE":
            self.handed_back += body["items"]
            for item in body["items"]:
                job.leased.pop(item, None)
            return JSONResponse({})
        self.lease_requests += 1
        with self._lock:
            tasks: list[dict[str, Any]] = []
            if job.state == "open":
                free = [one for one in job.items if one["item"] not in job.answers and one["item"] not in body["have"]]
                tasks = [self._task(job, one) for one in free[: body["limit"]]]
        told = {"tasks": tasks, "now": time.strftime(TIME, time.gmtime()), "version": job.version, "blocked": False}
        return JSONResponse({**told, **self._counts(job)})

    def _task(self, job: Job, item: dict[str, Any]) -> dict[str, Any]:
        job.leased[item["item"]] = "person-1"
        ends = time.strftime(TIME, time.gmtime(time.time() + LEASE_SECONDS))
        photo = f"/api/photos/{job.name}/{item['item']}" if item.get("bytes") else None
        kept = {key: value for key, value in item.items() if key != "bytes"}
        return {
            "width": None,
            "height": None,
            "text": None,
            "context": {},
            "together": 1,
            **kept,
            "photo": photo,
            "lease_ends": ends,
        }

    async def _answers(self, request: Request) -> Response:
        if self._refused(request):
            return JSONResponse({"message": "Unauthorized"}, 401)
        job = self.jobs[request.path_params["job"]]
        given = (await request.json())["answers"]
        assert 1 <= len(given) <= 50
        fault = self.fail_answers.pop(0) if self.fail_answers else None
        if isinstance(fault, int):
            return JSONResponse(
                {"error": {"code": "busy", "message": "try later"}}, fault, {"retry-after": "1"} if fault == 429 else {}
            )
        with self._lock:
            results = [self._record(job, answer) for answer in given]
        if fault == "lost":
            return Response(status_code=504)
        return JSONResponse({"results": results, **self._counts(job)})

    def _record(self, job: Job, answer: dict[str, Any]) -> dict[str, Any]:
        self.received.append(answer)
        if answer["id"] in self.accepted:
            return {"id": answer["id"], "status": "duplicate"}
        counted = job.answers.setdefault(answer["item"], [])
        if counted and answer.get("replaces") != counted[-1]["id"]:
            return {"id": answer["id"], "status": "rejected", "code": "answered", "message": "answered before"}
        self.accepted[answer["id"]] = {**answer, "job": job.name}
        counted[:] = [answer]
        if job.ends and job.state == "open" and job.settled() == len(job.items):
            job.state = "complete"
        return {"id": answer["id"], "status": "accepted"}

    def _photo(self, request: Request) -> Response:
        if self._refused(request):
            return JSONResponse({"message": "Unauthorized"}, 401)
        name, _, item = request.path_params["token"].partition("/")
        if self.photo_delay:
            time.sleep(self.photo_delay)
        found = next(one for one in self.jobs[name].items if one["item"] == item)
        return Response(found["bytes"], media_type="image/jpeg", headers={"cache-control": "private, max-age=600"})

    # --- the page ----------------------------------------------------------------------------------

    def _config(self, request: Request) -> Response:
        return JSONResponse(
            {
                "region": "us-east-1",
                "client_id": "client",
                "issuer": self.url,
                "sign_in": self.url,
                "api": "/api",
                "version": self.version,
            },
            headers=SECURITY,
        )

    def _file(self, request: Request) -> Response:
        path = PORTAL / (request.path_params["path"] or "index.html")
        if not path.is_file() or PORTAL not in path.parents:
            return Response(status_code=404)
        changed = self.changed.get(path.relative_to(PORTAL).as_posix())
        if changed is not None:
            return Response(changed, media_type=KINDS[path.suffix], headers=SECURITY)
        return FileResponse(path, media_type=KINDS[path.suffix], headers=SECURITY)
