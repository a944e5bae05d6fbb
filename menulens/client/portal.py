"""The labeling portal's HTTP API for programs: scripted annotators, tests, load."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

import httpx

from menulens.client.sign_in import HostedSignIn, Tokens

_TIMEOUT_SECONDS = 30.0
_ATTEMPTS = 6
_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 10.0
_BEFORE_END_SECONDS = 60.0
# Worth another attempt: nothing said that the request was wrong, and an answer's id makes it count once.
_TRANSIENT = frozenset({429, 500, 502, 503, 504})


class PortalClientError(Exception):
    """A request that the portal refused.

    Attributes
    ----------
    status, code
        HTTP status, and the portal's own code of what is wrong.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code = status, code


@dataclass(frozen=True)
class Task:
    """One thing to label.

    Attributes
    ----------
    photo
        Path of its picture; None for a text.
    """

    item: str
    photo: str | None
    text: str | None
    context: Mapping[str, str]
    together: int

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Self:
        """Read one of a lease's tasks."""
        return cls(
            value["item"], value.get("photo"), value.get("text"), value.get("context", {}), value.get("together", 1)
        )


@dataclass(frozen=True)
class Lease:
    """What a person got to do, and how far the job is."""

    tasks: tuple[Task, ...]
    state: str
    open: int
    total: int
    blocked: bool


def label(item: str, category: str, **more: Any) -> dict[str, Any]:
    """Return an answer with a new id: this item is of that category."""
    return answer(item, "label", category=category, **more)


def answer(item: str, kind: str, **more: Any) -> dict[str, Any]:
    """Return an answer with a new id."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"id": str(uuid.uuid4()), "item": item, "kind": kind, "shown_ms": 0, "at": now, **more}


@dataclass
class PortalClient:
    """One signed-in person.

    Parameters
    ----------
    origin
        Address of the portal.
    """

    origin: str
    tokens: Tokens
    sign_in: HostedSignIn
    http: httpx.Client
    attempts: int = _ATTEMPTS
    _ends: float = field(default=0.0)

    @classmethod
    def signed_in(cls, origin: str, username: str, password: str, new_password: str | None = None) -> Self:
        """Sign in through the hosted pages; ``new_password`` takes the place of a temporary one."""
        origin = origin.rstrip("/")
        http = httpx.Client(timeout=_TIMEOUT_SECONDS, trust_env=False)
        sign_in = HostedSignIn(http, origin)
        tokens = sign_in.run(username, password, new_password)
        return cls(origin, tokens, sign_in, http, _ends=time.monotonic() + tokens.seconds)

    def close(self) -> None:
        """Close the connections."""
        self.http.close()

    def me(self) -> dict[str, Any]:
        """Return who this is, and their jobs."""
        return self.get("/api/me")

    def jobs(self) -> list[dict[str, Any]]:
        """Return the jobs that this person may label."""
        found: list[dict[str, Any]] = self.me()["jobs"]
        return found

    def lease(self, job: str, limit: int = 5, have: Sequence[str] = ()) -> Lease:
        """Ask for work."""
        given = self.post(f"/api/jobs/{job}/leases", {"limit": limit, "have": list(have)})
        tasks = tuple(Task.of(one) for one in given["tasks"])
        return Lease(tasks, given["state"], given["open"], given["total"], bool(given.get("blocked")))

    def release(self, job: str, items: Sequence[str]) -> None:
        """Hand work back."""
        self.request("DELETE", f"/api/jobs/{job}/leases", {"items": list(items)})

    def photo(self, path: str) -> bytes:
        """Return a picture."""
        return self.request("GET", path).content

    def record(self, job: str, answers: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Send answers; each result has a ``status`` of accepted, duplicate or rejected."""
        results: list[dict[str, Any]] = self.post(f"/api/jobs/{job}/answers", {"answers": list(answers)})["results"]
        return results

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """Ask a route and return its JSON."""
        value: dict[str, Any] = self.request("GET", path, query=query).json()
        return value

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send JSON to a route and return its JSON."""
        value: dict[str, Any] = self.request("POST", path, body or {}).json()
        return value

    def request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, query: Mapping[str, Any] | None = None
    ) -> httpx.Response:
        """Send a request, again while the portal or the way to it is at fault.

        Raises
        ------
        PortalClientError
            If it is refused.
        httpx.HTTPError
            If the portal can't be reached.
        """
        pause = _PAUSE_SECONDS
        for left in range(self.attempts - 1, -1, -1):
            try:
                response = self.http.request(
                    method, self.origin + path, json=body, params=query or None, headers=self._authorization()
                )
            except httpx.TransportError:
                if not left:
                    raise
            else:
                if response.status_code == httpx.codes.UNAUTHORIZED and left and self._renewed():
                    continue
                if response.status_code not in _TRANSIENT or not left:
                    return _accepted(response)
                pause = max(pause, float(response.headers.get("retry-after", 0)))
            time.sleep(min(pause, _LONGEST_PAUSE_SECONDS))
            pause *= 2
        raise AssertionError("the last attempt returns or raises")

    def _authorization(self) -> dict[str, str]:
        if time.monotonic() > self._ends - _BEFORE_END_SECONDS:
            self._renewed()
        return {"Authorization": f"Bearer {self.tokens.access}"}

    def _renewed(self) -> bool:
        """Take new tokens for the refresh token, once; return whether there were any."""
        if not self.tokens.refresh:
            return False
        self.tokens = self.sign_in.refresh(self.tokens.refresh)
        self._ends = time.monotonic() + self.tokens.seconds
        return True


def _accepted(response: httpx.Response) -> httpx.Response:
    if response.is_success:
        return response
    try:
        error = response.json()["error"]
        code, message = str(error["code"]), str(error["message"])
    except (ValueError, KeyError, TypeError):
        code, message = "unknown", response.text[:300]
    raise PortalClientError(response.status_code, code, message)
