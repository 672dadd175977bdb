"""The `convert` job: make the PDF of a received file, check it as any other, and let it take its place.

One step, which may run twice: whatever the first run stored and did not write down is named by nobody,
and the sweeper takes it. The file that came in stays stored, as the origin of the one made of it.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath
from typing import BinaryIO, Final

import sqlalchemy as sa

from docflow.db import Draft, Row, UnitOfWork, one_row
from docflow.documents import rows
from docflow.documents.content import PDF, CheckedFile, Making, converter_of
from docflow.documents.conversions import KIND, OPEN
from docflow.documents.create import StoredFile, entry_of, file_row, store_file
from docflow.documents.desk import Desk
from docflow.documents.tables import documents, files
from docflow.documents.telling import cause
from docflow.jobs.model import JobRun
from docflow.kernel.actor import SERVICE
from docflow.kernel.clock import rfc3339
from docflow.kernel.errors import ConflictError, UnavailableError, UnsupportedContentError
from docflow.kernel.ids import new_id
from docflow.signing.cleaning import clean_pdf
from docflow.signing.inspection import inspect_pdf, require_signable
from docflow.storage import MemoryFile

_MAX_NAME: Final = 255


@dataclass(frozen=True, slots=True)
class _Source:
    document: Row
    file: Row
    name: str
    making: Making


def run(desk: Desk, job: JobRun) -> None:
    """Run the job; called by the job engine, again after a crash."""
    job.step("made", lambda: make(desk, job.subject_id, job.payload["file"], job.payload["making"]))


def on_failed(desk: Desk, job: JobRun, error: str) -> None:
    """Note why nothing could be made of the file, where people look: at the file, and in history."""
    told = {"file_id": job.payload["file"], "job": job.job_id}
    details = cause(desk, job.subject_id, error)
    _say(desk, job, "failed", error, Draft("document.conversion-failed", told, details))


def on_waiting(desk: Desk, job: JobRun, error: str, next_at: datetime) -> None:
    """Note at the file what its conversion waits for; the same again is not noted."""
    told = {"job": job.job_id, "next_at": rfc3339(next_at)}
    details = cause(desk, job.subject_id, error)
    _say(desk, job, "pending", error, Draft("document.job-waiting", told, details))


def _say(desk: Desk, job: JobRun, state: str, error: str, draft: Draft) -> None:
    with desk.database.unit_of_work(SERVICE) as uow:
        row = rows.lock(uow, job.subject_id)
        found = _still(uow.connection, job.payload["file"])
        if found is None or (found["conversion"], found["conversion_problem"]) == (state, error):
            return  # nobody wants it any more, or it was told already
        values = {"conversion": state, "conversion_problem": error}
        uow.alter(files, row["id"], files.c.id == job.payload["file"], values)
        uow.change(documents, row, {"updated_at": uow.now}, draft)


def make(desk: Desk, document_id: str, file_id: str, making: Making) -> str | None:
    """Make the PDF of a file that waits for it; return the new file's id, None if none is wanted.

    Raises:
        ConflictError: if the document left its editable state, or was classified and the converter is not
            confined.
        InvalidInputError: if no PDF that can be signed comes of it.
        UnavailableError: if there is no converter on this host, or store or keys are away.
    """
    source = _source(desk, document_id, file_id, making)
    if source is None:
        return None
    document = source.document
    with _made(desk, source) as made:
        facts = inspect_pdf(made, max_pages=desk.limits.pages)
        require_signable(facts)
        made.seek(0)
        staged = desk.vault.stage(made, document["id"], new_id(), document["classification"])
    checked = CheckedFile(source.name, staged, PDF, facts.pages)
    stored = store_file(desk, checked, document["classification"])
    return _written(desk, source, stored)


def _source(desk: Desk, document_id: str, file_id: str, making: Making) -> _Source | None:
    with desk.database.read() as connection:
        document = rows.read(connection, document_id)
        found = _still(connection, file_id)
        if found is None:
            return None
        _require_editable(desk, document)
        [named] = desk.vault.with_names(document, [found], connection)
    name = named["name"]
    if making == "convert":
        name = f"{PurePath(name).stem[: _MAX_NAME - 4]}.pdf"
    return _Source(document, found, name, making)


def _still(connection: sa.Connection, file_id: str) -> Row | None:
    """Return the row of a file if it still waits, or failed."""
    return one_row(connection, sa.select(files).where(files.c.id == file_id, OPEN))


def _require_editable(desk: Desk, document: Row) -> None:
    states = rows.pinned(desk, document).compiled.definition.states
    if not states[document["state"]].is_editable:
        raise ConflictError(
            f"The document came to the state {document['state']!r} before its file was converted; what "
            "is decided on there must not change.",
            code="not-editable",
            rule="editable-state",
            satisfied_by="Bring the document back to a draft and retry the job.",
        )


@contextmanager
def _made(desk: Desk, source: _Source) -> Iterator[BinaryIO]:
    """Open the PDF that is made of a file; what is sealed is made in memory."""
    with desk.vault.open(source.file) as given:
        if source.making == "clean":
            with _room(desk, source.document) as target:
                clean_pdf(given, target)
                yield target
            return
        try:
            converter = converter_of(
                desk, source.name, source.file["media_type"], source.document["classification"]
            )
        except UnsupportedContentError as error:
            raise UnavailableError(f"This worker cannot convert: {error.detail}") from error
        with converter.converted(given, source.file["media_type"]) as made:
            yield made


@contextmanager
def _room(desk: Desk, document: Row) -> Iterator[BinaryIO]:
    """Give room for a file that is made: on the disk only where it may lie in the clear."""
    if desk.vault.is_sealed(document):
        with MemoryFile() as memory, memory.path.open("w+b") as target:
            yield target
        return
    with tempfile.TemporaryFile(dir=desk.staging.folder) as target:
        yield target


def _written(desk: Desk, source: _Source, stored: StoredFile) -> str | None:
    """Let the made file take the place of what it was made of, if that still waits for it."""
    with desk.database.unit_of_work(SERVICE) as uow:
        row = rows.lock(uow, source.document["id"])
        if row["classification"] != source.document["classification"]:
            raise UnavailableError("The document was classified anew; its file is made once more.")
        _require_editable(desk, row)
        done = {"conversion": "done", "conversion_problem": None}
        if _still(uow.connection, source.file["id"]) is None:
            return None
        uow.alter(files, row["id"], files.c.id == source.file["id"], done)
        role = source.file["role"]
        new = file_row(desk, uow, row, stored, role=role, position=source.file["position"])
        new["origin_id"] = source.file["id"]
        uow.put(files, new)
        _tell(uow, row, source, new)
        return str(new["id"])


def _tell(uow: UnitOfWork, row: Row, source: _Source, new: Row) -> None:
    values = {"updated_at": uow.now}
    if new["role"] == "main":
        values["main_sha256"] = new["sha256"]
    told = {"file": entry_of(new), "origin": source.file["id"], "making": source.making}
    uow.change(documents, row, values, Draft("document.file-converted", told))


__all__ = ["KIND", "make", "on_failed", "on_waiting", "run"]
