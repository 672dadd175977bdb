"""The log for any size: proofs verify, nothing else does, and tiles say what the tree says."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docflow.transparency.errors import MerkleError
from docflow.transparency.merkle import (
    CompactRange,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_hash,
    verify_consistency,
    verify_inclusion,
)
from docflow.transparency.tiles import Tile, TileReader, grow_tiles, parse_tile_path, tiles_of

relaxed = settings(deadline=None)  # a busy machine is no failure
MAX_SIZE = 600
HASHES = [leaf_hash(number.to_bytes(2, "big")) for number in range(MAX_SIZE)]
ROOTS = [root_hash(HASHES[:size]) for size in range(MAX_SIZE + 1)]

sizes = st.integers(1, MAX_SIZE)


@st.composite
def leaf_of_tree(draw: st.DrawFn) -> tuple[int, int]:
    """A leaf's index and its tree's size."""
    size = draw(sizes)
    return draw(st.integers(0, size - 1)), size


@st.composite
def two_sizes(draw: st.DrawFn) -> tuple[int, int]:
    """The sizes of an old tree and a new one that is larger."""
    new = draw(st.integers(2, MAX_SIZE))
    return draw(st.integers(1, new - 1)), new


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def spec_root(hashes: list[bytes]) -> bytes:
    """MTH of RFC 6962 2.1, word for word."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    children = spec_root(hashes[:split]) + spec_root(hashes[split:])
    return hashlib.sha256(b"\x01" + children).digest()


@relaxed
@given(st.integers(0, MAX_SIZE))
def test_the_root_is_the_one_of_the_definition(size: int) -> None:
    assert ROOTS[size] == spec_root(HASHES[:size])


@relaxed
@given(leaf_of_tree())
def test_every_inclusion_proof_verifies(where: tuple[int, int]) -> None:
    index, size = where
    proof = inclusion_proof(index, HASHES[:size])
    verify_inclusion(index, size, HASHES[index], proof, ROOTS[size])


@relaxed
@given(leaf_of_tree(), st.data())
def test_no_other_index_or_leaf_passes_an_inclusion_proof(
    where: tuple[int, int], data: st.DataObject
) -> None:
    index, size = where
    proof = inclusion_proof(index, HASHES[:size])
    other = data.draw(st.integers(0, MAX_SIZE - 1).filter(lambda number: number != index))
    with pytest.raises(MerkleError):
        verify_inclusion(other, size, HASHES[index], proof, ROOTS[size])
    with pytest.raises(MerkleError):
        verify_inclusion(index, size, HASHES[other], proof, ROOTS[size])


@relaxed
@given(leaf_of_tree(), st.data())
def test_no_other_root_passes_an_inclusion_proof(
    where: tuple[int, int], data: st.DataObject
) -> None:
    index, size = where
    proof = inclusion_proof(index, HASHES[:size])
    other = data.draw(st.integers(0, MAX_SIZE).filter(lambda number: number != size))
    with pytest.raises(MerkleError):
        verify_inclusion(index, size, HASHES[index], proof, ROOTS[other])
    with pytest.raises(MerkleError):  # a size that lies, with the root that belongs to it
        verify_inclusion(index, other, HASHES[index], proof, ROOTS[other])


@relaxed
@given(leaf_of_tree(), st.data())
def test_every_flipped_bit_breaks_an_inclusion_proof(
    where: tuple[int, int], data: st.DataObject
) -> None:
    index, size = where
    parts = [HASHES[index], ROOTS[size], *inclusion_proof(index, HASHES[:size])]
    at = data.draw(st.integers(0, len(parts) - 1))
    parts[at] = flipped(parts[at], data.draw(st.integers(0, 255)))
    leaf, root, *proof = parts
    with pytest.raises(MerkleError):
        verify_inclusion(index, size, leaf, proof, root)


@relaxed
@given(two_sizes())
def test_every_consistency_proof_verifies(both: tuple[int, int]) -> None:
    old, new = both
    proof = consistency_proof(old, HASHES[:new])
    verify_consistency(old, new, ROOTS[old], ROOTS[new], proof)


