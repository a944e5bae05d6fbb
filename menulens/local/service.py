"""The SageMaker service: every operation by name, requests checked, errors in AWS's form."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import uuid
from typing import Any
from urllib.parse import unquote

from menulens.local.context import Context, Operation, Params
from menulens.local.endpoints import Endpoints
from menulens.local.errors import ServiceError
from menulens.local.labeling import LabelingJobs
from menulens.local.models import Models
from menulens.local.registry import Registry
from menulens.local.training import TrainingJobs
from menulens.local.transform import TransformJobs
from menulens.local.validation import validate
from menulens.local.workforce import Workforces

Answer = tuple[int, dict[str, str], bytes]

_INVOCATION = re.compile(r"^/endpoints/([^/]+)/invocations$")
_CUSTOM = "x-amzn-sagemaker-custom-attributes"
_log = logging.getLogger("menulens.local")


class SageMaker:
    """The service. ``call`` is its one way in for everything but InvokeEndpoint."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.training = TrainingJobs(context)
        self.registry = Registry(context)
        self.models = Models(context, self.registry)
        self.endpoints = Endpoints(context, self.models)
        self.transform = TransformJobs(context, self.models)
        self.workforces = Workforces(context)
        self.labeling = LabelingJobs(context, self.workforces)
        self._operations: dict[str, Operation] = {}
        for part in (
            self.training,
            self.registry,
            self.models,
            self.endpoints,
            self.transform,
            self.workforces,
            self.labeling,
            context.tags,
        ):
            self._operations |= part.operations()

    @property
    def operations(self) -> list[str]:
        """Names of all operations."""
        return sorted(self._operations)

    def call(self, operation: str, params: Params) -> Params:
        """Check a request and carry it out.

        Raises
        ------
        ServiceError
            As AWS would refuse it.
        """
        handler = self._operations.get(operation)
        if handler is None:
            raise ServiceError(
                "UnknownOperationException",
                f"The local cloud has no SageMaker operation {operation}; it has: {', '.join(self.operations)}.",
            )
        validate(operation, params)
        return handler(params)

    def close(self) -> None:
        """End every job and endpoint."""
        self.context.ending.set()
        for job in [*self.training.jobs.values(), *self.transform.jobs.values(), *self.labeling.jobs.values()]:
            job.stopping.set()
        self.endpoints.close()
        for job in [*self.training.jobs.values(), *self.transform.jobs.values(), *self.labeling.jobs.values()]:
            job.done.wait(self.context.config.stop_grace + 5)

    async def handle(
        self, method: str, path: str, headers: dict[str, str], body: bytes, _query: dict[str, Any]
    ) -> Answer:
        """Answer one HTTP request."""
        request_id = str(uuid.uuid4())
        try:
            if match := _INVOCATION.match(path):
                return await asyncio.to_thread(self._invoke, unquote(match[1]), headers, body)
            operation = headers.get("x-amz-target", "").rpartition(".")[2]
            params = json.loads(body or b"{}")
            if not isinstance(params, dict):
                raise ServiceError("SerializationException", "A JSON object is due.")
            answer = await asyncio.to_thread(self.call, operation, params)
            return 200, _json_headers(request_id), json.dumps(answer).encode()
        except ServiceError as error:
            return _refusal(error, request_id)
        except ValueError as error:
            return _refusal(ServiceError("SerializationException", str(error)), request_id)
        except Exception as error:
            _log.exception("%s %s", method, path)
            return _refusal(ServiceError("InternalFailure", f"{type(error).__name__}: {error}", 500), request_id)

    def _invoke(self, name: str, headers: dict[str, str], body: bytes | str) -> Answer:
        answer = self.endpoints.invoke(
            name,
            body.encode() if isinstance(body, str) else body,
            content_type=headers.get("content-type", ""),
            accept=headers.get("accept", ""),
            custom_attributes=headers.get(_CUSTOM, ""),
        )
        # In small letters: MiniStack turns a "Content-Type" of JSON into the control plane's own.
        out = {"content-type": answer.content_type, "x-Amzn-Invoked-Production-Variant": answer.variant}
        if answer.custom_attributes:
            out["X-Amzn-SageMaker-Custom-Attributes"] = answer.custom_attributes
        return 200, out, answer.body


def _json_headers(request_id: str) -> dict[str, str]:
    return {"Content-Type": "application/x-amz-json-1.1", "x-amzn-RequestId": request_id}


def _refusal(error: ServiceError, request_id: str) -> Answer:
    headers = {**_json_headers(request_id), "x-amzn-ErrorType": error.code}
    body = {"__type": error.code, "message": error.message, "Message": error.message, **error.extra}
    return error.status, headers, json.dumps(body).encode()
