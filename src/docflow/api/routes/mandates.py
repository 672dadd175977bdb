"""/v1/people/{id}/mandates: in whose place a person may sign."""

from datetime import datetime
from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import Field

from docflow.api import pagination
from docflow.api.context import CallerDep, IdempotencyKey
from docflow.api.once import once
from docflow.api.schemas.common import Input, Instant, Line, Name, Output
from docflow.people.mandates import Mandate, NewMandate

router = APIRouter(prefix="/v1/people/{person_id}/mandates", tags=["mandates"])

Capacity = Literal["TM", "Q", "KT", "TL", "TUQ"]


class MandateIn(Input):
    """A mandate to be granted."""

    capacity: Capacity = Field(
        description="TM: for a collective; Q: acting; KT: a deputy for the head; TL: by order; TUQ: by "
        "written mandate, which needs `valid_until`."
    )
    title: Name = Field(description="The principal's title as printed, `GIÁM ĐỐC`.")
    unit_id: Name | None = Field(None, description="The unit in whose name; or `on_behalf_id`.")
    on_behalf_id: Name | None = Field(None, description="The person in whose place.")
    basis: Line = Field(description="The decision or paper that gives it.")
    valid_from: Instant
    valid_until: Instant | None = None


class MandateOut(Output):
    """A mandate."""

    id: str
    person_id: str
    capacity: Capacity
    title: str
    unit_id: str | None
    on_behalf_id: str | None
    basis: str
    valid_from: datetime
    valid_until: datetime | None
    created_at: datetime
    revoked_at: datetime | None

    @classmethod
    def of(cls, found: Mandate) -> "MandateOut":
        """Build from the people room's answer."""
        return cls(**{name: getattr(found, name) for name in cls.model_fields})


class MandatePage(Output):
    """A page of a person's mandates, oldest first."""

    items: list[MandateOut]
    next_cursor: str | None


@router.get("", response_model=MandatePage, summary="List a person's mandates")
def list_mandates(
    person_id: Name,
    request: Request,
    response: Response,
    caller: CallerDep,
    cursor: pagination.Cursor = None,
    limit: pagination.Limit = pagination.DEFAULT_LIMIT,
) -> MandatePage:
    """List a person's mandates, ended ones too, oldest first."""
    page = caller.services.mandates.list(
        caller.actor, person_id, cursor=pagination.decode(cursor), limit=limit
    )
    following = pagination.follow(request, response, page.next_cursor)
    return MandatePage(items=[MandateOut.of(one) for one in page.items], next_cursor=following)


@router.post("", status_code=201, response_model=MandateOut, summary="Grant a mandate")
def post_mandate(
    person_id: Name,
    wanted: MandateIn,
    response: Response,
    caller: CallerDep,
    idempotency_key: IdempotencyKey = None,
) -> MandateOut:
    """Let a person sign in somebody's place; it gives no right that the person's offices do not."""
    claim, earlier = once(caller, idempotency_key, wanted)
    service = caller.services.mandates
    if earlier is not None:
        found = service.get(caller.actor, person_id, earlier)
    else:
        values = {name: getattr(wanted, name) for name in type(wanted).model_fields}
        found = service.grant(caller.actor, person_id, NewMandate(**values), claim=claim)
    response.headers["Location"] = f"/v1/people/{found.person_id}/mandates/{found.id}"
    return MandateOut.of(found)


@router.get("/{mandate_id}", response_model=MandateOut, summary="Read a mandate")
def get_mandate(person_id: Name, mandate_id: Name, caller: CallerDep) -> MandateOut:
    """Read one mandate of a person."""
    return MandateOut.of(caller.services.mandates.get(caller.actor, person_id, mandate_id))


@router.post("/{mandate_id}/revoke", response_model=MandateOut, summary="Revoke a mandate")
def post_revocation(person_id: Name, mandate_id: Name, caller: CallerDep) -> MandateOut:
    """End a mandate now; what was signed under it stays."""
    return MandateOut.of(caller.services.mandates.revoke(caller.actor, person_id, mandate_id))
