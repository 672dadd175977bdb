"""/v1/documents: post, read, list, change, and fire transitions."""

from datetime import date
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import ValidationError

from docflow.api import pagination, uploads
from docflow.api.answers import in_thread, json_answer
from docflow.api.context import Caller, CallerDep, IdempotencyKey, IfMatch, etag, required_version
from docflow.api.multipart import Limits, Received, receive
from docflow.api.problems import field_of
from docflow.api.schemas.common import Instant, Name
from docflow.api.schemas.documents import (
    AvailableOut,
    ClassificationIn,
    ClassifiedOut,
    DocumentIn,
    DocumentOut,
    DocumentPage,
    DocumentPatch,
    TransitionIn,
    TransitionOut,
    document_of,
    summary_of,
)
from docflow.db.idempotency import recall
from docflow.documents import change, create, queries, reclassify
from docflow.documents.content import ReceivedFile
from docflow.documents.fire import fire
from docflow.documents.intake import Intake
from docflow.documents.queries import Filters
from docflow.kernel.errors import ConflictError, InvalidInputError, MalformedError
from docflow.release.fitting import try_on
from docflow.storage import StagedFile

router = APIRouter(prefix="/v1/documents", tags=["documents"])

_POST_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The document's data alone (files follow with PUT), or data and files in one "
        "multipart request: the part `metadata` (JSON), one part `main` and any parts `annex`.",
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/DocumentIn"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["metadata", "main"],
                    "properties": {
                        "metadata": {"$ref": "#/components/schemas/DocumentIn"},
                        "main": {"type": "string", "contentMediaType": "application/pdf"},
                        "annex": {
                            "type": "array",
                            "items": {
                                "type": "string",
                                "contentMediaType": "application/octet-stream",
                            },
                        },
                    },
                },
                "encoding": {"metadata": {"contentType": "application/json"}},
            },
        },
    }
}


@router.post(
    "",
    status_code=201,
    response_model=DocumentOut,
    openapi_extra=_POST_BODY,
    summary="Post a document",
)
async def post_document(
    request: Request, caller: CallerDep, idempotency_key: IdempotencyKey = None
) -> Response:
    """Post an incoming document, or draft an outgoing one."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "multipart/form-data":
        body = await request.body()
        return await in_thread(caller.threads, _post, caller, body, None, idempotency_key)
    await in_thread(caller.threads, lambda: caller.actor)  # nobody unknown fills our disk
    settings = caller.services.settings
    intake = Intake(caller.services.desk)
    received = await receive(
        request.stream(),
        request.headers.get("content-type"),
        lambda _part, _name, metadata: intake.begin(metadata),
        Limits(
            file_bytes=settings.max_file_bytes,
            total_bytes=settings.max_file_bytes * (settings.max_annexes + 1),
            annexes=settings.max_annexes,
        ),
    )
    staged = [received.main.result, *(annex.result for annex in received.annexes)]
    try:
        return await in_thread(
            caller.threads, _post, caller, received.metadata, (received, intake), idempotency_key
        )
    finally:
        uploads.discard(*staged)


def _post(
    caller: Caller,
    body: bytes,
    with_files: tuple[Received[StagedFile], Intake] | None,
    key: str | None,
) -> Response:
    actor = caller.actor
    new = _parse(body).to_new()
    main = intake = None
    annexes: list[ReceivedFile] = []
    content = body
    if with_files is not None:
        received, intake = with_files
        main = ReceivedFile(received.main.name or "document.pdf", received.main.result)
        annexes = [
            ReceivedFile(annex.name or f"annex-{number}", annex.result)
            for number, annex in enumerate(received.annexes, 1)
        ]
        content += "".join(item.staged.sha256 for item in (main, *annexes)).encode()
    claim = caller.claim(key, content)
    document_id = recall(caller.services.database, actor, claim) if claim else None
    if document_id is None:
        try:
            document_id = create.create(
                caller.services.desk,
                actor,
                new,
                main=main,
                annexes=annexes,
                claim=claim,
                intake=intake,
            )
        except ConflictError:  # perhaps with this very request, carried out a moment ago
            document_id = recall(caller.services.database, actor, claim) if claim else None
            if document_id is None:
                raise
    shown = document_of(queries.show(caller.services.desk, actor, document_id))
    headers = {"Location": f"/v1/documents/{document_id}", "ETag": etag(shown.version)}
    return json_answer(shown, 201, headers)


def _parse(body: bytes) -> DocumentIn:
    try:
        return DocumentIn.model_validate_json(body)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        if any(item["type"] == "json_invalid" for item in problems):
            raise MalformedError(
                f"The metadata is not JSON: {problems[0]['msg']}.", code="malformed-json"
            ) from error
        raise InvalidInputError(
            "The document's data is not right.",
            fields=[field_of({**item, "loc": ("body", *item["loc"])}) for item in problems],
        ) from error


@router.get("", response_model=DocumentPage, summary="List documents")
def list_documents(
    request: Request,
    response: Response,
    caller: CallerDep,
    direction: Literal["incoming", "outgoing"] | None = None,
    state: Name | None = None,
    unit: Annotated[Name | None, Query(description="Code or id.")] = None,
    assignee: Annotated[Name | None, Query(description="Login or id.")] = None,
    author: Annotated[Name | None, Query(description="Login or id.")] = None,
    type: Name | None = None,  # noqa: A002 - the name that the API uses
    urgency: Name | None = None,
    symbol: Name | None = None,
    text: Annotated[
        Name | None, Query(description="Words of the subject, with or without marks.")
    ] = None,
    created_from: Instant | None = None,
    created_before: Instant | None = None,
    due_before: Instant | None = None,
    issuer_date: date | None = None,
    cursor: pagination.Cursor = None,
    limit: pagination.Limit = pagination.DEFAULT_LIMIT,
) -> DocumentPage:
    """List the documents that the caller may read, newest first."""
    filters = Filters(
        direction=direction,
        state=state,
        unit=unit,
        assignee=assignee,
        author=author,
        type_code=type,
        urgency=urgency,
        symbol=symbol,
        text=text,
        created_from=created_from,
        created_before=created_before,
        due_before=due_before,
        issuer_date=issuer_date,
    )
    rows = queries.find(
        caller.services.desk,
        caller.actor,
        filters,
        before=pagination.decode(cursor),
        limit=limit + 1,
    )
    page, following = pagination.cut(rows, limit)
    pagination.link_next(request, response, following)
    return DocumentPage(items=[summary_of(row) for row in page], next_cursor=following)


@router.get("/{document_id}", response_model=DocumentOut, summary="Read a document")
async def get_document(document_id: Name, caller: CallerDep) -> Response:
    """Read a document with its files, its recipients and what the caller may do."""
    return await in_thread(caller.threads, _shown, caller, document_id)


def _shown(caller: Caller, document_id: str) -> Response:
    shown = document_of(queries.show(caller.services.desk, caller.actor, document_id))
    return json_answer(shown, headers={"ETag": etag(shown.version)})


@router.patch("/{document_id}", response_model=DocumentOut, summary="Change a draft's data")
def patch_document(
    document_id: Name,
    changes: DocumentPatch,
    caller: CallerDep,
    if_match: IfMatch = None,
) -> Response:
    """Change a document's data; only where its state is editable."""
    version = required_version(if_match)
    desk = caller.services.desk
    change.edit(desk, caller.actor, document_id, changes.changes(), if_version=version)
    return _shown(caller, document_id)


