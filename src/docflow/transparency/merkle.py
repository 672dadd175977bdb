"""The Merkle tree of RFC 6962 section 2.1 (RFC 9162 section 2.1): roots, proofs, verification.

Rules:
- A leaf hash is SHA-256(0x00 || leaf), a node SHA-256(0x01 || left || right), the empty tree's root
  SHA-256 of nothing. The left subtree of n leaves holds the largest power of two below n.
- Proof construction is told apart from hashing: `inclusion_ranges` and `consistency_ranges` say of
  which leaf ranges a proof consists, and any store of the tree (a list, tiles) hashes them.
- Verifiers accept only hashes of exactly 32 bytes and proofs of exactly the right length; the
  empty tree is a prefix of every tree, by an empty proof only.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from docflow.transparency.encoding import MAX_SIZE
from docflow.transparency.errors import MerkleError

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()

_SIZE_BYTES = 8  # of a serialised compact range

LeafRange = tuple[int, int]  # first leaf, and the one after the last


class Node(NamedTuple):
    """The hash of a complete subtree: 2^level leaves, after `offset` such subtrees on its left."""

    level: int
    offset: int
    hash: bytes


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash of a leaf's bytes (RFC 6962 2.1)."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the node above two subtrees (RFC 6962 2.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_hash(leaf_hashes: Iterable[bytes]) -> bytes:
    """Return the root of the tree with these leaf hashes."""
    row = list(leaf_hashes)
    while len(row) > 1:  # hash pairs; a last one without a partner moves up as it is
        odd = row[-1:] if len(row) & 1 else []
        row = [node_hash(left, right) for left, right in zip(row[::2], row[1::2], strict=False)]
        row += odd
    return row[0] if row else EMPTY_ROOT


def inclusion_ranges(index: int, size: int) -> list[LeafRange]:
    """Return the leaf ranges whose hashes prove leaf `index` in a tree of `size`, leaf to root.

    PATH(m, D[n]) of RFC 6962 2.1.1.

    Raises:
        MerkleError: if the tree has no such leaf.
    """
    if not 0 <= index < size:
        raise MerkleError(f"A tree of {size} leaves has no leaf {index}.")
    ranges: list[LeafRange] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    ranges.reverse()
    return ranges


def consistency_ranges(old_size: int, new_size: int) -> list[LeafRange]:
    """Return the leaf ranges whose hashes prove that the old tree is a prefix of the new one.

    PROOF(m, D[n]) of RFC 6962 2.1.2; empty for equal sizes and for the empty old tree.

    Raises:
        MerkleError: if the old tree is the larger.
    """
    if not 0 <= old_size <= new_size:
        raise MerkleError(f"A tree of {old_size} leaves is no prefix of one of {new_size}.")
    if old_size in (0, new_size):
        return []
    ranges: list[LeafRange] = []
    start, end = 0, new_size
    while end != old_size:
        middle = start + _split(end - start)
        if old_size <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    if start > 0:  # otherwise the verifier already holds this hash: the old root
        ranges.append((start, end))
    ranges.reverse()
    return ranges


def inclusion_proof(index: int, leaf_hashes: Sequence[bytes]) -> list[bytes]:
    """Return the proof that leaf `index` is in the tree of these leaf hashes.

    Raises:
        MerkleError: if the tree has no such leaf.
    """
    ranges = inclusion_ranges(index, len(leaf_hashes))
    return [root_hash(leaf_hashes[start:end]) for start, end in ranges]


def consistency_proof(old_size: int, leaf_hashes: Sequence[bytes]) -> list[bytes]:
    """Return the proof that the first `old_size` leaves are a prefix of the tree of all.

    Raises:
        MerkleError: if there are fewer leaves than that.
    """
    ranges = consistency_ranges(old_size, len(leaf_hashes))
    return [root_hash(leaf_hashes[start:end]) for start, end in ranges]


def verify_inclusion(
    index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes
) -> None:
    """Check that the leaf hash `leaf` is at `index` in the tree of `size` with `root`.

    RFC 9162 2.1.3.2.

    Raises:
        MerkleError: if it is not, or any hash is not 32 bytes.
    """
    if not 0 <= index < size:
        raise MerkleError(f"The proof is for leaf {index} of a tree of {size} leaves.")
    _check_hashes([leaf, root, *proof])
    _check_length(proof, len(inclusion_ranges(index, size)))
    position, last, computed = index, size - 1, leaf
    for sibling in proof:
        if position & 1 or position == last:
            computed = node_hash(sibling, computed)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            computed = node_hash(computed, sibling)
        position >>= 1
        last >>= 1
    if computed != root:
        raise MerkleError(
            f"The inclusion proof of leaf {index} leads to the root {computed.hex()}, "
            f"not to {root.hex()} of the tree of {size} leaves."
        )


def verify_consistency(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the tree of `old_size` with `old_root` is a prefix of the new one.

    RFC 9162 2.1.4.2; the empty tree's root must be the empty root.

    Raises:
        MerkleError: if it is not, or any hash is not 32 bytes.
    """
    _check_hashes([old_root, new_root, *proof])
    expected = len(consistency_ranges(old_size, new_size))
    _check_length(proof, expected)
    if old_size == 0 and old_root != EMPTY_ROOT:
        raise MerkleError("The root of an empty tree is the SHA-256 of nothing.")
    if old_size == new_size and old_root != new_root:
        raise MerkleError(f"Two trees of {old_size} leaves have different roots.")
    if expected:
        _fold_consistency(old_size, new_size, old_root, new_root, proof)


