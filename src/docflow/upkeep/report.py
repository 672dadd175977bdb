"""What administrators and auditors are told of the stored files: never their names or content."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import sqlalchemy as sa

from docflow.db import Database, Row, one_row
from docflow.kernel.actor import Actor
from docflow.kernel.errors import FieldProblem, InvalidInputError
from docflow.kernel.ids import is_id
from docflow.people import access
from docflow.people.access import Permission
from docflow.upkeep import findings
from docflow.upkeep.scan import latest_round, share_done
from docflow.upkeep.tables import sweep_state

ScanState = Literal["never", "running", "finished"]


@dataclass(frozen=True, slots=True)
class Report:
    """How the stored files are.

    Attributes:
        state: of the newest round: `never` if none was begun yet.
        round: its number, from 1; 0 if none was begun.
        share: how far it is, from 0 to 1.
        started_at, finished_at, updated_at: of the round.
        objects, bytes: read in it.
        found: new findings in it.
        open: findings that are not cleared, by kind, whatever round found them.
        sweeper: totals since ever, and when it ran last; None if it never did.
    """

    state: ScanState
    round: int
    share: float
    started_at: datetime | None
    finished_at: datetime | None
    updated_at: datetime | None
    objects: int
    bytes: int
    found: int
    open: Mapping[str, int]
    sweeper: Row | None


def report(database: Database) -> Report:
    """Return how the stored files are; for those who run the instance and for `show`."""
    with database.read() as connection:
        row = latest_round(connection)
        open_ = findings.count_open(connection)
        sweeper = one_row(connection, sa.select(sweep_state))
    if row is None:
        return Report("never", 0, 0.0, None, None, None, 0, 0, 0, open_, sweeper)
    return Report(
        state="running" if row["finished_at"] is None else "finished",
        round=row["number"],
        share=share_done(row),
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        updated_at=row["updated_at"],
        objects=row["objects"],
        bytes=row["bytes"],
        found=row["found"],
        open=open_,
        sweeper=sweeper,
    )


def newest(database: Database, limit: int) -> list[Row]:
    """Return the newest open findings; for those who run the instance."""
    with database.read() as connection:
        return findings.page(connection, cleared=False, before=None, limit=limit)


def show(database: Database, actor: Actor) -> Report:
    """Return how the stored files are, to an administrator or auditor.

    Raises:
        ForbiddenError: to anyone else.
    """
    access.require(actor, Permission.STORAGE_READ)
    return report(database)


def find(
    database: Database, actor: Actor, *, cleared: bool, before: str | None, limit: int
) -> list[Row]:
    """Return up to `limit` findings, newest first.

    Args:
        database: where they are.
        actor: an administrator or auditor.
        cleared: whether those that were healed come too.
        before: the id of the last finding of the page before.
        limit: how many.

    Raises:
        ForbiddenError: to anyone else.
        InvalidInputError: if `before` is no id (code `bad-cursor`).
    """
    access.require(actor, Permission.STORAGE_READ)
    if before is not None and not is_id(before):
        raise InvalidInputError(
            "The cursor is not one that this list gave.",
            code="bad-cursor",
            fields=[FieldProblem("query:cursor", "use next_cursor of the page before")],
        )
    with database.read() as connection:
        return findings.page(connection, cleared=cleared, before=before, limit=limit)
