"""Reading the log's own tables: its state, checkpoints, tiles and entry bundles."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from docflow.db.tables import (
    history_entries,
    log_checkpoints,
    log_leaves,
    log_state,
    log_tiles,
)
from docflow.transparency.errors import TileError
from docflow.transparency.merkle import HASH_BYTES
from docflow.transparency.tiles import TILE_WIDTH, Tile, make_bundle

STATE_ID = 1  # log_state has one row
PREFIX = "log/"  # of every key in object storage
CHECKPOINT_KEY = PREFIX + "checkpoint"

_STATE = sa.select(log_state).where(log_state.c.id == STATE_ID)


@dataclass(frozen=True, slots=True)
class LogState:
    """Where the log stands: its name, its leaves, and how many of them are published."""

    origin: str
    size: int
    published_size: int


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A signed tree head on file; `root` in hexadecimal."""

    size: int
    root: str
    note: str
    created_at: datetime


def read_state(connection: sa.Connection, *, lock: bool = False) -> LogState | None:
    """Return the log's state, None before its first entry; `lock` holds it until the commit."""
    row = connection.execute(_STATE.with_for_update() if lock else _STATE).one_or_none()
    return LogState(row.origin, row.size, row.published_size) if row is not None else None


def read_checkpoint(connection: sa.Connection, size: int | None = None) -> StoredCheckpoint | None:
    """Return the checkpoint of the log at `size`, the newest if None."""
    statement = sa.select(log_checkpoints).order_by(log_checkpoints.c.size.desc()).limit(1)
    if size is not None:
        statement = statement.where(log_checkpoints.c.size == size)
    row = connection.execute(statement).one_or_none()
    return StoredCheckpoint(*row) if row is not None else None


def read_tile(connection: sa.Connection, level: int, index: int, width: int) -> bytes:
    """Return the first `width` hashes of a tile.

    Raises:
        TileError: if the tile is not there or holds fewer.
    """
    hashes: bytes | None = connection.execute(
        sa.select(log_tiles.c.hashes).where(log_tiles.c.level == level, log_tiles.c.index == index)
    ).scalar_one_or_none()
    if hashes is None or len(hashes) < width * HASH_BYTES:
        raise TileError(f"The log's {Tile(level, index, width).path} is missing or too short.")
    return hashes[: width * HASH_BYTES]


def read_bundle(connection: sa.Connection, index: int, width: int) -> bytes:
    """Return an entry bundle of `width` leaves.

    Raises:
        TileError: if an entry of it is missing.
    """
    first = index * TILE_WIDTH
    statement = (
        sa.select(history_entries.c.leaf)
        .join(log_leaves, log_leaves.c.entry_id == history_entries.c.id)
        .where(log_leaves.c.index >= first, log_leaves.c.index < first + width)
        .order_by(log_leaves.c.index)
    )
    leaves = [leaf.encode() for leaf in connection.execute(statement).scalars()]
    if len(leaves) != width:
        raise TileError(f"The log's {Tile(None, index, width).path} lacks entries.")
    return make_bundle(leaves)


def read_resource(connection: sa.Connection, tile: Tile) -> bytes:
    """Return the bytes of a tile or an entry bundle as they are published.

    Raises:
        TileError: if the log does not hold them.
    """
    if tile.level is None:
        return read_bundle(connection, tile.index, tile.width)
    return read_tile(connection, tile.level, tile.index, tile.width)
