"""Sealed things in rows: the columns of a wrapped data key, and the places that texts are bound to."""

import secrets
from collections.abc import Mapping
from typing import Any, Final

from docflow.storage.sealing import Envelope, SealContext, TextPlace
from docflow.storage.sealing.format import KEY_BYTES

UNKNOWN: Final = "unknown"
"""Stands for the document and the file of bytes of which is not known yet whose they are."""


def new_data_key() -> bytes:
    """Return a fresh data key."""
    return secrets.token_bytes(KEY_BYTES)


def envelope_columns(envelope: Envelope) -> dict[str, Any]:
    """Return the columns of `data_keys` that hold an envelope."""
    told = envelope.to_json()
    return {
        "provider": envelope.provider,
        "key": envelope.key_id,
        "key_version": envelope.version,
        "wrapped": told["wrapped"],
    }


def envelope_of(row: Mapping[str, Any]) -> Envelope:
    """Return the envelope in a row of `data_keys`.

    Raises:
        IntegrityError: if it is none that this version wrote.
    """
    return Envelope.of(row["provider"], row["key"], row["key_version"], row["wrapped"])


def context_of(organisation: str, row: Mapping[str, Any]) -> SealContext:
    """Return the context that a row of `data_keys` says."""
    return SealContext(organisation, row["document_id"], row["place"], row["classification"])


def details_place(entry_id: str) -> TextPlace:
    """Return the place of a history entry's details."""
    return TextPlace("history_entries", "details", entry_id)


def name_place(file_id: str) -> TextPlace:
    """Return the place of a file's name."""
    return TextPlace("files", "sealed_name", file_id)


def pending_place(document_id: str) -> TextPlace:
    """Return the place of what was asked with the transition that a document waits for."""
    return TextPlace("documents", "pending", document_id)


def report_place(file_id: str) -> TextPlace:
    """Return the place of the report on the signatures of a received file."""
    return TextPlace("signature_checks", "report", file_id)


def reason_place(document_id: str) -> TextPlace:
    """Return the place of the reasons for which a document's numbers were voided."""
    return TextPlace("register_entries", "void_reason", document_id)


def content_place(document_id: str) -> TextPlace:
    """Return the place of a document's subject and fields."""
    return TextPlace("documents", "sealed_content", document_id)
