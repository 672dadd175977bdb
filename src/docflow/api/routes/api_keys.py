"""/v1/api-keys: keys for integrating systems and recipients; for administrators."""

from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Request, Response
from pydantic import Field

from docflow.api import pagination
from docflow.api.context import CallerDep, IdempotencyKey
from docflow.api.once import once
from docflow.api.schemas.common import Input, Instant, Line, Name, Output
from docflow.people.views import ApiKey

router = APIRouter(prefix="/v1/api-keys", tags=["api-keys"])


class ApiKeyIn(Input):
    """A key to be made, for a person or system, or for a recipient."""

    name: Line = Field(description="What it is for.")
    scopes: Annotated[list[Name], Field(max_length=100)] = Field(
        description="What it may do; never more than its owner."
    )
    person_id: Name | None = None
    recipient_id: Name | None = None
    expires_at: Instant | None = None


class ApiKeyOut(Output):
    """An API key, without its secret."""

    id: str
    name: str
    person_id: str | None
    recipient_id: str | None
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    version: int

    @classmethod
    def of(cls, key: ApiKey) -> Self:
        """Build from the people room's answer."""
        same = {name: getattr(key, name) for name in ApiKeyOut.model_fields}
        return cls(**(same | {"scopes": list(key.scopes)}))


class NewApiKeyOut(ApiKeyOut):
    """A key that was just made."""

    token: str | None = Field(
        None,
        description="Shown here and nowhere else; null if a request is repeated with the same "
        "Idempotency-Key, because docflow does not have it any more.",
    )


class ApiKeyPage(Output):
    """A page of API keys, oldest first."""

    items: list[ApiKeyOut]
    next_cursor: str | None


@router.get("", response_model=ApiKeyPage, summary="List API keys")
def list_keys(
    request: Request,
    response: Response,
    caller: CallerDep,
    cursor: pagination.Cursor = None,
    limit: pagination.Limit = pagination.DEFAULT_LIMIT,
) -> ApiKeyPage:
    """List the keys, revoked ones too, oldest first, without their secrets."""
    page = caller.services.keys.list(caller.actor, cursor=pagination.decode(cursor), limit=limit)
    following = pagination.follow(request, response, page.next_cursor)
    return ApiKeyPage(items=[ApiKeyOut.of(key) for key in page.items], next_cursor=following)


@router.post("", status_code=201, response_model=NewApiKeyOut, summary="Create an API key")
def post_key(
    wanted: ApiKeyIn, response: Response, caller: CallerDep, idempotency_key: IdempotencyKey = None
) -> NewApiKeyOut:
    """Create a key; its token is in this answer and nowhere else."""
    claim, earlier = once(caller, idempotency_key, wanted)
    if earlier is not None:
        shown = NewApiKeyOut.of(caller.services.keys.get(caller.actor, earlier))
    else:
        new = caller.services.keys.create(
            caller.actor,
            name=wanted.name,
            scopes=wanted.scopes,
            person_id=wanted.person_id,
            recipient_id=wanted.recipient_id,
            expires_at=wanted.expires_at,
            claim=claim,
        )
        shown = NewApiKeyOut(**ApiKeyOut.of(new.key).model_dump(), token=new.token)
    response.headers["Location"] = f"/v1/api-keys/{shown.id}"
    return shown


@router.get("/{key_id}", response_model=ApiKeyOut, summary="Read an API key")
def get_key(key_id: Name, caller: CallerDep) -> ApiKeyOut:
    """Read a key, without its secret."""
    return ApiKeyOut.of(caller.services.keys.get(caller.actor, key_id))


@router.post("/{key_id}/revoke", response_model=ApiKeyOut, summary="Revoke an API key")
def post_revoke(key_id: Name, caller: CallerDep) -> ApiKeyOut:
    """Revoke a key for good; it opens nothing from the next request on."""
    return ApiKeyOut.of(caller.services.keys.revoke(caller.actor, key_id))
