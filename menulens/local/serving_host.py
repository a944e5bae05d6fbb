"""The container's Python service: runs an archive's ``code/inference.py`` by the same contract.

Written after ``python_service.py`` of AWS's TensorFlow Serving image: one handler call per request, with a body stream
and a Context; an answer is (body, content type) with status 200; every exception becomes 500 with ``{"error": …}``.
"""

from __future__ import annotations

import importlib.util
import io
import json
import logging
import re
import sys
from collections import namedtuple
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import requests

log = logging.getLogger(__name__)

CUSTOM_ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"

Context = namedtuple(
    "Context",
    "model_name, model_version, method, rest_uri, grpc_port, channel, "
    "custom_attributes, request_content_type, accept_header, content_length",
)


class InferenceCodeError(Exception):
    """An archive whose code can't serve."""


@dataclass
class Response:
    """What falcon's response is to the container: a handler's caller fills it."""

    status: str = "200 OK"
    body: bytes | str = b""
    content_type: str = "application/json"

    @property
    def status_code(self) -> int:
        """The number of the status line."""
        return int(self.status.split()[0])


Handler = Callable[[Any, Any], tuple[Any, str]]


class InferenceHost:
    """Loads ``code/inference.py`` and calls its handler.

    Parameters
    ----------
    model_dir
        The unpacked archive; without ``code/inference.py`` requests go to the model server as they are.
    rest_uri
        The model server, as in ``http://127.0.0.1:8501``.
    """

    def __init__(self, model_dir: Path, rest_uri: str, model_name: str = "model") -> None:
        self.rest_uri, self.model_name = rest_uri, model_name
        code = model_dir / "code"
        # The container puts code/ and code/lib on the path of the service.
        sys.path[:0] = [str(folder) for folder in (code, code / "lib") if folder.is_dir()]
        script = code / "inference.py"
        self._handler = _handler_of(_import(script), script) if script.is_file() else _pass_through

    def invoke(self, body: bytes, headers: Mapping[str, str]) -> Response:
        """Answer one ``POST /invocations``; header names are in small letters."""
        response = Response()
        self._handle_invocation_post(body, headers, response)
        return response

    def _handle_invocation_post(self, body: bytes, headers: Mapping[str, str], res: Response) -> None:
        # A handler may reach for the response as `res` in its caller's frame, as in the container; see inference.py.
        context = self._context(body, headers)
        try:
            res.status = "200 OK"
            res.body, res.content_type = self._handler(io.BytesIO(body), context)
        except Exception as error:
            log.exception("exception handling request: %s", error)
            res.status = "500 Internal Server Error"
            res.body = json.dumps({"error": str(error)}).encode("utf-8")

    def _context(self, body: bytes, headers: Mapping[str, str]) -> Any:
        custom = headers.get(CUSTOM_ATTRIBUTES)
        attributes = dict(pair.split("=", 1) for pair in re.findall(r"(tfs-[a-z\-]+=[^,]+)", custom or ""))
        version = attributes.get("tfs-model-version")
        name, method = attributes.get("tfs-model-name", self.model_name), attributes.get("tfs-method", "predict")
        uri = f"{self.rest_uri}/v1/models/{name}" + (f"/versions/{version}" if version else "") + f":{method}"
        return Context(
            attributes.get("tfs-model-name"),
            version,
            attributes.get("tfs-method"),
            uri,
            None,
            None,
            custom,
            headers.get("content-type") or "application/json",
            headers.get("accept") or "application/json",
            len(body),
        )


def _import(script: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("inference", script)
    if spec is None or spec.loader is None:
        raise InferenceCodeError(f"{script}: can't be imported")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _handler_of(module: ModuleType, script: Path) -> Handler:
    if hasattr(module, "handler"):
        handler: Handler = module.handler
        return handler
    if not (hasattr(module, "input_handler") and hasattr(module, "output_handler")):
        raise InferenceCodeError(f"{script}: must define handler, or input_handler and output_handler")

    def both(data: Any, context: Any) -> tuple[Any, str]:
        response = requests.post(context.rest_uri, data=module.input_handler(data, context), timeout=60)
        answer: tuple[Any, str] = module.output_handler(response, context)
        return answer

    return both


def _pass_through(data: Any, context: Any) -> tuple[Any, str]:
    response = requests.post(context.rest_uri, data=data.read(), timeout=60)
    return response.content, context.accept_header
