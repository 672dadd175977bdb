"""Reading a document's row with all that a decision needs, in one statement."""

import sqlalchemy as sa

from docflow.db import Prepared, Row, UnitOfWork
from docflow.documents import conversions, signature_checks
from docflow.documents.desk import Desk
from docflow.documents.duplicates import facts_for_access
from docflow.documents.shelf import Pinned
from docflow.documents.tables import document_recipients, documents, files
from docflow.kernel.actor import Actor
from docflow.kernel.errors import NotFoundError, StaleVersionError
from docflow.people import access
from docflow.people.tables import units
from docflow.workflow.facts import Completion, Facts, SignatureState

JOBS = "#jobs"  # in `fired_by`, beside the triggers: the jobs that completed one
# and whose signatures are on the current file, as "trigger person", in the order of signing
SIGNED = "#signed"


def _has_file(form: str) -> sa.ColumnElement[bool]:
    return sa.exists().where(
        files.c.document_id == documents.c.id,
        files.c.role == "main",
        files.c.form == form,
        files.c.current,
    )


_DOCUMENT = sa.select(
    documents,
    units.c.code.label("unit_code"),
    _has_file("original").label("has_main_file"),
    conversions.OF_DOCUMENT.label("conversion"),
    _has_file("signed").label("signed_person"),
    _has_file("released").label("sealed"),
    sa.select(sa.func.count())
    .select_from(document_recipients)
    .where(document_recipients.c.document_id == documents.c.id)
    .scalar_subquery()
    .label("recipients_count"),
).join(units, units.c.id == documents.c.unit_id)

_BY_ID = Prepared(_DOCUMENT.where(documents.c.id == sa.bindparam("document_id")))
_LOCKED = Prepared(
    _DOCUMENT.where(documents.c.id == sa.bindparam("document_id")).with_for_update(of=documents)
)


def no_document() -> NotFoundError:
    """Return what outsiders and typing errors get alike."""
    return NotFoundError("There is no such document, or you have no reason to know it.")


def read(connection: sa.Connection, document_id: str) -> Row:
    """Return a document's row.

    Raises:
        NotFoundError: if there is none.
    """
    row = _BY_ID.row(connection, {"document_id": document_id})
    if row is None:
        raise no_document()
    return row


def lock(uow: UnitOfWork, document_id: str) -> Row:
    """Return a document's row, locked until the unit of work ends.

    Raises:
        NotFoundError: if there is none.
    """
    row = _LOCKED.row(uow.connection, {"document_id": document_id})
    if row is None:
        raise no_document()
    return row


def require(actor: Actor, permission: access.Permission, row: Row) -> None:
    """Refuse what the access rule does not allow on this document."""
    access.require(actor, permission, facts_for_access(row))


def require_version(row: Row, if_version: int | None) -> None:
    """Refuse a change based on another version than the current one.

    Raises:
        StaleVersionError: with the current state and version.
    """
    if if_version is not None and row["version"] != if_version:
        raise StaleVersionError(
            f"The document is at version {row['version']} (state {row['state']!r}); your change is "
            f"based on version {if_version}.",
            rule="optimistic-concurrency",
            satisfied_by="Read the document again and repeat the change with its new ETag.",
            state=row["state"],
            version=row["version"],
        )


def facts_of(
    desk: Desk,
    connection: sa.Connection,
    actor: Actor,
    row: Row,
    completing: Completion | None = None,
) -> Facts:
    """Gather what `workflow.decide` is told about a document and an actor."""
    pending: Row | None = row["pending"]
    return Facts(
        state=row["state"],
        roles=_roles(desk, connection, actor, row),
        actor_id=actor.id,
        people={
            "author": frozenset({row["author_id"]}),
            "assignee": frozenset({row["assignee_id"]} if row["assignee_id"] else ()),
        },
        fired_by={
            trigger: frozenset(ids)
            for trigger, ids in row["fired_by"].items()
            if trigger not in (JOBS, SIGNED)
        },
        has_main_file=row["has_main_file"],
        conversion=row["conversion"] or "",
        recipients_count=row["recipients_count"],
        number=row["symbol"],
        assignee_id=row["assignee_id"],
        unit_id=row["unit_id"],
        duplicate_unresolved=bool(row["duplicate_of"]),
        signed_by=signed_by(row),
        signed_person=row["signed_person"],
        sealed=row["sealed"],
        pending=pending["trigger"] if pending else None,
        pending_failed=bool(pending and pending.get("failed")),
        completing=completing,
        signatures=_signatures(desk, connection, row),
        fields=desk.vault.texts(row, connection).fields,
    )


def signed_by(row: Row) -> dict[str, str]:
    """Return who signed the current file, by the transition, in the order of signing.

    Nothing of a file that was signed before this was kept.
    """
    if not row["signed_person"]:
        return {}
    return dict(one.split(" ") for one in row["fired_by"].get(SIGNED, ()))


def recipient_ids(connection: sa.Connection, document_id: str) -> list[str]:
    """Return the recipients of a document, in order."""
    table = document_recipients
    return list(
        connection.execute(
            sa.select(table.c.recipient_id)
            .where(table.c.document_id == document_id)
            .order_by(table.c.position)
        ).scalars()
    )


def _signatures(desk: Desk, connection: sa.Connection, row: Row) -> SignatureState:
    """Look only where a guard of the document's workflow asks."""
    transitions = pinned(desk, row).compiled.definition.transitions.values()
    if not any("signature_valid" in one.require for one in transitions):
        return "unsigned"
    return signature_checks.state_of(connection, row["id"])


def _roles(desk: Desk, connection: sa.Connection, actor: Actor, row: Row) -> frozenset[str]:
    facts = facts_for_access(row)
    roles = access.roles_on(actor, facts)
    if roles & {"head", "leader"}:  # nobody else can act as head of the unit
        heads = desk.directory.unit_heads(connection, row["unit_id"])
        roles = access.roles_on(actor, facts, heads)
    return roles


def pinned(desk: Desk, row: Row) -> Pinned:
    """Return the workflow version that a document is pinned to."""
    return desk.shelf.get(row["workflow_id"])
