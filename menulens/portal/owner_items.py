"""The owner's routes that are about items: review, disagreements, gold, groups, what was turned away."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from aws_lambda_powertools.event_handler.openapi.params import Query
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from menulens.portal import decisions, gold, groups, jobs, rejected, review
from menulens.portal import owner_models as models
from menulens.portal import owner_requests as requests
from menulens.portal.model import Item, Job
from menulens.portal.owner_desk import Desk
from menulens.portal.owner_routes import After, ItemPath, JobPath, Limit, Start, route

router = APIGatewayHttpRouter()  # type: ignore[no-untyped-call]


def desk() -> Desk:
    """Return the desk of the request that is being answered."""
    found: Desk = router.context["desk"]
    return found


def _items(job: Job, items: list[Item], total: int, following: str | None = None) -> models.Items:
    return models.Items.model_validate({"items": desk().views(job, items), "total": total, "next": following})


@route(router, "GET", "/<job>/review", "Items that wait for an owner, longest waiting first")
def show_review(
    job: JobPath, limit: Limit = 10, skip: Annotated[str, Query(pattern=r"^([0-9]{7},?){0,50}$")] = ""
) -> models.Items:
    """Show the review queue; ``skip`` are ids, divided by commas, that are left for later."""
    found = desk().job(job)
    waiting = review.queue(desk().portal, found, limit, [one for one in skip.split(",") if one])
    return _items(found, waiting, jobs.progress(desk().portal, found).review)


@route(router, "POST", "/<job>/review", "Decide what an item is")
def decide(job: JobPath, body: requests.Decision) -> models.Decided:
    """Settle an item, with a category or without one, or have people asked once more; the decision goes to the log."""
    at, found = desk(), desk().job(job)
    review.item_of(at.portal, found, body.item, body.version)
    if body.decision == "label":
        label = review.category_index(found, body.category or "")
        item = decisions.decide(at.portal, job, body.item, by=at.owner, label=label)
    elif body.decision == "reject":
        item = decisions.decide(at.portal, job, body.item, by=at.owner, reject=body.reason or "not usable")
    else:
        item = decisions.decide(at.portal, job, body.item, by=at.owner, back=True)
    at.forget(found)
    left = jobs.progress(at.portal, found).review
    return models.Decided.model_validate({"item": at.views(found, [item])[0], "review": left})


@route(router, "GET", "/<job>/disagreements", "Items whose answers differ, least certain first")
def show_disagreements(job: JobPath, limit: Limit = 20, start: Start = 0) -> models.Items:
    """Show items on which people do not agree."""
    found = desk().job(job)
    items, total = review.disputed(desk().portal, found, desk().counted(found).stats, limit, start)
    return _items(found, items, total)


@route(router, "GET", "/<job>/items", "Items by id, of a category or state if one is given")
def show_items(
    job: JobPath,
    limit: Limit = 20,
    after: After = "",
    category: Annotated[str, Query(pattern=r"^([a-z][a-z0-9_-]{0,62})?$")] = "",
    state: Annotated[Literal["", "open", "settled", "review"], Query()] = "",
) -> models.Items:
    """Show items; where few are of the category and state, a page may have none, and the next one has."""
    found = desk().job(job)
    due: dict[str, Any] = {"label": review.category_index(found, category)} if category else {}
    due |= {"state": state} if state else {}
    items, following = review.browse(
        desk().portal, found, lambda entry: all(entry.get(name) == value for name, value in due.items()), limit, after
    )
    return _items(found, items, -1, following)


@route(router, "GET", "/<job>/gold", "Items whose category the owner knows")
def show_gold(job: JobPath) -> models.Items:
    """Show gold items."""
    found = desk().job(job)
    items = gold.known_items(desk().portal, found)
    return _items(found, items, len(items))


@route(router, "PUT", "/<job>/gold/<item>", "Mark an item as known")
def mark(job: JobPath, item: ItemPath, body: requests.Known) -> models.ItemView:
    """Mark an item: it is mixed in unseen, and tells how often people are right."""
    found = desk().job(job)
    index = review.category_index(found, body.category)
    return _view(found, decisions.set_gold(desk().portal, job, item, by=desk().owner, label=index))


@route(router, "DELETE", "/<job>/gold/<item>", "Take the mark off an item")
def unmark(job: JobPath, item: ItemPath) -> models.ItemView:
    """Take the mark off: what people said counts again."""
    found = desk().job(job)
    return _view(found, decisions.unset_gold(desk().portal, job, item, by=desk().owner))


def _view(job: Job, item: Item) -> models.ItemView:
    desk().forget(job)
    return models.ItemView.model_validate(desk().views(job, [item])[0])


@route(router, "GET", "/<job>/groups", "Near-duplicate photos that are labeled together")
def show_groups(job: JobPath, limit: Limit = 20, after: After = "") -> models.Groups:
    """Show groups."""
    found = desk().job(job)
    page, following = groups.page(desk().portal, found, desk().signed(found), after=after, limit=limit)
    return models.Groups.model_validate({"groups": page, "next": following})


@route(router, "POST", "/<job>/groups/<item>/split", "Split photos off a group")
def split(job: JobPath, item: ItemPath, body: requests.Split) -> models.Groups:
    """Split photos off: each becomes an item that people are asked about. Returns what is left of the group."""
    at, found = desk(), desk().job(job)
    lines = groups.leaving(review.item_of(at.portal, found, item), body.lines)
    decisions.split_group(at.portal, job, item, by=at.owner, apart=[[line] for line in lines])
    at.forget(found)
    left = groups.view(at.portal, at.job(job), review.item_of(at.portal, found, item), at.signed(found))
    return models.Groups.model_validate({"groups": [left], "next": None})


@route(router, "GET", "/<job>/rejects", "Photos that nobody is asked about, and why")
def show_rejects(job: JobPath, limit: Limit = 50, start: Start = 0) -> models.Rejects:
    """Show what was turned away."""
    found: dict[str, Any] = rejected.page(desk().portal, desk().job(job), start, limit)
    return models.Rejects.model_validate(found)
