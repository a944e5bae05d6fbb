"""The owner's HTTP API: every route of it, for members of the owners' group alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response, content_types
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError

from menulens.core import keys
from menulens.core.inputs import InvalidInputError
from menulens.labeling import agreement
from menulens.portal import additions, blocking, callers, gold, jobs, photos, stats, verify, work
from menulens.portal import owner_models as models
from menulens.portal import owner_requests as requests
from menulens.portal.context import Portal
from menulens.portal.model import Category, Job, Person, PortalError
from menulens.portal.owner_desk import CountingError, Desk
from menulens.portal.owner_items import desk, router
from menulens.portal.owner_routes import CategoryPath, JobPath, PersonPath, route
from menulens.portal.table import TableError
from menulens.storage import StorageError, parse_s3_uri

SECURED: Final = {
    "Content-Type": "application/json",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
MOST_LINES: Final = 50_000
"""Lines of a log that are checked in one request: it must be through in the time that the API's front waits."""

API_TITLE: Final = "menulens: the owner's side of labeling"

app = APIGatewayHttpResolver(enable_validation=True)
app.include_router(router)


def answer(
    event: Mapping[str, Any],
    context: Any,
    portal: Portal,
    *,
    owners: str,
    start: Callable[[str, Mapping[str, Any]], str],
    names: Callable[[], Mapping[str, str]] = dict,
) -> dict[str, Any]:
    """Answer a request; who is not an owner is refused, whatever they ask for.

    Parameters
    ----------
    owners
        The group whose members own jobs.
    start
        (machine, input) starts an execution and returns its ARN, or raises InvalidInputError.
    names
        What people are called, by id.
    """
    try:
        who = callers.caller(event)
        who.require(owners)
        callers.limit(portal, who.id)
        _require_json(event)
        callers.check_body(event)
    except PortalError as error:
        waiting = {"Retry-After": str(error.retry_after)} if isinstance(error, callers.RateError) else {}
        body = json.dumps({"error": {"code": error.code, "message": str(error)}}, ensure_ascii=False)
        return {"statusCode": error.status, "headers": {**SECURED, **waiting}, "body": body, "isBase64Encoded": False}

    def sign(job: Job, key: str) -> str:
        return f"/api/photos/{photos.token(portal, job, 'owner', who.id, key, lives=photos.OWNER_SECONDS)}"

    app.append_context(desk=Desk(portal, who.id, sign, start, names))  # type: ignore[no-untyped-call]
    answered = dict(app.resolve(dict(event), context))
    answered["headers"] = {**answered.get("headers", {}), **SECURED}
    return answered


def _require_json(event: Mapping[str, Any]) -> None:
    """Refuse a body of another type: a form that another site sends has one, JSON has not."""
    kinds = [value for name, value in (event.get("headers") or {}).items() if name.lower() == "content-type"]
    if event.get("body") and not (kinds and str(kinds[0]).split(";")[0].strip().lower() == "application/json"):
        raise PortalError("content-type", "A body is JSON: Content-Type: application/json.", 415)


def openapi() -> dict[str, Any]:
    """Return the API's OpenAPI document."""
    document: dict[str, Any] = json.loads(app.get_openapi_json_schema(title=API_TITLE, version="1"))
    return document


def refusal(status: int, code: str, message: str, **more: float) -> Response[str]:
    """Return the answer to a request that is not done."""
    body = json.dumps({"error": {"code": code, "message": message, **more}}, ensure_ascii=False)
    return Response(status_code=status, content_type=content_types.APPLICATION_JSON, body=body)


@app.exception_handler(PortalError)  # type: ignore[untyped-decorator]
def _refused(error: PortalError) -> Response[str]:
    more = {"share": error.share} if isinstance(error, CountingError) else {}
    return refusal(error.status, error.code, str(error), **more)


@app.exception_handler(InvalidInputError)  # type: ignore[untyped-decorator]
def _no_place(error: InvalidInputError) -> Response[str]:
    # Everything else of a machine's input has a form that the request was checked against.
    return refusal(404, "place", str(error))


@app.exception_handler(RequestValidationError)  # type: ignore[untyped-decorator]
def _invalid(error: RequestValidationError) -> Response[str]:
    faults = [f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in error.errors()]
    return refusal(422, "invalid", "; ".join(faults)[:1000])


@app.exception_handler(StorageError)  # type: ignore[untyped-decorator]
def _unreadable(error: StorageError) -> Response[str]:
    return refusal(404, "no-object", str(error))


