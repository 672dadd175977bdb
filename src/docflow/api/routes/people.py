"""/v1/people: people and integrating systems, and the offices that they hold."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from docflow.api import pagination
from docflow.api.context import CallerDep, IdempotencyKey, IfMatch, etag, required_version
from docflow.api.once import once
from docflow.api.schemas.common import Input, Line, Name, Output
from docflow.api.schemas.people import ClearanceOut
from docflow.kernel.actor import Office
from docflow.people.views import Person

router = APIRouter(prefix="/v1/people", tags=["people"])

Kind = Literal["person", "system"]


class OfficeIn(Input):
    """An office: a role in a unit."""

    unit_id: Name
    role: Name


class PersonIn(Input):
    """A person or a system to be added."""

    login: Name
    name: Line
    kind: Kind = "person"
    offices: Annotated[list[OfficeIn], Field(max_length=100)] = Field(default_factory=list)


class PersonPatch(Input):
    """How a person is shown."""

    name: Line


class OfficeOut(Output):
    """An office that is held."""

    unit_id: str
    role: str


class PersonOut(Output):
    """A person, or an integrating system."""

    id: str
    kind: Kind
    login: str
    name: str
    active: bool
    created_at: datetime
    version: int
    offices: list[OfficeOut]
    clearance: ClearanceOut | None = Field(
        description="Null if there is none, or if it is not for the caller to see."
    )

    @classmethod
    def of(cls, person: Person) -> "PersonOut":
        """Build from the people room's answer."""
        own = {"offices", "clearance"}
        same = {name: getattr(person, name) for name in cls.model_fields if name not in own}
        held = [OfficeOut(unit_id=o.unit_id, role=o.role) for o in person.offices]
        return cls(**same, offices=held, clearance=ClearanceOut.of(person.clearance))


class PersonPage(Output):
    """A page of people, oldest first."""

    items: list[PersonOut]
    next_cursor: str | None


def _answer(response: Response, person: Person) -> PersonOut:
    response.headers["ETag"] = etag(person.version)
    return PersonOut.of(person)


@router.get("", response_model=PersonPage, summary="List people")
def list_people(
    request: Request,
    response: Response,
    caller: CallerDep,
    login: Annotated[Name | None, Query(description="Only the one with this login.")] = None,
    kind: Kind | None = None,
    active: bool | None = None,
    unit_id: Annotated[Name | None, Query(description="Holds an office in this unit.")] = None,
    role: Annotated[Name | None, Query(description="Holds an office of this role.")] = None,
    cursor: pagination.Cursor = None,
    limit: pagination.Limit = pagination.DEFAULT_LIMIT,
) -> PersonPage:
    """List people and systems, oldest first."""
    page = caller.services.directory.list_people(
        caller.actor,
        login=login,
        kind=kind,
        active=active,
        unit_id=unit_id,
        role=role,
        cursor=pagination.decode(cursor),
        limit=limit,
    )
    following = pagination.follow(request, response, page.next_cursor)
    return PersonPage(items=[PersonOut.of(one) for one in page.items], next_cursor=following)


@router.post("", status_code=201, response_model=PersonOut, summary="Add a person")
def post_person(
    wanted: PersonIn, response: Response, caller: CallerDep, idempotency_key: IdempotencyKey = None
) -> PersonOut:
    """Add a person or an integrating system, with the offices held from the start."""
    claim, earlier = once(caller, idempotency_key, wanted)
    directory = caller.services.directory
    if earlier is not None:
        person = directory.person(caller.actor, earlier)
    else:
        person = directory.create_person(
            caller.actor,
            login=wanted.login,
            name=wanted.name,
            kind=wanted.kind,
            held=[Office(office.unit_id, office.role) for office in wanted.offices],
            claim=claim,
        )
    response.headers["Location"] = f"/v1/people/{person.id}"
    return _answer(response, person)


@router.get("/{person_id}", response_model=PersonOut, summary="Read a person")
def get_person(person_id: Name, response: Response, caller: CallerDep) -> PersonOut:
    """Read a person or a system, with the offices held."""
    return _answer(response, caller.services.directory.person(caller.actor, person_id))


@router.patch("/{person_id}", response_model=PersonOut, summary="Rename a person")
def patch_person(
    person_id: Name,
    changes: PersonPatch,
    response: Response,
    caller: CallerDep,
    if_match: IfMatch = None,
) -> PersonOut:
    """Change how a person or a system is shown."""
    person = caller.services.directory.rename_person(
        caller.actor, person_id, changes.name, version=required_version(if_match)
    )
    return _answer(response, person)


@router.post("/{person_id}/deactivate", response_model=PersonOut, summary="Let in no more")
def post_deactivate(
    person_id: Name, response: Response, caller: CallerDep, if_match: IfMatch = None
) -> PersonOut:
    """Let a person or a system in no more: sessions end and keys are revoked at once."""
    person = caller.services.directory.deactivate_person(
        caller.actor, person_id, version=required_version(if_match)
    )
    return _answer(response, person)


@router.post("/{person_id}/activate", response_model=PersonOut, summary="Let in again")
def post_activate(
    person_id: Name, response: Response, caller: CallerDep, if_match: IfMatch = None
) -> PersonOut:
    """Let a deactivated person or system in again; revoked keys stay revoked."""
    person = caller.services.directory.activate_person(
        caller.actor, person_id, version=required_version(if_match)
    )
    return _answer(response, person)


@router.post("/{person_id}/offices", response_model=PersonOut, summary="Grant an office")
def post_office(
    person_id: Name,
    office: OfficeIn,
    response: Response,
    caller: CallerDep,
    if_match: IfMatch = None,
) -> PersonOut:
    """Let a person hold an office; holding it already changes nothing."""
    person = caller.services.directory.grant_office(
        caller.actor,
        person_id,
        unit_id=office.unit_id,
        role=office.role,
        version=required_version(if_match),
    )
    return _answer(response, person)


@router.delete(
    "/{person_id}/offices/{unit_id}/{role}", response_model=PersonOut, summary="Revoke an office"
)
def delete_office(
    person_id: Name,
    unit_id: Name,
    role: Name,
    response: Response,
    caller: CallerDep,
    if_match: IfMatch = None,
) -> PersonOut:
    """Take an office from a person, from the next request on; not holding it changes nothing."""
    person = caller.services.directory.revoke_office(
        caller.actor,
        person_id,
        unit_id=unit_id,
        role=role,
        version=required_version(if_match),
    )
    return _answer(response, person)
