"""/v1/documents/{id}/files: the main file, annexes, and their bytes."""

from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Query, Request, Response

from docflow.api import uploads
from docflow.api.context import CallerDep, IfMatch, etag, required_version
from docflow.api.schemas.common import PROBLEM, Name
from docflow.api.schemas.documents import DocumentOut, document_of
from docflow.api.schemas.files import FileOut
from docflow.documents import change, queries
from docflow.documents.intake import for_change

router = APIRouter(prefix="/v1/documents/{document_id}/files", tags=["files"])

Level = Annotated[
    Name | None,
    Query(
        description="The file's own classification, if it is higher than the document's: the "
        "document is raised to it."
    ),
]
_RAW: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The file's bytes; its name in Content-Disposition. Of an outgoing document "
        "also a docx, odt or rtf file: a PDF is made of it by a job, and counts when it is there.",
        "content": {
            "application/pdf": {"schema": {"type": "string", "format": "binary"}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
_ANY: dict[str, Any] = {"*/*": {"schema": {"type": "string", "format": "binary"}}}
BYTES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file's bytes.",
        "content": _ANY,
    },
    206: {"description": "The range that was asked for.", "content": _ANY},
    304: {"description": "The bytes that If-None-Match names are still those."},
    416: {"description": "The range lies outside of the file.", **PROBLEM},
}


@router.get("", response_model=list[FileOut], summary="List a document's files")
def list_files(document_id: Name, caller: CallerDep) -> list[FileOut]:
    """List every file of a document, current ones first; replaced ones stay listed."""
    shown = queries.show(caller.services.desk, caller.actor, document_id)
    return [FileOut.of(row) for row in shown.files]


@router.put(
    "/main", response_model=DocumentOut, openapi_extra=_RAW, summary="Put or replace the main file"
)
async def put_main(
    document_id: Name,
    request: Request,
    caller: CallerDep,
    classification: Level = None,
    if_match: IfMatch = None,
) -> Response:
    """Give a draft its main file as a raw body; an earlier one stays stored."""
    version = required_version(if_match)
    desk = caller.services.desk
    intake = await anyio.to_thread.run_sync(
        lambda: for_change(desk, caller.actor, document_id, classification)
    )
    received = await uploads.receive_file(request, caller.services, intake, "document.pdf")

    def work() -> Response:
        change.put_main(desk, caller.actor, intake, received, if_version=version)
        shown = document_of(queries.show(desk, caller.actor, document_id))
        return Response(
            shown.model_dump_json(),
            headers={"ETag": etag(shown.version)},
            media_type="application/json",
        )

    try:
        return await anyio.to_thread.run_sync(work)
    finally:
        uploads.discard(received.staged)


@router.post(
    "", status_code=201, response_model=FileOut, openapi_extra=_RAW, summary="Add an annex"
)
async def post_annex(
    document_id: Name,
    request: Request,
    caller: CallerDep,
    classification: Level = None,
    if_match: IfMatch = None,
) -> Response:
    """Add an annex to a draft as a raw body."""
    version = required_version(if_match)
    desk = caller.services.desk
    intake = await anyio.to_thread.run_sync(
        lambda: for_change(desk, caller.actor, document_id, classification)
    )
    received = await uploads.receive_file(request, caller.services, intake, "annex")

    def work() -> Response:
        row, now = change.add_annex(desk, caller.actor, intake, received, if_version=version)
        return Response(
            FileOut.of(row).model_dump_json(),
            201,
            {"ETag": etag(now), "Location": f"/v1/documents/{document_id}/files/{row['id']}"},
            media_type="application/json",
        )

    try:
        return await anyio.to_thread.run_sync(work)
    finally:
        uploads.discard(received.staged)


@router.delete("/{file_id}", status_code=204, summary="Take an annex out")
def delete_annex(
    document_id: Name, file_id: Name, caller: CallerDep, if_match: IfMatch = None
) -> Response:
    """Take an annex out of a draft; its bytes stay stored."""
    now = change.remove_annex(
        caller.services.desk,
        caller.actor,
        document_id,
        file_id,
        if_version=required_version(if_match),
    )
    return Response(status_code=204, headers={"ETag": etag(now)})


@router.get("/{file_id}", response_model=FileOut, summary="Describe a file")
def get_file(document_id: Name, file_id: Name, caller: CallerDep) -> FileOut:
    """Describe a file of a document."""
    return FileOut.of(
        queries.file_to_open(caller.services.desk, caller.actor, document_id, file_id)
    )


@router.get(
    "/{file_id}/content", response_class=Response, responses=BYTES, summary="Download a file"
)
def get_content(document_id: Name, file_id: Name, request: Request, caller: CallerDep) -> Response:
    """Download a file's bytes; ranges are supported."""
    row = queries.file_to_open(caller.services.desk, caller.actor, document_id, file_id)
    return uploads.send_file(request, caller.services, row)