@app.exception_handler(TableError)  # type: ignore[untyped-decorator]
def _busy(error: TableError) -> Response[str]:
    return refusal(503, "busy", str(error))


@app.not_found
def _nowhere(_: NotFoundError) -> Response[str]:
    return refusal(404, "no-route", "There is no such route.")


# --- jobs ------------------------------------------------------------------------------------------------------------


@route(app, "GET", "", "All jobs, the newest first")
def list_jobs() -> models.Jobs:
    """List jobs with their progress."""
    rows = []
    for job in sorted(jobs.list_jobs(desk().portal), key=lambda one: (one.created_at, one.name), reverse=True):
        progress = jobs.progress(desk().portal, job)
        rows.append(
            {
                **_named(job),
                "total": progress.total,
                "done": progress.done,
                "open": progress.open,
                "review": progress.review,
                "answers": progress.answers,
            }
        )
    return models.Jobs.model_validate({"jobs": rows})


@route(app, "POST", "", "Ask people about photos: start the state machine that opens a job")
def create(body: requests.NewJob) -> models.Started:
    """Start a job; its display copies are made before it opens."""
    return models.Started(execution=desk().start("label", body.model_dump(exclude_none=True)))


@route(app, "GET", "/<job>", "How a job is going")
def show(job: JobPath) -> models.JobView:
    """Show a job: progress, pace, categories, agreement, people."""
    at, found = desk(), desk().job(job)
    looked = at.counted(found)
    counted, progress = looked.stats, looked.progress
    now, signed = at.portal.clock(), at.signed(found)
    counts = [
        {
            "category": one.key,
            "items": counted.counts[one.index],
            "lines": counted.lines[one.index],
            "examples": [
                {
                    "item": item.id,
                    "photo": signed(item.display) if item.display else None,
                    "text": item.text or None,
                    "confidence": item.posterior,
                }
                for item in counted.examples.get(one.index, ())
            ],
        }
        for one in found.categories
    ]
    return models.JobView.model_validate(
        {
            **_named(found),
            "question_ja": found.texts.question_ja,
            "question_en": found.texts.question_en,
            "categories": _categories(found),
            "options": found.options.to_json(),
            "progress": stats.overview(counted, found, progress, now),
            "counts": counts,
            "agreement": _agreement(looked.agreement),
            "annotators": stats.annotators(counted, at.people(found).values(), now),
            "confusions": stats.confused(counted, found),
            "disagreements": len(counted.disputed),
            "gold": len(gold.known_items(at.portal, found)),
            "additions": [_addition(one) for one in additions.recent(at.portal, found.name)],
        }
    )


def _agreement(found: agreement.Alpha) -> dict[str, Any]:
    return {
        "alpha": found.alpha,
        "low": found.low,
        "high": found.high,
        "items": found.items,
        "answers": found.answers,
    }


def _named(job: Job) -> dict[str, Any]:
    return {
        "job": job.name,
        "state": job.state,
        "kind": job.kind,
        "title_ja": job.texts.title_ja,
        "title_en": job.texts.title_en,
        "created_at": job.created_at,
    }


def _categories(job: Job) -> list[dict[str, Any]]:
    return [one.to_json() for one in job.categories]


@route(app, "POST", "/<job>/pause", "Hand out no more work")
def pause(job: JobPath) -> models.Done:
    """Pause a job; answers to what is handed out are taken."""
    return _state(jobs.pause(desk().portal, job))


@route(app, "POST", "/<job>/resume", "Hand out work again")
def resume(job: JobPath) -> models.Done:
    """Resume a job that is paused."""
    return _state(jobs.resume(desk().portal, job))


@route(app, "POST", "/<job>/stop", "End a job as it is")
def stop(job: JobPath) -> models.Done:
    """Stop a job: its output has the labels so far; it can be reopened."""
    return _state(jobs.stop(desk().portal, job))


@route(app, "POST", "/<job>/reopen", "Go on with a job that ended")
def reopen(job: JobPath) -> models.Done:
    """Reopen a job."""
    return _state(jobs.reopen(desk().portal, job))


def _state(job: Job) -> models.Done:
    desk().forget(job)
    return models.Done(job=job.name, state=job.state)


