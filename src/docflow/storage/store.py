"""What every object store promises.

Durability: when `put` or `publish` returns, the bytes survive a crash of the process and of the
machine. Concurrency: any number of threads and processes may call; two puts of one key leave one
object, whose bytes are the same because keys are derived from content.
"""

import re
from typing import BinaryIO, Protocol

from docflow.storage.staging import StagedFile

_KEY = re.compile(r"[a-z0-9][a-z0-9._-]*(?:/[a-z0-9][a-z0-9._-]*)*")
_MAX_KEY = 200


class ObjectStore(Protocol):
    """Holds write-once objects, and a few small published ones that are replaced whole."""

    def put(self, key: str, staged: StagedFile) -> None:
        """Store a staged file durably; the staged file is consumed.

        An object that is already there is left as it is: equal keys mean equal bytes.

        Raises:
            UnavailableError: if the store does not answer or has no room; nothing is visible.
        """
        ...

    def open(self, key: str) -> BinaryIO:
        """Open an object for reading; seekable, so ranges cost nothing.

        Raises:
            NotFoundError: if there is no such object (code `object-missing`).
            UnavailableError: if the store does not answer.
        """
        ...

    def size(self, key: str) -> int | None:
        """Return the size of an object in bytes, None if there is none."""
        ...

    def delete(self, key: str) -> None:
        """Delete an object that nothing refers to; silent if there is none."""
        ...

    def publish(self, key: str, data: bytes) -> None:
        """Write a small object, replacing an earlier one atomically (tiles, the checkpoint)."""
        ...


def content_key(sha256: str) -> str:
    """Return the key of the object whose stored bytes have this SHA-256 (64 hex digits).

    256 folders: few enough that nearly every one is there already, which spares a new object the
    fsync of two folders more; ten million objects are 40,000 in each.
    """
    return f"files/{sha256[:2]}/{sha256}"


def check_key(key: str) -> str:
    """Return `key` if it is one: lower-case segments that cannot leave the store's folder.

    Raises:
        ValueError: if it is not; keys are made by docflow, never by callers.
    """
    if len(key) > _MAX_KEY or not _KEY.fullmatch(key):
        raise ValueError(f"not an object key: {key!r}")
    return key
