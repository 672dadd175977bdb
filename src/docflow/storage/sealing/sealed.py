"""Sealed staging and the sealed store: bytes are sealed on the way in and opened on the way out.

Rules:
- Plaintext of a sealed item is never on disk: staging writes what is sealed already, and what must
  be read for checks is read through an opening reader.
- The record keeps the plaintext's SHA-256; the storage key is made of the ciphertext's, so equal
  plaintexts do not show.
- The sealed store refuses what is not sealed, and opens nothing without its envelope and context.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final, cast

from docflow.kernel.errors import IntegrityError, NotFoundError
from docflow.storage.sealing.context import SealContext
from docflow.storage.sealing.format import SealedReader, SealingStream, opened_size, sealed_size
from docflow.storage.sealing.keys import Envelope, Keyring
from docflow.storage.staging import (
    HEAD_BYTES,
    StagedFile,
    Staging,
    StagingFile,
    file_too_large,
)
from docflow.storage.store import ObjectStore, StoredObject, content_key

_PURPOSE: Final = "content"
_BLOCK_BYTES = 2**18  # hashed and sealed at once, while it is in the processor's cache


@dataclass(frozen=True, slots=True)
class SealedFile(StagedFile):
    """A received file that lies sealed in staging.

    `size`, `sha256` and `head` tell of the plaintext, `stored_size` and `stored_sha256` of what is on
    disk. `envelope` belongs into the file's row; the data key is here while the file is staged only.
    """

    stored_size: int
    stored_sha256: str
    envelope: Envelope
    context: SealContext
    data_key: bytes = field(repr=False, compare=False)

    @property
    def key(self) -> str:
        """Return the key to store it under."""
        return content_key(self.stored_sha256)

    @property
    def ref(self) -> "SealedRef":
        """Return what opens it once it is stored."""
        return SealedRef(self.key, self.envelope, self.context)

    def open(self) -> BinaryIO:
        """Open the staged plaintext for checks: seekable, opened in memory, chunk by chunk."""
        return _reader(self.path.open("rb"), self.data_key, self.context)


@dataclass(frozen=True, slots=True)
class SealedRef:
    """A stored sealed object: its key, its envelope, and the context that its row says it has."""

    key: str
    envelope: Envelope
    context: SealContext


class SealedStagingFile(StagingFile):
    """A file being received and sealed on the way; constant memory."""

    def __init__(
        self, path: Path, max_bytes: int, context: SealContext, data_key: bytes, envelope: Envelope
    ) -> None:
        super().__init__(path, sealed_size(max_bytes))
        self._limit = max_bytes
        self._context = context
        self._data_key = data_key
        self._envelope = envelope
        self._stream = SealingStream(data_key, context.encode(_PURPOSE))
        self._plain_hash = hashlib.sha256()
        self._plain_head = b""
        self._plain_size = 0

    def write(self, data: bytes | memoryview) -> None:
        """See `StagingFile.write`; the limit is on the plaintext."""
        self._plain_size += len(data)
        if self._plain_size > self._limit:
            raise file_too_large(self._limit)
        if len(self._plain_head) < HEAD_BYTES:
            self._plain_head += bytes(data[: HEAD_BYTES - len(self._plain_head)])
        view = memoryview(data)
        for start in range(0, len(view), _BLOCK_BYTES):
            block = view[start : start + _BLOCK_BYTES]
            self._plain_hash.update(block)
            super().write(self._stream.update(block))

    def finish(self) -> SealedFile:
        """Seal the end, close the file and return what was received."""
        super().write(self._stream.finish())
        stored = super().finish()
        return SealedFile(
            path=stored.path,
            size=self._plain_size,
            sha256=self._plain_hash.hexdigest(),
            head=self._plain_head,
            stored_size=stored.size,
            stored_sha256=stored.sha256,
            envelope=self._envelope,
            context=self._context,
            data_key=self._data_key,
        )


class SealedStaging:
    """Receives files into a staging area, sealed."""

    def __init__(self, staging: Staging, keyring: Keyring) -> None:
        self._staging = staging
        self._keyring = keyring

    def begin(self, context: SealContext, max_bytes: int | None = None) -> SealedStagingFile:
        """Start receiving a file for a place; see `Staging.begin`. Raises as `Keyring.seal_key`."""
        data_key, envelope = self._keyring.seal_key(context)
        return SealedStagingFile(
            self._staging.new_path(),
            max_bytes or self._staging.max_bytes,
            context,
            data_key,
            envelope,
        )

    def seal(self, source: BinaryIO, context: SealContext) -> SealedFile:
        """Seal what is left to read of a source: a new preview, or an object that moves to a key.

        Raises:
            TooLargeError: if it is over the staging area's limit; nothing stays behind.
        """
        receiving = self.begin(context)
        try:
            while data := source.read(_BLOCK_BYTES):
                receiving.write(data)
            return receiving.finish()
        except BaseException:
            receiving.abort()
            raise


class SealedStore:
    """An `ObjectStore` whose objects are sealed; over any other `ObjectStore`."""

    def __init__(
        self,
        inner: ObjectStore,
        keyring: Keyring,
        find: Callable[[str], SealedRef | None] = lambda _key: None,
    ) -> None:
        """Wrap a store.

        Args:
            inner: where sealed bytes lie.
            keyring: opens envelopes.
            find: where the references of stored objects are kept (the files' rows), for callers who
                know a key only; those who have the row at hand use `open_sealed`.
        """
        self._inner = inner
        self._keyring = keyring
        self._find = find

    def put(self, key: str, staged: StagedFile, *, retain_until: datetime | None = None) -> None:
        """Store a sealed file under its own key; see `ObjectStore.put`.

        Raises:
            IntegrityError: if the file is not sealed, or the key is not the sealed bytes'.
        """
        if not isinstance(staged, SealedFile):
            raise IntegrityError(
                "A file that is not sealed was about to be stored among the sealed ones.",
                code="plaintext-refused",
            )
        if key != staged.key:
            raise IntegrityError(
                "A sealed file is stored under the digest of its sealed bytes, so that equal files "
                "do not show.",
                code="sealed-key-mismatch",
            )
        stored = StagedFile(staged.path, staged.stored_size, staged.stored_sha256, b"")
        self._inner.put(key, stored, retain_until=retain_until)

    def open(self, key: str) -> BinaryIO:
        """Open the plaintext of an object whose reference `find` knows; see `open_sealed`.

        Raises:
            NotFoundError: if there is no such object or no reference to it (code `object-missing`).
        """
        ref = self._find(key)
        if ref is None:
            raise NotFoundError(
                "No record names this sealed object, so it cannot be opened; tell the operator.",
                code="object-missing",
            )
        return self.open_sealed(ref)

    def open_sealed(self, ref: SealedRef) -> BinaryIO:
        """Open the plaintext of an object: seekable, each byte authenticated before it is given.

        Raises:
            NotFoundError: if there is no such object (code `object-missing`).
            IntegrityError: if object, envelope and context do not belong together, or any was
                changed; also by later reads.
            ConfigurationError: if the key provider that wrapped its key is not configured.
            UnavailableError: if the store or the key provider does not answer.
        """
        data_key = self._keyring.open_key(ref.envelope, ref.context)
        return _reader(self._inner.open(ref.key), data_key, ref.context)

    def size(self, key: str) -> int | None:
        """Return the size of an object's plaintext in bytes, as its length says; None if there is none.

        Raises:
            IntegrityError: if no sealed object can have its length.
        """
        size = self._inner.size(key)
        return None if size is None else opened_size(size)

    def delete(self, key: str) -> None:
        """See `ObjectStore.delete`."""
        self._inner.delete(key)

    def publish(self, key: str, data: bytes) -> None:  # noqa: ARG002 - the protocol's
        """Refuse: what is published is for everybody, and belongs into the plain store.

        Raises:
            IntegrityError: always.
        """
        raise IntegrityError(
            f"{key} is not sealed; publish it in the plain store.", code="plaintext-refused"
        )

    def objects(self, prefix: str) -> Iterator[StoredObject]:
        """See `ObjectStore.objects`; sizes are those of the sealed bytes, as they lie there."""
        return self._inner.objects(prefix)


def _reader(source: BinaryIO, data_key: bytes, context: SealContext) -> BinaryIO:
    with contextlib.ExitStack() as undo:
        undo.callback(source.close)
        reader = SealedReader(source, data_key, context.encode(_PURPOSE))
        undo.pop_all()
    return cast(BinaryIO, reader)