def _fold_consistency(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)  # the old tree is one complete subtree of the new
    position, last = old_size - 1, new_size - 1
    while position & 1:
        position >>= 1
        last >>= 1
    old = new = path[0]
    for sibling in path[1:]:
        if position & 1 or position == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            new = node_hash(new, sibling)
        position >>= 1
        last >>= 1
    for computed, root, size in ((old, old_root, old_size), (new, new_root, new_size)):
        if computed != root:
            raise MerkleError(
                f"The consistency proof leads to the root {computed.hex()}, "
                f"not to {root.hex()} of the tree of {size} leaves."
            )


class CompactRange:
    """The right edge of a growing tree: all that appending and the root need.

    `hashes` are the roots of the complete subtrees that the tree falls into, from the left: one
    for each 1 in the binary form of `size`. Not shared between threads while it grows.
    """

    __slots__ = ("hashes", "size")

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        """Hold the edge of a tree of `size` leaves.

        Raises:
            MerkleError: if there are not as many hashes of 32 bytes as `size` has ones.
        """
        if not 0 <= size <= MAX_SIZE or len(hashes) != size.bit_count():
            raise MerkleError(f"The edge of {size} leaves does not have {len(hashes)} hashes.")
        _check_hashes(hashes)
        self.size = size
        self.hashes = list(hashes)

    def append(self, leaf: bytes) -> list[Node]:
        """Add a leaf hash; return the subtrees that it completes, the leaf itself first.

        Raises:
            MerkleError: if the hash is not 32 bytes.
        """
        if len(leaf) != HASH_BYTES:
            raise MerkleError(f"A leaf hash is {HASH_BYTES} bytes, not {len(leaf)}.")
        offset, level, hash_ = self.size, 0, leaf
        nodes = [Node(level, offset, hash_)]
        while offset & 1:
            hash_ = node_hash(self.hashes.pop(), hash_)
            offset >>= 1
            level += 1
            nodes.append(Node(level, offset, hash_))
        self.hashes.append(hash_)
        self.size += 1
        return nodes

    def root(self) -> bytes:
        """Return the root of the tree as it is now."""
        if not self.hashes:
            return EMPTY_ROOT
        root = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            root = node_hash(left, root)
        return root

    def to_bytes(self) -> bytes:
        """Return the edge as 8 bytes of size (big-endian) and its hashes."""
        return self.size.to_bytes(_SIZE_BYTES, "big") + b"".join(self.hashes)

    @classmethod
    def from_bytes(cls, data: bytes) -> "CompactRange":
        """Return the edge that `to_bytes` wrote.

        Raises:
            MerkleError: if the bytes are not an edge.
        """
        size, hashes = int.from_bytes(data[:_SIZE_BYTES], "big"), data[_SIZE_BYTES:]
        if len(data) < _SIZE_BYTES or len(hashes) % HASH_BYTES:
            raise MerkleError(f"{len(data)} bytes are not the edge of a tree.")
        return cls(size, [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)])


def _split(size: int) -> int:
    """Return the largest power of two below `size`, which is at least 2."""
    return 1 << (size - 1).bit_length() - 1


def _check_hashes(hashes: Iterable[bytes]) -> None:
    for hash_ in hashes:
        if len(hash_) != HASH_BYTES:
            raise MerkleError(f"A hash is {HASH_BYTES} bytes, not {len(hash_)}.")


def _check_length(proof: Sequence[bytes], expected: int) -> None:
    if len(proof) != expected:
        raise MerkleError(f"The proof has {len(proof)} hashes; for these sizes it has {expected}.")
