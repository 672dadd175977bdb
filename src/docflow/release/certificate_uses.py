"""Every use of a signing key, and what was signed with a certificate: the reach of a compromise.

Rule: a use is written in the transaction that records the signed file; no signed file is without one.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from docflow.db import Database, Row, UnitOfWork, all_rows
from docflow.documents.tables import documents, files
from docflow.kernel.actor import Actor
from docflow.kernel.errors import ConflictError, FieldProblem, InvalidInputError
from docflow.kernel.ids import new_id
from docflow.people import access
from docflow.release.signing_tables import certificate_uses
from docflow.release.tables import deliveries

_TOLD = {
    "signed": ("person", "certificate_sha256"),
    "sealed": ("seal", "seal_sha256"),
    "contained": ("seal", "seal_sha256"),
}
_DIGEST_DIGITS = 64


def put_uses(uow: UnitOfWork, step: str, rows: list[dict[str, Any]]) -> None:
    """Write whose certificate a step used on each file, if it signed.

    Args:
        uow: the unit of work that records the step.
        step: its name.
        rows: the rows of `signature_steps`.
    """
    if step not in _TOLD:
        return
    role, name = _TOLD[step]
    uow.put(certificate_uses, *(_use(uow, row, role, row["evidence"][name]) for row in rows))


def _use(uow: UnitOfWork, row: Mapping[str, Any], role: str, sha256: str) -> dict[str, Any]:
    same = ("document_id", "file_id", "job_id", "sha256")
    return {name: row[name] for name in same} | {
        "id": new_id(),
        "certificate_sha256": sha256,
        "role": role,
        "at": uow.now,
    }


def releases(
    database: Database, actor: Actor, sha256: str, *, after: str | None, limit: int
) -> list[Row]:
    """Return what was signed or sealed with a certificate, oldest first, one row per file.

    Who may ask need not be a reader of the documents: their content and subject are not told.

    Args:
        database: where it is.
        actor: who asks.
        sha256: the certificate's SHA-256, 64 hexadecimal digits.
        after: id of the last use of the page before.
        limit: how many at most.

    Raises:
        ForbiddenError: if the actor is neither auditor nor administrator.
        InvalidInputError: if `sha256` is no digest.
    """
    access.require(actor, access.Permission.CERTIFICATE_TRACE)
    digest = _digest(sha256)
    table = certificate_uses.c
    delivered = (
        sa.select(sa.func.count())
        .select_from(deliveries)
        .where(deliveries.c.document_id == table.document_id)
        .scalar_subquery()
    )
    released = sa.exists().where(
        files.c.document_id == table.document_id, files.c.form == "released"
    )
    statement = (
        sa.select(
            *(table.id, table.role, table.document_id, table.file_id, table.sha256, table.at),
            documents.c.symbol,
            documents.c.state,
            released.label("released"),
            delivered.label("deliveries"),
        )
        .join(documents, documents.c.id == table.document_id)
        .where(table.certificate_sha256 == digest)
        .order_by(table.id)
        .limit(limit)
    )
    if after is not None:
        statement = statement.where(table.id > after)
    with database.read() as connection:
        return all_rows(connection, statement)


def _digest(given: str) -> str:
    digest = given.strip().lower()
    if len(digest) != _DIGEST_DIGITS or any(digit not in "0123456789abcdef" for digit in digest):
        raise InvalidInputError(
            "A certificate is named by its SHA-256, 64 hexadecimal digits.",
            fields=[FieldProblem("path:sha256", "64 hexadecimal digits")],
        )
    return digest


def used_since(connection: sa.Connection, sha256: str, since: datetime) -> bool:
    """Tell whether a certificate has signed anything since an instant."""
    table = certificate_uses.c
    statement = sa.select(table.id).where(table.certificate_sha256 == sha256, table.at >= since)
    return connection.execute(statement.limit(1)).first() is not None


def require_below(database: Database, sha256: str, most: int | None) -> None:
    """Refuse a key that has made as many signatures as it may.

    Args:
        database: where uses are counted.
        sha256: of the certificate.
        most: how many signatures it may make in all; None for no limit.

    Raises:
        ConflictError: code `key-use-exhausted`.
    """
    if most is None:
        return
    statement = (
        sa.select(sa.func.count())
        .select_from(certificate_uses)
        .where(certificate_uses.c.certificate_sha256 == sha256)
    )
    with database.read() as connection:
        used = connection.execute(statement).scalar_one()
    if used >= most:
        raise ConflictError(
            f"The key of the certificate {sha256[:16]}… has made {used} signatures and may make {most}.",
            code="key-use-exhausted",
            rule="key-use",
            satisfied_by="Have the operator replace the certificate, or raise the limit.",
        )
