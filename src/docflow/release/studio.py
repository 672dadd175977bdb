"""What the release room works with, and how its steps are recorded.

A step's result is written once, in the transaction that also moves the document's stage and writes
history. A step that runs again after a crash finds that result and does nothing: so a document is
stamped, signed, sealed and delivered once, whatever dies when. The plaintext of a sealed document is
never on a disk: its files are worked on in memory.
"""

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from docflow.db import Draft, Row, UnitOfWork, all_rows, one_row
from docflow.documents import rows
from docflow.documents.desk import Desk
from docflow.documents.tables import documents, files
from docflow.kernel.actor import SERVICE
from docflow.kernel.errors import ConflictError, IntegrityError
from docflow.kernel.ids import new_id
from docflow.people.tables import people
from docflow.release.certificate_uses import put_uses
from docflow.release.tables import signature_steps
from docflow.signing.font import Fonts
from docflow.signing.signers import Signers
from docflow.signing.verifying.verifier import Verifier
from docflow.storage import MemoryFile, StagedFile

_CHUNK = 2**18
# what history says of a signature's level
_TOLD = ("level", "stamped_at", "level_asked", "fell_back_because", "revocation_unknown")


@dataclass(frozen=True, slots=True)
class Studio:
    """The documents room's desk, signers, verifier, fonts and the address printed in QR codes.

    A card has `session_minutes` to sign; one certificate makes `most_signatures` in all, if limited.
    """

    desk: Desk
    signers: Signers
    fonts: Fonts
    public_url: str
    verifier: Verifier
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
        sa.select(
            signature_steps,
            files.c.role,
            files.c.position,
            files.c.name,
            files.c.sealed_name,
            files.c.pages,
            files.c.media_type,  # of the original, as the others
        )
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
    as_stored: Sequence[tuple[Row, dict[str, Any]]] = (),
    also: Callable[[UnitOfWork], None] | None = None,
) -> list[Row]:
    """Store what a step made and record it; return the records.

    The bytes are durable before the record is. If another run of the same step was first, its
    records count and these bytes are left to the sweeper.

    Args:
        studio: the room's tools.
        document_id: whose files they are.
        job_id: the job.
        step: its step.
        made: what it made of files.
        as_stored: files that it took as they are stored already, with what is known of each.
        also: writes more in the same transaction.

    Raises:
        ConflictError: if the document no longer waits for this job (code `job-superseded`).
    """
    level = document_row(studio, document_id)["classification"]
    keys = [studio.desk.vault.put(item.staged, level) for item in made]
    with studio.desk.database.unit_of_work(SERVICE) as uow:
        row = rows.lock(uow, document_id)
        if first := _recorded(uow.connection, job_id, step):
            return first
        require_waiting(row, job_id)
        new = [
            _step_row(studio, uow, document_id, job_id, step, item, key)
            for item, key in zip(made, keys, strict=True)
        ]
        new += [_same_row(uow, document_id, job_id, step, *item) for item in as_stored]
        uow.put(signature_steps, *new)
        put_uses(uow, step, new)
        if also is not None:
            also(uow)
        uow.change(
            documents,
            row,
            {"stage": step},
            Draft(f"document.{step}", {"job": job_id, "files": [_told(item) for item in new]}),
        )
        return _recorded(uow.connection, job_id, step)


def _told(row: Row) -> dict[str, Any]:
    """Return what history says of a file that a step made, or took as it is."""
    told = {"origin": row["file_id"], "sha256": row["sha256"], "size": row["size"]}
    known = {name: row["evidence"].get(name) for name in _TOLD}
    return told | {name: value for name, value in known.items() if value is not None}


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
        require_waiting(row, job_id)
        new = [_same_row(uow, document_id, job_id, step, *item) for item in judged]
        uow.put(signature_steps, *new)
        uow.change(
            documents,
            row,
            {"stage": step},
            Draft(
                f"document.{step}",
                {"job": job_id, "files": [source["sha256"] for source, _ in judged]},
            ),
        )


def _same_row(
    uow: UnitOfWork,
    document_id: str,
    job_id: str,
    step: str,
    source: Row,
    evidence: dict[str, Any],
) -> dict[str, Any]:
    """Return the record of a file that a step took as it is stored."""
    same = ("file_id", "storage_key", "data_key_id", "sha256", "size")
    return {name: source[name] for name in same} | {
        "job_id": job_id,
        "step": step,
        "document_id": document_id,
        "evidence": evidence,
        "at": uow.now,
    }


