"""/v1/people/{id}/clearance: what someone may see of the sealed levels, given a reason to know."""

from fastapi import APIRouter, Response

from docflow.api.context import CallerDep, IfMatch, etag, required_version
from docflow.api.routes.people import PersonOut
from docflow.api.schemas.common import Input, Instant, Line, Name
from docflow.api.schemas.people import ClearanceOut

router = APIRouter(prefix="/v1/people/{person_id}/clearance", tags=["people"])


class ClearanceIn(Input):
    """A clearance to be recorded."""

    level: Name
    expires_at: Instant
    reason: Line


@router.get("", response_model=ClearanceOut, summary="Read a clearance")
def get_clearance(person_id: Name, response: Response, caller: CallerDep) -> ClearanceOut | None:
    """Read a person's or system's clearance: one's own, or anyone's for those who keep or audit it."""
    found, version = caller.services.clearances.of(caller.actor, person_id)
    response.headers["ETag"] = etag(version)
    return ClearanceOut.of(found)


@router.put("", response_model=PersonOut, summary="Grant a clearance")
def put_clearance(
    person_id: Name,
    wanted: ClearanceIn,
    response: Response,
    caller: CallerDep,
    if_match: IfMatch = None,
) -> PersonOut:
    """Clear a person or system up to a level, until a day; what they had before is replaced."""
    caller.services.clearances.grant(
        caller.actor,
        person_id,
        level=wanted.level,
        expires_at=wanted.expires_at,
        reason=wanted.reason,
        version=required_version(if_match),
    )
    return _person(caller, person_id, response)


@router.delete("", response_model=PersonOut, summary="Revoke a clearance")
def delete_clearance(
    person_id: Name, response: Response, caller: CallerDep, if_match: IfMatch = None
) -> PersonOut:
    """Take a clearance from the next request on; having none changes nothing."""
    caller.services.clearances.revoke(caller.actor, person_id, version=required_version(if_match))
    return _person(caller, person_id, response)


def _person(caller: CallerDep, person_id: str, response: Response) -> PersonOut:
    person = caller.services.directory.person(caller.actor, person_id)
    response.headers["ETag"] = etag(person.version)
    return PersonOut.of(person)
