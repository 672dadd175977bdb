"""A store in memory, with the promises of the others but durability: for tests and trials."""

import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

from docflow.kernel.clock import Clock, SystemClock
from docflow.kernel.errors import NotFoundError, UnavailableError
from docflow.storage.staging import StagedFile
from docflow.storage.store import StoredObject, check_key, retained


@dataclass(frozen=True, slots=True)
class _Kept:
    data: bytes
    stored_at: datetime
    retain_until: datetime | None = None


class MemoryStore:
    """An `ObjectStore` that ends with its process."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._kept: dict[str, _Kept] = {}

    def put(self, key: str, staged: StagedFile, *, retain_until: datetime | None = None) -> None:
        """See `ObjectStore.put`."""
        check_key(key)
        try:
            data = staged.path.read_bytes()
        except OSError as error:
            raise UnavailableError(
                f"The object cannot be stored: {error.strerror}. Try again later.",
                code="storage-unavailable",
            ) from error
        with self._lock:
            there = self._kept.get(key) or _Kept(data, self._clock.now())
            until = max(filter(None, (there.retain_until, retain_until)), default=None)
            self._kept[key] = _Kept(there.data, there.stored_at, until)
        staged.discard()

    def open(self, key: str) -> BinaryIO:
        """See `ObjectStore.open`."""
        kept = self._kept.get(check_key(key))
        if kept is None:
            raise NotFoundError(
                "The stored object is missing; tell the operator.", code="object-missing"
            )
        return io.BytesIO(kept.data)

    def size(self, key: str) -> int | None:
        """See `ObjectStore.size`."""
        kept = self._kept.get(check_key(key))
        return None if kept is None else len(kept.data)

    def delete(self, key: str) -> None:
        """See `ObjectStore.delete`."""
        check_key(key)
        with self._lock:
            kept = self._kept.get(key)
            if kept is None:
                return
            if kept.retain_until is not None and kept.retain_until > self._clock.now():
                raise retained(kept.retain_until)
            del self._kept[key]

    def publish(self, key: str, data: bytes) -> None:
        """See `ObjectStore.publish`."""
        check_key(key)
        with self._lock:
            self._kept[key] = _Kept(bytes(data), self._clock.now())

    def objects(self, prefix: str) -> Iterator[StoredObject]:
        """See `ObjectStore.objects`."""
        with self._lock:
            found = [(key, self._kept[key]) for key in sorted(self._kept) if key.startswith(prefix)]
        for key, kept in found:
            yield StoredObject(key, len(kept.data), kept.stored_at)
