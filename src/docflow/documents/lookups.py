"""From what callers write (codes, logins) to ids; ids are taken as well."""

from collections.abc import Sequence

import sqlalchemy as sa

from docflow.db import Prepared
from docflow.documents.catalogue import hint
from docflow.kernel.errors import FieldProblem, InvalidInputError
from docflow.people.tables import people, recipients, units

_WRITTEN = sa.bindparam("written", type_=sa.String)
_UNIT = Prepared(
    sa.select(units.c.id).where(sa.or_(units.c.id == _WRITTEN, units.c.code == _WRITTEN))
)
_PERSON = Prepared(
    sa.select(people.c.id).where(sa.or_(people.c.id == _WRITTEN, people.c.login == _WRITTEN))
)
_MANY = 500  # names shown in a hint are chosen among so many
_SHOWN = 100  # characters of a name that is not known


def unit_id(connection: sa.Connection, written: str, pointer: str = "/unit") -> str:
    """Return the id of a unit given by code or id.

    Raises:
        InvalidInputError: naming the nearest unit there is.
    """
    return _one(connection, _UNIT, units.c.code, written, pointer, "unit")


def person_id(connection: sa.Connection, written: str, pointer: str = "/person") -> str:
    """Return the id of a person given by login or id.

    Raises:
        InvalidInputError: naming the nearest login there is.
    """
    return _one(connection, _PERSON, people.c.login, written, pointer, "person")


def _one(
    connection: sa.Connection,
    statement: Prepared,
    name: sa.Column[str],
    written: str,
    pointer: str,
    what: str,
) -> str:
    found = statement.row(connection, {"written": written})
    if found is None:
        raise _unknown(connection, name, [written], pointer, what)
    return str(found["id"])


def recipient_ids(connection: sa.Connection, written: Sequence[str]) -> list[str]:
    """Return the ids of active recipients given by code or id, in the given order.

    Raises:
        InvalidInputError: naming those that are unknown, inactive or given twice.
    """
    if not written:
        return []
    rows = connection.execute(
        sa.select(recipients.c.id, recipients.c.code).where(
            sa.or_(recipients.c.id.in_(written), recipients.c.code.in_(written)),
            recipients.c.active,
        )
    ).all()
    by_name = {row.code: row.id for row in rows} | {row.id: row.id for row in rows}
    missing = [name for name in written if name not in by_name]
    if missing:
        raise _unknown(connection, recipients.c.code, missing, "/recipients", "recipient")
    ids = [by_name[name] for name in written]
    if len(set(ids)) != len(ids):
        raise InvalidInputError(
            "A recipient is named twice.",
            fields=[FieldProblem("/recipients", "name each recipient once")],
        )
    return ids


def _unknown(
    connection: sa.Connection,
    name: sa.Column[str],
    written: Sequence[str],
    pointer: str,
    what: str,
) -> InvalidInputError:
    known = [str(code) for code in connection.execute(sa.select(name).limit(_MANY)).scalars()]
    listed = ", ".join(repr(item[:_SHOWN]) for item in written[:5])
    return InvalidInputError(
        f"There is no {what} {listed}; {hint(written[0][:_SHOWN], known)}",
        code=f"unknown-{what}",
        fields=[FieldProblem(pointer, f"no such {what}: {listed}")],
    )
