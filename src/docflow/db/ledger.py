"""The only writer of history entries.

An entry is chained to its subject's previous one: the subject's row carries the running number and
the hash of its latest entry, so appending costs no query.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from docflow.db import guard
from docflow.db.prepared import Prepared
from docflow.db.tables import history_entries
from docflow.kernel.actor import Actor
from docflow.kernel.ids import new_id
from docflow.transparency.entry import DETAILS_KEY_BYTES, EntryFields, commit_details, make_entry

_INSERT = Prepared(sa.insert(history_entries).execution_options(**{guard.TOKEN: True}))


@dataclass(frozen=True, slots=True)
class Draft:
    """What an entry shall say.

    Attributes:
        action: dotted name of the act, `document.fired`.
        data: identifiers, states, numbers and digests; becomes part of the public leaf.
        details: content for people (reasons, names); only a keyed commitment enters the leaf.
    """

    action: str
    data: dict[str, Any]
    details: dict[str, Any] | None = None


SealDetails = Callable[[str, dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Head:
    """Where a subject stands: optimistic version, number and hash of its latest entry."""

    version: int
    seq: int
    hash: str

    def columns(self) -> dict[str, Any]:
        """Return the audit columns of the subject's row."""
        return {"version": self.version, "history_seq": self.seq, "history_hash": self.hash}


def seal_existing(
    connection: sa.Connection,
    kind: str,
    subject_id: str,
    seal: Callable[[str, dict[str, Any]], dict[str, Any]],
    *,
    sealed_by: str,
) -> int:
    """Replace the details of a subject's entries that lie open by their sealed form; return how many.

    Leaves and their hashes stay as they are, and so does what a leaf commits to: the open details,
    which whoever has the key can still hold to it. The database admits this change and no other.

    Args:
        connection: of the open unit of work.
        kind: what the subject is.
        subject_id: its id.
        seal: from an entry's id and its details to the sealed form.
        sealed_by: the member that sealed details have; such entries are left alone.
    """
    table = history_entries.c
    statement = sa.select(table.id, table.details).where(
        table.subject_kind == kind, table.subject_id == subject_id, table.details.is_not(None)
    )
    found = [row for row in connection.execute(statement) if sealed_by not in row.details]
    for row in found:
        connection.execute(
            sa.update(history_entries)
            .where(table.id == row.id)
            .values(details=seal(row.id, row.details))
        )
    return len(found)


class Ledger:
    """Collects the entries of one unit of work, mostly one, and writes them at its end."""

    def __init__(self, actor: Actor, now: datetime) -> None:
        self._actor = actor
        self._now = now
        self._rows: list[dict[str, Any]] = []

    def append(
        self,
        kind: str,
        subject_id: str,
        before: Head,
        draft: Draft,
        seal: SealDetails | None = None,
    ) -> Head:
        """Chain an entry for a subject to `before` and return the subject's new head.

        Args:
            kind: what the subject is.
            subject_id: its id.
            before: where it stands.
            draft: what the entry says.
            seal: makes of the entry's id and its details what is stored, and committed to.
        """
        entry_id = new_id()
        details = draft.details
        if details is not None and seal is not None:
            details = seal(entry_id, details)
        key = secrets.token_bytes(DETAILS_KEY_BYTES) if details is not None else None
        entry = make_entry(
            EntryFields(
                id=entry_id,
                subject_kind=kind,
                subject_id=subject_id,
                seq=before.seq + 1,
                prev=before.hash,
                at=self._now,
                actor_id=self._actor.id,
                actor_kind=self._actor.kind,
                action=draft.action,
                data=draft.data,
                details=commit_details(details or {}, key) if key else None,
            )
        )
        self._rows.append(
            {
                **self._told(entry_id, kind, subject_id),
                "subject_seq": before.seq + 1,
                "action": draft.action,
                "leaf": entry.leaf.decode(),
                "leaf_hash": entry.leaf_hash,
                "details": details,
                "details_key": key.hex() if key else None,
            }
        )
        return Head(before.version + 1, before.seq + 1, entry.leaf_hash)

    def _told(self, entry_id: str, kind: str, subject_id: str) -> dict[str, Any]:
        return {
            "id": entry_id,
            "subject_kind": kind,
            "subject_id": subject_id,
            "actor_id": self._actor.id,
            "actor_kind": self._actor.kind,
            "at": self._now,
        }

    def write(self, connection: sa.Connection) -> None:
        """Insert the collected entries."""
        for row in self._rows:
            _INSERT.run(connection, row)
        self._rows = []
