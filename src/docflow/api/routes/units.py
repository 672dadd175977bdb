"""/v1/units: the tree of units."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from docflow.api import pagination
from docflow.api.context import CallerDep, IdempotencyKey, IfMatch, etag, required_version
from docflow.api.once import once
from docflow.api.schemas.common import Input, Line, Name, Output
from docflow.people.views import Unit

router = APIRouter(prefix="/v1/units", tags=["units"])


class UnitIn(Input):
    """A unit to be added."""

    code: Name
    name: Line
    parent_id: Name | None = Field(None, description="The unit above; none for the top one.")


class UnitPatch(Input):
    """Changes to a unit; what is left out stays."""

    name: Line | None = None
    parent_id: Name | None = Field(None, description="Moves the unit below another.")


class UnitOut(Output):
    """A unit."""

    id: str
    code: str
    name: str
    parent_id: str | None
    version: int

    @classmethod
    def of(cls, unit: Unit) -> "UnitOut":
        """Build from the people room's answer."""
        return cls(**{name: getattr(unit, name) for name in cls.model_fields})


class UnitPage(Output):
    """A page of units, oldest first."""

    items: list[UnitOut]
    next_cursor: str | None


@router.get("", response_model=UnitPage, summary="List units")
def list_units(
    request: Request,
    response: Response,
    caller: CallerDep,
    code: Annotated[Name | None, Query(description="Only the unit with this code.")] = None,
    cursor: pagination.Cursor = None,
    limit: pagination.Limit = pagination.DEFAULT_LIMIT,
) -> UnitPage:
    """List the units, oldest first."""
    page = caller.services.directory.list_units(
        caller.actor, code=code, cursor=pagination.decode(cursor), limit=limit
    )
    following = pagination.follow(request, response, page.next_cursor)
    return UnitPage(items=[UnitOut.of(unit) for unit in page.items], next_cursor=following)


@router.post("", status_code=201, response_model=UnitOut, summary="Add a unit")
def post_unit(
    wanted: UnitIn, response: Response, caller: CallerDep, idempotency_key: IdempotencyKey = None
) -> UnitOut:
    """Add a unit below another."""
    claim, earlier = once(caller, idempotency_key, wanted)
    directory = caller.services.directory
    if earlier is not None:
        unit = directory.unit(caller.actor, earlier)
    else:
        unit = directory.create_unit(
            caller.actor,
            code=wanted.code,
            name=wanted.name,
            parent_id=wanted.parent_id,
            claim=claim,
        )
    response.headers.update({"Location": f"/v1/units/{unit.id}", "ETag": etag(unit.version)})
    return UnitOut.of(unit)


@router.get("/{unit_id}", response_model=UnitOut, summary="Read a unit")
def get_unit(unit_id: Name, response: Response, caller: CallerDep) -> UnitOut:
    """Read a unit."""
    unit = caller.services.directory.unit(caller.actor, unit_id)
    response.headers["ETag"] = etag(unit.version)
    return UnitOut.of(unit)


@router.patch("/{unit_id}", response_model=UnitOut, summary="Rename or move a unit")
def patch_unit(
    unit_id: Name,
    changes: UnitPatch,
    response: Response,
    caller: CallerDep,
    if_match: IfMatch = None,
) -> UnitOut:
    """Rename a unit, or move it below another."""
    unit = caller.services.directory.change_unit(
        caller.actor,
        unit_id,
        version=required_version(if_match),
        name=changes.name,
        parent_id=changes.parent_id,
    )
    response.headers["ETag"] = etag(unit.version)
    return UnitOut.of(unit)
