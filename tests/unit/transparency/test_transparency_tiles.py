"""Tile geometry against the examples of C2SP tlog-tiles; growing and reading a log by its tiles."""

import pytest

from docflow.transparency.errors import MerkleError, TileError
from docflow.transparency.merkle import (
    EMPTY_ROOT,
    inclusion_proof,
    leaf_hash,
    root_hash,
    verify_inclusion,
)
from docflow.transparency.tiles import (
    Tile,
    TileReader,
    changed_tiles,
    grow_bundles,
    grow_tiles,
    make_bundle,
    parse_bundle,
    parse_tile_path,
    tiles_of,
    width_at,
)

HASHES = [leaf_hash(number.to_bytes(4, "big")) for number in range(1000)]


class MemoryTiles:
    """Tiles in a dictionary by path; counts what is read."""

    def __init__(self) -> None:
        self.tiles: dict[str, bytes] = {}
        self.read: list[str] = []

    def read_tile(self, level: int, index: int, width: int) -> bytes:
        path = Tile(level, index, width).path
        self.read.append(path)
        return self.tiles[path]

    def grow(self, old_size: int, hashes: list[bytes]) -> list[Tile]:
        written = grow_tiles(old_size, hashes, self.read_tile)
        self.tiles.update((tile.path, data) for tile, data in written)
        return [tile for tile, _ in written]


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 1_234_067, 256), "tile/0/x001/x234/067"),
        (Tile(0, 0, 256), "tile/0/000"),
        (Tile(1, 0, 1), "tile/1/000.p/1"),
        (Tile(0, 273, 112), "tile/0/273.p/112"),
        (Tile(63, 1000, 255), "tile/63/x001/000.p/255"),
        (Tile(None, 5, 256), "tile/entries/005"),
        (Tile(None, 12_345, 7), "tile/entries/x012/345.p/7"),
    ],
)
def test_paths_are_written_and_read_as_the_specification_says(tile: Tile, path: str) -> None:
    assert tile.path == path
    assert parse_tile_path(path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "",
        "checkpoint",
        "/tile/0/000",
        "tile/0/000/",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/data/000",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/x000/001",
        "tile/0/001/000",
        "tile/0/x001",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p/300",
        "tile/0/000.p/",
        "tile/0/000\n",
        "tile/0/٠٠٠",
        "tile/0/" + "x999/" * 7 + "999",
        "tile/0/" + "x999/" * 1000 + "999",
        "tile/0/../../checkpoint",
    ],
)
def test_no_other_path_names_a_tile(path: str) -> None:
    with pytest.raises(TileError):
        parse_tile_path(path)


def test_a_log_of_70000_has_the_tiles_of_the_specifications_example() -> None:
    tiles = [tile for tile in tiles_of(70_000) if tile.level is not None]
    full = [tile for tile in tiles if tile.width == 256]
    assert [tile.level for tile in full].count(0) == 273
    assert [tile for tile in tiles if tile.width < 256] == [
        Tile(0, 273, 112),
        Tile(1, 1, 17),
        Tile(2, 0, 1),
    ]
    assert [tile for tile in full if tile.level == 1] == [Tile(1, 0, 256)]
    assert len(tiles_of(70_000)) == 274 + 274 + 2 + 1
    assert width_at(1, 1, 70_000) == 17
    assert width_at(0, 274, 70_000) == 0


def test_a_log_of_256_has_a_full_tile_and_one_of_width_1_above() -> None:
    assert tiles_of(256) == [Tile(None, 0, 256), Tile(0, 0, 256), Tile(1, 0, 1)]
    assert tiles_of(0) == []


@pytest.mark.parametrize(
    ("old", "new", "tiles"),
    [
        (0, 1, [Tile(None, 0, 1), Tile(0, 0, 1)]),
        (1, 1, []),
        (3, 7, [Tile(None, 0, 7), Tile(0, 0, 7)]),
        (256, 257, [Tile(None, 1, 1), Tile(0, 1, 1)]),
        (
            250,
            520,
            [
                Tile(None, 0, 256),
                Tile(None, 1, 256),
                Tile(None, 2, 8),
                Tile(0, 0, 256),
                Tile(0, 1, 256),
                Tile(0, 2, 8),
                Tile(1, 0, 2),
            ],
        ),
    ],
)
def test_growing_changes_just_these_tiles(old: int, new: int, tiles: list[Tile]) -> None:
    assert changed_tiles(old, new) == tiles


