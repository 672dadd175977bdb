"""How a schema differs from the code, in words for an operator."""

from collections.abc import Iterable
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.schema import CreateIndex

_NOUNS: Final = {"index": "index", "table": "table", "column": "column", "fk": "foreign key"}
_CHANGED: Final = {
    "modify_nullable": "takes or refuses NULL otherwise than it must",
    "modify_type": "is of another type",
    "modify_default": "has another default",
    "modify_comment": "has another comment",
}


def described(differences: Iterable[Any], dialect: sa.Dialect) -> list[str]:
    """Return a sentence for each difference that Alembic found; a missing index with how to make it.

    Args:
        differences: what `alembic.autogenerate.compare_metadata` gave: tuples, and lists of them.
        dialect: of the database, for statements.
    """
    flat = [one for group in differences for one in (group if isinstance(group, list) else [group])]
    return [_sentence(one, dialect) for one in flat]


def _sentence(difference: tuple[Any, ...], dialect: sa.Dialect) -> str:
    kind = difference[0]
    if kind in _CHANGED:
        return f"The column {difference[2]}.{difference[3]} {_CHANGED[kind]}."
    act, _, what = kind.partition("_")
    noun = _NOUNS.get(what, "constraint")
    if act == "remove":
        return f"The {noun} {_name(difference)} is there and must not be."
    told = f"The {noun} {_name(difference)} is missing."
    if isinstance(difference[1], sa.Index):
        statement = " ".join(str(CreateIndex(difference[1]).compile(dialect=dialect)).split())
        told += f" This makes it, and changes no data: {statement};"
    return told


def _name(difference: tuple[Any, ...]) -> str:
    thing = difference[-1]
    if isinstance(thing, sa.Column):
        return f"{difference[2]}.{thing.name}"
    if isinstance(thing, sa.Table):
        return thing.name
    table = getattr(thing, "table", None)
    return f"{thing.name} of the table {table.name}" if table is not None else str(thing.name)
