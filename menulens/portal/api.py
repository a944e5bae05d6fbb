"""The annotators' HTTP API: routes that check who asks and what, and hand on to the functions that do it."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Final

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError
from aws_lambda_powertools.event_handler.openapi.models import HTTPBearer
from aws_lambda_powertools.event_handler.openapi.params import Path
from botocore.exceptions import BotoCoreError, ClientError

from menulens.portal import answers, bodies, jobs, photos, routes, work
from menulens.portal.callers import A_GUESS, Caller, RateError, caller, check_body, limit
from menulens.portal.context import Portal
from menulens.portal.model import Answer, Category, Item, Job, PortalError, iso
from menulens.portal.second_factor import CONFIRM_FIRST, SCOPE, SecondFactor
from menulens.portal.table import TableError

VERSION: Final = "1"
HEALTH: Final = "/api/health"
AGAIN: Final = "The portal could not do this just now; send it again."
_LONGEST_MS: Final = 86_400_000
"""A photo that is in view for longer is in nobody's view; its answer is as good as any."""
_LISTED: Final = frozenset({"open", "paused"})
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}

JobName = Annotated[str, Path(pattern=r"^[A-Za-z0-9](-?[A-Za-z0-9])*$", max_length=63)]
Token = Annotated[str, Path(pattern=r"^[A-Za-z0-9_.-]+$", max_length=1_024)]
Handler = Callable[[dict[str, Any], Any], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Api:
    """The API of one portal.

    Attributes
    ----------
    annotators, owners
        Names of the groups whose members may use it.
    second_factor
        Of the user pool that its people sign in to.
    """

    portal: Callable[[], Portal]
    annotators: str
    owners: str
    second_factor: Callable[[], SecondFactor]

    def handler(self) -> Handler:
        """Return what answers events of an HTTP API, one at a time.

        Who asks is checked before anything that they say is looked at.
        """
        app = self.resolver()

        def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
            if event.get("rawPath") != HEALTH:
                try:
                    who = caller(event)
                    limit(self.portal(), who.id)
                    who.require(self.annotators, self.owners)
                except PortalError as error:
                    return _refusal(error.status, error.code, str(error), _retry(error))
                except (TableError, ClientError, BotoCoreError):
                    return _refusal(HTTPStatus.SERVICE_UNAVAILABLE, "try-again", AGAIN, {"Retry-After": "1"})
                app.context["who"] = who
                if event.get("body") and not _is_json(event):
                    told = "A JSON body is due, as Content-Type: application/json says."
                    return _refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "not-json", told, {})
                try:
                    check_body(event)
                except PortalError as error:
                    return _refusal(error.status, error.code, str(error), {})
            answer = app.resolve(event, context)
            # Errors go by the middleware of routes, so what every answer has is added here.
            answer["headers"] = {"Cache-Control": "no-store", **answer.get("headers", {}), **_HEADERS}
            return answer

        return handle

    def resolver(self) -> APIGatewayHttpResolver:
        """Return the routes."""
        app = APIGatewayHttpResolver(enable_validation=True, response_validation_error_http_code=500)
        self._failures(app)
        self._reading(app)
        self._working(app)
        self._account(app)
        return app

    def _reading(self, app: APIGatewayHttpResolver) -> None:
        route = functools.partial(routes.route, app)

        @route("GET", HEALTH, "Tell that the API is there.", refuses=False)
        def health() -> bodies.Health:
            return bodies.Health(ok=True)

        @route("GET", "/api/me", "Who is signed in, and the jobs that take answers.")
        def me() -> bodies.Me:
            who: Caller = app.context["who"]
            listed = [job for job in jobs.list_jobs(self.portal()) if job.state in _LISTED]
            person = bodies.PersonBody(id=who.id, name=who.name, owner=self.owners in who.groups)
            return bodies.Me(person=person, jobs=[self._summary(job, who) for job in listed])

        @route("GET", "/api/jobs/<job>", "What a job asks.")
        def job_of(job: JobName) -> bodies.JobBody:
            who: Caller = app.context["who"]
            return self._job(jobs.get(self.portal(), job), who)

        @app.get(
            "/api/photos/<token>",
            summary="The photo that a task's path names.",
            enable_validation=False,  # it would make the JPEG JSON; the token is checked where it is read
            responses={
                **routes.REFUSALS,
                200: {"description": "A JPEG", "content": {"image/jpeg": {"schema": {"type": "string"}}}},
            },
        )
        def photo(token: Token) -> Response[bytes]:
            who: Caller = app.context["who"]
            _, content = photos.read(self.portal(), token, who.id)
            headers: dict[str, str | list[str]] = {"Cache-Control": f"private, max-age={photos.SECONDS}"}
            return Response(status_code=200, content_type="image/jpeg", body=content, headers=headers)

    def _working(self, app: APIGatewayHttpResolver) -> None:
        route = functools.partial(routes.route, app)

        @route("POST", "/api/jobs/<job>/leases", "Get tasks; those that one has come first.")
        def lease(job: JobName, body: bodies.LeaseRequest) -> bodies.LeaseAnswer:
            who: Caller = app.context["who"]
            found = jobs.get(self.portal(), job)
            leased = work.lease(self.portal(), found, who.id, limit=body.limit, have=body.have, name=who.name)
            mine, still, total = answers.mine(self.portal(), found, who.id)
            return bodies.LeaseAnswer(
                tasks=[self._task(found, it, who) for it in leased.items],
                now=iso(self.portal().clock()),
                version=found.version,
                state=found.state,
                mine=mine,
                open=still,
                total=total,
                blocked=leased.person.blocked,
            )

        @route("DELETE", "/api/jobs/<job>/leases", "Hand tasks back.")
        def release(job: JobName, body: bodies.ReleaseRequest) -> bodies.Nothing:
            who: Caller = app.context["who"]
            work.release(self.portal(), jobs.get(self.portal(), job), who.id, body.items)
            return bodies.Nothing()

        @route("POST", "/api/jobs/<job>/answers", "Give answers; sent again, they count once.")
        def answer(job: JobName, body: bodies.AnswersRequest) -> bodies.AnswersAnswer:
            who: Caller = app.context["who"]
            portal, found = self.portal(), jobs.get(self.portal(), job)
            given = [_answer(found, one) for one in body.answers]
            results = answers.record(portal, found, answers.Who(who.id, who.name, who.issuer), given)
            mine, still, total = answers.mine(portal, found, who.id)
            told = [
                bodies.AnswerResult(id=one.id, status=one.status, code=one.code or None, message=one.message or None)
                for one in results
            ]
            return bodies.AnswersAnswer(results=told, mine=mine, open=still, total=total, state=found.state)

    def _account(self, app: APIGatewayHttpResolver) -> None:
        route = functools.partial(routes.route, app)
        place = "/api/account/second-factor"

        def token() -> str:
            who: Caller = app.context["who"]
            if SCOPE not in who.scopes:
                raise PortalError(*CONFIRM_FIRST)
            return app.current_event.headers.get("authorization", "").removeprefix("Bearer ").strip()

        @route("GET", place, "Whether one signs in with codes as well.")
        def second_factor() -> bodies.SecondFactorBody:
            return bodies.SecondFactorBody(on=self.second_factor().is_on(token()))

        @route("POST", place, "Begin to set up an authenticator app.")
        def begin() -> bodies.EnrolmentBody:
            made = self.second_factor().begin(token())
            return bodies.EnrolmentBody(secret=made.secret, address=made.address, squares=list(made.squares))

        @route("PUT", place, "Ask for codes from now on; the app's first one proves that it is set up.")
        def confirm(body: bodies.CodeRequest) -> bodies.SecondFactorBody:
            self.second_factor().confirm(token(), body.code)
            return bodies.SecondFactorBody(on=True)

        @route("DELETE", place, "Ask for codes no more.")
        def end() -> bodies.SecondFactorBody:
            self.second_factor().end(token())
            return bodies.SecondFactorBody(on=False)

    def _failures(self, app: APIGatewayHttpResolver) -> None:
        def refused(error: PortalError) -> Response[dict[str, Any]]:
            if error.status in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND) and error.code != photos.OVER:
                limit(self.portal(), caller(app.current_event.raw_event).id, weight=A_GUESS)
            return failure(error.status, error.code, str(error), _retry(error))

        def invalid(error: RequestValidationError) -> Response[dict[str, Any]]:
            faults = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:5]]
            return failure(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", "; ".join(faults))

        def unavailable(_: Exception) -> Response[dict[str, Any]]:
            return failure(HTTPStatus.SERVICE_UNAVAILABLE, "try-again", AGAIN, {"Retry-After": "1"})

        def nowhere(_: NotFoundError) -> Response[dict[str, Any]]:
            return failure(HTTPStatus.NOT_FOUND, "no-route", "There is nothing here.")

        app.exception_handler(PortalError)(refused)
        app.exception_handler(RequestValidationError)(invalid)
        app.exception_handler([TableError, ClientError, BotoCoreError])(unavailable)
        app.not_found(nowhere)

    def _summary(self, job: Job, who: Caller) -> bodies.JobSummary:
        mine, still, total = answers.mine(self.portal(), job, who.id)
        title = {"title_ja": job.texts.title_ja or job.name, "title_en": job.texts.title_en or job.name}
        return bodies.JobSummary(job=job.name, state=job.state, open=still, total=total, mine=mine, **title)

    def _job(self, job: Job, who: Caller) -> bodies.JobBody:
        return bodies.JobBody(
            job=job.name,
            version=job.version,
            state=job.state,
            kind=job.kind,
            **job.texts.to_json(),
            categories=[self._category(job, one, who) for one in job.categories],
            context_keys=list(job.options.context_keys),
        )

    def _category(self, job: Job, category: Category, who: Caller) -> bodies.CategoryBody:
        told = {name: value for name, value in category.to_json().items() if name not in ("example", "former")}
        return bodies.CategoryBody(**told, example=self._photo(job, "example", category.example, who))

    def _task(self, job: Job, it: Item, who: Caller) -> bodies.Task:
        return bodies.Task(
            item=it.id,
            photo=self._photo(job, it.id, it.display, who),
            width=it.width,
            height=it.height,
            text=it.text or None,
            context=dict(it.context),
            together=len(it.lines),
            lease_ends=iso(it.leases[who.id][1]),
        )

    def _photo(self, job: Job, item: str, copy: str, who: Caller) -> str | None:
        return f"/api/photos/{photos.token(self.portal(), job, item, who.id, copy)}" if copy else None


def openapi() -> dict[str, Any]:
    """Return the API's OpenAPI 3.1 document."""

    def nowhere() -> Any:
        raise AssertionError("the document is made without a portal")

    app = Api(nowhere, "", "", nowhere).resolver()
    document = app.get_openapi_schema(
        title="menulens portal",
        version=VERSION,
        description="What the annotators' page asks: tasks, photos, answers. Each answer counts once.",
        security_schemes={
            "token": HTTPBearer(description="An access token of the portal's sign-in", bearerFormat="JWT")
        },
        security=[{"token": []}],
    )
    told: dict[str, Any] = document.model_dump(by_alias=True, exclude_none=True, mode="json")
    told["paths"][HEALTH]["get"]["security"] = []
    return told


def failure(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response[dict[str, Any]]:
    """Return an error as the API tells it."""
    return Response(
        status_code=int(status),
        content_type="application/json",
        body={"error": {"code": code, "message": message}},
        headers={**(headers or {})},
    )


def _refusal(status: int, code: str, message: str, headers: dict[str, str]) -> dict[str, Any]:
    """Return an error as API Gateway takes it."""
    told = {"error": {"code": code, "message": message}}
    return {
        "statusCode": int(status),
        "headers": {"Content-Type": "application/json", "Cache-Control": "no-store", **_HEADERS, **headers},
        "body": json.dumps(told, ensure_ascii=False),
        "isBase64Encoded": False,
    }


def _is_json(event: Mapping[str, Any]) -> bool:
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    return str(headers.get("content-type", "")).partition(";")[0].strip().lower() == "application/json"


def _retry(error: PortalError) -> dict[str, str]:
    return {"Retry-After": str(error.retry_after)} if isinstance(error, RateError) else {}


def _answer(job: Job, given: bodies.GivenAnswer) -> Answer:
    """Return an answer with the indices of its categories; -1 for one that the job does not have."""

    def index(key: str | None) -> int | None:
        if key is None:
            return None
        found = job.category(key)
        return -1 if found is None else found.index

    return Answer(
        id=given.id,
        item=given.item,
        person="",
        kind=given.kind,
        category=index(given.category),
        second=index(given.second),
        problem=given.problem,
        replaces=given.replaces or "",
        shown_ms=min(given.shown_ms, _LONGEST_MS),
        at=given.at,
    )
