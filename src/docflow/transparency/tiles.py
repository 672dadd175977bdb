"""The log as static resources: C2SP tlog-tiles paths, tiles, entry bundles, and proofs from them.

Rules:
- A tile of level L holds up to 256 hashes, each the root of 256^L leaves; a full one is 8,192 bytes
  and never changes. A partial one of width W is its own resource (`.p/W`); empty ones do not exist.
- Only full tiles are hashed into the level above.
- An entry bundle holds the leaves of one level-0 tile, each after its length as two bytes.
- What tiles say is not trusted: whoever builds a proof from them verifies it against a checkpoint
  before showing it.
"""

import functools
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from docflow.transparency.encoding import MAX_SIZE
from docflow.transparency.entry import MAX_LEAF_BYTES
from docflow.transparency.errors import TileError
from docflow.transparency.merkle import (
    EMPTY_ROOT,
    HASH_BYTES,
    LeafRange,
    consistency_ranges,
    inclusion_ranges,
    node_hash,
)

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
MAX_LEVEL = 63  # tlog-tiles: the level is 0 to 63

_PATH = re.compile(
    r"tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?"
)
_MAX_PATH = 64  # characters; the index of the largest log takes 47
_LENGTH_BYTES = 2  # before each leaf in a bundle, big-endian

ReadTile = Callable[[int, int, int], bytes]
"""Reads the tile (level, index, width): at least width x 32 bytes; a wider tile's bytes do too."""

ReadBundle = Callable[[int, int], bytes]
"""Reads the entry bundle (index, width): exactly as it was written."""


@dataclass(frozen=True, slots=True)
class Tile:
    """Where a tile or entry bundle is: `level` None means a bundle; `width` is 1 to 256."""

    level: int | None
    index: int
    width: int

    @property
    def path(self) -> str:
        """The resource's path below the log's prefix, `tile/0/x001/x234/067.p/12`."""
        groups = [f"{self.index % 1000:03d}"]
        rest = self.index // 1000
        while rest:
            groups.insert(0, f"x{rest % 1000:03d}")
            rest //= 1000
        name = "entries" if self.level is None else str(self.level)
        partial = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{name}/{'/'.join(groups)}{partial}"


def parse_tile_path(path: str) -> Tile:
    """Return the tile that `path` names.

    Raises:
        TileError: if it is not the one path of a tile or entry bundle.
    """
    match = _PATH.fullmatch(path) if len(path) <= _MAX_PATH else None
    if match is None:
        raise TileError(f"{path[:80]!r} is not the path of a tile or entry bundle.")
    name, groups, width = match.groups()
    tile = Tile(
        level=None if name == "entries" else int(name),
        index=int(groups.replace("x", "").replace("/", "")),
        width=int(width) if width else TILE_WIDTH,
    )
    in_range = (tile.level or 0) <= MAX_LEVEL and tile.index <= MAX_SIZE
    if not in_range or tile.width > TILE_WIDTH or tile.path != path:
        raise TileError(f"{path[:80]!r} is not the one path of a tile or entry bundle.")
    return tile


def width_at(level: int, index: int, size: int) -> int:
    """Return how many hashes the tile holds when the log has `size` leaves; 0: no such tile."""
    return max(0, min(TILE_WIDTH, (size >> TILE_HEIGHT * level) - index * TILE_WIDTH))


def tiles_of(size: int) -> list[Tile]:
    """Return every tile and entry bundle of a log of `size` leaves, bundles first, leaves up."""
    return changed_tiles(0, size)


