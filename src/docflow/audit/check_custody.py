"""Hold clearances, and documents that were opened by break-glass access, to the entries that tell of them.

Whoever writes either past the service lets someone read; here it shows.
"""

from collections.abc import Sequence

import sqlalchemy as sa

from docflow.audit.check_entries import Subject
from docflow.audit.check_parts import OfficeParts
from docflow.audit.report import Notebook
from docflow.db import all_rows
from docflow.kernel.clock import rfc3339
from docflow.people.tables import clearances, openings


class PersonParts:
    """The offices and the clearance of a person."""

    def check(
        self, connection: sa.Connection, subjects: Sequence[Subject], notebook: Notebook
    ) -> None:
        """Check that each person holds and is cleared for exactly what history says."""
        OfficeParts().check(connection, subjects, notebook)
        ids = [subject.id for subject in subjects]
        statement = sa.select(clearances).where(clearances.c.person_id.in_(ids))
        actual = {
            row["person_id"]: (row["level"], rfc3339(row["expires_at"]))
            for row in all_rows(connection, statement)
        }
        for subject in subjects:
            here, told = actual.get(subject.id), subject.replayed.clearance
            if here != told:
                notebook.find(
                    "clearance",
                    subject.name,
                    f"The {subject.name} is cleared for {_cleared(here)}; history says "
                    f"{_cleared(told)}.",
                )


def _cleared(clearance: tuple[str, str] | None) -> str:
    return "nothing" if clearance is None else f"{clearance[0]} until {clearance[1]}"


def check_openings(
    connection: sa.Connection, subjects: Sequence[Subject], notebook: Notebook
) -> None:
    """Check that documents were opened to exactly those, and for as long, as history says."""
    ids = [subject.id for subject in subjects]
    statement = sa.select(openings).where(openings.c.document_id.in_(ids))
    actual: dict[str, dict[str, tuple[str, str]]] = {}
    for row in all_rows(connection, statement):
        of_document = actual.setdefault(row["document_id"], {})
        of_document[row["id"]] = (row["person_id"], rfc3339(row["until"]))
    for subject in subjects:
        here, told = actual.get(subject.id, {}), subject.replayed.openings
        for request_id in sorted(dict(here.items() ^ told.items())):
            notebook.find(
                "opening",
                subject.name,
                f"The {subject.name} is opened {_opened(here.get(request_id))} by the request "
                f"{request_id}; history says {_opened(told.get(request_id))}.",
            )


def _opened(opening: tuple[str, str] | None) -> str:
    return "to nobody" if opening is None else f"to the person {opening[0]} until {opening[1]}"
