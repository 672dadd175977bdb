"""Hold what is published in object storage to the database: tiles, entry bundles, checkpoint.

What an earlier size published (partial tiles that a wider one replaced) is not looked at: no
checkpoint that anyone is given needs it.
"""

from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa

from docflow.audit.records import CHECKPOINT_KEY, PREFIX, LogState, read_checkpoint
from docflow.audit.report import Notebook
from docflow.db import Database
from docflow.kernel.errors import DocflowError, NotFoundError
from docflow.storage import ObjectStore
from docflow.transparency.checkpoint import open_checkpoint
from docflow.transparency.entry import MAX_LEAF_BYTES
from docflow.transparency.errors import TileError
from docflow.transparency.merkle import HASH_BYTES
from docflow.transparency.note import MAX_NOTE_BYTES, VerifierKey
from docflow.transparency.tiles import TILE_WIDTH, Tile, make_bundle, width_at

_MOST_BYTES = TILE_WIDTH * (MAX_LEAF_BYTES + 2)  # of an entry bundle


class Published:
    """Compares published objects with what they must be."""

    def __init__(
        self, database: Database, store: ObjectStore, state: LogState, notebook: Notebook
    ) -> None:
        self._database = database
        self._store = store
        self._state = state
        self._size = state.published_size
        self._notes = notebook

    def leaf_tile(self, number: int, stored: bytes, leaves: Sequence[bytes] | None) -> None:
        """Check a published leaf tile and its bundle; `leaves` None if some are missing."""
        width = width_at(0, number, self._size)
        if not width:
            return
        self._compare(Tile(0, number, width), stored[: width * HASH_BYTES])
        if leaves is not None and len(leaves) >= width:
            try:
                bundle = make_bundle(leaves[:width])
            except TileError:
                return  # a leaf that no log can hold; the check of the entries tells
            self._compare(Tile(None, number, width), bundle)

    def upper_tile(self, level: int, number: int, stored: bytes) -> None:
        """Check a published tile above the leaves."""
        width = width_at(level, number, self._size)
        if width:
            self._compare(Tile(level, number, width), stored[: width * HASH_BYTES])

    def _compare(self, tile: Tile, expected: bytes) -> None:
        self._notes.checked["published"] += 1
        data = self._read(PREFIX + tile.path, len(expected))
        if data is None and tile.width < TILE_WIDTH:
            # A sequencer that works meanwhile, or died, has published the full one instead of it.
            full = self._read(PREFIX + replace(tile, width=TILE_WIDTH).path, _MOST_BYTES)
            data = full[: len(expected)] if full is not None else None
        if data is None:
            sentence = f"The published {tile.path} is missing in object storage."
        elif data != expected:
            sentence = f"The published {tile.path} is not what the database has."
        else:
            return
        self._notes.find("published-tile", tile.path, sentence)

    def _read(self, key: str, most: int) -> bytes | None:
        try:
            with self._store.open(key) as file:
                return file.read(most + 1)
        except NotFoundError:
            return None

    def checkpoint(self, connection: sa.Connection, verifier: VerifierKey) -> None:
        """Check the published checkpoint, and that the state tells the truth about it."""
        if self._size == 0:
            return
        if self._size > self._state.size or read_checkpoint(connection, self._size) is None:
            self._notes.find(
                "published-size",
                "log",
                f"The log's state says that {self._size} of {self._state.size} leaves are "
                "published, and there is no checkpoint of that size.",
            )
        data = self._read(CHECKPOINT_KEY, MAX_NOTE_BYTES)
        if data is None:
            self._find("The published checkpoint is missing in object storage.")
            return
        try:
            signed = open_checkpoint(data, [verifier], origin=verifier.name).checkpoint
        except DocflowError as error:
            self._find(f"The published checkpoint does not hold: {error.detail}")
            return
        # Read anew: a sequencer that works meanwhile commits a checkpoint before it publishes it.
        with self._database.read() as fresh:
            stored = read_checkpoint(fresh, signed.size)
        if stored is None or stored.note.encode() != data:
            self._find(
                f"The published checkpoint, of size {signed.size}, is not on file: the database "
                "was set back, or someone else signs with the log's key."
            )
        elif signed.size < self._size:
            self._find(
                f"The published checkpoint is of size {signed.size}, and {self._size} leaves were "
                "published: it was set back."
            )

    def _find(self, sentence: str) -> None:
        self._notes.find("published-checkpoint", CHECKPOINT_KEY, sentence)
