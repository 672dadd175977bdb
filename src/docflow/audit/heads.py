"""Hold every signed tree head to the recomputed tree: those on file, and those that someone kept."""

from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from docflow.audit.records import LogState, StoredCheckpoint
from docflow.audit.report import Notebook
from docflow.db.tables import log_checkpoints
from docflow.kernel.clock import rfc3339
from docflow.kernel.errors import DocflowError
from docflow.transparency.checkpoint import Checkpoint, open_checkpoint
from docflow.transparency.note import VerifierKey

_PAGE = 1000


class Heads:
    """The checkpoints of a log in order of size, checked as the recomputed tree reaches them."""

    def __init__(
        self,
        connection: sa.Connection,
        state: LogState,
        verifier: VerifierKey,
        kept: Sequence[str],
        notebook: Notebook,
    ) -> None:
        self._state = state
        self._verifier = verifier
        self._notes = notebook
        self._stored = _pages(connection)
        self._next = next(self._stored, None)
        self._last: StoredCheckpoint | None = None
        self._kept = self._open_kept(kept)
        self._broken: set[str] = set()  # which tree failed already; the rest follows from that

    def _open_kept(self, kept: Sequence[str]) -> list[Checkpoint]:
        opened = []
        for number, note in enumerate(kept, 1):
            checkpoint = self._open(note, f"kept checkpoint {number}")
            if checkpoint is not None:
                opened.append(checkpoint)
        return sorted(opened, key=lambda item: item.size)

    def _open(self, note: str, what: str) -> Checkpoint | None:
        try:
            return open_checkpoint(note, [self._verifier], origin=self._verifier.name).checkpoint
        except DocflowError as error:
            self._notes.find(
                "checkpoint-signature", what, f"The {what} does not hold: {error.detail}"
            )
            return None

    def due(self, size: int) -> bool:
        """Tell whether there is a checkpoint to check at this size."""
        at = self._next is not None and self._next.size <= size
        return at or bool(self._kept and self._kept[0].size <= size)

    def check(self, size: int, entries: bytes | None, tiles: bytes) -> None:
        """Check the checkpoints of this size against the two recomputed roots."""
        while self._next is not None and self._next.size <= size:
            if self._next.size < size:
                self._out_of_order(self._next)
            else:
                self._check_stored(self._next, entries, tiles)
            self._last, self._next = self._next, next(self._stored, None)
        while self._kept and self._kept[0].size <= size:
            kept = self._kept.pop(0)
            if kept.size == size and entries is not None and kept.root != entries:
                self._notes.find(
                    "checkpoint-kept",
                    f"kept checkpoint of size {size}",
                    f"The kept checkpoint of size {size} has the root {kept.root.hex()}; the "
                    f"entries now give {entries.hex()}: history was rewritten.",
                )

    def _check_stored(self, stored: StoredCheckpoint, entries: bytes | None, tiles: bytes) -> None:
        what = f"checkpoint {stored.size}"
        self._notes.checked["checkpoints"] += 1
        signed = self._open(stored.note, what)
        if signed is not None and (signed.size, signed.root.hex()) != (stored.size, stored.root):
            self._notes.find(
                "checkpoint-columns",
                what,
                f"The {what} has the root {stored.root} in its row; signed is the root "
                f"{signed.root.hex()} of size {signed.size}.",
            )
        root = signed.root.hex() if signed is not None else stored.root
        for name, recomputed in (("entries", entries), ("tiles", tiles)):
            if recomputed is None or recomputed.hex() == root or name in self._broken:
                continue
            self._broken.add(name)
            self._notes.find(
                "checkpoint-root",
                what,
                f"The {what} has the root {root}; the {name} give {recomputed.hex()}. It is the "
                "first that differs.",
            )
        if self._last is not None and stored.created_at < self._last.created_at:
            self._notes.find(
                "checkpoint-time",
                what,
                f"The {what} says it was made at {rfc3339(stored.created_at)}, before the one of "
                f"size {self._last.size} ({rfc3339(self._last.created_at)}).",
            )

    def _out_of_order(self, stored: StoredCheckpoint) -> None:
        what = f"checkpoint {stored.size}"
        self._notes.find("checkpoint-size", what, f"No log can have a {what}.")

    def beyond(self, size: int) -> None:
        """Find the checkpoints that the log, at its end of `size` leaves, does not reach."""
        while self._next is not None:
            what = f"checkpoint {self._next.size}"
            self._notes.find(
                "checkpoint-size", what, f"There is a {what}, and the log has {size} leaves only."
            )
            self._last, self._next = self._next, next(self._stored, None)
        for kept in self._kept:
            self._notes.find(
                "checkpoint-kept",
                f"kept checkpoint of size {kept.size}",
                f"The kept checkpoint has {kept.size} leaves, and the log has {size} only: "
                "history was cut off.",
            )
        last = self._last.size if self._last is not None else 0
        if last != self._state.size:
            self._notes.find(
                "checkpoint-size",
                "log",
                f"The log's state says {self._state.size} leaves; its last checkpoint is of {last}.",
            )


def _pages(connection: sa.Connection) -> Iterator[StoredCheckpoint]:
    """Yield every checkpoint on file in order of size."""
    last: int | None = None
    while True:
        statement = sa.select(log_checkpoints).order_by(log_checkpoints.c.size).limit(_PAGE)
        if last is not None:
            statement = statement.where(log_checkpoints.c.size > last)
        page = [StoredCheckpoint(*row) for row in connection.execute(statement)]
        yield from page
        if len(page) < _PAGE:
            return
        last = page[-1].size
