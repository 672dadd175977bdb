"""Clearances: what a person or system may see of the sealed levels, until when, and who said so.

Rules: an administrator records them, never for themselves; none is above the ceiling, none is for
ever; who is cleared still needs a reason to know. A clearance that is over, or was revoked, counts
no more with the very next request. What was before is told by history.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

import sqlalchemy as sa

from docflow.db import Database, Draft
from docflow.kernel.actor import Actor
from docflow.kernel.clock import rfc3339
from docflow.kernel.errors import FieldProblem, ForbiddenError, InvalidInputError, NotFoundError
from docflow.people.access import decide, require
from docflow.people.records import check_version, fetch, note_refusal, require_recorded
from docflow.people.seed_models import Classification
from docflow.people.tables import clearances, people
from docflow.people.views import Clearance
from docflow.people.vocabulary import Permission
from docflow.people.writing import write_clearance


class Clearances:
    """Grants, revokes and shows clearances."""

    def __init__(
        self, database: Database, classification: Classification, longest: timedelta
    ) -> None:
        """Hold the office's levels, and how far ahead a clearance may expire at most."""
        self._database = database
        self._classification = classification
        self._longest = longest

    def grant(
        self,
        actor: Actor,
        person_id: str,
        *,
        level: str,
        expires_at: datetime,
        reason: str,
        version: int | None = None,
    ) -> None:
        """Clear a person or system up to a level; what they had before is replaced.

        Raises:
            ForbiddenError: if the actor is no administrator, or is the person.
            NotFoundError: if there is no such person.
            InvalidInputError: with code `clearance-level` or `clearance-expiry`, or without reason.
            StaleVersionError: if the person is not at `version`.
        """
        self._require(actor, person_id)
        self._check_level(level)
        if not reason:
            raise InvalidInputError(
                "A clearance is granted for a reason.", fields=[FieldProblem("/reason", "say why")]
            )
        with self._database.unit_of_work(actor) as uow:
            self._check_expiry(uow.now, expires_at)
            row = fetch(uow.connection, people, person_id, lock=True)
            check_version(row, version)
            uow.remove(clearances, person_id, sa.true())
            data = write_clearance(uow, person_id, level, expires_at)
            draft = Draft("person.clearance-granted", data, {"reason": reason})
            uow.change(people, row, {}, draft)

    def revoke(self, actor: Actor, person_id: str, *, version: int | None = None) -> None:
        """Take a clearance from the next request on; having none is fine and changes nothing.

        Raises:
            ForbiddenError: if the actor is no administrator, or is the person.
            NotFoundError: if there is no such person.
            StaleVersionError: if the person is not at `version`.
        """
        self._require(actor, person_id)
        with self._database.unit_of_work(actor) as uow:
            row = fetch(uow.connection, people, person_id, lock=True)
            check_version(row, version)
            held = shown_to(uow.connection, actor, [person_id]).get(person_id)
            if held is not None:
                uow.remove(clearances, person_id, sa.true())
                data = {"level": held.level, "expires_at": rfc3339(held.expires_at)}
                uow.change(people, row, {}, Draft("person.clearance-revoked", data))

    def of(self, actor: Actor, person_id: str) -> tuple[Clearance, int]:
        """Return a person's clearance and the person's version.

        Raises:
            ForbiddenError: if it is another's, and the actor no administrator or auditor.
            NotFoundError: if there is no such person, or none (code `no-clearance`).
        """
        if actor.id != person_id:
            require(actor, Permission.CLEARANCE_READ)
        with self._database.read() as connection:
            row = fetch(connection, people, person_id)
            found = shown_to(connection, actor, [person_id]).get(person_id)
        if found is None:
            raise NotFoundError("No clearance is on file for this person.", code="no-clearance")
        return found, row["version"]

    def in_force(self, clearance: Clearance) -> bool:
        """Tell whether a clearance counts at this moment."""
        return self._database.clock.now() < clearance.expires_at

    def _require(self, actor: Actor, person_id: str) -> None:
        require_recorded(self._database, actor, Permission.CLEARANCE_MANAGE)
        if actor.id == person_id:
            note_refusal(self._database, actor, Permission.CLEARANCE_MANAGE, "not-oneself")
            raise ForbiddenError(
                "Nobody decides on their own clearance.",
                rule="not-oneself",
                satisfied_by="Have another administrator record it.",
            )

    def _check_level(self, level: str) -> None:
        known = self._classification.sealing()
        if level not in known:
            listed = ", ".join(known) or "none, because the ceiling is below what is sealed"
            raise InvalidInputError(
                f"There is no clearance for {level[:40]!r}; the levels that need one, up to this "
                f"office's ceiling ({self._classification.ceiling}), are: {listed}.",
                code="clearance-level",
                rule="classification-ceiling",
                fields=[FieldProblem("/level", f"one of: {listed}")],
            )

    def _check_expiry(self, now: datetime, expires_at: datetime) -> None:
        if not now < expires_at <= now + self._longest:
            raise InvalidInputError(
                f"A clearance expires in the future and within {self._longest.days} days, not on "
                f"{rfc3339(expires_at)}.",
                code="clearance-expiry",
                rule="clearance-expiry",
                fields=[FieldProblem("/expires_at", f"at most {self._longest.days} days ahead")],
            )


def shown_to(
    connection: sa.Connection, actor: Actor, person_ids: Collection[str]
) -> Mapping[str, Clearance]:
    """Return the clearances of these people that the actor may see, expired ones too.

    Administrators and auditors see all, everyone else their own.
    """
    seen = set(person_ids)
    if not decide(actor, Permission.CLEARANCE_READ).allowed:
        seen &= {actor.id}
    if not seen:
        return {}
    statement = sa.select(clearances).where(clearances.c.person_id.in_(sorted(seen)))
    return {
        row.person_id: Clearance(row.level, row.since, row.expires_at, row.granted_by)
        for row in connection.execute(statement)
    }
