"""What the release room works with, and how its steps are recorded.

A step's result is written once, in the transaction that also moves the document's stage and writes
history. A step that runs again after a crash finds that result and does nothing: so a document is
stamped, signed, sealed and delivered once, whatever dies when.
"""

import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from docflow.db import Draft, Row, UnitOfWork, all_rows, one_row
from docflow.documents import rows
from docflow.documents.desk import Desk
from docflow.documents.tables import documents, files
from docflow.kernel.actor import SERVICE
from docflow.kernel.errors import ConflictError, IntegrityError
from docflow.people.tables import people
from docflow.release.certificate_uses import put_uses
from docflow.release.tables import signature_steps
from docflow.signing.font import Fonts
from docflow.signing.signers import Signers
from docflow.storage import StagedFile, content_key

_CHUNK = 2**18


@dataclass(frozen=True, slots=True)
class Studio:
    """The documents room's desk, the signers, the fonts and the address printed in QR codes.

    A card has `session_minutes` to sign; one certificate makes `most_signatures` in all, if limited.
    """

    desk: Desk
    signers: Signers
    fonts: Fonts
    public_url: str
    session_minutes: float = 15.0
    most_signatures: int | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """What a step made of one original file: a staged file and what is known of it."""

    file_id: str
    staged: StagedFile
    evidence: dict[str, Any]


def done(studio: Studio, job_id: str, step: str) -> list[Row]:
    """Return what a step of a job recorded, in order of the document's files; [] if not yet."""
    with studio.desk.database.read() as connection:
        return _recorded(connection, job_id, step)


def _recorded(connection: sa.Connection, job_id: str, step: str) -> list[Row]:
    return all_rows(
        connection,
        sa.select(signature_steps, files.c.role, files.c.position, files.c.name, files.c.pages)
        .join(files, files.c.id == signature_steps.c.file_id)
        .where(signature_steps.c.job_id == job_id, signature_steps.c.step == step)
        .order_by(files.c.position, files.c.id),
    )


def record(
    studio: Studio,
    document_id: str,
    job_id: str,
    step: str,
    made: Sequence[Made],
    *,
    also: Callable[[UnitOfWork], None] | None = None,
) -> list[Row]:
    """Store what a step made and record it; return the records. `also` writes in the same transaction.

    The bytes are durable before the record is. If another run of the same step was first, its
    records count and these bytes are left to the sweeper.

    Raises:
        ConflictError: if the document no longer waits for this job (code `job-superseded`).
    """
    for item in made:
        studio.desk.store.put(content_key(item.staged.sha256), item.staged)
    with studio.desk.database.unit_of_work(SERVICE) as uow:
        row = rows.lock(uow, document_id)
        if first := _recorded(uow.connection, job_id, step):
            return first
        _require_waiting(row, job_id)
        new = [_step_row(uow, document_id, job_id, step, m) for m in made]
        uow.put(signature_steps, *new)
        put_uses(uow, step, new)
        if also is not None:
            also(uow)
        uow.change(
            documents,
            row,
            {"stage": step},
            Draft(
                f"document.{step}",
                {
                    "job": job_id,
                    "files": [
                        {"origin": m.file_id, "sha256": m.staged.sha256, "size": m.staged.size}
                        for m in made
                    ],
                },
            ),
        )
        return _recorded(uow.connection, job_id, step)


def record_evidence(
    studio: Studio,
    document_id: str,
    job_id: str,
    step: str,
    judged: Sequence[tuple[Row, dict[str, Any]]],
) -> None:
    """Record a step that judged stored files and made no new ones."""
    with studio.desk.database.unit_of_work(SERVICE) as uow:
        row = rows.lock(uow, document_id)
        if _recorded(uow.connection, job_id, step):
            return
        _require_waiting(row, job_id)
        kept = ("file_id", "storage_key", "sha256", "size")
        uow.put(
            signature_steps,
            *(
                {
                    **{name: source[name] for name in kept},
                    "job_id": job_id,
                    "step": step,
                    "document_id": document_id,
                    "evidence": evidence,
                    "at": uow.now,
                }
                for source, evidence in judged
            ),
        )
        uow.change(
            documents,
            row,
            {"stage": step},
            Draft(
                f"document.{step}",
                {"job": job_id, "files": [source["sha256"] for source, _ in judged]},
            ),
        )


def _step_row(
    uow: UnitOfWork, document_id: str, job_id: str, step: str, made: Made
) -> dict[str, Any]:
    return {
        "job_id": job_id,
        "step": step,
        "file_id": made.file_id,
        "document_id": document_id,
        "storage_key": content_key(made.staged.sha256),
        "sha256": made.staged.sha256,
        "size": made.staged.size,
        "evidence": made.evidence,
        "at": uow.now,
    }


def _require_waiting(row: Row, job_id: str) -> None:
    if not row["pending"] or row["pending"]["job_id"] != job_id:
        raise ConflictError("The document no longer waits for this job.", code="job-superseded")


def document_row(studio: Studio, document_id: str) -> Row:
    """Return a document's row."""
    with studio.desk.database.read() as connection:
        return rows.read(connection, document_id)


def current_files(studio: Studio, document_id: str, form: str) -> list[Row]:
    """Return a document's current files of one form, the main file first."""
    with studio.desk.database.read() as connection:
        return all_rows(
            connection,
            sa.select(files)
            .where(files.c.document_id == document_id, files.c.form == form, files.c.current)
            .order_by(files.c.position, files.c.id),
        )


def person(studio: Studio, person_id: str) -> Row:
    """Return login and name of a person."""
    with studio.desk.database.read() as connection:
        found = one_row(
            connection, sa.select(people.c.login, people.c.name).where(people.c.id == person_id)
        )
    if found is None:
        raise IntegrityError(f"the person {person_id} is gone")
    return found


def workbench(studio: Studio) -> AbstractContextManager[str]:
    """Give a temporary folder on the staging disk, emptied at the end."""
    return tempfile.TemporaryDirectory(
        prefix="work-", suffix=".part", dir=studio.desk.staging.folder
    )


def fetch(studio: Studio, row: Row, target: Path) -> Path:
    """Copy a stored object to `target` in bounded memory, checking size and digest.

    Raises:
        IntegrityError: if the stored bytes are not those of the record.
    """
    with studio.desk.store.open(row["storage_key"]) as source, target.open("xb") as copy:
        while chunk := source.read(_CHUNK):
            copy.write(chunk)
    adopted = studio.desk.staging.adopt(target)
    if (adopted.sha256, adopted.size) != (row["sha256"], row["size"]):
        raise IntegrityError(
            f"The stored file {row['storage_key']} is not what was recorded; it was not used.",
            code="stored-file-changed",
        )
    return target


def each(
    studio: Studio,
    sources: Sequence[Row],
    make: Callable[[Row, Path, Path], dict[str, Any]],
    *,
    file_id: str,
) -> list[Made]:
    """Run `make(source row, source path, target path)` for each stored file and adopt the targets.

    Args:
        studio: the room's tools.
        sources: rows with `storage_key`, `sha256` and `size`.
        make: writes the target and returns the evidence to keep.
        file_id: name of the column of `sources` that holds the original file's id.
    """
    made = []
    with workbench(studio) as folder:
        for number, source in enumerate(sources):
            path = fetch(studio, source, Path(folder) / f"{number}.in")
            target = studio.desk.staging.new_path()
            evidence = make(source, path, target)
            made.append(Made(source[file_id], studio.desk.staging.adopt(target), evidence))
            path.unlink()
    return made
