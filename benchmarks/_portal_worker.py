"""Instances of deployed functions that may be killed: the API's behind HTTP, and the sealer's.

``python -m benchmarks._portal_worker api <handler.py> <port>`` or ``… seal <handler.py>``. The process that is started
forks the instance, writes its id in a line of its output, and forks another when it is gone, as a platform does.

It stands where API Gateway and Lambda stand: one event at a time goes to the real handler. Who asks is what the bearer
token says, since checking tokens is API Gateway's part (tests of the deployed portal try that).
"""

from __future__ import annotations

import base64
import ctypes
import functools
import importlib.util
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import boto3

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]


def load(path: str) -> Handler:
    """Return the handler of a file, imported as Lambda does."""
    spec = importlib.util.spec_from_file_location("handler", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    handler: Handler = module.handler
    return handler


def event_of(method: str, path: str, headers: dict[str, str], body: bytes) -> dict[str, Any]:
    """Return a request as an HTTP API (payload format 2.0) hands it to a function."""
    bare, _, query = path.partition("?")
    token = headers.get("authorization", "").partition(" ")[2]
    claims = json.loads(base64.urlsafe_b64decode(token)) if token else None
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": unquote(bare),
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "http": {"method": method, "path": unquote(bare), "sourceIp": "127.0.0.1", "userAgent": ""},
            "requestId": "0",
            "stage": "$default",
            **({"authorizer": {"jwt": {"claims": claims, "scopes": None}}} if claims is not None else {}),
        },
        "body": body.decode("utf-8", "surrogateescape") if body else None,
        "isBase64Encoded": False,
    }


def token_of(person: str, *groups: str) -> str:
    """Return the bearer token of a person, as this worker reads it."""
    claims = {
        "sub": person,
        "username": person,
        "cognito:groups": f"[{' '.join(groups)}]",
        "iss": "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_local",
        "token_use": "access",
    }
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).decode()


def serve(handler: Handler, port: int) -> None:
    """Serve until killed."""
    one_at_a_time = threading.Lock()

    class Requests(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            with one_at_a_time:
                answer = handler(event_of(self.command, self.path, headers, body), None)
            content = answer.get("body") or ""
            data = base64.b64decode(content) if answer.get("isBase64Encoded") else content.encode()
            self.send_response(answer["statusCode"])
            for name, value in {**answer.get("headers", {})}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
            self.wfile.flush()

        def __getattr__(self, name: str) -> Any:
            # The base class asks for do_<method>: each is answered, as API Gateway hands on each.
            if name.startswith("do_"):
                return self._answer
            raise AttributeError(name)

        def log_message(self, format: str, *args: Any) -> None:
            """Keep quiet."""

        def handle_one_request(self) -> None:
            """Let clients go that hang up."""
            try:
                super().handle_one_request()
            except ConnectionError:
                self.close_connection = True

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

    Server(("127.0.0.1", port), Requests).serve_forever()


def seal(handler: Handler) -> None:
    """Call the sealer again and again until killed, as a stream and a schedule do."""
    while True:
        handler({}, None)
        time.sleep(2.0)


def keep(instance: Callable[[], None]) -> None:
    """Fork an instance, and another whenever it is gone."""
    while True:
        child = os.fork()
        if child == 0:
            _die_with_parent()
            instance()
            os._exit(1)
        print(child, flush=True)
        os.waitpid(child, 0)


def _die_with_parent() -> None:
    """Leave no process behind when the one that started this is killed."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def main() -> None:
    """Keep what the arguments name."""
    kind, path, *rest = sys.argv[1:]
    _die_with_parent()
    handler = load(path)
    for service in ("dynamodb", "s3", "events", "stepfunctions"):
        boto3.client(service)  # reads what boto3 knows of a service once, for all instances
    keep(functools.partial(serve, handler, int(rest[0])) if kind == "api" else functools.partial(seal, handler))


if __name__ == "__main__":
    main()
