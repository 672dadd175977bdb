"""What keeps the units one tree, whoever changes them at the same time."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from docflow.kernel.errors import ConflictError
from docflow.people.tables import units
from docflow.people.tree import UnitTree


def locked_tree(connection: sa.Connection) -> UnitTree:
    """Return the tree with every unit locked, so that two moves cannot make a circle together."""
    statement = sa.select(units.c.id, units.c.parent_id).order_by(units.c.id).with_for_update()
    return UnitTree((row.id, row.parent_id) for row in connection.execute(statement))


def refuse_circle(tree: UnitTree, row: Mapping[str, Any], parent_id: str) -> None:
    """Refuse to move a unit below itself, or to move the top one.

    Raises:
        ConflictError: with code `unit-circle`.
    """
    if row["parent_id"] is None or parent_id in tree.below(row["id"]):
        raise ConflictError(
            f"{row['code']} cannot be moved there: a unit does not lie below itself.",
            code="unit-circle",
            rule="units-are-a-tree",
            satisfied_by="Choose a parent outside the unit.",
        )


def refuse_second_root(connection: sa.Connection) -> None:
    """Refuse a second unit without a parent.

    Raises:
        ConflictError: with code `second-root`.
    """
    top = connection.execute(sa.select(units.c.code).where(units.c.parent_id.is_(None))).first()
    if top is not None:
        raise ConflictError(
            f"There is a top unit already, {top.code}; name a parent.",
            code="second-root",
            rule="units-are-a-tree",
            satisfied_by=f"Put the unit below {top.code} or one of its units.",
        )
