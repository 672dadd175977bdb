"""Read every stored file and hold its bytes to its SHA-256.

Sealed files are opened where the keys are at hand; where they are not, the sealed bytes are held to
the digest in their storage key.
"""

import hashlib
from typing import BinaryIO

import sqlalchemy as sa

from docflow.audit.report import Notebook, Progress
from docflow.db import Row, all_rows
from docflow.db.migrate import load_metadata
from docflow.documents.tables import files
from docflow.documents.vault import Vault
from docflow.kernel.errors import IntegrityError, NotFoundError
from docflow.storage import ObjectStore
from docflow.storage.store import digest_of_key

_PAGE = 500
_CHUNK_BYTES = 2**18


def check_contents(
    connection: sa.Connection,
    store: ObjectStore,
    notebook: Notebook,
    progress: Progress,
    vault: Vault | None = None,
) -> None:
    """Hash the object of every file on file, encrypted to a recipient, or stamped for the archive."""
    tables = load_metadata().tables
    for table in (files, tables["delivery_files"], tables["archive_stamps"]):
        _check_table(connection, store, table, notebook, progress, vault)


def _check_table(
    connection: sa.Connection,
    store: ObjectStore,
    table: sa.Table,
    notebook: Notebook,
    progress: Progress,
    vault: Vault | None,
) -> None:
    total = connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
    progress("contents", 0, total)
    columns = [table.c[name] for name in ("id", "storage_key", "sha256", "document_id")]
    if "data_key_id" in table.c:
        columns.append(table.c.data_key_id)
    last, done = "", 0
    while True:
        statement = sa.select(*columns).where(table.c.id > last).order_by(table.c.id).limit(_PAGE)
        page = all_rows(connection, statement)
        for row in page:
            wrong = _wrong(store, vault, row, connection)
            if wrong:
                notebook.find(
                    "file-content",
                    f"file {row['id']}",
                    f"The stored bytes of the file {row['id']} of the document "
                    f"{row['document_id']} {wrong}.",
                )
            notebook.checked["contents"] += 1
        done += len(page)
        progress("contents", done, total)
        if len(page) < _PAGE:
            return
        last = page[-1]["id"]


def _wrong(
    store: ObjectStore, vault: Vault | None, row: Row, connection: sa.Connection
) -> str | None:
    """Return what is wrong with a stored object, None if nothing is."""
    key: str = row["storage_key"]
    sealed = row.get("data_key_id") is not None
    expected = digest_of_key(key) if sealed and vault is None else row["sha256"]
    try:
        source = vault.open(row, connection) if sealed and vault else store.open(key)
        digest = _digest(source)
    except NotFoundError:
        return "are missing"
    except IntegrityError as error:
        return f"do not open: {error.detail.rstrip('.')}"
    except ValueError:
        return f"are said to lie at {key!r}, which is no object's key"
    return None if digest == expected else f"have the SHA-256 {digest}, not {expected}"


def _digest(source: BinaryIO) -> str:
    digest = hashlib.sha256()
    with source as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
