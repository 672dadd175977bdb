"""The worked example of docs/history-format.md is what the code writes and verifies."""

import json
import re
from pathlib import Path

import pytest

from docflow.transparency.entry import check_details, make_entry, parse_leaf
from docflow.transparency.errors import ProofFileError
from docflow.transparency.proof import verify_proof

PAGE = (Path(__file__).parents[3] / "docs" / "history-format.md").read_text(encoding="utf-8")


def block(info: str) -> str:
    """Return the one fenced block with this info string."""
    found: list[str] = re.findall(rf"^```{info}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(found) == 1
    return found[0]


def test_the_leaf_is_one_that_the_code_writes() -> None:
    leaf = block("json").strip().encode()
    entry = make_entry(parse_leaf(leaf))
    assert entry.leaf == leaf
    assert entry.leaf_hash == block("text leaf-hash").strip()
    assert f"`{entry.fields.prev}`" in PAGE


def test_every_member_of_a_leaf_is_explained() -> None:
    members = set(json.loads(block("json")))
    assert members == set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))


def test_the_details_belong_to_the_leaf() -> None:
    commitment = parse_leaf(block("json").strip().encode()).details
    keys = re.findall(r"under the key `([0-9a-f]{64})`", PAGE)
    assert len(keys) == 1
    assert commitment is not None
    assert check_details(json.loads(block("json details")), bytes.fromhex(keys[0]), commitment)


def test_the_proof_file_verifies_with_the_key_given() -> None:
    proof, vkey = block("text proof"), block("text vkey").strip()
    verified = verify_proof(proof, vkey)
    assert verified.leaf == block("json").strip().encode()
    assert (verified.index, verified.checkpoint.size) == (1, 3)
    with pytest.raises(ProofFileError):
        verify_proof(proof.replace("\n3\n", "\n4\n"), vkey)
