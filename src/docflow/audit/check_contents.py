"""Read every stored file and hold its bytes to its SHA-256."""

import hashlib

import sqlalchemy as sa

from docflow.audit.report import Notebook, Progress
from docflow.db.migrate import load_metadata
from docflow.documents.tables import files
from docflow.kernel.errors import NotFoundError
from docflow.storage import ObjectStore

_PAGE = 500
_CHUNK_BYTES = 2**18


def check_contents(
    connection: sa.Connection, store: ObjectStore, notebook: Notebook, progress: Progress
) -> None:
    """Hash the object of every file on file, and of every one encrypted to a recipient."""
    for table in (files, load_metadata().tables["delivery_files"]):
        _check_table(connection, store, table, notebook, progress)


def _check_table(
    connection: sa.Connection,
    store: ObjectStore,
    table: sa.Table,
    notebook: Notebook,
    progress: Progress,
) -> None:
    total = connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
    progress("contents", 0, total)
    columns = (table.c.id, table.c.storage_key, table.c.sha256, table.c.document_id)
    last, done = "", 0
    while True:
        statement = sa.select(*columns).where(table.c.id > last).order_by(table.c.id).limit(_PAGE)
        page = list(connection.execute(statement))
        for row in page:
            wrong = _wrong(store, row.storage_key, row.sha256)
            if wrong:
                notebook.find(
                    "file-content",
                    f"file {row.id}",
                    f"The stored bytes of the file {row.id} of the document {row.document_id} "
                    f"{wrong}.",
                )
            notebook.checked["contents"] += 1
        done += len(page)
        progress("contents", done, total)
        if len(page) < _PAGE:
            return
        last = page[-1].id


def _wrong(store: ObjectStore, key: str, sha256: str) -> str | None:
    """Return what is wrong with a stored object, None if nothing is."""
    digest = hashlib.sha256()
    try:
        with store.open(key) as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    except NotFoundError:
        return "are missing"
    except ValueError:
        return f"are said to lie at {key!r}, which is no object's key"
    if digest.hexdigest() != sha256:
        return f"have the SHA-256 {digest.hexdigest()}, not {sha256}"
    return None
