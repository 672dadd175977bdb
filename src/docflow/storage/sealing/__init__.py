"""Sealing: confidential bytes are encrypted before they reach a disk or a bucket.

- `format`: the published file format (C2SP chunked-encryption v1, Cobblestone-256), written by the
  `cryptography` library and read here in ranges.
- `keys`: a random data key per object, wrapped by a key-encryption key per organisation and
  classification that a key provider holds; `providers` are the places such keys live.
- `sealed`: staging that seals on the way in and a store that opens on the way out.
- `text`: short texts in database columns.
- `rotation`: wrapping data keys anew without touching content.

Rules: data keys exist in memory only; what is wrong is an `IntegrityError` before a byte of it is
returned; a key that is missing is said to be missing, by name.
"""

from docflow.storage.sealing.context import SUITE, SealContext
from docflow.storage.sealing.format import SealedReader, sealed_size
from docflow.storage.sealing.keys import Envelope, KeyProvider, Keyring
from docflow.storage.sealing.rotation import KeyRecord, KeyUse, Rewrapped, rewrap, usage
from docflow.storage.sealing.sealed import (
    SealedFile,
    SealedRef,
    SealedStaging,
    SealedStagingFile,
    SealedStore,
)
from docflow.storage.sealing.text import HIDDEN, SealedText, TextPlace, open_text, seal_text

__all__ = [
    "HIDDEN",
    "SUITE",
    "Envelope",
    "KeyProvider",
    "KeyRecord",
    "KeyUse",
    "Keyring",
    "Rewrapped",
    "SealContext",
    "SealedFile",
    "SealedReader",
    "SealedRef",
    "SealedStaging",
    "SealedStagingFile",
    "SealedStore",
    "SealedText",
    "TextPlace",
    "open_text",
    "rewrap",
    "seal_text",
    "sealed_size",
    "usage",
]
