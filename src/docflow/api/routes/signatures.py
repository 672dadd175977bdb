"""/v1/signatures: how signatures stand; /v1/archive-timestamps: what keeps released files provable."""

from datetime import datetime
from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import Field

from docflow.api import pagination, uploads
from docflow.api.context import CallerDep
from docflow.api.routes.files import BYTES
from docflow.api.schemas.common import Name, Output
from docflow.db import Row
from docflow.release import standing
from docflow.release.expiry import Use

router = APIRouter(prefix="/v1", tags=["signatures"])

_State = Literal["current", "due", "renewed", "failed"]


class CertificateOut(Output):
    """A certificate, or a trusted list, and how near its end is."""

    name: str
    kind: str = Field(description="person, organisation, authority or list.")
    use: Use = Field(description="What the office needs it for.")
    sha256: str | None = Field(description="Its fingerprint; null for a list.")
    until: datetime
    days_left: int
    warning: int | None = Field(
        description="7, 30 or 60: it ends within so many days; 0: it is over; null: later."
    )


class StandingOut(Output):
    """How signatures stand; counts stop at 1,000."""

    levels: list[str] = Field(description="Levels that can be made.")
    default_level: str = Field(description="Level of signatures whose workflow names none.")
    certificates: list[CertificateOut] = Field(
        description="The one that ends first comes first. Cards, recipients' certificates, anchors and "
        "trusted lists only if they end within 60 days, at most 200 of each."
    )
    ending: int = Field(
        description="Archive time stamps that end soon, not yet asked to be renewed."
    )
    due: int = Field(description="Archive time stamps whose renewal is under way.")
    failed: int = Field(description="Archive time stamps whose renewal failed.")
    retrying: int = Field(
        description="Those of them that are tried again by themselves; the others need a person."
    )


class ArchiveStampOut(Output):
    """An archive time stamp on a released file."""

    id: str
    document_id: str
    file_id: str = Field(description="The released file that it keeps provable.")
    number: int = Field(description="1 came with the release; each renewal has the next.")
    state: _State
    authority: str
    stamped_at: datetime
    until: datetime = Field(description="When the authority's certificate ends.")
    algorithms: str
    sha256: str = Field(description="Digest of the file with this time stamp.")
    size: int
    error: str | None = Field(description="Why its renewal failed last.")
    attempts: int = Field(description="Renewals that failed in a row.")
    next_at: datetime | None = Field(
        description="When a failed renewal is begun again; null with `failed`: it needs a person."
    )
    changed_at: datetime

    @classmethod
    def of(cls, row: Row) -> "ArchiveStampOut":
        """Build from a row."""
        return cls(**{name: row[name] for name in cls.model_fields})


class ArchiveStampPage(Output):
    """A page of archive time stamps."""

    items: list[ArchiveStampOut]
    next_cursor: str | None


@router.get("/signatures", response_model=StandingOut, summary="How signatures stand")
def get_standing(caller: CallerDep) -> StandingOut:
    """Levels, certificates near their end, and archive time stamps that need attention."""
    anchors = caller.services.studio.verifier.anchors
    found = standing.standing(caller.services.keeper, caller.actor, anchors)
    return StandingOut(
        levels=list(found.levels),
        default_level=found.default_level,
        certificates=[
            CertificateOut(**{name: getattr(one, name) for name in CertificateOut.model_fields})
            for one in found.certificates
        ],
        ending=found.ending,
        due=found.due,
        failed=found.failed,
        retrying=found.retrying,
    )


@router.get(
    "/archive-timestamps", response_model=ArchiveStampPage, summary="List archive time stamps"
)
def list_stamps(
    request: Request,
    response: Response,
    caller: CallerDep,
    state: _State | None = None,
    cursor: pagination.Cursor = None,
    limit: pagination.Limit = pagination.DEFAULT_LIMIT,
) -> ArchiveStampPage:
    """List archive time stamps, in order of release."""
    found = standing.stamps(
        caller.services.desk,
        caller.actor,
        state=state,
        after=pagination.decode(cursor),
        limit=limit,
    )
    page, next_cursor = pagination.cut(found, limit)
    pagination.link_next(request, response, next_cursor)
    return ArchiveStampPage(
        items=[ArchiveStampOut.of(row) for row in page], next_cursor=next_cursor
    )


@router.get(
    "/archive-timestamps/{stamp_id}/file",
    responses=BYTES,
    response_class=Response,
    summary="Download the file with this archive time stamp",
)
def get_stamped_file(stamp_id: Name, request: Request, caller: CallerDep) -> Response:
    """Download the released file with its archive time stamps up to this one."""
    row = standing.stamped_file(caller.services.desk, caller.actor, stamp_id)
    return uploads.send_file(request, caller.services, row)
