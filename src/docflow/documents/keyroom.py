"""What `docflow keys` works on: the wrapped data keys of an instance, in pages.

A wrapping is no part of what history tells: the data key stays, and so does every byte it sealed.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import sqlalchemy as sa

from docflow.db import Database, Row, all_rows
from docflow.documents.sealed_rows import context_of, envelope_columns, envelope_of
from docflow.documents.tables import data_keys
from docflow.kernel.actor import SERVICE
from docflow.storage.sealing import Envelope, KeyRecord, Keyring

_PAGE: Final = 500


def depended(database: Database, provider: str, key_id: str) -> int:
    """Return the newest version of a provider's key that wraps a data key here; 0 if none does."""
    statement = sa.select(sa.func.max(data_keys.c.key_version)).where(
        data_keys.c.key == key_id, data_keys.c.provider == provider
    )
    with database.read() as connection:
        return int(connection.execute(statement).scalar_one() or 0)


class KeyRoom:
    """The keyring of an instance and every record that it wraps."""

    def __init__(self, database: Database, keyring: Keyring, organisation: str) -> None:
        self.keyring = keyring
        self._database = database
        self._organisation = organisation

    def envelopes(self) -> Iterable[Envelope]:
        """Return the envelope of every record."""
        return (envelope_of(row) for row in self._rows())

    def records(self) -> Iterable[KeyRecord]:
        """Return every record, page by page; rows may change meanwhile."""
        for row in self._rows():
            told = f"data key {row['id']} of the document {row['document_id']}"
            yield KeyRecord(told, envelope_of(row), context_of(self._organisation, row))

    def save(self, record: KeyRecord, envelope: Envelope) -> bool:
        """Store a new envelope if the old one is still there; tell whether it was."""
        table = data_keys.c
        same = sa.and_(
            table.document_id == record.context.document,
            table.place == record.context.file,
            table.classification == record.context.classification,
            table.wrapped == envelope_columns(record.envelope)["wrapped"],
        )
        with self._database.unit_of_work(SERVICE) as uow:
            return uow.alter(data_keys, None, same, envelope_columns(envelope)) == 1

    def _rows(self) -> Iterator[Row]:
        last = ""
        while True:
            statement: sa.Select[Any] = sa.select(data_keys).where(data_keys.c.id > last)
            with self._database.read() as connection:
                page = all_rows(connection, statement.order_by(data_keys.c.id).limit(_PAGE))
            yield from page
            if len(page) < _PAGE:
                return
            last = page[-1]["id"]
