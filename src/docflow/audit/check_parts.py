"""Hold the rows that are parts of a subject to its entries: files, numbers, deliveries, offices."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import sqlalchemy as sa

from docflow.audit.check_encrypted import check_encrypted
from docflow.audit.check_entries import Subject
from docflow.audit.replay import Numbered
from docflow.audit.report import Notebook
from docflow.db import Row, all_rows
from docflow.db.migrate import load_metadata
from docflow.documents.tables import (
    document_recipients,
    files,
    register_entries,
    signature_checks,
)
from docflow.documents.vault import SEALED
from docflow.kernel.canonical import canonical_json, sha256_hex
from docflow.people.tables import offices

Rows = Sequence[Row]


class Parts(Protocol):
    """Checks the parts of subjects of one kind."""

    def check(
        self, connection: sa.Connection, subjects: Sequence[Subject], notebook: Notebook
    ) -> None:
        """Check the parts of these subjects."""
        ...


class OfficeParts:
    """The offices that a person holds."""

    def check(
        self, connection: sa.Connection, subjects: Sequence[Subject], notebook: Notebook
    ) -> None:
        """Check that each person holds exactly the offices that history granted."""
        held = _of(connection, offices, offices.c.person_id, subjects)
        for subject in subjects:
            actual = {(row["unit_id"], row["role"]) for row in held[subject.id]}
            for unit_id, role in sorted(actual ^ subject.replayed.offices):
                verb = "holds" if (unit_id, role) in actual else "does not hold"
                notebook.find(
                    "office",
                    subject.name,
                    f"The {subject.name} {verb} the office {role} in the unit {unit_id}; history "
                    "says otherwise.",
                )


class DocumentParts:
    """Files, recipients, numbers, deliveries and signature steps of documents."""

    def check(
        self, connection: sa.Connection, subjects: Sequence[Subject], notebook: Notebook
    ) -> None:
        """Check that they are exactly what history says."""
        tables = load_metadata().tables
        deliveries, steps = tables["deliveries"], tables["signature_steps"]
        of_files = _of(connection, files, files.c.document_id, subjects)
        of_recipients = _of(
            connection,
            document_recipients,
            document_recipients.c.document_id,
            subjects,
            document_recipients.c.position,
        )
        of_numbers = _of(connection, register_entries, register_entries.c.document_id, subjects)
        of_deliveries = _of(connection, deliveries, deliveries.c.document_id, subjects)
        of_checks = _of(connection, signature_checks, signature_checks.c.document_id, subjects)
        of_steps = _of(connection, steps, steps.c.document_id, subjects)
        for subject in subjects:
            _files(subject, of_files[subject.id], notebook)
            _recipients(subject, of_recipients[subject.id], notebook)
            _numbers(subject, of_numbers[subject.id], notebook)
            _deliveries(subject, of_deliveries[subject.id], notebook)
            _steps(subject, of_steps[subject.id], notebook)
            _checks(subject, of_checks[subject.id], notebook)
        check_encrypted(connection, subjects, notebook)


def _of(
    connection: sa.Connection,
    table: sa.Table,
    owner: sa.ColumnElement[str],
    subjects: Sequence[Subject],
    *order: sa.ColumnElement[Any],
) -> Mapping[str, Rows]:
    """Return the rows of these subjects, by subject."""
    found: dict[str, list[Row]] = defaultdict(list)
    statement = sa.select(table).where(owner.in_([subject.id for subject in subjects]))
    for row in all_rows(connection, statement.order_by(*order)):
        found[row[owner.name]].append(row)
    return found


def _files(subject: Subject, rows: Rows, notebook: Notebook) -> None:
    told = dict(subject.replayed.files)
    for row in rows:
        notebook.checked["files"] += 1
        actual = (row["role"], row["form"], row["sha256"], row["size"])
        expected = told.pop(row["id"], None)
        if expected is None:
            wrong = "is not in its history"
        elif actual != expected:
            wrong = f"is {_said(actual)}; history says {_said(expected)}"
        else:
            continue
        notebook.find(
            "file", f"file {row['id']}", f"The file {row['id']} of the {subject.name} {wrong}."
        )
    for file_id in sorted(told):
        notebook.find(
            "file",
            f"file {file_id}",
            f"The file {file_id} of the {subject.name} is in its history, and its row is gone.",
        )


def _said(file: tuple[str, str, str, int]) -> str:
    role, form, sha256, size = file
    return f"{role}, {form}, {size} bytes, SHA-256 {sha256}"


def _recipients(subject: Subject, rows: Rows, notebook: Notebook) -> None:
    actual = [row["recipient_id"] for row in rows]
    if actual != subject.replayed.recipients:
        notebook.find(
            "recipients",
            subject.name,
            f"The {subject.name} goes to the recipients {actual}; history says "
            f"{subject.replayed.recipients}.",
        )


def _numbers(subject: Subject, rows: Rows, notebook: Notebook) -> None:
    actual = {
        Numbered(
            row["book"],
            row["period"],
            row["series"],
            row["number"],
            row["symbol"],
            row["numbered_on"].isoformat(),
        ): row["voided_at"] is not None
        for row in rows
    }
    for numbered in sorted(
        actual.keys() | subject.replayed.numbers.keys(), key=lambda item: (item.book, item.number)
    ):
        here, there = actual.get(numbered), subject.replayed.numbers.get(numbered)
        if here != there:
            notebook.find(
                "register",
                subject.name,
                f"The number {numbered.symbol} ({numbered.book} {numbered.period}, series "
                f"{numbered.series}, {numbered.number}, {numbered.numbered_on}) of the "
                f"{subject.name} is {_state(here)} in the register; history says {_state(there)}.",
            )


def _state(voided: bool | None) -> str:
    return "not there" if voided is None else "voided" if voided else "in use"


def _deliveries(subject: Subject, rows: Rows, notebook: Notebook) -> None:
    released = {
        sha256 for _, form, sha256, _ in subject.replayed.files.values() if form == "released"
    }
    actual = {row["id"]: row["recipient_id"] for row in rows}
    if actual != subject.replayed.deliveries:
        ids = sorted(dict(actual.items() ^ subject.replayed.deliveries.items()))
        notebook.find(
            "delivery",
            subject.name,
            f"The deliveries {', '.join(ids)} of the {subject.name} are not what history says.",
        )
    for row in rows:
        if row["signed_sha256"] not in released:
            notebook.find(
                "delivery",
                subject.name,
                f"The delivery {row['id']} of the {subject.name} is of the file "
                f"{row['signed_sha256']}, which history does not say was released.",
            )


def _steps(subject: Subject, rows: Rows, notebook: Notebook) -> None:
    for row in rows:
        told = subject.replayed.steps.get((row["job_id"], row["step"]), set())
        if row["sha256"] not in told:
            notebook.find(
                "signature-step",
                subject.name,
                f"The step {row['step']} of the job {row['job_id']} has the file {row['sha256']}; "
                f"the history of the {subject.name} does not.",
            )


def _checks(subject: Subject, rows: Rows, notebook: Notebook) -> None:
    told = subject.replayed.checks
    for row in rows:
        kept = row["report"]
        digest = sha256_hex(canonical_json(kept)) if kept is not None else None
        if kept is not None and SEALED in kept and row["file_id"] in told:
            digest = told[row["file_id"]][1]  # sealed since; its seal holds it to document and file
        here = (row["indication"], digest) if row["indication"] is not None else None
        if here != told.get(row["file_id"]):
            notebook.find(
                "signature-check",
                subject.name,
                f"The verdict on the signatures of the file {row['file_id']} of the {subject.name} is "
                "not the one that history tells.",
            )
    for file_id in sorted(told.keys() - {row["file_id"] for row in rows}):
        notebook.find(
            "signature-check",
            subject.name,
            f"The verdict on the signatures of the file {file_id} of the {subject.name}, which history "
            "tells, is not there.",
        )
