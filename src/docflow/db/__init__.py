"""Floor 2: engine, unit of work, ledger.

A service method opens `with database.unit_of_work(actor) as uow:`; nobody else commits. Audited rows
change only through the unit of work's own methods, each of which writes the history entry too.
"""

from docflow.db.base import METADATA, JsonColumn, UtcDateTime, audited, part_of
from docflow.db.engine import Database
from docflow.db.prepared import Prepared
from docflow.db.read import Row, all_rows, one_row
from docflow.db.uow import Draft, UnitOfWork

__all__ = [
    "METADATA",
    "Database",
    "Draft",
    "JsonColumn",
    "Prepared",
    "Row",
    "UnitOfWork",
    "UtcDateTime",
    "all_rows",
    "audited",
    "one_row",
    "part_of",
]
