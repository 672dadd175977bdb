"""/v1/books/{code}: the entries of a register, its printed forms, and voiding a number."""

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path as FilePath
from typing import Annotated, Any, BinaryIO, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field, StringConstraints

from docflow.api import pagination
from docflow.api.context import CallerDep
from docflow.api.disposition import content_disposition
from docflow.api.schemas.common import Input, Name, Output, Text
from docflow.api.schemas.documents import PersonRef
from docflow.db import Row
from docflow.documents import register_views, voiding
from docflow.release import register_print

router = APIRouter(prefix="/v1/books/{code}", tags=["registers"])

_CHUNK = 2**18
Period = Annotated[
    Name | None,
    Query(description="Key of a period, as 2026 or 2025-2030; default: the current one."),
]
First = Annotated[date | None, Query(alias="from", description="Numbered on this day or later.")]
Last = Annotated[date | None, Query(alias="to", description="Numbered on this day or earlier.")]
_PRINTED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The register.",
        "content": {
            "text/csv": {"schema": {"type": "string"}},
            "application/pdf": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


class VoidedOut(Output):
    """Why a number is void."""

    at: datetime
    by: PersonRef | None = Field(description="Null if docflow itself did it.")
    reason: str


class NumberedDocument(Output):
    """The document that a number was given to."""

    id: str
    direction: Literal["incoming", "outgoing"]
    type: str
    subject: str | None = Field(description="Null where the document is sealed.")
    state: str


class RegisterEntryOut(Output):
    """A number of a register; where it is hidden, nothing but the number is told."""

    series: str
    number: int
    hidden: Literal["classified", "not-readable"] | None = Field(
        description="Why the caller sees no more of it."
    )
    symbol: str | None
    numbered_on: date | None
    document: NumberedDocument | None
    voided: VoidedOut | None

    @classmethod
    def of(cls, row: Row) -> "RegisterEntryOut":
        """Build from a row."""
        place = {"series": row["series"], "number": row["number"]}
        if not row["readable"]:
            return cls(
                **place,
                hidden="classified" if row["classified"] else "not-readable",
                symbol=None,
                numbered_on=None,
                document=None,
                voided=None,
            )
        return cls(
            **place,
            hidden=None,
            symbol=row["symbol"],
            numbered_on=row["numbered_on"],
            document=NumberedDocument(
                id=row["document_id"],
                direction=row["direction"],
                type=row["type_code"],
                subject=row["subject"],
                state=row["state"],
            ),
            voided=_voided(row),
        )


class RegisterPage(Output):
    """A page of a register, in order of series and number."""

    book: str
    period: str
    items: list[RegisterEntryOut]
    next_cursor: str | None


class VoidIn(Input):
    """A number to be voided."""

    reason: Annotated[Text, StringConstraints(min_length=1)] = Field(
        description="Why; it stays in the register."
    )
    period: Name | None = Field(None, description="Default: the current period.")
    series: Name | None = Field(None, description="Needed where several series gave the number.")


def _voided(row: Row) -> VoidedOut | None:
    if row["voided_at"] is None:
        return None
    by = None
    if row["voider_login"] is not None:
        by = PersonRef(id=row["voided_by"], login=row["voider_login"], name=row["voider_name"])
    return VoidedOut(at=row["voided_at"], by=by, reason=row["void_reason"])


@router.get("/entries", response_model=RegisterPage, summary="Read a register")
def list_entries(
    code: Name,
    request: Request,
    response: Response,
    caller: CallerDep,
    period: Period = None,
    first: First = None,
    last: Last = None,
    cursor: pagination.Cursor = None,
    limit: pagination.Limit = pagination.DEFAULT_LIMIT,
) -> RegisterPage:
    """List the numbers of a book in one period, in order of series and number."""
    desk = caller.services.desk
    selection = register_views.choose(desk, caller.actor, code, period, first, last)
    rows = register_views.find(
        desk, caller.actor, selection, after=pagination.decode(cursor), limit=limit + 1
    )
    page = rows[:limit]
    key = register_views.key_of(page[-1]) if len(rows) > limit else None
    return RegisterPage(
        book=selection.book.code,
        period=selection.period.key,
        items=[RegisterEntryOut.of(row) for row in page],
        next_cursor=pagination.follow(request, response, key),
    )


@router.get("/print", response_class=Response, responses=_PRINTED, summary="Print a register")
def print_register(
    code: Name,
    caller: CallerDep,
    period: Period = None,
    format: Literal["csv", "pdf"] = "pdf",  # noqa: A002 - the name that the API uses
    first: First = None,
    last: Last = None,
) -> Response:
    """Print a book in the decree's ten columns, at most 20,000 rows at once."""
    studio = caller.services.studio
    selection = register_views.choose(studio.desk, caller.actor, code, period, first, last)
    name = f"{selection.book.code}-{selection.period.key}.{format}"
    headers = {"Content-Disposition": content_disposition(name)}
    if format == "csv":
        text = register_print.csv_text(studio, caller.actor, selection)
        return StreamingResponse(text, headers=headers, media_type="text/csv; charset=utf-8")
    path = register_print.pdf_file(studio, caller.actor, selection)
    headers["Content-Length"] = str(path.stat().st_size)
    return StreamingResponse(_pieces(_taken(path)), headers=headers, media_type="application/pdf")


def _taken(path: FilePath) -> BinaryIO:
    """Open a file and unlink it, so that it goes with its last reader, whatever ends that."""
    file = path.open("rb")
    path.unlink()
    return file


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while piece := file.read(_CHUNK):
            yield piece


@router.post("/entries/{number}/void", response_model=RegisterEntryOut, summary="Void a number")
def post_void(
    code: Name,
    number: Annotated[int, Path(ge=1, le=999_999_999)],
    wanted: VoidIn,
    caller: CallerDep,
) -> RegisterEntryOut:
    """Void a number that is on no signed file, where its document may stand without one."""
    desk = caller.services.desk
    selection = register_views.choose(desk, caller.actor, code, wanted.period)
    row = voiding.void(
        desk, caller.actor, selection, number, reason=wanted.reason, series=wanted.series
    )
    return RegisterEntryOut.of(row)