def test_growing_writes_the_tiles_that_change_and_reads_one_partial_a_level() -> None:
    store = MemoryTiles()
    size = 0
    for step in (1, 2, 253, 1, 300, 443):
        store.read.clear()
        tiles = store.grow(size, HASHES[size : size + step])
        assert tiles == [
            tile for tile in changed_tiles(size, size + step) if tile.level is not None
        ]
        assert len(store.read) <= 2
        size += step
    assert store.tiles["tile/0/001"] == b"".join(HASHES[256:512])
    assert store.tiles["tile/1/000.p/3"] == b"".join(
        root_hash(HASHES[at : at + 256]) for at in (0, 256, 512)
    )
    assert store.grow(size, []) == []


def test_growing_refuses_a_lost_tile_and_what_is_no_hash() -> None:
    with pytest.raises(TileError, match="must have 96"):
        grow_tiles(3, HASHES[3:4], lambda *_: b"\0" * 64)
    with pytest.raises(TileError, match="32 bytes"):
        grow_tiles(0, [b"short"], lambda *_: b"")


def test_bundles_hold_each_leaf_after_its_length() -> None:
    leaves = [b"", b"a", b"b" * 65_535]
    bundle = make_bundle(leaves)
    assert bundle[:5] == b"\0\0\0\1a"
    assert parse_bundle(bundle, 3) == leaves
    with pytest.raises(TileError, match="65536 bytes"):
        make_bundle([b"c" * 65_536])


@pytest.mark.parametrize(
    ("data", "width"),
    [
        (b"", 1),
        (b"\0", 1),
        (b"\0\2a", 1),
        (b"\0\1a", 0),
        (b"\0\1a", 2),
        (b"\0\1a\0", 1),
        (b"\0\1a\0\0", 1),
        (b"\0\0" * 300, 256),
    ],
)
def test_a_bundle_with_more_or_less_is_refused(data: bytes, width: int) -> None:
    with pytest.raises(TileError):
        parse_bundle(data, width)


def test_growing_bundles_continues_the_partial_one() -> None:
    leaves = [str(number).encode() for number in range(600)]
    stored: dict[str, bytes] = {}
    for old, new in ((0, 10), (10, 10), (10, 256), (256, 600)):
        written = grow_bundles(
            old, leaves[old:new], lambda index, width: stored[Tile(None, index, width).path]
        )
        stored.update((tile.path, data) for tile, data in written)
    assert parse_bundle(stored["tile/entries/001"], 256) == leaves[256:512]
    assert parse_bundle(stored["tile/entries/002.p/88"], 88) == leaves[512:]
    with pytest.raises(TileError, match="exactly 10"):
        grow_bundles(10, leaves[10:11], lambda *_: make_bundle(leaves[:9]))


def test_a_reader_answers_for_every_size_the_log_has_had() -> None:
    store = MemoryTiles()
    for old, new in ((0, 200), (200, 700), (700, 1000)):
        store.grow(old, HASHES[old:new])
    reader = TileReader(store.read_tile)
    assert reader.root(0) == EMPTY_ROOT
    for size in (200, 700, 1000):
        assert reader.root(size) == root_hash(HASHES[:size])
        assert reader.inclusion_proof(199, size) == inclusion_proof(199, HASHES[:size])
        assert reader.leaf_hash(199, size) == HASHES[199]
    with pytest.raises(MerkleError):
        reader.inclusion_proof(1000, 1000)
    with pytest.raises(MerkleError):
        reader.leaf_hash(-1, 1000)
    with pytest.raises(MerkleError):
        reader.consistency_proof(1001, 1000)


def test_a_full_tile_stands_in_for_a_partial_one_and_a_short_one_does_not() -> None:
    full = b"".join(HASHES[:256])
    assert TileReader(lambda *_: full).root(100) == root_hash(HASHES[:100])
    for data in (full[: 99 * 32], full[: 100 * 32 - 1], full[: 100 * 32 + 1], b""):
        with pytest.raises(TileError, match=r"tile/0/000\.p/100"):
            TileReader(lambda *_, data=data: data).root(100)


def test_a_proof_in_a_log_of_ten_million_reads_few_tiles_once() -> None:
    size = 10_000_000
    read: list[Tile] = []
    blank = bytes(32)
    roots = [blank]  # of a complete level-n subtree whose leaf hashes are all zero
    for _ in range(3):
        roots.append(root_hash([roots[-1]] * 256))

    def read_tile(level: int, index: int, width: int) -> bytes:
        read.append(Tile(level, index, width))
        return roots[level] * width

    reader = TileReader(read_tile)
    root = reader.root(size)
    assert len(read) == 3  # the right edge, one tile a level
    for index in (0, 1_234_567, 9_999_999):
        read.clear()
        proof = reader.inclusion_proof(index, size)
        verify_inclusion(index, size, blank, proof, root)
        assert len(read) <= 3
        read.clear()
        assert reader.inclusion_proof(index, size) == proof
        assert read == []
