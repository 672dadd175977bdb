"""/v1/sessions: sign in and out; /v1/me: who am I, and my password."""

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import Field, StringConstraints

from docflow.api.context import CallerDep
from docflow.api.schemas.common import PROBLEM, Input, Output, Text
from docflow.api.schemas.documents import PersonRef, RecipientRef, UnitRef
from docflow.api.schemas.people import ClearanceOut
from docflow.bootstrap import Services
from docflow.custody import notices
from docflow.kernel.errors import ForbiddenError
from docflow.people.profile import Profile, profile

router = APIRouter(tags=["sessions"])

Password = Annotated[str, StringConstraints(max_length=1000)]
_LOCKED: dict[int | str, dict[str, Any]] = {
    429: {"description": "Too many wrong passwords in a row; wait for Retry-After.", **PROBLEM}
}


class Credentials(Input):
    """Login and password."""

    login: Text
    password: Password


class PasswordChange(Input):
    """The old password and the new one."""

    old_password: Password
    new_password: Password = Field(description="12 to 128 characters, not a common one.")


class StepUpIn(Input):
    """The caller's own password."""

    password: Password


class StepUpOut(Output):
    """When the password was given last."""

    authenticated_at: datetime
    signs_until: datetime | None = Field(
        description="Until when it counts for personal signatures; null: while the session lasts."
    )


class HeldOfficeOut(Output):
    """An office that the caller holds."""

    unit: UnitRef
    role: str


class MeOut(Output):
    """Who the caller is."""

    id: str
    kind: str = Field(description="person, system or recipient.")
    name: str
    login: str | None
    offices: list[HeldOfficeOut]
    scopes: list[str] | None = Field(description="What the API key may do; null for a session.")
    recipients: list[RecipientRef] = Field(description="For whom the caller receives.")
    clearance: ClearanceOut | None
    unseen_notices: int

    @classmethod
    def of(cls, me: Profile, unseen_notices: int) -> "MeOut":
        """Build from the people room's answer."""
        return cls(
            id=me.id,
            kind=me.kind,
            name=me.name,
            login=me.login,
            offices=[
                HeldOfficeOut(
                    unit=UnitRef(id=held.unit.id, code=held.unit.code, name=held.unit.name),
                    role=held.role,
                )
                for held in me.offices
            ],
            scopes=None if me.scopes is None else list(me.scopes),
            recipients=[
                RecipientRef(id=item.id, code=item.code, name=item.name) for item in me.recipients
            ],
            clearance=ClearanceOut.of(me.clearance),
            unseen_notices=unseen_notices,
        )


class SessionOut(Output):
    """A new session; the token is shown here and nowhere else."""

    token: str
    expires_at: datetime
    person: PersonRef | None = Field(description="Who signed in, if a person did.")
    recipient: RecipientRef | None = Field(description="Who signed in, if a recipient did.")


@router.post(
    "/v1/sessions",
    status_code=201,
    response_model=SessionOut,
    responses=_LOCKED,
    summary="Sign in",
)
def post_session(given: Credentials, request: Request) -> SessionOut:
    """Open a session with login and password."""
    services: Services = request.app.state.services
    opened = services.accounts.login(given.login, given.password)
    me = profile(services.database, services.authenticator.authenticate(opened.token))
    request.scope["state"]["actor_id"] = me.id
    inside = me.kind != "recipient"
    own = None if inside else next(item for item in me.recipients if item.id == me.id)
    return SessionOut(
        token=opened.token,
        expires_at=opened.expires_at,
        person=PersonRef(id=me.id, login=opened.login, name=me.name) if inside else None,
        recipient=RecipientRef(id=own.id, code=own.code, name=own.name) if own else None,
    )


@router.post(
    "/v1/sessions/step-up",
    response_model=StepUpOut,
    responses=_LOCKED,
    summary="Give my password again",
)
def post_step_up(given: StepUpIn, caller: CallerDep) -> StepUpOut:
    """Note that the caller is there now: a personal signature needs the password given recently."""
    at = caller.services.accounts.step_up(caller.actor, caller.token, given.password)
    minutes = caller.services.settings.step_up_minutes
    return StepUpOut(
        authenticated_at=at, signs_until=at + timedelta(minutes=minutes) if minutes else None
    )


@router.delete("/v1/sessions/current", status_code=204, summary="Sign out")
def delete_session(caller: CallerDep) -> Response:
    """End the session of the token in use, at once and everywhere."""
    if caller.actor.scopes is not None:
        raise ForbiddenError(
            "An API key has no session to end.",
            code="not-a-session",
            rule="own-session",
            satisfied_by="Have an administrator revoke the key.",
        )
    caller.services.accounts.logout(caller.token)
    return Response(status_code=204)


@router.get("/v1/me", response_model=MeOut, summary="Who am I")
def get_me(caller: CallerDep) -> MeOut:
    """Tell who the caller is, which offices the caller holds and for whom the caller receives."""
    database, actor = caller.services.database, caller.actor
    return MeOut.of(profile(database, actor), notices.unseen(database, actor))


@router.put("/v1/me/password", status_code=204, responses=_LOCKED, summary="Change my password")
def put_password(given: PasswordChange, caller: CallerDep) -> Response:
    """Change the caller's own password; every other session of the account ends."""
    caller.services.accounts.change_password(
        caller.actor, given.old_password, given.new_password, keep_token=caller.token
    )
    return Response(status_code=204)
