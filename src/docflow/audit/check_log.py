"""Recompute the log: leaves in order, tiles, roots, checkpoints, and their published copies.

Two trees are built side by side in bounded memory, one from the entries themselves and one from the
stored leaf tiles, and both are held to every checkpoint's signed root, so that a finding can say
which of the two was changed. Every checkpoint is a head of the same recomputed tree, so all of them
are consistent with one another.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import sqlalchemy as sa

from docflow.audit.check_published import Published
from docflow.audit.heads import Heads
from docflow.audit.records import LogState
from docflow.audit.report import Notebook, Progress
from docflow.db.tables import history_entries, log_leaves, log_tiles
from docflow.transparency.merkle import HASH_BYTES, CompactRange, Node, leaf_hash
from docflow.transparency.tiles import TILE_HEIGHT, TILE_WIDTH, Tile, width_at

_LEAVES = sa.select(
    log_leaves.c["index"].label("place"), log_leaves.c.entry_id, history_entries.c.leaf
).outerjoin(history_entries, history_entries.c.id == log_leaves.c.entry_id)
_NO_HASH = bytes(HASH_BYTES)
_MOST_LEVELS = 8  # 2^64 leaves


@dataclass(frozen=True, slots=True)
class LoggedLeaf:
    """A leaf as the log has it: `leaf` is None if its entry is missing."""

    index: int
    entry_id: str
    leaf: bytes | None


class LogCheck:
    """One pass over the log, from its first leaf to its last."""

    def __init__(
        self,
        connection: sa.Connection,
        state: LogState,
        heads: Heads,
        published: Published,
        notebook: Notebook,
    ) -> None:
        self._connection = connection
        self._heads = heads
        self._published = published
        self._notes = notebook
        self._size = _size(connection, state, notebook)
        self._entries: CompactRange | None = CompactRange()
        self._tiles = CompactRange()
        self._upper: dict[int, tuple[int, bytes]] = {}

    def run(self, progress: Progress) -> str | None:
        """Check the log; return its root as the entries give it, None if they give none."""
        progress("log", 0, self._size)
        for number in range(-(-self._size // TILE_WIDTH)):
            self._tile(number)
            progress("log", min(self._size, (number + 1) * TILE_WIDTH), self._size)
        self._heads.beyond(self._size)
        self._surplus_tiles()
        return self._entries.root().hex() if self._entries is not None else None

    def _tile(self, number: int) -> None:
        """Check the leaves of one leaf tile, and everything above that they complete."""
        first, width = number * TILE_WIDTH, min(TILE_WIDTH, self._size - number * TILE_WIDTH)
        found = self._leaves(first, width)
        stored = self._stored(0, number)
        hashes = [
            leaf_hash(item.leaf) if item and item.leaf is not None else None for item in found
        ]
        self._compare(first, found, hashes, stored)
        for position, computed in enumerate(hashes):
            kept = stored[position * HASH_BYTES : (position + 1) * HASH_BYTES]
            self._append(first + position, computed, kept or computed or _NO_HASH)
        leaves = [item.leaf for item in found if item and item.leaf is not None]
        self._published.leaf_tile(number, stored, leaves if len(leaves) == width else None)
        self._notes.checked["leaves"] += width

    def _leaves(self, first: int, width: int) -> list[LoggedLeaf | None]:
        index = log_leaves.c["index"]
        statement = _LEAVES.where(index >= first, index < first + width).order_by(index)
        found: list[LoggedLeaf | None] = [None] * width
        rows = list(self._connection.execute(statement))
        for at, same in groupby(rows, key=lambda row: int(row.place)):
            row, *more = same
            leaf = row.leaf.encode() if row.leaf is not None else None
            found[at - first] = LoggedLeaf(at, row.entry_id, leaf)
            if more:
                self._notes.find("log-double", f"leaf {at}", f"The log has two leaves at {at}.")
        return found

    def _compare(
        self,
        first: int,
        found: Sequence[LoggedLeaf | None],
        hashes: Sequence[bytes | None],
        stored: bytes,
    ) -> None:
        path = Tile(0, first // TILE_WIDTH, len(found)).path
        for position, (item, computed) in enumerate(zip(found, hashes, strict=True)):
            index = first + position
            kept = stored[position * HASH_BYTES : (position + 1) * HASH_BYTES]
            if item is None:
                self._notes.find(
                    "log-gap", f"leaf {index}", f"The log has no leaf at index {index}."
                )
            elif computed is None:
                self._notes.find(
                    "log-entry-missing",
                    f"entry {item.entry_id}",
                    f"The log's leaf {index} is the entry {item.entry_id}, which is not in the "
                    "history any more.",
                )
            elif kept and kept != computed:
                self._notes.find(
                    "log-leaf",
                    f"entry {item.entry_id}",
                    f"The entry {item.entry_id} at index {index} hashes to {computed.hex()}, but "
                    f"{path} has {kept.hex()} there: entry, order or tile was changed.",
                )

    def _append(self, index: int, computed: bytes | None, kept: bytes) -> None:
        if computed is None and self._entries is not None:
            self._entries = None
            self._notes.find(
                "log-root",
                f"leaf {index}",
                f"From index {index} on no root can be recomputed from the entries.",
            )
        if self._entries is not None and computed is not None:
            self._entries.append(computed)
        for node in self._tiles.append(kept):
            if node.level and node.level % TILE_HEIGHT == 0:
                self._check_upper(node)
        if self._heads.due(index + 1):
            roots = (self._entries.root() if self._entries else None, self._tiles.root())
            self._heads.check(index + 1, *roots)

    def _check_upper(self, node: Node) -> None:
        """Hold a tile's root, as its hashes give it, to what the tile above says."""
        level = node.level // TILE_HEIGHT
        number, position = divmod(node.offset, TILE_WIDTH)
        at, data = self._upper.get(level, (-1, b""))
        if at != number:
            data = self._stored(level, number)
            self._upper[level] = (number, data)
            self._published.upper_tile(level, number, data)
        kept = data[position * HASH_BYTES : (position + 1) * HASH_BYTES]
        if kept and kept != node.hash:
            path = Tile(level, number, width_at(level, number, self._size)).path
            self._notes.find(
                "log-tile",
                path,
                f"{path} has {kept.hex()} at {position}; the tile below it gives {node.hash.hex()}.",
            )

    def _stored(self, level: int, number: int) -> bytes:
        """Return a stored tile's bytes, as many as it must have, with a finding if it has not."""
        expected = width_at(level, number, self._size)
        path = Tile(level, number, expected).path
        row = self._connection.execute(
            sa.select(log_tiles.c.width, log_tiles.c.hashes).where(
                log_tiles.c.level == level, log_tiles.c.index == number
            )
        ).first()
        self._notes.checked["tiles"] += 1
        if row is None:
            self._notes.find("log-tile", path, f"The tile {path} is missing.")
            return b""
        if row.width != expected or len(row.hashes) != expected * HASH_BYTES:
            self._notes.find(
                "log-tile",
                path,
                f"The tile {path} says it has {row.width} hashes and has {len(row.hashes)} bytes; "
                f"it must have {expected} hashes, {expected * HASH_BYTES} bytes.",
            )
        whole = len(row.hashes) // HASH_BYTES
        return bytes(row.hashes[: min(expected, whole) * HASH_BYTES])

    def _surplus_tiles(self) -> None:
        """Find tiles that a log of this size does not have."""
        for row in self._connection.execute(_surplus(self._size)):
            self._notes.find(
                "log-tile",
                f"tile {row.level}/{row.place}",
                f"There is a tile of level {row.level} and index {row.place}; a log of "
                f"{self._size} leaves has none there.",
            )


