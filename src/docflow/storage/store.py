"""What every object store promises.

Durability: when `put` or `publish` returns, the bytes survive a crash of the process and of the
machine. Concurrency: any number of threads and processes may call; two puts of one key leave one
object, whose bytes are the same because keys are derived from content.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO, Protocol

from docflow.kernel.errors import ConflictError
from docflow.storage.staging import StagedFile

_KEY = re.compile(r"[a-z0-9][a-z0-9._-]*(?:/[a-z0-9][a-z0-9._-]*)*")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MAX_KEY = 200


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as listed: its key, its size in bytes, since when it lies there (UTC)."""

    key: str
    size: int
    stored_at: datetime


class ObjectStore(Protocol):
    """Holds write-once objects, and a few small published ones that are replaced whole."""

    def put(self, key: str, staged: StagedFile, *, retain_until: datetime | None = None) -> None:
        """Store a staged file durably; the staged file is consumed.

        An object that is already there is left as it is: equal keys mean equal bytes.

        Args:
            key: where; derived from the content.
            staged: what.
            retain_until: not to be deleted before, where the store can lock (Object Lock); a longer
                time than an object's own replaces it.

        Raises:
            UnavailableError: if the store does not answer or has no room; nothing is visible.
            ConfigurationError: if the store refuses the service; nothing is visible.
            IntegrityError: if bytes were damaged on the way, or other bytes lie under the key.
        """
        ...

    def open(self, key: str) -> BinaryIO:
        """Open an object for reading; seekable, so ranges cost nothing.

        Reading it from start to end compares its SHA-256 where the store keeps one, before the last
        bytes are given.

        Raises:
            NotFoundError: if there is no such object (code `object-missing`).
            UnavailableError: if the store does not answer; also while reading.
            IntegrityError: while reading, if the bytes are not those that were stored.
        """
        ...

    def size(self, key: str) -> int | None:
        """Return the size of an object in bytes, None if there is none."""
        ...

    def delete(self, key: str) -> None:
        """Delete an object that nothing refers to; silent if there is none.

        Raises:
            ConflictError: if it is under retention (code `object-retained`).
        """
        ...

    def publish(self, key: str, data: bytes) -> None:
        """Write a small object, replacing an earlier one atomically (tiles, the checkpoint)."""
        ...

    def objects(self, prefix: str) -> Iterator[StoredObject]:
        """List the objects whose key begins with `prefix`, each once, in an order of the store's own."""
        ...


def content_key(sha256: str) -> str:
    """Return the key of the object whose stored bytes have this SHA-256 (64 hex digits).

    256 folders: few enough that nearly every one is there already, which spares a new object the
    fsync of two folders more; ten million objects are 40,000 in each.
    """
    return f"files/{sha256[:2]}/{sha256}"


def digest_of_key(key: str) -> str | None:
    """Return the SHA-256 that a key made by `content_key` names, None for another key."""
    digest = key.rpartition("/")[2]
    return digest if _DIGEST.fullmatch(digest) and key == content_key(digest) else None


def check_key(key: str) -> str:
    """Return `key` if it is one: lower-case segments that cannot leave the store's folder.

    Raises:
        ValueError: if it is not; keys are made by docflow, never by callers.
    """
    if len(key) > _MAX_KEY or not _KEY.fullmatch(key):
        raise ValueError(f"not an object key: {key!r}")
    return key


def retained(until: datetime) -> ConflictError:
    """Return the refusal to delete an object that is under retention."""
    return ConflictError(
        f"The object is kept until {until.astimezone(UTC):%Y-%m-%d %H:%M} UTC "
        "and cannot be deleted before.",
        code="object-retained",
    )
