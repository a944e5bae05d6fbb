"""What the routes of the owner's API have in common: where they lie, and what stands in their paths."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from menulens.portal import review, routes

JOBS: Final = "/api/owner/jobs"
JobPath = Annotated[str, Path(pattern=r"^[A-Za-z0-9](-?[A-Za-z0-9]){0,62}$", description="The job's name.")]
ItemPath = Annotated[str, Path(pattern=r"^[0-9]{7}$", description="The item's id.")]
PersonPath = Annotated[str, Path(pattern=r"^[A-Za-z0-9:@._-]{1,128}$", description="The person's id.")]
CategoryPath = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_-]{0,62}$", description="The category's key.")]
Limit = Annotated[int, Query(ge=1, le=review.MOST_SHOWN)]
After = Annotated[str, Query(pattern=r"^([0-9]{7})?$", description="The last item of the page before.")]
Start = Annotated[int, Query(ge=0, le=10**6)]


def route(
    target: APIGatewayHttpResolver | APIGatewayHttpRouter, method: str, rule: str, summary: str
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare a route below the list of jobs; its good answer is what its function returns."""
    return routes.route(target, method, f"{JOBS}{rule}", summary)
