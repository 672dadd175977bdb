"""What requests that two people decide look like over HTTP."""

from datetime import datetime
from typing import Annotated

from fastapi import Query
from pydantic import Field

from docflow.api.schemas.common import Input, JsonObject, Line, Output
from docflow.custody.model import Kind, Shown, State

StateFilter = Annotated[State | None, Query(description="Only those that stand so.")]


class DecisionIn(Input):
    """Why a request is approved or refused."""

    reason: Line


class WhoOut(Output):
    """A person."""

    id: str
    name: str


class RequestOut(Output):
    """A request that two people decide, as the caller may see it."""

    id: str
    kind: Kind
    state: State = Field(
        description="To who asked for break-glass access, a refused request is `open`, and then "
        "`expired`."
    )
    asked_for: str | None = Field(description="How the document was named; null if withheld.")
    reason: str | None = Field(description="Null if withheld.")
    decision_reason: str | None
    withheld: bool = Field(description="Whether words are kept back from the caller.")
    document_id: str | None = Field(description="Null where it is not for the caller to know.")
    data: JsonObject = Field(description="`hours`; or the levels `from` and `to`.")
    asked_by: WhoOut
    asked_at: datetime
    expires_at: datetime = Field(description="Undecided until then, it is over.")
    decided_by: WhoOut | None
    decided_at: datetime | None
    until: datetime | None = Field(description="Until when what was approved holds.")

    @classmethod
    def of(cls, shown: Shown) -> "RequestOut":
        """Build from the custody room's answer."""
        people = {"asked_by", "decided_by"}
        same = {name: getattr(shown, name) for name in cls.model_fields if name not in people}
        by, decided = shown.asked_by, shown.decided_by
        return cls(
            **same,
            asked_by=WhoOut(id=by.id, name=by.name),
            decided_by=WhoOut(id=decided.id, name=decided.name) if decided else None,
        )


class RequestPage(Output):
    """A page of requests, newest first."""

    items: list[RequestOut]
    next_cursor: str | None