def _step_row(
    studio: Studio,
    uow: UnitOfWork,
    document_id: str,
    job_id: str,
    step: str,
    made: Made,
    storage_key: str,
) -> dict[str, Any]:
    return {
        "job_id": job_id,
        "step": step,
        "file_id": made.file_id,
        "document_id": document_id,
        "storage_key": storage_key,
        "data_key_id": studio.desk.vault.keep_key(uow, made.staged),
        "sha256": made.staged.sha256,
        "size": made.staged.size,
        "evidence": made.evidence,
        "at": uow.now,
    }


def require_waiting(row: Row, job_id: str) -> None:
    """Refuse to record anything for a job that its document went on without.

    Raises:
        ConflictError: code `job-superseded`.
    """
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


def file_row(studio: Studio, file_id: str) -> Row:
    """Return the row of one file."""
    with studio.desk.database.read() as connection:
        found = one_row(connection, sa.select(files).where(files.c.id == file_id))
    if found is None:
        raise IntegrityError(f"the file {file_id} is gone")
    return found


def person(studio: Studio, person_id: str) -> Row:
    """Return login and name of a person."""
    with studio.desk.database.read() as connection:
        found = one_row(
            connection, sa.select(people.c.login, people.c.name).where(people.c.id == person_id)
        )
    if found is None:
        raise IntegrityError(f"the person {person_id} is gone")
    return found


class Workbench:
    """Files to work on, with paths: on the staging disk, or in memory if the document is sealed.

    Use it as a context manager; at its end every file is gone.
    """

    def __init__(self, studio: Studio, document_id: str) -> None:
        self._studio = studio
        self.document = document_row(studio, document_id)
        self._in_memory = studio.desk.vault.is_sealed(self.document)
        self._undo = ExitStack()
        self._folder = Path()

    def __enter__(self) -> Self:
        if not self._in_memory:
            folder = tempfile.TemporaryDirectory(
                prefix="work-", suffix=".part", dir=self._studio.desk.staging.folder
            )
            self._folder = Path(self._undo.enter_context(folder))
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def new_path(self) -> Path:
        """Return the path of a fresh file, empty or not there yet."""
        if self._in_memory:
            return self._undo.enter_context(MemoryFile()).path
        return self._folder / f"{new_id()}.work"

    def fetch(self, row: Row) -> Path:
        """Copy a stored object, opened, to a fresh file in bounded memory, checking size and digest.

        Raises:
            IntegrityError: if the stored bytes are not those of the record.
        """
        target = self.new_path()
        digest, size = hashlib.sha256(), 0
        with self._studio.desk.vault.open(row) as source, target.open("wb") as copy:
            while chunk := source.read(_CHUNK):
                copy.write(chunk)
                digest.update(chunk)
                size += len(chunk)
        if (digest.hexdigest(), size) != (row["sha256"], row["size"]):
            raise IntegrityError(
                f"The stored file {row['storage_key']} is not what was recorded; it was not used.",
                code="stored-file-changed",
            )
        return target

    def target(self) -> Path:
        """Return the path of a fresh file for what a step makes; `stage` takes it."""
        return self.new_path() if self._in_memory else self._studio.desk.staging.new_path()

    def stage(self, path: Path, place: str) -> StagedFile:
        """Stage what a step wrote to a path of `target`, sealed if the document is.

        Args:
            path: where it wrote.
            place: what a sealed file is bound to within its document.
        """
        if not self._in_memory:
            return self._studio.desk.staging.adopt(path)
        document = self.document
        with path.open("rb") as source:
            return self._studio.desk.vault.stage(
                source, document["id"], place, document["classification"]
            )


def each(
    studio: Studio,
    document_id: str,
    step: str,
    sources: Sequence[Row],
    make: Callable[[Row, Path, Path], dict[str, Any]],
    *,
    file_id: str,
) -> list[Made]:
    """Run `make(source row, source path, target path)` for each stored file and stage the targets.

    Args:
        studio: the room's tools.
        document_id: whose files they are.
        step: the step that is run.
        sources: rows with `document_id`, `storage_key`, `data_key_id`, `sha256` and `size`.
        make: writes the target and returns the evidence to keep.
        file_id: name of the column of `sources` that holds the original file's id.
    """
    made = []
    for source in sources:
        with Workbench(studio, document_id) as bench:
            target = bench.target()
            evidence = make(source, bench.fetch(source), target)
            staged = bench.stage(target, f"{step}:{source[file_id]}")
        made.append(Made(source[file_id], staged, evidence))
    return made
