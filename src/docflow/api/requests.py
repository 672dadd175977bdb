"""Answers about requests that two people decide, alike for every kind."""

from fastapi import Request, Response

from docflow.api import pagination
from docflow.api.context import Caller
from docflow.api.schemas.custody import RequestOut, RequestPage
from docflow.custody import listing
from docflow.custody.model import Kind, State


def shown(caller: Caller, kind: Kind, request_id: str) -> RequestOut:
    """Return a request as the caller may see it.

    Raises:
        NotFoundError: if there is none of this kind that the caller may see.
    """
    return RequestOut.of(listing.one(caller.services.custody, caller.actor, kind, request_id))


def page_of(
    request: Request,
    response: Response,
    caller: Caller,
    kind: Kind,
    state: State | None,
    cursor: str | None,
    limit: int,
) -> RequestPage:
    """Return a page of the requests of a kind that the caller may see, newest first."""
    found = listing.find(
        caller.services.custody,
        caller.actor,
        kind,
        state=state,
        before=pagination.decode(cursor),
        limit=limit + 1,
    )
    items = [RequestOut.of(item) for item in found[:limit]]
    key = items[-1].id if len(found) > limit else None
    return RequestPage(items=items, next_cursor=pagination.follow(request, response, key))