@relaxed
@given(two_sizes(), st.data())
def test_no_other_size_passes_a_consistency_proof(
    both: tuple[int, int], data: st.DataObject
) -> None:
    old, new = both
    proof = consistency_proof(old, HASHES[:new])
    # 0 is a prefix of all by an empty proof, and this proof has at least one hash
    other = data.draw(st.integers(0, MAX_SIZE).filter(lambda number: number not in both))
    for probe in (
        (other, new, ROOTS[old], ROOTS[new]),
        (other, new, ROOTS[other], ROOTS[new]),
        (old, other, ROOTS[old], ROOTS[other]),
        (new, old, ROOTS[new], ROOTS[old]),
    ):
        with pytest.raises(MerkleError):
            verify_consistency(*probe, proof)


@relaxed
@given(two_sizes(), st.data())
def test_every_flipped_bit_breaks_a_consistency_proof(
    both: tuple[int, int], data: st.DataObject
) -> None:
    old, new = both
    parts = [ROOTS[old], ROOTS[new], *consistency_proof(old, HASHES[:new])]
    at = data.draw(st.integers(0, len(parts) - 1))
    parts[at] = flipped(parts[at], data.draw(st.integers(0, 255)))
    old_root, new_root, *proof = parts
    with pytest.raises(MerkleError):
        verify_consistency(old, new, old_root, new_root, proof)


@relaxed
@given(two_sizes(), st.integers(0, MAX_SIZE - 1), st.integers(0, 255))
def test_a_rewritten_leaf_is_not_consistent(both: tuple[int, int], leaf: int, bit: int) -> None:
    old, new = both
    hashes = HASHES[:new]
    leaf %= old
    hashes[leaf] = flipped(hashes[leaf], bit)
    with pytest.raises(MerkleError):
        verify_consistency(old, new, ROOTS[old], root_hash(hashes), consistency_proof(old, hashes))


@relaxed
@given(st.integers(0, MAX_SIZE), st.integers(0, MAX_SIZE))
def test_a_compact_range_has_the_root_however_it_was_stored_between(first: int, stop: int) -> None:
    tree = CompactRange()
    for hash_ in HASHES[: min(first, stop)]:
        tree.append(hash_)
    tree = CompactRange.from_bytes(tree.to_bytes())
    for hash_ in HASHES[min(first, stop) : max(first, stop)]:
        nodes = tree.append(hash_)
        last = nodes[-1]
        span = 1 << last.level
        assert last.hash == root_hash(HASHES[last.offset * span : (last.offset + 1) * span])
    assert tree.root() == ROOTS[max(first, stop)]


@relaxed
@given(st.binary(max_size=200))
def test_reading_a_compact_range_raises_nothing_else(data: bytes) -> None:
    try:
        tree = CompactRange.from_bytes(data)
    except MerkleError:
        return
    assert tree.to_bytes() == data


@relaxed
@given(st.lists(st.integers(1, 300), min_size=1, max_size=5), st.data())
def test_a_log_grown_in_any_steps_has_the_same_tiles_and_proofs(
    steps: list[int], data: st.DataObject
) -> None:
    stored: dict[Tile, bytes] = {}

    def read_tile(level: int, index: int, width: int) -> bytes:
        return stored[Tile(level, index, width)]

    size = 0
    seen = []
    for step in steps:
        stop = min(size + step, MAX_SIZE)
        stored.update(grow_tiles(size, HASHES[size:stop], read_tile))
        size = stop
        seen.append(size)
    at_once = dict(grow_tiles(0, HASHES[:size], read_tile))
    assert at_once.items() <= stored.items()
    assert set(at_once) == {tile for tile in tiles_of(size) if tile.level is not None}

    reader = TileReader(read_tile, leaf_tiles=1, upper_tiles=1)
    new = data.draw(st.sampled_from(seen))
    index, old = data.draw(st.integers(0, new - 1)), data.draw(st.integers(0, new))
    assert reader.root(new) == ROOTS[new]
    assert reader.inclusion_proof(index, new) == inclusion_proof(index, HASHES[:new])
    assert reader.consistency_proof(old, new) == consistency_proof(old, HASHES[:new])
    assert reader.leaf_hash(index, new) == HASHES[index]


@relaxed
@given(st.none() | st.integers(0, 63), st.integers(0, 2**55), st.integers(1, 256))
def test_every_tile_path_names_its_tile(level: int | None, index: int, width: int) -> None:
    tile = Tile(level, index, width)
    assert parse_tile_path(tile.path) == tile
