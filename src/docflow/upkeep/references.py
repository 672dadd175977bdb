"""Which rows need which stored objects.

Rule: a table with a column `storage_key` needs the objects that the column names, whatever room it
belongs to; tables are found by that name, so a new one cannot be forgotten. If such a table also has
`sha256` and `size`, they are those of the stored bytes, unless the row has a `data_key_id`: then the
bytes are sealed, and only the key tells their digest. `document_id` names the document to tell.
"""

from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa

from docflow.db import migrate

_COLUMN = "storage_key"


@dataclass(frozen=True, slots=True)
class Reference:
    """A row that needs an object; where it is sealed, `sha256` and `size` are the plaintext's."""

    source: str
    row_id: str | None
    document_id: str | None
    sha256: str | None
    size: int | None
    sealed: bool


def referring_tables() -> tuple[sa.Table, ...]:
    """Return every table that refers to stored objects."""
    tables = migrate.load_metadata().sorted_tables
    return tuple(table for table in tables if _COLUMN in table.c)


def referenced(connection: sa.Connection, keys: Collection[str]) -> set[str]:
    """Return those of some keys (a few hundred at most) that any row needs."""
    found: set[str] = set()
    for table in referring_tables():
        column = table.c[_COLUMN]
        found.update(connection.execute(sa.select(column).where(column.in_(keys))).scalars())
    return found


def keys_after(connection: sa.Connection, last: str, limit: int) -> list[str]:
    """Return the next keys that rows need, in order, each once."""
    found: set[str] = set()
    for table in referring_tables():
        column = table.c[_COLUMN]
        statement = sa.select(column).where(column > last).distinct().order_by(column).limit(limit)
        found.update(connection.execute(statement).scalars())
    return sorted(found)[:limit]


def references_of(connection: sa.Connection, keys: Collection[str]) -> dict[str, list[Reference]]:
    """Return the rows that need some objects (a few hundred at most), by key."""
    found: dict[str, list[Reference]] = {key: [] for key in keys}
    for table in referring_tables():
        statement = sa.select(table).where(table.c[_COLUMN].in_(keys))
        for row in connection.execute(statement).mappings():
            sealed = row.get("data_key_id") is not None
            found[row[_COLUMN]].append(
                Reference(
                    source=table.name,
                    row_id=row.get("id"),
                    document_id=row.get("document_id"),
                    sha256=row.get("sha256"),
                    size=row.get("size"),
                    sealed=sealed,
                )
            )
    return found
