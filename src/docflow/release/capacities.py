"""In whose place a later person signs is seen on the page, or they do not sign so.

Rules:
- The first personal signature makes the fields of all, and the first request says which of them are
  seen (ADR 0014). Nothing else goes on a page that is signed.
- So a capacity (KT., TL., …) of a later person is drawn in their field or nowhere. Where the field is
  not seen, a signature under a mandate is refused when it is asked for; in one's own name it is made.

Source: Decree 30/2020/NĐ-CP, Annex I, 7 (the capacity stands above the signer's name).
"""

import sqlalchemy as sa

from docflow.db import all_rows
from docflow.documents.placing import later_name
from docflow.documents.tables import files
from docflow.jobs.tables import jobs
from docflow.kernel.errors import ConflictError
from docflow.release.tables import signature_steps


def require_seen(connection: sa.Connection, document_id: str, seat: int | None) -> None:
    """Refuse a capacity for the next person on a signed main file, if their signature is not seen.

    Which requests made the file is followed from digest to digest, as the jobs recorded it.

    Args:
        connection: of the unit of work that asks for the signature.
        document_id: the document.
        seat: which of the file's places the person has; None for the next one.

    Raises:
        ConflictError: code `capacity-unseen`.
    """
    signed, staged = _steps(connection, document_id)
    job_id, number = signed.get(_signed_file(connection, document_id) or "", ""), 2
    if not job_id:
        return  # no job made this file: the job that is asked for now refuses it
    while number <= len(signed) and staged.get(job_id) in signed:
        job_id, number = signed[staged[job_id]], number + 1
    first = connection.execute(sa.select(jobs.c.payload).where(jobs.c.id == job_id)).scalar_one()
    number = seat or number
    if later_name(number) in first["place"]:
        return
    raise ConflictError(
        "Nobody would see in whose place you sign: the first signature left yours no place on the page, "
        "and nothing more goes on it.",
        code="capacity-unseen",
        rule="capacity-on-the-page",
        satisfied_by="Sign in your own name, without the mandate; or return the document, and have the "
        f"workflow or the first person's request name a place for {later_name(number)!r}.",
    )


def _signed_file(connection: sa.Connection, document_id: str) -> str | None:
    """Return the digest of the main file as it was signed last."""
    current = (files.c.form == "signed", files.c.role == "main", files.c.current)
    statement = sa.select(files.c.sha256).where(files.c.document_id == document_id, *current)
    return connection.execute(statement).scalar()


def _steps(connection: sa.Connection, document_id: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return, of the main file: by the digest that a job signed its id, by its id what it began with."""
    table = signature_steps.c
    statement = (
        sa.select(table.job_id, table.step, table.sha256)
        .join(files, files.c.id == table.file_id)
        .where(
            table.document_id == document_id,
            table.step.in_(("staged", "signed")),
            files.c.role == "main",
        )
    )
    found = all_rows(connection, statement)
    return (
        {row["sha256"]: row["job_id"] for row in found if row["step"] == "signed"},
        {row["job_id"]: row["sha256"] for row in found if row["step"] == "staged"},
    )
