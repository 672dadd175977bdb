"""/v1/recoveries: the copy under the organisation's recovery key, released by two people."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from docflow.api import uploads
from docflow.api.context import CallerDep, IdempotencyKey
from docflow.api.once import once
from docflow.api.pagination import DEFAULT_LIMIT, Cursor, Limit
from docflow.api.requests import page_of, shown
from docflow.api.routes.files import BYTES
from docflow.api.schemas.common import Input, Line, Name
from docflow.api.schemas.custody import DecisionIn, RequestOut, RequestPage, StateFilter
from docflow.custody import recovery

router = APIRouter(tags=["custody"])


class RecoveryIn(Input):
    """A request for the recovery copy of a document."""

    reason: Line


@router.post(
    "/v1/documents/{document_id}/recoveries",
    status_code=201,
    response_model=RequestOut,
    summary="Ask for the recovery copy",
)
def post_recovery(
    document_id: Name,
    wanted: RecoveryIn,
    response: Response,
    caller: CallerDep,
    idempotency_key: IdempotencyKey = None,
) -> RequestOut:
    """Ask for the copy of a document's files that the organisation's key opens; another decides."""
    claim, request_id = once(caller, idempotency_key, wanted)
    if request_id is None:
        request_id = recovery.ask(
            caller.services.custody,
            caller.actor,
            document_id,
            reason=wanted.reason,
            claim=claim,
        )
    response.headers["Location"] = f"/v1/recoveries/{request_id}"
    return shown(caller, "recovery", request_id)


@router.get("/v1/recoveries", response_model=RequestPage, summary="List requests for recovery")
def list_recoveries(
    request: Request,
    response: Response,
    caller: CallerDep,
    state: StateFilter = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> RequestPage:
    """List one's own requests, those that one may decide, and for auditors all; newest first."""
    return page_of(request, response, caller, "recovery", state, cursor, limit)


@router.get(
    "/v1/recoveries/{request_id}", response_model=RequestOut, summary="Read a request for recovery"
)
def get_recovery(request_id: Name, caller: CallerDep) -> RequestOut:
    """Read a request for the recovery copy of a document."""
    return shown(caller, "recovery", request_id)


@router.post(
    "/v1/recoveries/{request_id}/approval", response_model=RequestOut, summary="Approve a recovery"
)
def post_approval(request_id: Name, given: DecisionIn, caller: CallerDep) -> RequestOut:
    """Let who asked have the recovery copy for some hours; the owner is told."""
    recovery.approve(caller.services.custody, caller.actor, request_id, given.reason)
    return shown(caller, "recovery", request_id)


@router.post(
    "/v1/recoveries/{request_id}/refusal", response_model=RequestOut, summary="Refuse a recovery"
)
def post_refusal(request_id: Name, given: DecisionIn, caller: CallerDep) -> RequestOut:
    """Refuse the recovery copy."""
    recovery.refuse(caller.services.custody, caller.actor, request_id, given.reason)
    return shown(caller, "recovery", request_id)


@router.get(
    "/v1/recoveries/{request_id}/file",
    response_class=Response,
    responses=BYTES,
    summary="Download the file of a recovery",
)
def get_file(
    request_id: Name,
    request: Request,
    caller: CallerDep,
    position: Annotated[
        int, Query(ge=0, le=100, description="Of the file in its document; 0 is the main file.")
    ] = 0,
) -> Response:
    """Download a delivered file that the organisation's escrow key opens; each use is history."""
    row = caller.services.recoveries.file_to_download(caller.actor, request_id, position)
    return uploads.send_file(request, caller.services, row)
