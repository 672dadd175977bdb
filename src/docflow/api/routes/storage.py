"""/v1/storage: how the stored files are, for administrators and auditors."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from docflow.api import pagination
from docflow.api.context import CallerDep
from docflow.api.schemas.common import Output
from docflow.upkeep import report

router = APIRouter(prefix="/v1/storage", tags=["storage"])

FindingKind = Literal[
    "missing",
    "damaged",
    "wrong-size",
    "unlike-row",
    "unlike-history",
    "unreadable",
    "store-away",
]


class SweeperOut(Output):
    """What the sweeper has done since ever: objects that no row referred to."""

    passes: int
    examined: int
    deleted: int
    deleted_bytes: int
    uploads_ended: int
    ran_at: datetime


class ScanOut(Output):
    """How far the integrity scan is, and what is wrong now."""

    state: Literal["never", "running", "finished"]
    round: int
    share: float
    started_at: datetime | None
    finished_at: datetime | None
    updated_at: datetime | None
    objects: int
    bytes: int
    found: int
    open: dict[FindingKind, int]
    sweeper: SweeperOut | None


class FindingOut(Output):
    """Something that is, or was, wrong with a stored object; `object` is its key in the store."""

    id: str
    kind: FindingKind
    object: str | None
    source: str | None
    document_id: str | None
    detail: str
    found_at: datetime
    checked_at: datetime
    cleared_at: datetime | None


class FindingPage(Output):
    """A page of findings, newest first."""

    items: list[FindingOut]
    next_cursor: str | None


@router.get("/scan", response_model=ScanOut, summary="Read how the stored files are")
def get_scan(caller: CallerDep) -> ScanOut:
    """Tell how far the integrity scan is, what is wrong now, and what the sweeper did."""
    found = report.show(caller.services.database, caller.actor)
    sweeper = None
    if found.sweeper is not None:
        told = {name: found.sweeper[name] for name in SweeperOut.model_fields}
        sweeper = SweeperOut(**told)
    same = {name: getattr(found, name) for name in ScanOut.model_fields if name != "sweeper"}
    return ScanOut(**same, sweeper=sweeper)


@router.get("/findings", response_model=FindingPage, summary="List findings of the scan")
def list_findings(
    request: Request,
    response: Response,
    caller: CallerDep,
    cleared: Annotated[
        bool, Query(description="Whether findings that were healed come too.")
    ] = False,
    cursor: pagination.Cursor = None,
    limit: pagination.Limit = pagination.DEFAULT_LIMIT,
) -> FindingPage:
    """List what is wrong with stored files, newest first; never their names or content."""
    rows = report.find(
        caller.services.database,
        caller.actor,
        cleared=cleared,
        before=pagination.decode(cursor),
        limit=limit + 1,
    )
    page, next_cursor = pagination.cut(rows, limit)
    pagination.link_next(request, response, next_cursor)
    items = [
        FindingOut(
            id=row["id"],
            kind=row["kind"],
            object=row["key"] or None,
            source=row["source"] or None,
            document_id=row["document_id"],
            detail=row["detail"],
            found_at=row["found_at"],
            checked_at=row["checked_at"],
            cleared_at=row["cleared_at"],
        )
        for row in page
    ]
    return FindingPage(items=items, next_cursor=next_cursor)
