"""The `reseal` job: the files of a document lie as its classification wants, one object after another.

Each object is read, staged as the classification is now, stored, and the rows that name it are turned
to the new one in one transaction. A crash leaves some objects done; the next run does the others.
The old object is named by nobody then, and the sweeper takes it.
"""

from typing import Any, Final

import sqlalchemy as sa

from docflow.db import METADATA, Draft, Row, UnitOfWork, all_rows
from docflow.documents import rows
from docflow.documents.desk import Desk
from docflow.documents.tables import data_keys, documents
from docflow.documents.telling import cause
from docflow.jobs.model import JobRun
from docflow.kernel.actor import SERVICE
from docflow.kernel.ids import new_id

KIND: Final = "reseal"
_NEEDED: Final = frozenset({"data_key_id", "document_id", "storage_key"})


def enqueue(desk: Desk, uow: UnitOfWork, document_id: str, version: int) -> None:
    """Ask for the job in the transaction that changes the classification, if there are files."""
    if not _objects(uow.connection, document_id):
        return
    desk.enqueue(
        uow,
        kind=KIND,
        job_id=f"{KIND}-{document_id}-{version}",
        subject_id=document_id,
        payload={"document_id": document_id},
    )


def run(desk: Desk, job: JobRun) -> None:
    """Run the job; called by the job engine, again after a crash."""
    job.step("resealed", lambda: reseal(desk, job.subject_id, job.job_id))


def on_failed(desk: Desk, job: JobRun, error: str) -> None:
    """Tell in the document's history that its files could not be sealed anew."""
    details = cause(desk, job.subject_id, error)
    with desk.database.unit_of_work(SERVICE) as uow:
        row = rows.lock(uow, job.subject_id)
        uow.note(documents, row, Draft("document.reseal-failed", {"job": job.job_id}, details))


def reseal(desk: Desk, document_id: str, job_id: str) -> int:
    """Bring every object of a document to its classification; return how many had to be."""
    with desk.database.read() as connection:
        row = rows.read(connection, document_id)
        objects = _objects(connection, document_id)
    done = 0
    for item in objects:
        if _lies_right(desk, item, row["classification"]):
            continue
        place = item["place"] or new_id()
        with desk.vault.open(item) as source:
            staged = desk.vault.stage(source, document_id, place, row["classification"])
        size, sha256 = staged.size, staged.sha256
        try:
            key = desk.vault.put(staged, row["classification"])
            with desk.database.unit_of_work(SERVICE) as uow:
                now = rows.lock(uow, document_id)
                if now["classification"] != row["classification"]:
                    return done  # that change asked for a job of its own
                values = {"storage_key": key, "data_key_id": desk.vault.keep_key(uow, staged)}
                for table in _tables():
                    same = table.c.storage_key == item["storage_key"]
                    uow.alter(table, document_id, same, values)
                if item["data_key_id"] is not None:
                    uow.remove(data_keys, None, data_keys.c.id == item["data_key_id"])
                told = {"job": job_id, "sha256": sha256, "size": size}
                uow.note(
                    documents,
                    now,
                    Draft("document.resealed", told | {"classification": row["classification"]}),
                )
        finally:
            staged.discard()
        done += 1
    return done


def _lies_right(desk: Desk, item: Row, classification: str) -> bool:
    if not desk.catalogue.is_sealed(classification):
        return item["data_key_id"] is None
    return bool(item["classification"] == classification)


def _tables() -> list[sa.Table]:
    """Return every table whose rows name an object of a document that may be sealed."""
    return [table for table in METADATA.tables.values() if set(table.columns.keys()) >= _NEEDED]


def _objects(connection: sa.Connection, document_id: str) -> list[Row]:
    """Return the objects of a document, each once, with the place and level they are sealed for."""
    found: dict[str, Any] = {}
    for table in sorted(_tables(), key=lambda table: table.name):
        statement = (
            sa.select(
                table.c.storage_key,
                table.c.data_key_id,
                table.c.document_id,
                data_keys.c.place,
                data_keys.c.classification,
            )
            .outerjoin(data_keys, data_keys.c.id == table.c.data_key_id)
            .where(table.c.document_id == document_id)
        )
        for row in all_rows(connection, statement):
            found.setdefault(row["storage_key"], row)
    return list(found.values())
