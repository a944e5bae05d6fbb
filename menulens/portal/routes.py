"""How a route of the portal's APIs is declared, so that their OpenAPI documents tell every answer it may give."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, get_type_hints

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from aws_lambda_powertools.event_handler.openapi.types import OpenAPIResponse
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from menulens.portal.bodies import ErrorBody

REFUSALS: Final[dict[int, OpenAPIResponse]] = {
    status.value: {"description": status.phrase, "content": {"application/json": {"model": ErrorBody}}}
    for status in (
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
}


def route(
    target: APIGatewayHttpResolver | APIGatewayHttpRouter,
    method: str,
    rule: str,
    summary: str,
    *,
    refuses: bool = True,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare a route; its good answer is what its function returns.

    Parameters
    ----------
    refuses
        Whether it may say no; a route that is open to all does not.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        answer = get_type_hints(function)["return"]
        good: dict[int, OpenAPIResponse] = {
            200: {"description": "Done", "content": {"application/json": {"model": answer}}}
        }
        responses = good | REFUSALS if refuses else good
        return target.route(rule, method=method, summary=summary, responses=responses)(function)

    return register
