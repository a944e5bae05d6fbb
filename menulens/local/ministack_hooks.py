"""Every private name of MiniStack that the local cloud relies on, and nothing else of it.

MiniStack knows no plug-ins: a service joins it through the plain dicts that it dispatches on. Those are private names,
so its version is pinned exactly, :func:`check` says which one moved, and a test calls it.
"""

from __future__ import annotations

import contextlib
import contextvars
import http
import inspect
import json
import re
import secrets
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, unquote

from ministack import app
from ministack.core import iam_evaluator, lambda_runtime, responses, router
from ministack.services import cloudfront, cognito, eventbridge, lambda_svc, ses, sns, stepfunctions
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
    expect(callable(getattr(getattr(stepfunctions, "_executions", None), "get", None)), "stepfunctions._executions")
    for module, name, parameters in _WRAPPED_OR_CALLED:
        function = getattr(module, name, None)
        expect(_takes(getattr(function, "replaces", function), *parameters), f"{module.__name__}.{name}")
    if moved:
        raise ExtensionPointError(
            f"MiniStack moved what the local cloud hooks into: {'; '.join(moved)}. "
            f"The hooks are written for ministack=={VERSION}: install that version, or adapt {__file__}."
        )


# What stopping an execution needs, then what the labeling portal's front door needs: CloudFront's way to an origin, and
# Cognito's sign-in.
_WRAPPED_OR_CALLED: tuple[tuple[Any, str, tuple[str, ...]], ...] = (
    (stepfunctions, "_run_execution", ("exec_arn",)),
    (stepfunctions, "_stop_execution", ("data",)),
    (stepfunctions, "_fail_execution", ("execution", "error", "cause")),
    (stepfunctions, "_add_event", ("execution", "event_type", "details")),
    (
        cloudfront,
        "_fetch_from_origin",
        ("origin", "method", "uri", "query_string", "headers", "body", "viewer_is_https", "client_ip", "viewer_xff"),
    ),
    (cloudfront, "_origin_request_headers", ("origin", "headers", "client_ip", "viewer_x_forwarded_for")),
    (cloudfront, "_multidict_from_pairs", ("pairs",)),
    (app, "_handle_execute_api_request", ("host", "path", "method", "headers", "body", "query_params", "raw_path")),
    (
        cognito,
        "_issue_auth_code_redirect",
        (
            "client_id",
            "pool_id",
            "redirect_uri",
            "scope",
            "username",
            "nonce",
            "code_challenge",
            "code_challenge_method",
            "state",
        ),
    ),
    (iam_evaluator, "pin_request_origin", ("source_ip", "secure_transport")),
    (cognito, "_find_pool_by_client_id", ("client_id",)),
    (cognito, "_get_pool_unscoped", ("pool_id",)),
    (cognito, "_resolve_user", ("pool", "username")),
    (cognito, "_password_policy_errors", ("pool", "password")),
    (cognito, "_fake_token", ("sub", "pool_id", "client_id", "token_type", "username", "user_attrs", "groups")),
    (sns, "_fanout", ("topic_arn", "msg_id", "message", "subject")),
    (sns, "_topic_by_arn_any_scope", ("topic_arn",)),
    (
        ses,
        "_record_send",
        ("source", "to_addrs", "cc_addrs", "bcc_addrs", "subject", "body_text", "body_html", "type_name"),
    ),
    (cognito, "_send_verification_email", ("pool", "username", "attr_dict", "code", "attribute_name")),
    (cognito, "_confirmation_code_error", ("action", "data")),
    (cognito, "_run_idp_handler", ("handler", "action", "data")),
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


class ExecutionStoppedError(SystemExit):
    """Ends what an execution's thread does, past every Retry and Catch; a SystemExit ends a thread without a word."""


_execution: contextvars.ContextVar[str] = contextvars.ContextVar("execution", default="")
_on_stop: dict[str, list[Callable[[], None]]] = {}
_stops = threading.Lock()


def stop_executions_tasks() -> None:
    """Let a stopped execution reach the tasks that it waits for, and stay stopped.

    MiniStack only notes that it is stopped: what it waits for goes on, and a task that fails later overwrites the note.
    """
    run, stop = stepfunctions._run_execution, stepfunctions._stop_execution
    fail, add_event = stepfunctions._fail_execution, stepfunctions._add_event

    def run_execution(exec_arn: str) -> None:
        token = _execution.set(exec_arn)
        try:
            run(exec_arn)
        except ExecutionStoppedError:
            pass
        finally:
            _execution.reset(token)

    def stop_execution(data: dict[str, Any]) -> Any:
        answer = stop(data)
        arn = str(data.get("executionArn"))
        if _is_stopped(arn):
            with _stops:
                told = _on_stop.pop(arn, [])
            for one in told:  # threads: the event loop waits for this answer
                threading.Thread(target=contextvars.copy_context().run, args=(one,), daemon=True).start()
        return answer

    def fail_execution(execution: dict[str, Any], error: str, cause: str) -> None:
        if execution["status"] == "RUNNING":
            fail(execution, error, cause)

    def add_event_while_running(execution: dict[str, Any], event_type: str, details: Any = None) -> None:
        if execution.get("status") != "ABORTED" or event_type == "ExecutionAborted":
            add_event(execution, event_type, details)

    _replace(stepfunctions, "_add_event", add_event_while_running)
    _replace(stepfunctions, "_run_execution", run_execution)
    _replace(stepfunctions, "_stop_execution", stop_execution)
    _replace(stepfunctions, "_fail_execution", fail_execution)


def _is_stopped(arn: str) -> bool:
    return bool((stepfunctions._executions.get(arn) or {}).get("status") == "ABORTED")


@contextlib.contextmanager
def when_stopped(stop: Callable[[], None]) -> Iterator[None]:
    """Have ``stop`` called as soon as someone stops the execution whose task waits in this block.

    Raises
    ------
    ExecutionStoppedError
        At the end of the block, if someone did.
    """
    arn = _execution.get()
    with _stops:
        stopped = _is_stopped(arn)
        if not stopped:
            _on_stop.setdefault(arn, []).append(stop)
    if stopped:
        stop()
    try:
        yield
    finally:
        with _stops:
            waiting = _on_stop.get(arn, [])
            if stop in waiting:
                waiting.remove(stop)
            if not waiting:
                _on_stop.pop(arn, None)
    if _is_stopped(arn):
        raise ExecutionStoppedError


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


# --- the labeling portal ---------------------------------------------------------------------------------------------
_EXECUTE_API = re.compile(r"([a-z0-9]+)\.execute-api\.[a-z0-9-]+\.amazonaws\.com")


def _replace(module: Any, name: str, function: Any) -> None:
    """Put a function in another's place, once; ``replaces`` on it is the other, which :func:`check` looks at."""
    if not hasattr(getattr(module, name), "replaces"):
        function.replaces = getattr(module, name)
        setattr(module, name, function)


def serve_origins() -> None:
    """Let CloudFront reach what it stands before.

    MiniStack refuses every ``amazonaws.com`` host, an HTTP API of its own as well, and takes CloudFront's way to a
    bucket for plain HTTP, which our buckets refuse; in an account it is TLS.
    """
    fetch = cloudfront._fetch_from_origin

    async def fetch_from_origin(origin: dict[str, Any], method: str, uri: str, query: str, *more: Any) -> Any:
        api = _EXECUTE_API.fullmatch(origin["domain_name"].lower().rstrip("."))
        if api is None:
            iam_evaluator.pin_request_origin("127.0.0.1", secure_transport=True)
            return await fetch(origin, method, uri, query, *more)
        headers, body, _https, client, forwarded_for, _distribution = more
        sent = cloudfront._origin_request_headers(origin, headers, client, forwarded_for)
        path = (origin.get("origin_path") or "") + uri
        status, answered, content = await app._handle_execute_api_request(
            f"{api[1]}.execute-api.{app._MINISTACK_HOST}",
            unquote(path),
            method,
            {name.lower(): value for name, value in sent.items()},
            body or b"",
            parse_qs(query, keep_blank_values=True),
            raw_path=path,
            raw_query_string=query,
        )
        pairs = [(name, value) for name, value in answered.items()]
        return status, http.HTTPStatus(status).phrase, cloudfront._multidict_from_pairs(pairs), content

    _replace(cloudfront, "_fetch_from_origin", fetch_from_origin)


def keep_groups_on_refresh() -> None:
    """Put a person's groups into refreshed tokens, as Cognito does; MiniStack leaves them out of these."""
    make = cognito._fake_token

    def fake_token(sub: str, pool_id: str, *more: Any, **options: Any) -> Any:
        if options.get("trigger_source") == "TokenGeneration_RefreshTokens" and not options.get("groups"):
            user = cognito._get_pool_unscoped(pool_id)["_users"].get(options.get("username"))
            options["groups"] = (user or {}).get("_groups") or []
        return make(sub, pool_id, *more, **options)

    _replace(cognito, "_fake_token", fake_token)


def check_reset_codes() -> None:
    """Mail a random code to who forgot a password, and take no other; MiniStack mails a constant and takes any."""
    send, run = cognito._send_verification_email, cognito._run_idp_handler

    def send_verification_email(
        pool: dict[str, Any], username: str, attr_dict: dict[str, Any], code: str, attribute_name: str = "email"
    ) -> Any:
        if attribute_name == "password":
            code = f"{secrets.randbelow(1_000_000):06d}"
            user, _error = cognito._resolve_user(pool, username)
            user["_reset_code"] = code
        return send(pool, username, attr_dict, code, attribute_name=attribute_name)

    def run_idp_handler(handler: Any, action: str, data: dict[str, Any]) -> Any:
        refused = cognito._confirmation_code_error(action, data) if action == "ConfirmForgotPassword" else None
        return refused or run(handler, action, data)

    _replace(cognito, "_send_verification_email", send_verification_email)
    _replace(cognito, "_run_idp_handler", run_idp_handler)


def mail_what_topics_tell() -> None:
    """Put what a topic tells by e-mail into the mailbox of SES, as Cognito's mails are; MiniStack only logs it."""
    fan_out = sns._fanout

    def fanout(topic_arn: str, msg_id: str, message: str, subject: str, *more: Any, **options: Any) -> None:
        fan_out(topic_arn, msg_id, message, subject, *more, **options)
        topic = sns._topic_by_arn_any_scope(topic_arn) or {"subscriptions": []}
        for one in topic["subscriptions"]:
            if one.get("protocol") == "email" and one.get("confirmed"):
                ses._record_send(
                    "no-reply@sns.amazonaws.com",
                    [one["endpoint"]],
                    subject=subject or "AWS Notification Message",
                    body_text=message,
                    type_name="SNS",
                )

    _replace(sns, "_fanout", fanout)


def pool_of_client(client_id: str) -> str | None:
    """Return the ID of the user pool that an app client belongs to."""
    found: str | None = cognito._find_pool_by_client_id(client_id)[0]
    return found


def password_errors(pool_id: str, password: str) -> list[str]:
    """Return in what a password fails the pool's policy."""
    return list(cognito._password_policy_errors(cognito._get_pool_unscoped(pool_id), password))


def authorization_code(pool_id: str, username: str, request: dict[str, str]) -> str:
    """Return where a browser goes after a sign-in: ``redirect_uri`` with a code that ``/oauth2/token`` takes.

    Raises
    ------
    ValueError
        If the client no longer allows what the request asks.
    """
    _status, headers, body = cognito._issue_auth_code_redirect(
        request["client_id"],
        pool_id,
        request["redirect_uri"],
        request["scope"],
        username,
        request["nonce"],
        request["code_challenge"],
        request["code_challenge_method"],
        request["state"],
    )
    if "Location" not in headers:
        raise ValueError(body.decode("utf-8", "replace"))
    return str(headers["Location"])
