"""/v1/break-glass: read one document for a few hours, because a second person says so."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import Field

from docflow.api.context import CallerDep, IdempotencyKey
from docflow.api.once import once
from docflow.api.pagination import DEFAULT_LIMIT, Cursor, Limit
from docflow.api.requests import page_of, shown
from docflow.api.schemas.common import Input, Line, Name
from docflow.api.schemas.custody import DecisionIn, RequestOut, RequestPage, StateFilter
from docflow.custody import breakglass

router = APIRouter(prefix="/v1/break-glass", tags=["custody"])


class BreakGlassIn(Input):
    """A request for break-glass access."""

    document: Name = Field(description="Id or symbol; of several, the newest is meant.")
    reason: Line
    hours: Annotated[int, Field(ge=1, le=168)] | None = Field(
        None, description="For how long; as long as is allowed where left out."
    )


@router.post("", status_code=201, response_model=RequestOut, summary="Ask for break-glass access")
def post_request(
    wanted: BreakGlassIn,
    response: Response,
    caller: CallerDep,
    idempotency_key: IdempotencyKey = None,
) -> RequestOut:
    """Ask to read a document; the answer is the same whether there is such a document or not."""
    claim, request_id = once(caller, idempotency_key, wanted)
    if request_id is None:
        request_id = breakglass.ask(
            caller.services.custody,
            caller.actor,
            document=wanted.document,
            reason=wanted.reason,
            hours=wanted.hours,
            claim=claim,
        )
    response.headers["Location"] = f"/v1/break-glass/{request_id}"
    return shown(caller, "break-glass", request_id)


@router.get("", response_model=RequestPage, summary="List requests for break-glass access")
def list_requests(
    request: Request,
    response: Response,
    caller: CallerDep,
    state: StateFilter = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> RequestPage:
    """List one's own requests, those that one may decide, and for auditors all; newest first."""
    return page_of(request, response, caller, "break-glass", state, cursor, limit)


@router.get("/{request_id}", response_model=RequestOut, summary="Read a request")
def get_request(request_id: Name, caller: CallerDep) -> RequestOut:
    """Read a request for break-glass access."""
    return shown(caller, "break-glass", request_id)


@router.post("/{request_id}/approval", response_model=RequestOut, summary="Approve a request")
def post_approval(request_id: Name, given: DecisionIn, caller: CallerDep) -> RequestOut:
    """Open the document to who asked; its owner is told at once."""
    breakglass.approve(caller.services.custody, caller.actor, request_id, given.reason)
    return shown(caller, "break-glass", request_id)


@router.post("/{request_id}/refusal", response_model=RequestOut, summary="Refuse a request")
def post_refusal(request_id: Name, given: DecisionIn, caller: CallerDep) -> RequestOut:
    """Refuse a request; who asked is not told, because that would tell of the document."""
    breakglass.refuse(caller.services.custody, caller.actor, request_id, given.reason)
    return shown(caller, "break-glass", request_id)


@router.post("/{request_id}/end", response_model=RequestOut, summary="End an access early")
def post_end(request_id: Name, caller: CallerDep) -> RequestOut:
    """End an access from the next request on: by who has it, or who could have approved it."""
    breakglass.end(caller.services.custody, caller.actor, request_id)
    return shown(caller, "break-glass", request_id)