@route(app, "POST", "/<job>/snapshot", "Make a dataset of the labels so far; the job goes on")
def snapshot(job: JobPath) -> models.Started:
    """Start the state machine that takes a snapshot and cleans it."""
    return models.Started(execution=desk().start("snapshot", {"job_name": desk().job(job).name}))


@route(app, "POST", "/<job>/items", "Add photos to a job that is there")
def add_items(job: JobPath, body: requests.NewItems) -> models.Done:
    """Add the lines of a manifest in the bucket of labels."""
    for place in (body.manifest, body.display or body.manifest):
        if parse_s3_uri(place).bucket != desk().portal.labels_bucket:
            raise PortalError("place", f"{place}: a place in s3://{desk().portal.labels_bucket}/ is due.", 404)
    return _state(jobs.add_items(desk().portal, job, body.manifest, body.display or ""))


@route(app, "POST", "/<job>/photos", "Make photos ready and add them to a job; how far that is, the job tells")
def add_photos(job: JobPath, body: requests.NewPhotos) -> models.Addition:
    """Start the state machine that adds what the job lacks."""
    at, found = desk(), desk().job(job)
    addition = additions.new_id(at.portal)
    what = body.model_dump()
    at.start("add", {keys.JOB_NAME: found.name, keys.ADDITION: addition, **what})
    return _addition(additions.begin(at.portal, found.name, addition, next(iter(what.values()))))


def _addition(addition: additions.Addition) -> models.Addition:
    return models.Addition.model_validate(addition, from_attributes=True)


@route(app, "GET", "/<job>/log/verify", "Whether the log of answers is as it was written")
def check_log(job: JobPath) -> models.Verified:
    """Check the chain of hashes, and every answer against the table."""
    name = desk().job(job).name
    if (lines := verify.noted_lines(desk().portal, name)) > MOST_LINES:
        raise PortalError(
            "log-too-long",
            f"The log of {name} has {lines:,} lines; {MOST_LINES:,} can be checked in one request. In a terminal: "
            f"menulens label verify {name}",
            409,
        )
    found = verify.verify(desk().portal, name)
    findings = [
        {"problem": one.problem, "segment": one.segment, "line": one.seq, "message": one.message}
        for one in found.findings
    ]
    told = {"intact": not findings, "lines": found.lines, "segments": found.segments, "findings": findings}
    return models.Verified.model_validate(told)


# --- categories ------------------------------------------------------------------------------------------------------


@route(app, "POST", "/<job>/categories", "Add a category")
def add_category(job: JobPath, body: requests.NewCategory) -> models.Categories:
    """Add a category at the end: answers keep their meaning."""
    return _shown(jobs.add_category(desk().portal, job, Category(**body.model_dump())))


@route(app, "PATCH", "/<job>/categories/<key>", "Rename a category or change what is said of it")
def change_category(job: JobPath, key: CategoryPath, body: requests.CategoryChange) -> models.Categories:
    """Change a category; answers keep its index and so their meaning."""
    given = body.model_dump(exclude_none=True)
    if "example" in given:
        given["example"] = jobs.get_item(desk().portal, job, given["example"]).display
    return _shown(jobs.change_category(desk().portal, job, key, **given))


def _shown(job: Job) -> models.Categories:
    desk().forget(job)
    return models.Categories.model_validate({"categories": _categories(job)})


# --- people ----------------------------------------------------------------------------------------------------------


@route(app, "POST", "/<job>/release", "Hand back the leases of a person")
def release(job: JobPath, body: requests.Leaver) -> models.Released:
    """Hand back what someone who left has on their device; what they answer later is still theirs."""
    found = desk().job(job)
    held = work.person_of(desk().portal, job, body.person).held
    return models.Released(released=work.release(desk().portal, found, body.person, held))


@route(app, "POST", "/<job>/people/<person>/block", "Give a person no more work of a job")
def block(job: JobPath, person: PersonPath, body: requests.Why) -> models.Blocked:
    """Block a person: what they hold goes to others, what they said stays."""
    return _person(job, blocking.block(desk().portal, desk().job(job), person, body.reason))


@route(app, "POST", "/<job>/people/<person>/unblock", "Give a person work again")
def unblock(job: JobPath, person: PersonPath) -> models.Blocked:
    """Unblock a person; how they do on gold items counts anew."""
    return _person(job, blocking.unblock(desk().portal, desk().job(job), person))


def _person(job: str, person: Person) -> models.Blocked:
    return models.Blocked(job=job, person=person.id, blocked=person.blocked, reason=person.blocked_reason)