@router.post(
    "/{document_id}/classification",
    response_model=ClassifiedOut,
    summary="Raise a document's classification",
)
def post_classification(
    document_id: Name,
    wanted: ClassificationIn,
    response: Response,
    caller: CallerDep,
    if_match: IfMatch = None,
) -> ClassifiedOut:
    """Raise a document's classification at once; to lower it takes two people.

    It may be raised above the caller's own clearance; the caller then no longer sees it.
    """
    level, version = reclassify.raise_classification(
        caller.services.desk,
        caller.actor,
        document_id,
        wanted.classification,
        reason=wanted.reason,
        if_version=required_version(if_match),
    )
    response.headers["ETag"] = etag(version)
    return ClassifiedOut(document_id=document_id, classification=level, version=version)


@router.get(
    "/{document_id}/available",
    response_model=list[AvailableOut],
    summary="What may I do, and why not",
)
def get_available(document_id: Name, response: Response, caller: CallerDep) -> list[AvailableOut]:
    """List each transition that leaves the document's state, and whether the caller may fire it."""
    row, items = queries.available(caller.services.desk, caller.actor, document_id)
    response.headers["ETag"] = etag(row["version"])
    return [AvailableOut.of(item) for item in items]


@router.post(
    "/{document_id}/transitions",
    response_model=TransitionOut,
    responses={202: {"model": TransitionOut, "description": "A job signs and completes it."}},
    summary="Fire a transition",
)
async def post_transition(
    document_id: Name, wanted: TransitionIn, caller: CallerDep, if_match: IfMatch = None
) -> Response:
    """Fire a transition of the document's workflow: the only way its state changes."""
    return await in_thread(caller.threads, _fire, caller, document_id, wanted, if_match)


def _fire(caller: Caller, document_id: str, wanted: TransitionIn, if_match: str | None) -> Response:
    outcome = fire(
        caller.services.desk,
        caller.actor,
        document_id,
        wanted.trigger,
        wanted.asked,
        if_version=required_version(if_match),
        place=wanted.place,
        mandate=wanted.mandate,
        try_on=partial(try_on, caller.services.studio),
    )
    status = 202 if outcome.phase == "request" else 200
    return json_answer(TransitionOut.of(outcome), status, {"ETag": etag(outcome.version)})
