"""/v1/lowerings: lower a document's classification, by two people."""

from fastapi import APIRouter, Request, Response

from docflow.api.context import CallerDep, IdempotencyKey
from docflow.api.once import once
from docflow.api.pagination import DEFAULT_LIMIT, Cursor, Limit
from docflow.api.requests import page_of, shown
from docflow.api.schemas.common import Input, Line, Name
from docflow.api.schemas.custody import DecisionIn, RequestOut, RequestPage, StateFilter
from docflow.custody import lowering

router = APIRouter(tags=["custody"])


class LoweringIn(Input):
    """A request to lower a classification."""

    to: Name
    reason: Line


@router.post(
    "/v1/documents/{document_id}/lowerings",
    status_code=201,
    response_model=RequestOut,
    summary="Ask to lower a classification",
)
def post_lowering(
    document_id: Name,
    wanted: LoweringIn,
    response: Response,
    caller: CallerDep,
    idempotency_key: IdempotencyKey = None,
) -> RequestOut:
    """Ask to lower a document's classification; another person decides."""
    claim, request_id = once(caller, idempotency_key, wanted)
    if request_id is None:
        request_id = lowering.ask(
            caller.services.custody,
            caller.actor,
            document_id,
            to=wanted.to,
            reason=wanted.reason,
            claim=claim,
        )
    response.headers["Location"] = f"/v1/lowerings/{request_id}"
    return shown(caller, "lowering", request_id)


@router.get("/v1/lowerings", response_model=RequestPage, summary="List requests to lower")
def list_lowerings(
    request: Request,
    response: Response,
    caller: CallerDep,
    state: StateFilter = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> RequestPage:
    """List one's own requests, those that one may decide, and for auditors all; newest first."""
    return page_of(request, response, caller, "lowering", state, cursor, limit)


@router.get(
    "/v1/lowerings/{request_id}", response_model=RequestOut, summary="Read a request to lower"
)
def get_lowering(request_id: Name, caller: CallerDep) -> RequestOut:
    """Read a request to lower a classification."""
    return shown(caller, "lowering", request_id)


@router.post(
    "/v1/lowerings/{request_id}/approval", response_model=RequestOut, summary="Approve a lowering"
)
def post_approval(request_id: Name, given: DecisionIn, caller: CallerDep) -> RequestOut:
    """Lower the classification: the document's texts now, its files by a job right after."""
    lowering.approve(caller.services.custody, caller.actor, request_id, given.reason)
    return shown(caller, "lowering", request_id)


@router.post(
    "/v1/lowerings/{request_id}/refusal", response_model=RequestOut, summary="Refuse a lowering"
)
def post_refusal(request_id: Name, given: DecisionIn, caller: CallerDep) -> RequestOut:
    """Leave the classification as it is."""
    lowering.refuse(caller.services.custody, caller.actor, request_id, given.reason)
    return shown(caller, "lowering", request_id)
