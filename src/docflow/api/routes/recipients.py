"""/v1/recipients: the directory of where documents go."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from docflow.api import pagination
from docflow.api.context import CallerDep, IdempotencyKey, IfMatch, etag, required_version
from docflow.api.once import once
from docflow.api.schemas.common import Input, Line, Name, Output
from docflow.people.views import Recipient

router = APIRouter(prefix="/v1/recipients", tags=["recipients"])

Kind = Literal["organisation", "person"]


class RecipientIn(Input):
    """A recipient to be added."""

    code: Name
    name: Line
    kind: Kind
    external: bool = Field(description="Outside of this office.")
    unit_id: Name | None = Field(None, description="The unit that an internal recipient is.")
    person_id: Name | None = Field(None, description="The person that an internal recipient is.")


class RecipientPatch(Input):
    """Changes to a recipient; what is left out stays."""

    name: Line | None = None
    active: bool | None = None
    unit_id: Name | None = None
    person_id: Name | None = None


class RecipientOut(Output):
    """A recipient."""

    id: str
    code: str
    name: str
    kind: Kind
    external: bool
    unit_id: str | None
    person_id: str | None
    active: bool
    version: int

    @classmethod
    def of(cls, recipient: Recipient) -> "RecipientOut":
        """Build from the people room's answer."""
        return cls(**{name: getattr(recipient, name) for name in cls.model_fields})


class RecipientPage(Output):
    """A page of recipients, oldest first."""

    items: list[RecipientOut]
    next_cursor: str | None


def _answer(response: Response, recipient: Recipient) -> RecipientOut:
    response.headers["ETag"] = etag(recipient.version)
    return RecipientOut.of(recipient)


@router.get("", response_model=RecipientPage, summary="List recipients")
def list_recipients(
    request: Request,
    response: Response,
    caller: CallerDep,
    code: Annotated[Name | None, Query(description="Only the one with this code.")] = None,
    active: bool | None = None,
    external: bool | None = None,
    cursor: pagination.Cursor = None,
    limit: pagination.Limit = pagination.DEFAULT_LIMIT,
) -> RecipientPage:
    """List the recipients, oldest first."""
    page = caller.services.recipients.list(
        caller.actor,
        code=code,
        active=active,
        external=external,
        cursor=pagination.decode(cursor),
        limit=limit,
    )
    following = pagination.follow(request, response, page.next_cursor)
    return RecipientPage(items=[RecipientOut.of(one) for one in page.items], next_cursor=following)


@router.post("", status_code=201, response_model=RecipientOut, summary="Add a recipient")
def post_recipient(
    wanted: RecipientIn,
    response: Response,
    caller: CallerDep,
    idempotency_key: IdempotencyKey = None,
) -> RecipientOut:
    """Add a recipient to the directory."""
    claim, earlier = once(caller, idempotency_key, wanted)
    directory = caller.services.recipients
    if earlier is not None:
        recipient = directory.get(caller.actor, earlier)
    else:
        recipient = directory.add(
            caller.actor,
            code=wanted.code,
            name=wanted.name,
            kind=wanted.kind,
            external=wanted.external,
            unit_id=wanted.unit_id,
            person_id=wanted.person_id,
            claim=claim,
        )
    response.headers["Location"] = f"/v1/recipients/{recipient.id}"
    return _answer(response, recipient)


@router.get("/{recipient_id}", response_model=RecipientOut, summary="Read a recipient")
def get_recipient(recipient_id: Name, response: Response, caller: CallerDep) -> RecipientOut:
    """Read a recipient."""
    return _answer(response, caller.services.recipients.get(caller.actor, recipient_id))


@router.patch("/{recipient_id}", response_model=RecipientOut, summary="Change a recipient")
def patch_recipient(
    recipient_id: Name,
    changes: RecipientPatch,
    response: Response,
    caller: CallerDep,
    if_match: IfMatch = None,
) -> RecipientOut:
    """Rename, link, deactivate or activate a recipient."""
    recipient = caller.services.recipients.change(
        caller.actor,
        recipient_id,
        version=required_version(if_match),
        name=changes.name,
        active=changes.active,
        unit_id=changes.unit_id,
        person_id=changes.person_id,
    )
    return _answer(response, recipient)