def _surplus(size: int) -> sa.Select[tuple[int, int]]:
    level, index = log_tiles.c.level, log_tiles.c["index"]
    wrong = [level < 0, level >= _MOST_LEVELS, index < 0]
    for number in range(_MOST_LEVELS):
        tiles = -(-(size >> TILE_HEIGHT * number) // TILE_WIDTH)
        wrong.append(sa.and_(level == number, index >= tiles))
    return (
        sa.select(level, index.label("place"))
        .where(sa.or_(*wrong))
        .order_by(level, index)
        .limit(TILE_WIDTH)
    )


def _size(connection: sa.Connection, state: LogState, notebook: Notebook) -> int:
    """Return how many leaves to check: what is there and belongs to the log."""
    index = log_leaves.c["index"]
    count, last = connection.execute(sa.select(sa.func.count(), sa.func.max(index))).one()
    if count != state.size:
        notebook.find(
            "log-size",
            "log",
            f"The log's state says {state.size} leaves, and there are {count}.",
        )
    beyond = sa.or_(index < 0, index >= state.size)
    surplus = sa.select(log_leaves.c.entry_id, index.label("place")).where(beyond)
    for row in connection.execute(surplus.limit(TILE_WIDTH)):
        notebook.find(
            "log-size",
            f"entry {row.entry_id}",
            f"The entry {row.entry_id} has the index {row.place}, which a log of {state.size} "
            "leaves has not.",
        )
    return min(state.size, (last if last is not None else -1) + 1)
