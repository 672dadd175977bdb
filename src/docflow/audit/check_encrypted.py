"""Hold what was encrypted to recipients, and their certificates, to the entries that tell of them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from docflow.audit.check_entries import Subject
from docflow.audit.report import Notebook
from docflow.db import Row, all_rows
from docflow.db.migrate import load_metadata
from docflow.people.tables import recipient_certificates


class CertificateParts:
    """The certificates of a recipient."""

    def check(
        self, connection: sa.Connection, subjects: Sequence[Subject], notebook: Notebook
    ) -> None:
        """Check that each recipient has exactly the certificates that history says, revoked or not."""
        held = _of(connection, recipient_certificates, "recipient_id", subjects)
        for subject in subjects:
            actual = {row["sha256"]: row["revoked_at"] is not None for row in held[subject.id]}
            told = subject.replayed.certificates
            for sha256 in sorted(dict(actual.items() ^ told.items())):
                notebook.find(
                    "certificate",
                    subject.name,
                    f"The certificate {sha256} of the {subject.name} is {_said(actual.get(sha256))}; "
                    f"history says {_said(told.get(sha256))}.",
                )


def _said(revoked: bool | None) -> str:
    return "not on record" if revoked is None else "revoked" if revoked else "in force"


def check_encrypted(
    connection: sa.Connection, subjects: Sequence[Subject], notebook: Notebook
) -> None:
    """Check that documents' encrypted files are exactly those that history says."""
    table = load_metadata().tables["delivery_files"]
    found = _of(connection, table, "document_id", subjects)
    for subject in subjects:
        actual = {(row["recipient_id"], row["sha256"]) for row in found[subject.id]}
        for recipient_id, sha256 in sorted(actual ^ subject.replayed.encrypted):
            where = "on file" if (recipient_id, sha256) in actual else "gone"
            notebook.find(
                "encrypted-file",
                subject.name,
                f"The file {sha256}, encrypted to the recipient {recipient_id}, of the "
                f"{subject.name} is {where}; history says otherwise.",
            )


def _of(
    connection: sa.Connection, table: sa.Table, owner: str, subjects: Sequence[Subject]
) -> Mapping[str, Sequence[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    ids = [subject.id for subject in subjects]
    for row in all_rows(connection, sa.select(table).where(table.c[owner].in_(ids))):
        found[row[owner]].append(row)
    return found