def changed_tiles(old_size: int, new_size: int) -> list[Tile]:
    """Return the tiles and bundles that the log has at `new_size` and had not at `old_size`."""
    tiles: list[Tile] = []
    for level in (None, *range(MAX_LEVEL + 1)):
        shift = TILE_HEIGHT * (level or 0)
        old, new = old_size >> shift, new_size >> shift
        if new <= old:
            break
        tiles += [
            Tile(level, index, min(TILE_WIDTH, new - index * TILE_WIDTH))
            for index in range(old // TILE_WIDTH, (new - 1) // TILE_WIDTH + 1)
        ]
    return tiles


def grow_tiles(
    old_size: int, leaf_hashes: Sequence[bytes], read_tile: ReadTile
) -> list[tuple[Tile, bytes]]:
    """Return each tile that changes when `leaf_hashes` are appended, with its bytes, leaves up.

    Reads at most one existing partial tile a level.

    Raises:
        TileError: if an existing tile is shorter than the old size says.
    """
    written: list[tuple[Tile, bytes]] = []
    level, old, added = 0, old_size, b"".join(leaf_hashes)
    if len(added) != len(leaf_hashes) * HASH_BYTES:
        raise TileError(f"Every leaf hash is {HASH_BYTES} bytes.")
    while added:
        first, partial = divmod(old, TILE_WIDTH)
        known = _hashes_of(read_tile, level, first, partial) if partial else b""
        content, parents = known + added, []
        for at in range(0, len(content), TILE_WIDTH * HASH_BYTES):
            data = content[at : at + TILE_WIDTH * HASH_BYTES]
            width = len(data) // HASH_BYTES
            index = first + at // (TILE_WIDTH * HASH_BYTES)
            written.append((Tile(level, index, width), data))
            if width == TILE_WIDTH:
                parents.append(_rows(data)[-1])
        level, old, added = level + 1, old >> TILE_HEIGHT, b"".join(parents)
    return written


def grow_bundles(
    old_size: int, leaves: Sequence[bytes], read_bundle: ReadBundle
) -> list[tuple[Tile, bytes]]:
    """Return each entry bundle that changes when `leaves` are appended, with its bytes.

    Raises:
        TileError: if a leaf is over 65,535 bytes, or the existing bundle is not what it must be.
    """
    if not leaves:
        return []
    first, partial = divmod(old_size, TILE_WIDTH)
    known = parse_bundle(read_bundle(first, partial), partial) if partial else []
    content = [*known, *leaves]
    batches = [content[at : at + TILE_WIDTH] for at in range(0, len(content), TILE_WIDTH)]
    return [
        (Tile(None, first + number, len(batch)), make_bundle(batch))
        for number, batch in enumerate(batches)
    ]


def make_bundle(leaves: Iterable[bytes]) -> bytes:
    """Return the entry bundle of these leaves.

    Raises:
        TileError: if a leaf is over 65,535 bytes.
    """
    parts: list[bytes] = []
    for leaf in leaves:
        if len(leaf) > MAX_LEAF_BYTES:
            raise TileError(f"A leaf of {len(leaf)} bytes is over {MAX_LEAF_BYTES}.")
        parts += (len(leaf).to_bytes(_LENGTH_BYTES, "big"), leaf)
    return b"".join(parts)


def parse_bundle(data: bytes, width: int) -> list[bytes]:
    """Return the `width` leaves of an entry bundle.

    Raises:
        TileError: if the bytes do not hold exactly that many leaves.
    """
    leaves: list[bytes] = []
    at = 0
    while at < len(data) and len(leaves) <= width:
        start = at + _LENGTH_BYTES
        at = start + int.from_bytes(data[at:start], "big")
        leaves.append(data[start:at])
    if at != len(data) or len(leaves) != width:
        raise TileError(f"The entry bundle does not hold exactly {width} leaves.")
    return leaves


class TileReader:
    """Answers roots and proofs of a log, of any size it has had, from its tiles.

    Keeps the tiles it read, hashed up, in two least-recently-used caches (16 KiB a full tile): one
    for leaf tiles, one for all levels above, so that leaves do not drive out the few tiles that
    every proof needs. Tiles never change, so nothing is ever stale. May be shared by threads.
    """

    def __init__(
        self, read_tile: ReadTile, *, leaf_tiles: int = 64, upper_tiles: int = 512
    ) -> None:
        """Read tiles through `read_tile`; keep so many of the leaf level and of the levels above."""

        def load(level: int, index: int, width: int) -> tuple[bytes, ...]:
            return _rows(_hashes_of(read_tile, level, index, width))

        self._leaf_rows = functools.lru_cache(maxsize=leaf_tiles)(load)
        self._upper_rows = functools.lru_cache(maxsize=upper_tiles)(load)

    def root(self, size: int) -> bytes:
        """Return the root of the log's first `size` leaves."""
        return self._range_hash((0, size), size) if size else EMPTY_ROOT

    def leaf_hash(self, index: int, size: int) -> bytes:
        """Return the hash of leaf `index` in a log of `size` leaves.

        Raises:
            MerkleError: if there is no such leaf.
        """
        inclusion_ranges(index, size)
        return self._node(0, index, size)

    def inclusion_proof(self, index: int, size: int) -> list[bytes]:
        """Return the proof that leaf `index` is among the first `size` leaves.

        Raises:
            MerkleError: if there is no such leaf.
            TileError: if a tile is shorter than the size says.
        """
        return [self._range_hash(part, size) for part in inclusion_ranges(index, size)]

    def consistency_proof(self, old_size: int, new_size: int) -> list[bytes]:
        """Return the proof that the log of `old_size` is a prefix of that of `new_size`.

        Raises:
            MerkleError: if the old size is the larger.
            TileError: if a tile is shorter than the size says.
        """
        return [self._range_hash(part, new_size) for part in consistency_ranges(old_size, new_size)]

    def _range_hash(self, part: LeafRange, size: int) -> bytes:
        """Return the root over a range that begins where a complete subtree does."""
        start, end = part
        hashes: list[bytes] = []
        while start < end:
            level = (end - start).bit_length() - 1
            hashes.append(self._node(level, start >> level, size))
            start += 1 << level
        root = hashes.pop()
        while hashes:
            root = node_hash(hashes.pop(), root)
        return root

    def _node(self, height: int, index: int, size: int) -> bytes:
        """Return the root of the index-th complete subtree of 2^height leaves."""
        level, row = divmod(height, TILE_HEIGHT)
        tile, at = divmod(index, TILE_WIDTH >> row)
        rows = self._upper_rows if level else self._leaf_rows
        hashes = rows(level, tile, width_at(level, tile, size))[row]
        return hashes[at * HASH_BYTES : (at + 1) * HASH_BYTES]


def _hashes_of(read_tile: ReadTile, level: int, index: int, width: int) -> bytes:
    data = read_tile(level, index, width)
    if len(data) < width * HASH_BYTES or len(data) % HASH_BYTES:
        raise TileError(
            f"The tile {Tile(level, index, width).path} has {len(data)} bytes and must have "
            f"{width * HASH_BYTES}."
        )
    return data[: width * HASH_BYTES]


def _rows(data: bytes) -> tuple[bytes, ...]:
    """Return a tile's hashes, then the row of complete nodes above them, up to the tile's root."""
    rows = [data]
    sha256 = hashlib.sha256
    for _ in range(TILE_HEIGHT):
        row = rows[-1]
        pairs = range(0, len(row) - HASH_BYTES, 2 * HASH_BYTES)
        rows.append(
            b"".join([sha256(b"\x01" + row[at : at + 2 * HASH_BYTES]).digest() for at in pairs])
        )
    return tuple(rows)
