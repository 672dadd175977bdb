"""Reference roots and proofs of RFC 6962 trees (transparency-dev/merkle), and every edge case."""

import pytest

from docflow.transparency.errors import MerkleError
from docflow.transparency.merkle import (
    EMPTY_ROOT,
    CompactRange,
    Node,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_hash,
    verify_consistency,
    verify_inclusion,
)

LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
HASHES = [leaf_hash(leaf) for leaf in LEAVES]
ROOTS = [
    bytes.fromhex(text)
    for text in (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    )
]
# (leaf index, tree size, proof)
INCLUSION = [
    (0, 1, []),
    (
        0,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        1,
        5,
        [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]
# (old size, new size, proof)
CONSISTENCY = [
    (1, 1, []),
    (
        1,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
    (
        6,
        7,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
]
SOME_HASH = bytes.fromhex("abacaba000000000000000000000000000000000000000000060061e00123456")


def unhex(proof: list[str]) -> list[bytes]:
    return [bytes.fromhex(text) for text in proof]


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_the_reference_tree(size: int) -> None:
    assert root_hash(HASHES[:size]) == ROOTS[size]


@pytest.mark.parametrize(("index", "size", "proof"), INCLUSION)
def test_inclusion_proofs_are_those_of_the_reference_tree(
    index: int, size: int, proof: list[str]
) -> None:
    assert inclusion_proof(index, HASHES[:size]) == unhex(proof)
    verify_inclusion(index, size, HASHES[index], unhex(proof), ROOTS[size])


@pytest.mark.parametrize(("old", "new", "proof"), CONSISTENCY)
def test_consistency_proofs_are_those_of_the_reference_tree(
    old: int, new: int, proof: list[str]
) -> None:
    assert consistency_proof(old, HASHES[:new]) == unhex(proof)
    verify_consistency(old, new, ROOTS[old], ROOTS[new], unhex(proof))


@pytest.mark.parametrize(("index", "size", "texts"), INCLUSION)
def test_a_corrupted_inclusion_proof_is_refused(index: int, size: int, texts: list[str]) -> None:
    leaf, root, proof = HASHES[index], ROOTS[size], unhex(texts)
    probes = [
        (index - 1, size, leaf, proof, root),
        (index + 1, size, leaf, proof, root),
        (index ^ 2, size, leaf, proof, root),
        (index, size * 2, leaf, proof, root),
        (index, size // 2, leaf, proof, root),
        (index, size, b"WrongLeaf", proof, root),
        (index, size, SOME_HASH, proof, root),
        (index, size, leaf, proof, EMPTY_ROOT),
        (index, size, leaf, proof, SOME_HASH),
        (index, size, leaf, proof, b""),
        (index, size, leaf, [*proof, b""], root),
        (index, size, leaf, [*proof, root], root),
        (index, size, leaf, [b"", *proof], root),
        (index, size, leaf, [root, *proof], root),
    ]
    if proof:
        probes.append((index, size, leaf, proof[:-1], root))
        probes.append((index, size, leaf, [proof[0][:-1], *proof[1:]], root))
    for probe in probes:
        with pytest.raises(MerkleError):
            verify_inclusion(*probe)


@pytest.mark.parametrize(("old", "new", "texts"), CONSISTENCY)
def test_a_corrupted_consistency_proof_is_refused(old: int, new: int, texts: list[str]) -> None:
    old_root, new_root, proof = ROOTS[old], ROOTS[new], unhex(texts)
    probes = [
        (old, new * 2, old_root, new_root, proof),
        (old, new, b"WrongRoot", new_root, proof),
        (old, new, old_root, b"WrongRoot", proof),
        (old, new, SOME_HASH, new_root, proof),
        (old, new, old_root, new_root, [*proof, b""]),
        (old, new, old_root, new_root, [*proof, old_root]),
        (old, new, old_root, new_root, [*proof, new_root]),
        (old, new, old_root, new_root, [b"", *proof]),
        (old, new, old_root, new_root, [old_root, *proof]),
    ]
    if proof:
        probes += [
            (old - 1, new, old_root, new_root, proof),
            (old + 1, new, old_root, new_root, proof),
            (old ^ 2, new, old_root, new_root, proof),
            (old, new // 2, old_root, new_root, proof),
            (old, new, new_root, old_root, proof),
            (old, new, old_root, new_root, []),
            (old, new, old_root, new_root, proof[:-1]),
            (old, new, old_root, new_root, [proof[0], *proof]),
        ]
    for probe in probes:
        with pytest.raises(MerkleError):
            verify_consistency(*probe)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 0), (1, 1), (2, 1), (-1, 1)])
def test_a_leaf_outside_the_tree_has_no_proof(index: int, size: int) -> None:
    with pytest.raises(MerkleError):
        verify_inclusion(index, size, SOME_HASH, [], EMPTY_ROOT)
    with pytest.raises(MerkleError):
        inclusion_proof(index, HASHES[:size])


@pytest.mark.parametrize("short", [b"", b"short", bytes(31), bytes(33)])
def test_equal_hashes_of_another_length_prove_nothing(short: bytes) -> None:
    with pytest.raises(MerkleError, match="32 bytes"):
        verify_inclusion(0, 1, short, [], short)
    with pytest.raises(MerkleError, match="32 bytes"):
        verify_consistency(1, 1, short, short, [])


def test_the_empty_tree_is_a_prefix_of_every_tree_by_an_empty_proof_only() -> None:
    verify_consistency(0, 0, EMPTY_ROOT, EMPTY_ROOT, [])
    verify_consistency(0, 5, EMPTY_ROOT, ROOTS[5], [])
    assert consistency_proof(0, HASHES[:5]) == []
    for probe in (
        (0, 0, EMPTY_ROOT, EMPTY_ROOT, [SOME_HASH]),
        (0, 5, EMPTY_ROOT, ROOTS[5], [SOME_HASH]),
        (0, 5, SOME_HASH, ROOTS[5], []),
        (0, 0, EMPTY_ROOT, SOME_HASH, []),
        (0, 5, b"", ROOTS[5], []),
    ):
        with pytest.raises(MerkleError):
            verify_consistency(*probe)


@pytest.mark.parametrize(("old", "new"), [(1, 0), (2, 1), (-1, 1)])
def test_a_log_cannot_shrink(old: int, new: int) -> None:
    with pytest.raises(MerkleError, match="no prefix"):
        verify_consistency(old, new, SOME_HASH, SOME_HASH, [])


def test_two_roots_for_one_size_are_refused() -> None:
    with pytest.raises(MerkleError, match="different roots"):
        verify_consistency(5, 5, ROOTS[5], SOME_HASH, [])


def test_appending_completes_the_subtrees_of_the_reference_tree() -> None:
    tree = CompactRange()
    assert tree.root() == EMPTY_ROOT
    nodes = [node for hash_ in HASHES[:4] for node in tree.append(hash_)]
    left, right = node_hash(HASHES[0], HASHES[1]), node_hash(HASHES[2], HASHES[3])
    assert nodes == [
        Node(0, 0, HASHES[0]),
        Node(0, 1, HASHES[1]),
        Node(1, 0, left),
        Node(0, 2, HASHES[2]),
        Node(0, 3, HASHES[3]),
        Node(1, 1, right),
        Node(2, 0, ROOTS[4]),
    ]
    assert (tree.size, tree.hashes) == (4, [ROOTS[4]])


def test_a_compact_range_survives_storage_and_goes_on() -> None:
    tree = CompactRange()
    for hash_ in HASHES[:7]:
        tree.append(hash_)
    stored = tree.to_bytes()
    assert stored[:8] == (7).to_bytes(8, "big")
    again = CompactRange.from_bytes(stored)
    again.append(HASHES[7])
    assert again.root() == ROOTS[8]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 7,
        b"\x00" * 7 + b"\x01",
        b"\x00" * 8 + b"\x01" * 32,
        b"\x00" * 7 + b"\x03" + b"\x01" * 32,
        b"\x00" * 7 + b"\x01" + b"\x01" * 31,
        b"\xff" * 8 + b"\x01" * 32 * 64,
    ],
)
def test_a_stored_compact_range_with_the_wrong_hashes_is_refused(data: bytes) -> None:
    with pytest.raises(MerkleError):
        CompactRange.from_bytes(data)


def test_a_compact_range_takes_hashes_only() -> None:
    with pytest.raises(MerkleError, match="32 bytes"):
        CompactRange().append(b"short")
    with pytest.raises(MerkleError, match="32 bytes"):
        CompactRange(1, [b"short"])


def test_every_proof_of_every_small_tree_verifies() -> None:
    hashes = [leaf_hash(bytes([number])) for number in range(66)]
    roots = [root_hash(hashes[:size]) for size in range(67)]
    for size in range(1, 67):
        for index in range(size):
            proof = inclusion_proof(index, hashes[:size])
            verify_inclusion(index, size, hashes[index], proof, roots[size])
        for old in range(size + 1):
            proof = consistency_proof(old, hashes[:size])
            verify_consistency(old, size, roots[old], roots[size], proof)
