"""Every private name of MiniStack that the local cloud relies on, and nothing else of it.

MiniStack knows no plug-ins: a service joins it through the plain dicts that it dispatches on. Those are private names,
so its version is pinned exactly, :func:`check` says which one moved, and a test calls it.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable
from typing import Any

from ministack import app
from ministack.core import lambda_runtime, responses, router
from ministack.services import eventbridge, lambda_svc, stepfunctions
from ministack.services.cloudformation import provisioners
from ministack.services.cloudformation import stacks as cloudformation_stacks

Answer = tuple[int, dict[str, str], bytes]
Handler = Callable[[str, str, dict[str, str], bytes, dict[str, Any]], Awaitable[Answer]]
Integration = Callable[[str, dict[str, Any]], Any]
CreateResource = Callable[[str, dict[str, Any], str], tuple[str, dict[str, Any]]]
UpdateResource = Callable[[str, dict[str, Any], dict[str, Any], str], tuple[str, dict[str, Any]]]
DeleteResource = Callable[[str, dict[str, Any]], None]

VERSION = "1.5.33"

# MiniStack reports every exception of a handler as Runtime.HandlerError, so that no Catch by the exception's type
# matches. The worker's last line of traceback is made to carry the type; the wrapper below reads it.
_TRACE = '"trace": traceback.format_exc()})'
_MARK = "@error-type "
_MARKED_TRACE = f'"trace": traceback.format_exc() + "\\n{_MARK}" + type(e).__name__}})'


class ExtensionPointError(Exception):
    """MiniStack no longer has what the local cloud hooks into; the message names it."""


def check() -> None:
    """Check every extension point.

    Raises
    ------
    ExtensionPointError
        Naming each one that moved.
    """
    moved: list[str] = []

    def expect(holds: bool, name: str) -> None:
        if not holds:
            moved.append(name)

    expect(isinstance(getattr(app, "SERVICE_HANDLERS", None), dict), "app.SERVICE_HANDLERS (dict)")
    expect("s3" in getattr(app, "SERVICE_HANDLERS", {}), "app.SERVICE_HANDLERS['s3']")
    expect(callable(getattr(app, "app", None)), "app.app (ASGI application)")
    patterns = getattr(router, "SERVICE_PATTERNS", {})
    expect("target_prefixes" in patterns.get("dynamodb", {}), "router.SERVICE_PATTERNS[…]['target_prefixes']")
    dispatch = getattr(stepfunctions, "_SERVICE_DISPATCH", {})
    expect("arn:aws:states:::sqs:sendMessage" in dispatch, "stepfunctions._SERVICE_DISPATCH")
    expect(_takes(getattr(stepfunctions, "_ExecutionError", None), "error", "cause"), "stepfunctions._ExecutionError")
    handlers = getattr(provisioners, "_RESOURCE_HANDLERS", {})
    topic = handlers.get("AWS::SQS::Queue", {})
    expect(_takes(topic.get("create"), "logical_id", "props", "stack_name"), "provisioners._RESOURCE_HANDLERS create")
    expect(
        _takes(
            getattr(provisioners, "_update_resource", None), "resource_type", "physical_id", "old_props", "new_props"
        ),
        "provisioners._update_resource",
    )
    expect(
        _takes(getattr(cloudformation_stacks, "_runs_on_worker_thread", None), "resource_type"),
        "cloudformation.stacks._runs_on_worker_thread",
    )
    expect(callable(topic.get("delete")), "provisioners._RESOURCE_HANDLERS delete")
    expect(_takes(getattr(eventbridge, "_put_events", None), "data", "allow_aws_source"), "eventbridge._put_events")
    expect(
        _takes(getattr(lambda_svc, "_execute_function_warm", None), "func", "event", "request_id")
        or getattr(lambda_svc, "_execute_function_warm", None) is _execute_function_warm,
        "lambda_svc._execute_function_warm",
    )
    script = getattr(lambda_runtime, "_PYTHON_WORKER_SCRIPT", "")
    expect(_TRACE in script or _MARKED_TRACE in script, "lambda_runtime._PYTHON_WORKER_SCRIPT (traceback of an error)")
    expect(callable(getattr(responses, "set_request_account_id", None)), "responses.set_request_account_id")
    if moved:
        raise ExtensionPointError(
            f"MiniStack moved what the local cloud hooks into: {'; '.join(moved)}. "
            f"The hooks are written for ministack=={VERSION}: install that version, or adapt {__file__}."
        )


def _takes(function: Any, *names: str) -> bool:
    if not callable(function):
        return False
    parameters = list(inspect.signature(function).parameters)
    return parameters[: len(names)] == list(names)


def application() -> Any:
    """Return MiniStack's ASGI application."""
    return app.app


def add_service(name: str, handler: Handler, target_prefix: str) -> None:
    """Add a service: ``handler`` gets its requests as (method, path, headers, body, query) and answers them."""
    app.SERVICE_HANDLERS[name] = handler
    router.SERVICE_PATTERNS[name] = {"target_prefixes": [target_prefix], "host_patterns": [rf"{name}\."]}


def add_integration(prefix: str, handler: Integration) -> None:
    """Add a Step Functions integration; ``handler`` gets the whole resource ARN and the effective input."""
    stepfunctions._SERVICE_DISPATCH[prefix] = handler


def execution_error(error: str, cause: str) -> Exception:
    """Return what an integration raises to fail its state by an error name and a cause."""
    raised: Exception = stepfunctions._ExecutionError(error, cause)
    return raised


def add_resource_type(
    resource_type: str, *, create: CreateResource, update: UpdateResource, delete: DeleteResource
) -> None:
    """Add a CloudFormation resource type; its functions run on a worker thread and may call this cloud's endpoint."""
    _own_types.add(resource_type)
    cloudformation_stacks._runs_on_worker_thread = _runs_on_worker_thread
    provisioners._RESOURCE_HANDLERS[resource_type] = {"create": create, "update": update, "delete": delete}


_own_types: set[str] = set()
_original_runs_on_worker_thread = cloudformation_stacks._runs_on_worker_thread


def _runs_on_worker_thread(resource_type: str) -> bool:
    return resource_type in _own_types or bool(_original_runs_on_worker_thread(resource_type))


def put_event(source: str, detail_type: str, resources: list[str], detail: dict[str, Any]) -> None:
    """Publish an event of AWS's own to the default bus; PutEvents refuses ``aws.`` sources to callers."""
    entry = {
        "Source": source,
        "DetailType": detail_type,
        "Resources": resources,
        "Detail": json.dumps(detail),
        "EventBusName": "default",
    }
    eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)


def name_handler_exceptions() -> None:
    """Make a failed Python Lambda answer with its exception's type, as AWS does, so that a Catch by type matches."""
    script = lambda_runtime._PYTHON_WORKER_SCRIPT
    if _MARKED_TRACE not in script:
        lambda_runtime._PYTHON_WORKER_SCRIPT = script.replace(_TRACE, _MARKED_TRACE)
    lambda_svc._execute_function_warm = _execute_function_warm


_original_warm = lambda_svc._execute_function_warm


def _execute_function_warm(func: dict[str, Any], event: Any, request_id: str) -> Any:
    result = _original_warm(func, event, request_id)
    body = result.get("body") if isinstance(result, dict) else None
    if isinstance(body, dict) and body.get("errorType") == "Runtime.HandlerError":
        log, mark, name = (result.get("log") or "").rpartition(_MARK)
        if mark and name.strip().isidentifier():
            body["errorType"] = name.strip()
            body["stackTrace"] = log.rstrip().splitlines()[-20:]
            result["log"] = log.rstrip()
    return result
