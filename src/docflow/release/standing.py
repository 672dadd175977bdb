"""How the signatures of this office stand: levels, certificates near their end, archive time stamps.

For an operator: what has to be renewed, by whom, until when.
"""

from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from docflow.db import Row, all_rows, one_row
from docflow.documents import reading, rows
from docflow.documents.desk import Desk
from docflow.documents.tables import documents, files
from docflow.kernel.actor import Actor
from docflow.kernel.errors import NotFoundError
from docflow.people import access
from docflow.release.archive import Keeper
from docflow.release.expiry import CertificateStanding, leaned_on
from docflow.release.tables import archive_stamps
from docflow.signing.levels import Level
from docflow.signing.verifying.trusted_lists import Anchors

_COUNTED = 1_000

StampState = Literal["current", "due", "renewed", "failed"]


@dataclass(frozen=True, slots=True)
class Standing:
    """The whole. Counts stop at 1,000.

    Attributes:
        levels: that can be made.
        default_level: where a workflow names none.
        certificates: that the office leans on; see `expiry.leaned_on`.
        ending: archive time stamps that end soon and are not yet asked to be renewed.
        due: those whose renewal is under way.
        failed: those whose renewal failed, of which
        retrying: are tried again by themselves; the others need a person.
    """

    levels: tuple[Level, ...]
    default_level: Level
    certificates: tuple[CertificateStanding, ...]
    ending: int
    due: int
    failed: int
    retrying: int


def standing(keeper: Keeper, actor: Actor, anchors: Anchors | None = None) -> Standing:
    """Return how signatures stand.

    Args:
        keeper: of archive time stamps.
        actor: who asks.
        anchors: what signatures of others are judged by.

    Raises:
        ForbiddenError: if the actor may not see how signatures stand.
    """
    access.require(actor, access.Permission.SIGNATURE_READ)
    desk = keeper.desk
    return Standing(
        desk.levels.longterm.levels,
        desk.levels.default,
        tuple(leaned_on(desk, anchors)),
        **counts(keeper),
    )


def counts(keeper: Keeper) -> dict[str, int]:
    """Return how many archive time stamps need what; see `Standing`. Also what a metric is made of."""
    now = keeper.desk.database.clock.now()
    state, next_at = archive_stamps.c.state, archive_stamps.c.next_at
    with keeper.desk.database.read() as connection:
        return {
            "ending": _count(connection, state == "current", keeper.ending(connection, now)),
            "due": _count(connection, state == "due"),
            "failed": _count(connection, state == "failed"),
            "retrying": _count(connection, state == "failed", next_at.is_not(None)),
        }


def stamps(
    desk: Desk, actor: Actor, *, state: StampState | None, after: str | None, limit: int
) -> list[Row]:
    """Return up to `limit + 1` archive time stamps that the actor may know of, by id.

    Raises:
        ForbiddenError: if the actor may not see how signatures stand.
    """
    access.require(actor, access.Permission.SIGNATURE_READ)
    statement = sa.select(archive_stamps).order_by(archive_stamps.c.id).limit(limit + 1)
    if state is not None:
        statement = statement.where(archive_stamps.c.state == state)
    if after is not None:
        statement = statement.where(archive_stamps.c.id > after)
    if actor.kind != "service" and "administrator" not in actor.roles():
        statement = statement.join(documents, documents.c.id == archive_stamps.c.document_id).where(
            access.readable(actor, documents)
        )
    with desk.database.read() as connection:
        return all_rows(connection, statement)


def stamped_file(desk: Desk, actor: Actor, stamp_id: str) -> dict[str, Any]:
    """Return the stored file of an archive time stamp as a row that can be sent.

    Of a sealed document, that it is read is history before this returns.

    Raises:
        NotFoundError: if there is none that the actor may read.
    """
    with desk.database.read() as connection:
        found = one_row(
            connection,
            sa.select(archive_stamps, files.c.name, files.c.sealed_name, files.c.media_type)
            .join(files, files.c.id == archive_stamps.c.file_id)
            .where(archive_stamps.c.id == stamp_id),
        )
        if found is None:
            raise NotFoundError(
                "There is no such archive time stamp.", code="archive-stamp-not-found"
            )
        row = rows.read(connection, found["document_id"])
        rows.require(actor, access.Permission.DOCUMENT_OPEN, row)
    told = {"what": "file", "file": found["file_id"], "sha256": found["sha256"]}
    reading.recorded(desk, actor, row, access.Permission.DOCUMENT_OPEN, **told)
    (named,) = desk.vault.with_names(row, [{**found, "id": found["file_id"]}])
    return named


def _count(connection: sa.Connection, *where: sa.ColumnElement[bool]) -> int:
    limited = sa.select(archive_stamps.c.id).where(*where).limit(_COUNTED).subquery()
    return int(connection.execute(sa.select(sa.func.count()).select_from(limited)).scalar_one())
