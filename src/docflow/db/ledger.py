"""The only writer of history entries.

An entry is chained to its subject's previous one: the subject's row carries the running number and
the hash of its latest entry, so appending costs no query.
"""

import secrets
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


@dataclass(frozen=True, slots=True)
class Head:
    """Where a subject stands: optimistic version, number and hash of its latest entry."""

    version: int
    seq: int
    hash: str

    def columns(self) -> dict[str, Any]:
        """Return the audit columns of the subject's row."""
        return {"version": self.version, "history_seq": self.seq, "history_hash": self.hash}


class Ledger:
    """Collects the entries of one unit of work, mostly one, and writes them at its end."""

    def __init__(self, actor: Actor, now: datetime) -> None:
        self._actor = actor
        self._now = now
        self._rows: list[dict[str, Any]] = []

    def append(self, kind: str, subject_id: str, before: Head, draft: Draft) -> Head:
        """Chain an entry for a subject to `before` and return the subject's new head."""
        entry_id = new_id()
        key = secrets.token_bytes(DETAILS_KEY_BYTES) if draft.details is not None else None
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
                details=commit_details(draft.details or {}, key) if key else None,
            )
        )
        self._rows.append(
            {
                "id": entry_id,
                "subject_kind": kind,
                "subject_id": subject_id,
                "subject_seq": before.seq + 1,
                "action": draft.action,
                "actor_id": self._actor.id,
                "actor_kind": self._actor.kind,
                "at": self._now,
                "leaf": entry.leaf.decode(),
                "leaf_hash": entry.leaf_hash,
                "details": draft.details,
                "details_key": key.hex() if key else None,
            }
        )
        return Head(before.version + 1, before.seq + 1, entry.leaf_hash)

    def write(self, connection: sa.Connection) -> None:
        """Insert the collected entries."""
        for row in self._rows:
            _INSERT.run(connection, row)
        self._rows = []
