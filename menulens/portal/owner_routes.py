"""How a route of the owner's API is declared, so that its OpenAPI document tells every answer it may give."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any, Final, get_type_hints

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from aws_lambda_powertools.event_handler.openapi.types import OpenAPIResponse
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from menulens.portal import review
from menulens.portal.owner_models import Refusal

JOBS: Final = "/api/owner/jobs"
JobPath = Annotated[str, Path(pattern=r"^[A-Za-z0-9](-?[A-Za-z0-9]){0,62}$", description="The job's name.")]
ItemPath = Annotated[str, Path(pattern=r"^[0-9]{7}$", description="The item's id.")]
PersonPath = Annotated[str, Path(pattern=r"^[A-Za-z0-9:@._-]{1,128}$", description="The person's id.")]
CategoryPath = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_-]{0,62}$", description="The category's key.")]
Limit = Annotated[int, Query(ge=1, le=review.MOST_SHOWN)]
After = Annotated[str, Query(pattern=r"^([0-9]{7})?$", description="The last item of the page before.")]
Start = Annotated[int, Query(ge=0, le=10**6)]

_REFUSALS: Final = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
)


def route(
    target: APIGatewayHttpResolver | APIGatewayHttpRouter, method: str, rule: str, summary: str
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare a route below the list of jobs; its good answer is what its function returns."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        answer = get_type_hints(function)["return"]
        answers: dict[int, OpenAPIResponse] = {
            200: {"description": "Done", "content": {"application/json": {"model": answer}}}
        }
        for status in _REFUSALS:
            content: Any = {"application/json": {"model": Refusal}}
            answers[status.value] = {"description": status.phrase, "content": content}
        declared = target.route(f"{JOBS}{rule}", method=method, summary=summary, responses=answers)
        return declared(function)

    return register
