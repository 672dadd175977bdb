"""Look at one stored object: are its bytes those that its key, its rows and history name."""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from docflow.db.tables import history_entries
from docflow.kernel.errors import (
    ConfigurationError,
    DocflowError,
    IntegrityError,
    NotFoundError,
    UnavailableError,
)
from docflow.storage import ObjectStore, content_key
from docflow.storage.store import digest_of_key
from docflow.upkeep.references import Reference

_CHUNK_BYTES = 2**18
_NOWHERE = content_key("0" * 64)
_NAMED_BY = ("posted", "file-put", "file-converted", "fired")  # the acts that put a file on file

Told = Mapping[str, str]
"""File id → the SHA-256 that history names for it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is wrong with an object, about one of the rows that need it.

    Attributes:
        kind: `missing`, `damaged`, `wrong-size`, `unlike-row`, `unlike-history`, `unreadable`, or
            `store-away` about the store as a whole.
        reference: the row; None about the store as a whole.
        detail: a sentence that tells digests and sizes, never content.
    """

    kind: str
    reference: Reference | None
    detail: str


class StoreAwayError(Exception):
    """The store as a whole does not answer, so nothing can be said of an object."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class Pace:
    """Holds reading to a rate: sleeps after each chunk for as long as it was ahead."""

    def __init__(
        self, bytes_per_second: float | None, pause: Callable[[float], object] | None = None
    ) -> None:
        """Hold the rate.

        Args:
            bytes_per_second: None for as fast as it goes.
            pause: sleeps so many seconds.
        """
        self._rate = bytes_per_second
        self._pause = pause or threading.Event().wait
        self._begun = time.monotonic()
        self._read = 0

    def read(self, size: int) -> None:
        """Take note of `size` bytes and sleep if they came too early."""
        if self._rate is None:
            return
        self._read += size
        ahead = self._read / self._rate - (time.monotonic() - self._begun)
        if ahead > 0:
            self._pause(ahead)


def examine(
    store: ObjectStore, key: str, references: Sequence[Reference], told: Told, pace: Pace
) -> tuple[int, list[Fault]]:
    """Read an object from start to end; return its size and what is wrong, [] if nothing is.

    Raises:
        StoreAwayError: if the store answers for no object.
    """
    try:
        size, digest = _read(store, key, pace)
    except NotFoundError:
        return 0, [Fault("missing", row, "The object is not there.") for row in references]
    except ValueError:
        return 0, [Fault("missing", row, "No object can have this key.") for row in references]
    except IntegrityError as error:
        return 0, [Fault("damaged", row, error.detail) for row in references]
    except (UnavailableError, ConfigurationError) as error:
        _require_answer(store)
        return 0, [Fault("unreadable", row, error.detail) for row in references]
    except OSError as error:
        reason = f"The object cannot be read: {error.strerror or type(error).__name__}."
        return 0, [Fault("unreadable", row, reason) for row in references]
    faults = (_fault(key, size, digest, row, told) for row in references)
    return size, [fault for fault in faults if fault is not None]


def _read(store: ObjectStore, key: str, pace: Pace) -> tuple[int, str]:
    digest = hashlib.sha256()
    size = 0
    with store.open(key) as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
            pace.read(len(chunk))
    return size, digest.hexdigest()


def _require_answer(store: ObjectStore) -> None:
    """See that the store answers for another object, one that is not there."""
    try:
        store.size(_NOWHERE)
    except DocflowError as error:
        raise StoreAwayError(error.detail) from error
    except OSError as error:
        raise StoreAwayError(f"The folder does not answer: {error.strerror}.") from error


def _fault(key: str, size: int, digest: str, row: Reference, told: Told) -> Fault | None:
    named = digest_of_key(key)
    if not row.sealed and row.size is not None and row.size != size:
        return Fault("wrong-size", row, f"{size} bytes lie there, {row.size} were stored.")
    if named is not None and digest != named:
        return Fault("damaged", row, f"The bytes there have the SHA-256 {digest}.")
    if not row.sealed and row.sha256 is not None and row.sha256 != digest:
        return Fault("unlike-row", row, f"The row of {row.source} names the SHA-256 {row.sha256}.")
    if row.source == "files" and row.row_id is not None:
        history = told.get(row.row_id)
        if history != row.sha256:
            said = "names another SHA-256 than its row" if history else "does not name this file"
            return Fault("unlike-history", row, f"The history of its document {said}.")
    return None


def told_by_history(connection: sa.Connection, document_ids: Collection[str]) -> dict[str, str]:
    """Return what the history of some documents (a few hundred at most) says of their files."""
    statement = sa.select(history_entries.c.leaf).where(
        history_entries.c.subject_kind == "document",
        history_entries.c.subject_id.in_(document_ids),
        history_entries.c.action.in_([f"document.{act}" for act in _NAMED_BY]),
    )
    told: dict[str, str] = {}
    for leaf in connection.execute(statement).scalars():
        data = json.loads(leaf)["data"]
        for item in [*data.get("files", ()), *filter(None, [data.get("file")])]:
            if isinstance(item, dict) and "id" in item:
                told[item["id"]] = item["sha256"]
    return told
