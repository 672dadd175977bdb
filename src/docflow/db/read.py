"""Rows as plain dictionaries, so that services are typed and hold no cursor."""

from typing import Any

import sqlalchemy as sa

Row = dict[str, Any]


def all_rows(connection: sa.Connection, statement: sa.Select[Any]) -> list[Row]:
    """Run a statement and return every row."""
    return [row._asdict() for row in connection.execute(statement)]


def one_row(connection: sa.Connection, statement: sa.Select[Any]) -> Row | None:
    """Run a statement and return its only row, None if there is none."""
    row = connection.execute(statement).one_or_none()
    return None if row is None else row._asdict()
