"""/v1/notices: what the caller is told about documents of theirs."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from docflow.api import pagination
from docflow.api.context import CallerDep
from docflow.api.schemas.common import Name, Output
from docflow.custody import notices
from docflow.custody.notices import Notice

router = APIRouter(prefix="/v1/notices", tags=["custody"])


class NoticeOut(Output):
    """A notice."""

    id: str
    kind: str
    text: str
    document_id: str | None = Field(description="Null while the caller may not read the document.")
    request_id: str = Field(description="The request that it is about, of the kind in `kind`.")
    at: datetime
    seen_at: datetime | None

    @classmethod
    def of(cls, notice: Notice) -> "NoticeOut":
        """Build from the custody room's answer."""
        return cls(**{name: getattr(notice, name) for name in cls.model_fields})


class NoticePage(Output):
    """A page of notices, newest first."""

    items: list[NoticeOut]
    next_cursor: str | None


@router.get("", response_model=NoticePage, summary="List my notices")
def list_notices(
    request: Request,
    response: Response,
    caller: CallerDep,
    unseen: Annotated[bool, Query(description="Only those not seen yet.")] = False,
    cursor: pagination.Cursor = None,
    limit: pagination.Limit = pagination.DEFAULT_LIMIT,
) -> NoticePage:
    """List the caller's own notices, newest first."""
    found = notices.find(
        caller.services.database,
        caller.actor,
        unseen=unseen,
        before=pagination.decode(cursor),
        limit=limit + 1,
    )
    items = [NoticeOut.of(notice) for notice in found[:limit]]
    key = items[-1].id if len(found) > limit else None
    return NoticePage(items=items, next_cursor=pagination.follow(request, response, key))


@router.post("/{notice_id}/seen", response_model=NoticeOut, summary="Mark a notice as seen")
def post_seen(notice_id: Name, caller: CallerDep) -> NoticeOut:
    """Mark one of the caller's notices as seen; seeing it again changes nothing."""
    return NoticeOut.of(notices.see(caller.services.database, caller.actor, notice_id))
