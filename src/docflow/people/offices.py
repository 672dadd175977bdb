"""Which offices may be held together and where; SQL over units, people and offices.

Rules:
1. Separation of duties: an administrator holds no other office, and no one who holds another
   office becomes administrator. Administrators are not readers.
2. Auditors see the whole history, so their office is held at the top of the tree.
3. A system holds one kind of office, integrator: the units in whose name it posts. Nobody else
   holds that one.
4. At least one active administrator stays, or nobody could ever change anything again.
"""

from collections.abc import Iterable

import sqlalchemy as sa

from docflow.db import Prepared
from docflow.kernel.actor import Office
from docflow.kernel.errors import ConflictError, FieldProblem, InvalidInputError
from docflow.kernel.ids import is_id
from docflow.people.records import fetch
from docflow.people.tables import offices, people, units
from docflow.people.vocabulary import Role


def check_office(
    connection: sa.Connection, kind: str, held: Iterable[Office], unit_id: str, role: str
) -> Role:
    """Return the role if someone of this kind who holds these offices may hold this one too.

    Raises:
        InvalidInputError: if the role is unknown or is not for this kind or unit.
        ConflictError: with code `separation-of-duties`.
        NotFoundError: if the unit does not exist.
    """
    wanted = _role(role)
    unit = fetch(connection, units, unit_id)
    if (kind == "system") != (wanted is Role.INTEGRATOR):
        raise InvalidInputError(
            f"A {kind} cannot hold the office of {wanted.value}; systems are integrators, and "
            "nobody else is.",
            fields=[FieldProblem("/role", f"not for a {kind}")],
        )
    if wanted is Role.AUDITOR and unit["parent_id"] is not None:
        raise InvalidInputError(
            "Auditors see the whole history, so their office is held in the top unit, "
            f"not in {unit['code']}.",
            rule="auditors-see-the-whole",
            fields=[FieldProblem("/unit_id", "not the top unit")],
        )
    roles = {office.role for office in held} | {wanted.value}
    if Role.ADMINISTRATOR in roles and len(roles) > 1:
        raise ConflictError(
            "An administrator holds no other office, because administrators are not readers.",
            code="separation-of-duties",
            rule="separation-of-duties",
            satisfied_by="Revoke the other office first, or appoint another person.",
        )
    return wanted


def _role(role: str) -> Role:
    try:
        return Role(role)
    except ValueError:
        known = ", ".join(item.value for item in Role)
        raise InvalidInputError(
            f"{role[:40]!r} is no role; known are {known}.",
            fields=[FieldProblem("/role", f"one of {known}")],
        ) from None


def check_administrator_stays(connection: sa.Connection, person_id: str) -> None:
    """Refuse to take the last active administrator away.

    Raises:
        ConflictError: with code `last-administrator`.
    """
    statement = (
        sa.select(people.c.id)
        .join(offices, offices.c.person_id == people.c.id)
        .where(offices.c.role == Role.ADMINISTRATOR.value, people.c.active)
        .order_by(people.c.id)
        .with_for_update(of=people)
    )
    if set(connection.execute(statement).scalars()) == {person_id}:
        raise ConflictError(
            "This is the last active administrator; nobody could change the directory any more.",
            code="last-administrator",
            rule="last-administrator",
            satisfied_by="Appoint another administrator first.",
        )


def offices_of(
    connection: sa.Connection, person_ids: Iterable[str]
) -> dict[str, tuple[Office, ...]]:
    """Return the offices of each of these people, in a steady order."""
    statement = (
        sa.select(offices)
        .where(offices.c.person_id.in_(list(person_ids)))
        .order_by(offices.c.person_id, offices.c.unit_id, offices.c.role)
    )
    found: dict[str, list[Office]] = {}
    for row in connection.execute(statement):
        found.setdefault(row.person_id, []).append(Office(row.unit_id, row.role))
    return {person_id: tuple(held) for person_id, held in found.items()}


def holding(unit_id: str | None, role: str | None) -> sa.ColumnElement[bool]:
    """Return the condition on `people` of holding an office in this unit and of this role."""
    conditions = [offices.c.person_id == people.c.id]
    if unit_id is not None:
        if not is_id(unit_id):
            raise InvalidInputError(
                "The unit is not an id.", fields=[FieldProblem("/unit_id", "not an id")]
            )
        conditions.append(offices.c.unit_id == unit_id)
    if role is not None:
        conditions.append(offices.c.role == _role(role).value)
    return sa.exists().where(*conditions)


def _heads_above() -> Prepared:
    up = (
        sa.select(units.c.id, units.c.parent_id, sa.literal(0).label("distance"))
        .where(units.c.id == sa.bindparam("unit_id"))
        .cte("up", recursive=True)
    )
    above = sa.select(units.c.id, units.c.parent_id, up.c.distance + 1)
    up = up.union_all(above.join(up, units.c.id == up.c.parent_id))
    acting = sa.or_(offices.c.role == Role.HEAD.value, offices.c.role == Role.LEADER.value)
    return Prepared(
        sa.select(people.c.id, offices.c.role, up.c.distance)
        .join(offices, offices.c.person_id == people.c.id)
        .join(up, up.c.id == offices.c.unit_id)
        .where(people.c.active, acting)
    )


_HEADS_ABOVE = _heads_above()


def unit_heads(connection: sa.Connection, unit_id: str) -> frozenset[str]:
    """Return the ids of those who act as head of a unit.

    These are its active heads; if it has none, those of the nearest unit above that has some; if
    none has, the leaders of the nearest unit that has leaders.
    """
    ranked = [
        ((row["role"] != Role.HEAD, row["distance"]), row["id"])
        for row in _HEADS_ABOVE.rows(connection, {"unit_id": unit_id})
    ]
    nearest = min((rank for rank, _ in ranked), default=None)
    return frozenset(person_id for rank, person_id in ranked if rank == nearest)
