"""The second lock of history: audited tables change only through a unit of work.

Every statement passes `before_execute`. A write to an audited table without the unit of work's own
token is refused, whoever wrote it, so a bulk UPDATE or a forgotten shortcut fails in the first test
that runs it. Textual SQL that names an audited table in a write is refused as well.
"""

import re
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.elements import TextClause

from docflow.db.base import METADATA

TOKEN = "docflow_unit_of_work"  # noqa: S105 - the name of an execution option
_WRITES = re.compile(r"\b(?:insert\s+into|update|delete\s+from)\s+\"?(\w+)", re.IGNORECASE)


class UnguardedWriteError(RuntimeError):
    """Code tried to write to an audited table past the unit of work."""


def is_guarded(table: sa.Table) -> bool:
    """Tell whether changes of this table need a history entry."""
    return "audited" in table.info or "part_of" in table.info


def install(engine: sa.Engine) -> None:
    """Watch every statement that `engine` runs."""
    event.listen(engine, "before_execute", _check)


def _check(
    _connection: sa.Connection,
    clause: Any,
    _multiparams: Any,
    _params: Any,
    options: Any,
) -> None:
    check(clause, options)


def check(clause: Any, options: Mapping[str, Any]) -> None:
    """Refuse a statement that writes to an audited table without the token in its `options`.

    Raises:
        UnguardedWriteError: if it does.
    """
    if isinstance(clause, UpdateBase):
        names = [clause.table.name] if isinstance(clause.table, sa.Table) else []
    elif isinstance(clause, TextClause):
        names = _WRITES.findall(clause.text)
    else:
        return
    for name in names:
        table = METADATA.tables.get(name)
        if table is not None and is_guarded(table) and not options.get(TOKEN):
            raise UnguardedWriteError(
                f"{name} is audited: change it through UnitOfWork.create, change, put, "
                "alter or remove, which write its history entry"
            )
