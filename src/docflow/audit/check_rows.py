"""Hold every subject's row, and the rows that are parts of it, to what its entries say.

A row that someone changed past the service has no entry for it, so it no longer is what history says
it must be. What no entry tells cannot be checked; docs/audit.md lists it.
"""

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from docflow.audit.check_custody import PersonParts, check_openings
from docflow.audit.check_encrypted import CertificateParts
from docflow.audit.check_entries import Subject
from docflow.audit.check_parts import DocumentParts, Parts
from docflow.audit.report import Notebook
from docflow.db import Row, all_rows
from docflow.db.migrate import load_metadata
from docflow.db.tables import history_entries
from docflow.kernel.canonical import sha256_hex

BATCH = 200
_CONTENT = frozenset({"issuer", "login", "name", "subject"})  # not repeated in a report
_PAGE = 2000
_PARTS: Mapping[str, Parts] = {
    "document": DocumentParts(),
    "person": PersonParts(),
    "recipient": CertificateParts(),
}


class RowCheck:
    """Checks subjects against their rows, in batches."""

    def __init__(self, connection: sa.Connection, notebook: Notebook) -> None:
        self._connection = connection
        self._notes = notebook
        tables = load_metadata().tables.values()
        self._tables = {table.info["audited"]: table for table in tables if "audited" in table.info}
        self._waiting: list[Subject] = []

    def add(self, subject: Subject) -> None:
        """Take a subject whose entries are all read."""
        self._waiting.append(subject)
        if len(self._waiting) >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Check what waits."""
        by_kind = sorted(self._waiting, key=lambda subject: subject.kind)
        self._waiting = []
        for kind, subjects in groupby(by_kind, key=lambda subject: subject.kind):
            self._check(kind, list(subjects))

    def _check(self, kind: str, subjects: list[Subject]) -> None:
        table = self._tables.get(kind)
        if table is None:
            for subject in subjects:
                self._find("subject-kind", subject, "is of a kind that docflow does not know")
            return
        ids = [subject.id for subject in subjects]
        statement = sa.select(table).where(table.c.id.in_(ids))
        found = {row["id"]: row for row in all_rows(self._connection, statement)}
        for subject in subjects:
            self._notes.checked["subjects"] += 1
            row = found.get(subject.id)
            if row is None:
                self._find("subject-missing", subject, "has entries, and its row is gone")
                continue
            self._head(subject, row)
            if subject.sound and not subject.replayed.unknown:
                self._columns(subject, row)
        sound = [s for s in subjects if s.sound and not s.replayed.unknown and s.id in found]
        if kind in _PARTS:
            _PARTS[kind].check(self._connection, sound, self._notes)
        if kind == "document":
            check_openings(self._connection, sound, self._notes)

    def _find(self, check: str, subject: Subject, sentence: str) -> None:
        self._notes.find(check, subject.name, f"The {subject.name} {sentence}.")

    def _head(self, subject: Subject, row: Row) -> None:
        if (row["history_seq"], row["history_hash"]) != (subject.seq, subject.head):
            self._find(
                "subject-head",
                subject,
                f"says its last entry is number {row['history_seq']}, leaf {row['history_hash']}; "
                f"its last entry is number {subject.seq}, leaf {subject.head}",
            )
        if subject.replayed.unknown:
            actions = ", ".join(sorted(subject.replayed.unknown))
            self._find("subject-action", subject, f"has entries that are not known here: {actions}")
        elif subject.sound and row["version"] != subject.replayed.changes:
            self._find(
                "subject-version",
                subject,
                f"is at version {row['version']}; its entries tell {subject.replayed.changes}",
            )

    def _columns(self, subject: Subject, row: Row) -> None:
        actual = dict(row)
        if "revoked_at" in actual:
            actual["revoked"] = actual["revoked_at"] is not None
        for name, expected in subject.replayed.columns.items():
            if actual[name] != expected:
                told = f"has the {name} {actual[name]!r}; history says {expected!r}"
                if name in _CONTENT:
                    told = f"has another {name} than history says"
                self._find("subject-row", subject, told)
        if "source" in actual and sha256_hex(actual["source"].encode()) != actual["sha256"]:
            self._find("subject-row", subject, "has another source than its SHA-256 says")

    def unrecorded(self) -> None:
        """Find the rows of subjects that no entry tells of."""
        for kind, table in self._tables.items():
            told = (
                sa.exists()
                .where(
                    history_entries.c.subject_kind == kind,
                    history_entries.c.subject_id == table.c.id,
                )
                .label("told")
            )
            for row in _paged(self._connection, sa.select(table.c.id, told), table.c.id):
                if not row.told:
                    self._notes.find(
                        "subject-unrecorded",
                        f"{kind} {row.id}",
                        f"The {kind} {row.id} has a row, and no entry tells where it comes from.",
                    )


def _paged(
    connection: sa.Connection, statement: sa.Select[Any], key: sa.ColumnElement[str]
) -> Iterable[Any]:
    last: str | None = None
    while True:
        page = statement if last is None else statement.where(key > last)
        rows = list(connection.execute(page.order_by(key).limit(_PAGE)))
        yield from rows
        if len(rows) < _PAGE:
            return
        last = rows[-1].id
