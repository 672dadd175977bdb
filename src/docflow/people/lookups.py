"""Small look-ups that the composition root needs."""

from collections.abc import Collection

import sqlalchemy as sa

from docflow.people.tables import offices, people


def logins_and_names(connection: sa.Connection, roles: Collection[str]) -> dict[str, str]:
    """Return login → name of the active people who hold an office of one of these roles."""
    statement = (
        sa.select(people.c.login, people.c.name)
        .join(offices, offices.c.person_id == people.c.id)
        .where(people.c.active, people.c.kind == "person", offices.c.role.in_(sorted(roles)))
    )
    return {row.login: row.name for row in connection.execute(statement)}


def strange_logins(connection: sa.Connection, logins: Collection[str]) -> list[str]:
    """Return those of the logins that no person has, in order."""
    known = sa.select(people.c.login).where(people.c.login.in_(sorted(logins)))
    return sorted(set(logins) - set(connection.execute(known).scalars()))
