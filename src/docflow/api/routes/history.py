"""/v1/history, /v1/documents/{id}/history and /v1/log: what happened, and the proof of it."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import PlainTextResponse

from docflow.api import pagination
from docflow.api.context import CallerDep
from docflow.api.disposition import content_disposition
from docflow.api.schemas.common import Instant, JsonObject, Name, Output
from docflow.audit import queries
from docflow.audit.queries import Filters
from docflow.transparency import proof as proof_file

router = APIRouter(tags=["history"])

_HASHES = "application/octet-stream"
_NOTE: dict[int | str, dict[str, object]] = {
    200: {"content": {"text/plain": {"schema": {"type": "string"}}}}
}
_BYTES: dict[int | str, dict[str, object]] = {
    200: {"content": {_HASHES: {"schema": {"type": "string", "format": "binary"}}}}
}


class SubjectOut(Output):
    """What an entry is about."""

    kind: str
    id: str


class ActedOut(Output):
    """Who acted; `name` as the directory has it now, null if it knows them no more."""

    id: str
    kind: str
    name: str | None


class EntryOut(Output):
    """A history entry."""

    id: str
    subject: SubjectOut
    seq: int
    action: str
    actor: ActedOut
    at: datetime
    data: JsonObject
    details: JsonObject | None
    details_withheld: bool
    leaf_hash: str
    intact: bool
    index: int | None


class EntryPage(Output):
    """A page of entries."""

    items: list[EntryOut]
    next_cursor: str | None


@router.get(
    "/v1/documents/{document_id}/history",
    response_model=EntryPage,
    summary="Read a document's history",
)
def get_document_history(
    document_id: Name,
    request: Request,
    response: Response,
    caller: CallerDep,
    cursor: pagination.Cursor = None,
    limit: pagination.Limit = pagination.DEFAULT_LIMIT,
) -> EntryPage:
    """List everything that happened to a document, in order."""
    rows = queries.of_document(
        caller.services.desk,
        caller.actor,
        document_id,
        after=pagination.decode(cursor),
        limit=limit + 1,
    )
    page, following = pagination.cut(rows, limit)
    pagination.link_next(request, response, following)
    return EntryPage(items=[EntryOut(**row) for row in page], next_cursor=following)


@router.get("/v1/history", response_model=EntryPage, summary="Read the whole history")
def list_history(
    request: Request,
    response: Response,
    caller: CallerDep,
    subject_kind: Annotated[Name | None, Query(description="As `document` or `person`.")] = None,
    subject: Annotated[Name | None, Query(description="Id of what the entries are about.")] = None,
    action: Annotated[
        Name | None, Query(description="As `document.fired`, or `document` for all of these.")
    ] = None,
    actor: Annotated[Name | None, Query(description="Id of who acted.")] = None,
    at_from: Instant | None = None,
    at_before: Instant | None = None,
    cursor: pagination.Cursor = None,
    limit: pagination.Limit = pagination.DEFAULT_LIMIT,
) -> EntryPage:
    """List the entries of the whole office, newest first; for auditors."""
    filters = Filters(
        subject_kind=subject_kind,
        subject_id=subject,
        action=action,
        actor_id=actor,
        at_from=at_from,
        at_before=at_before,
    )
    rows = queries.everything(
        caller.services.database,
        caller.actor,
        filters,
        before=pagination.decode(cursor),
        limit=limit + 1,
    )
    page, following = pagination.cut(rows, limit)
    pagination.link_next(request, response, following)
    return EntryPage(items=[EntryOut(**row) for row in page], next_cursor=following)


@router.get(
    "/v1/history/{entry_id}/proof",
    response_class=PlainTextResponse,
    responses=_NOTE,
    summary="Get the proof of an entry",
)
def get_proof(entry_id: Name, caller: CallerDep) -> Response:
    """Return a proof file (C2SP tlog-proof) that verifies offline against the log's key."""
    proof = caller.services.proofs.proof(caller.actor, entry_id)
    name = content_disposition(f"{proof.entry_id}{proof_file.SUFFIX}")
    return Response(
        proof.text, media_type=proof_file.MEDIA_TYPE, headers={"Content-Disposition": name}
    )


@router.get(
    "/v1/log/checkpoint",
    response_class=PlainTextResponse,
    responses=_NOTE,
    summary="Get the log's signed head",
)
def get_checkpoint(caller: CallerDep) -> Response:
    """Return the newest checkpoint (C2SP tlog-checkpoint); keep one, and the log cannot go back."""
    caller.actor  # noqa: B018 - anyone we know may have it
    return Response(caller.services.proofs.checkpoint(), media_type=proof_file.MEDIA_TYPE)


@router.get(
    "/v1/log/key",
    response_class=PlainTextResponse,
    responses=_NOTE,
    summary="Get the log's public key",
)
def get_key(caller: CallerDep) -> Response:
    """Return the key that proofs and checkpoints verify against: one line, a C2SP vkey."""
    caller.actor  # noqa: B018 - anyone we know may have it
    return Response(f"{caller.services.proofs.vkey}\n", media_type=proof_file.MEDIA_TYPE)


@router.get(
    "/v1/log/tile/{path:path}", response_class=Response, responses=_BYTES, summary="Get a log tile"
)
def get_tile(path: str, caller: CallerDep) -> Response:
    """Return hashes or entries of the log by their C2SP tlog-tiles path; for auditors."""
    data = caller.services.proofs.tile(caller.actor, f"tile/{path}")
    return Response(data, media_type=_HASHES)
