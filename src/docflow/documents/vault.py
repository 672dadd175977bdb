"""The vault: what a sealed document's bytes and texts go through on their way in and out.

Rules:
- Callers never handle keys. They say which document, and the vault seals or does not, by the
  document's classification; what is opened is told by the row alone.
- Each stored object has a data key of its own, and so has each document for its texts (subject,
  fields, file names, reasons in its history). Data keys lie wrapped in `data_keys`.
- A document keeps the key of its texts when its classification changes; the key is wrapped anew for
  the new classification, so that what history says of it still opens.
- Who may read is not decided here: ask `people.access` first, and `reading` to record it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import sqlalchemy as sa

from docflow.db import Database, Prepared, Row, UnitOfWork
from docflow.documents.catalogue import Catalogue
from docflow.documents.sealed_rows import (
    UNKNOWN,
    content_place,
    context_of,
    details_place,
    envelope_columns,
    envelope_of,
    name_place,
    new_data_key,
)
from docflow.documents.tables import data_keys
from docflow.kernel.errors import ConfigurationError, IntegrityError
from docflow.kernel.ids import new_id
from docflow.storage import ObjectStore, StagedFile, Staging, content_key
from docflow.storage.sealing import (
    Envelope,
    Keyring,
    SealContext,
    SealedFile,
    SealedRef,
    SealedStaging,
    SealedStagingFile,
    SealedStore,
    SealedText,
    TextPlace,
    open_text,
    seal_text,
)
from docflow.storage.staging import StagingFile

SEALED: Final = "sealed"
"""The only member of a JSON value that is sealed; beside it nothing but how it came to be."""

LATER: Final = "later"
"""Beside it in details that history had in the open, and that were sealed afterwards."""

_BY_ID = Prepared(sa.select(data_keys).where(data_keys.c.id == sa.bindparam("key_id")))
_CHUNK_BYTES: Final = 2**18


@dataclass(frozen=True, slots=True)
class Texts:
    """The open texts of a document: its subject and the workflow's own fields."""

    subject: str
    fields: dict[str, Any]


class Vault:
    """Seals and opens; one for the instance, used by every thread."""

    def __init__(
        self,
        database: Database,
        store: ObjectStore,
        staging: Staging,
        catalogue: Catalogue,
        keyring: Keyring | None,
    ) -> None:
        """Take what it works with; without a keyring nothing may be sealed or opened."""
        self._database = database
        self._store = store
        self._staging = staging
        self._catalogue = catalogue
        self._keyring = keyring

    def over(self, store: ObjectStore) -> "Vault":
        """Return the same vault over another store."""
        return Vault(self._database, store, self._staging, self._catalogue, self._keyring)

    @property
    def keyring(self) -> Keyring:
        """The key providers.

        Raises:
            ConfigurationError: if none is configured.
        """
        if self._keyring is None:
            raise ConfigurationError(
                "A confidential item needs a key provider, and none is configured.",
                code="key-provider-missing",
                satisfied_by="Set DOCFLOW_KEY_PROVIDER.",
            )
        return self._keyring

    def is_sealed(self, row: Mapping[str, Any]) -> bool:
        """Tell whether a document's row says that it is sealed."""
        return self._catalogue.is_sealed(row["classification"])

    # -- files on their way in -------------------------------------------------------------------

    def begin(
        self, document_id: str, place: str, classification: str, max_bytes: int | None = None
    ) -> StagingFile:
        """Start receiving a file of a document, sealed on the way if its classification is.

        Args:
            document_id: the document.
            place: what it is bound to within the document: the id of an original file, or what made
                it and of which.
            classification: the document's, or the file's own if that is higher.
            max_bytes: the limit on the plaintext.

        Raises:
            ConfigurationError, UnavailableError: if the key provider is not there.
        """
        if not self._catalogue.is_sealed(classification):
            return self._staging.begin(max_bytes)
        context = self._context(document_id, place, classification)
        return SealedStaging(self._staging, self.keyring).begin(context, max_bytes)

    def begin_unknown(self, max_bytes: int | None = None) -> StagingFile:
        """Start receiving a file of which is not known yet whose it is and how classified.

        It is encrypted on disk with a key that is in memory only; `settle` makes of it what it must
        be. Where this instance seals nothing, it lies open.
        """
        if self._keyring is None:
            return self._staging.begin(max_bytes)
        context = self._context(UNKNOWN, UNKNOWN, self._catalogue.seed.classification.ceiling)
        nowhere = Envelope("memory", context.key_id, 1, b"")
        return SealedStagingFile(
            self._staging.new_path(),
            max_bytes or self._staging.max_bytes,
            context,
            new_data_key(),
            nowhere,
        )

    def settle(
        self, staged: StagedFile, document_id: str, place: str, classification: str
    ) -> StagedFile:
        """Return a staged file as its classification wants it; what was staged before is discarded."""
        wanted = self._catalogue.is_sealed(classification)
        if not wanted and not isinstance(staged, SealedFile):
            return staged
        context = self._context(document_id, place, classification) if wanted else None
        if isinstance(staged, SealedFile) and staged.context == context:
            return staged
        with staged.open() as source:
            settled = self.stage(source, document_id, place, classification)
        staged.discard()
        return settled

    def stage(
        self, source: BinaryIO, document_id: str, place: str, classification: str
    ) -> StagedFile:
        """Stage what is left to read of an open source, as `begin` does."""
        receiving = self.begin(document_id, place, classification)
        try:
            while data := source.read(_CHUNK_BYTES):
                receiving.write(data)
            return receiving.finish()
        except BaseException:
            receiving.abort()
            raise

    def put(self, staged: StagedFile, classification: str) -> str:
        """Store a staged file durably and return its storage key; it is consumed.

        Raises:
            IntegrityError: if a sealed document's file is not sealed (code `plaintext-refused`).
            UnavailableError: if the store does not answer; nothing is visible.
        """
        if self._catalogue.is_sealed(classification) or isinstance(staged, SealedFile):
            key = staged.key if isinstance(staged, SealedFile) else ""
            SealedStore(self._store, self.keyring).put(key, staged)
            return key
        key = content_key(staged.sha256)
        self._store.put(key, staged)
        return key

    def keep_key(self, uow: UnitOfWork, staged: StagedFile) -> str | None:
        """Write the data key of a stored file, wrapped; return its id, None where it lies open."""
        if not isinstance(staged, SealedFile):
            return None
        return self._keep(uow, staged.envelope, staged.context)

    # -- files on their way out ------------------------------------------------------------------

    def open(self, row: Mapping[str, Any], connection: sa.Connection | None = None) -> BinaryIO:
        """Open the bytes of a file's or a signature step's row: seekable, opened as they are read.

        Args:
            row: needs `storage_key`, and of what may be sealed `document_id` and `data_key_id`.
            connection: where to look the key up; a connection of its own if None.

        Raises:
            NotFoundError: if the object is gone (code `object-missing`).
            IntegrityError: if it is not what the row says, here or while it is read.
            ConfigurationError, UnavailableError: if store or key provider are not there.
        """
        if row.get("data_key_id") is None:
            return self._store.open(row["storage_key"])
        envelope, context = self._key(row["data_key_id"], row["document_id"], connection)
        ref = SealedRef(row["storage_key"], envelope, context)
        return SealedStore(self._store, self.keyring).open_sealed(ref)

    # -- texts -----------------------------------------------------------------------------------

    def seal_new(self, uow: UnitOfWork, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the columns of a document that is to be sealed, with a new key for its texts.

        Args:
            uow: the open unit of work; the key is written in it.
            row: the document with open texts; its classification is the one to seal at.
        """
        context = SealContext.of_fields(
            self._catalogue.organisation, row["id"], row["classification"]
        )
        data_key, envelope = self.keyring.seal_key(context)
        key_id = self._keep(uow, envelope, context)
        return {"data_key_id": key_id} | _sealed_columns(data_key, row)

    def seal_again(self, uow: UnitOfWork, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the columns of a document that is sealed once more, with the key that it kept."""
        return _sealed_columns(self._text_key(row, uow.connection), row)

    def seal_changed(self, uow: UnitOfWork, row: Row, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return changed columns as they are stored: of a sealed document, its texts sealed."""
        if row["sealed_content"] is None or not {"subject", "fields"} & values.keys():
            return dict(values)
        opened = self.opened(row, uow.connection)
        data_key = self._text_key(row, uow.connection)
        return {**values, **_sealed_columns(data_key, {**opened, **values, "id": row["id"]})}

    def texts(self, row: Mapping[str, Any], connection: sa.Connection | None = None) -> Texts:
        """Return a document's subject and fields, opened if they are sealed."""
        sealed: SealedText | None = row["sealed_content"]
        if sealed is None:
            return Texts(row["subject"], row["fields"])
        text = sealed.open(self._text_key(row, connection), content_place(row["id"]))
        content = json.loads(text)
        return Texts(content["subject"], content["fields"])

    def opened(self, row: Row, connection: sa.Connection | None = None) -> Row:
        """Return a document's row with its subject and fields in the open."""
        if row["sealed_content"] is None:
            return row
        texts = self.texts(row, connection)
        return {**row, "subject": texts.subject, "fields": texts.fields}

    def name_columns(
        self, connection: sa.Connection, document: Row, file_id: str, name: str
    ) -> dict[str, Any]:
        """Return the columns that hold a file's name."""
        if not self.is_sealed(document):
            return {"name": name, "sealed_name": None}
        key = self._text_key(document, connection)
        return {"name": "", "sealed_name": seal_text(key, name, name_place(file_id))}

    def with_names(
        self, document: Row, listed: Sequence[Row], connection: sa.Connection | None = None
    ) -> list[Row]:
        """Return rows of a document's files with their names in the open."""
        if all(row["sealed_name"] is None for row in listed):
            return list(listed)
        key = self._text_key(document, connection)
        return [
            row
            if row["sealed_name"] is None
            else {**row, "name": row["sealed_name"].open(key, name_place(row["id"]))}
            for row in listed
        ]

    def seal_json(
        self,
        row: Mapping[str, Any],
        place: TextPlace,
        value: Mapping[str, Any],
        connection: sa.Connection | None = None,
    ) -> dict[str, Any]:
        """Return a JSON value as it is stored: of a sealed document, sealed for one place.

        Args:
            row: the document's row; needs `id`, `classification` and `data_key_id`.
            place: table, column and row of the value.
            value: the value.
            connection: where to look the key up; a connection of its own if None.
        """
        if not value or not self.is_sealed(row):
            return dict(value)
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return {SEALED: seal_text(self._text_key(row, connection), text, place).token}

    def open_json(
        self,
        row: Mapping[str, Any],
        place: TextPlace,
        value: Mapping[str, Any],
        connection: sa.Connection | None = None,
    ) -> dict[str, Any]:
        """Return a JSON value that `seal_json` made, in the open."""
        token = value.get(SEALED)
        if not isinstance(token, str) or row["data_key_id"] is None:
            return dict(value)
        opened = json.loads(open_text(self._text_key(row, connection), token, place))
        return dict(opened)

    def seal_line(
        self, row: Mapping[str, Any], place: TextPlace, text: str, connection: sa.Connection
    ) -> str:
        """Return a text as its column stores it: of a sealed document, sealed for one place."""
        if not self.is_sealed(row):
            return text
        return seal_text(self._text_key(row, connection), text, place).token

    def open_line(
        self, row: Mapping[str, Any], place: TextPlace, text: str, connection: sa.Connection
    ) -> str:
        """Return a text that `seal_line` made, in the open."""
        if row["data_key_id"] is None or not text.startswith("sealed:v1:"):
            return text
        return open_text(self._text_key(row, connection), text, place)

    def seal_details(
        self, connection: sa.Connection, row: Mapping[str, Any], entry_id: str, details: Row
    ) -> dict[str, Any]:
        """Return the details of a history entry as they are stored (`Database.seal_details`)."""
        return self.seal_json(row, details_place(entry_id), details, connection)

    # -- keys ------------------------------------------------------------------------------------

    def rewrap_texts(
        self, uow: UnitOfWork, row: Mapping[str, Any], classification: str
    ) -> dict[str, Any]:
        """Wrap the key of a document's texts for another sealed classification; return the columns."""
        data_key = self._text_key(row, uow.connection)
        context = SealContext.of_fields(self._catalogue.organisation, row["id"], classification)
        return {"data_key_id": self._keep(uow, self.keyring.wrap(data_key, context), context)}

    def _text_key(self, row: Mapping[str, Any], connection: sa.Connection | None) -> bytes:
        if row["data_key_id"] is None:
            raise IntegrityError(
                f"The document {row['id']} is classified {row['classification']!r} and has no key "
                "for its texts; nothing was written.",
                code="plaintext-refused",
            )
        envelope, context = self._key(row["data_key_id"], row["id"], connection)
        return self.keyring.open_key(envelope, context)

    def _key(
        self, key_id: str, document_id: str, connection: sa.Connection | None
    ) -> tuple[Envelope, SealContext]:
        if connection is None:
            with self._database.read() as own:
                found = _BY_ID.row(own, {"key_id": key_id})
        else:
            found = _BY_ID.row(connection, {"key_id": key_id})
        if found is None or found["document_id"] != document_id:
            raise IntegrityError(
                f"The record of the data key {key_id} of the document {document_id} is gone, or is "
                "another document's; what it seals cannot be opened.",
                code="data-key-missing",
            )
        return envelope_of(found), context_of(self._catalogue.organisation, found)

    def _keep(self, uow: UnitOfWork, envelope: Envelope, context: SealContext) -> str:
        key_id = new_id()
        row = {
            "id": key_id,
            "document_id": context.document,
            "place": context.file,
            "classification": context.classification,
            "created_at": uow.now,
        }
        uow.put(data_keys, row | envelope_columns(envelope))
        return key_id

    def _context(self, document_id: str, place: str, classification: str) -> SealContext:
        return SealContext(self._catalogue.organisation, document_id, place, classification)


def _sealed_columns(data_key: bytes, row: Mapping[str, Any]) -> dict[str, Any]:
    content = {"subject": row["subject"], "fields": row["fields"]}
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    sealed = seal_text(data_key, text, content_place(row["id"]))
    return {"sealed_content": sealed, "subject": "", "subject_folded": "", "fields": {}}
