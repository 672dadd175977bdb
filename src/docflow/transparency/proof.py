"""Proof files (C2SP tlog-proof v1): one entry, proved offline against the log's public key.

Rules:
- The leaf travels in the `extra` line (base64 of its bytes). It is not trusted: it counts because
  the inclusion proof leads from its hash to the root that the log signed.
- Verification goes format → checkpoint → leaf → inclusion, and the error names the step, so that
  whoever holds the file knows what was changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from docflow.kernel.errors import DocflowError
from docflow.transparency.checkpoint import Checkpoint, open_checkpoint
from docflow.transparency.encoding import from_base64, from_decimal, to_base64
from docflow.transparency.entry import MAX_LEAF_BYTES, EntryFields, parse_leaf
from docflow.transparency.errors import ProofFileError
from docflow.transparency.merkle import HASH_BYTES, leaf_hash, verify_inclusion
from docflow.transparency.note import MAX_NOTE_BYTES, VerifierKey

HEADER = "c2sp.org/tlog-proof@v1"
SUFFIX = ".tlog-proof"
MEDIA_TYPE = "text/plain; charset=utf-8"
MAX_PROOF_HASHES = 63  # the height of the largest tree
MAX_PROOF_BYTES = MAX_NOTE_BYTES + 2 * MAX_LEAF_BYTES

Step = Literal["format", "checkpoint", "leaf", "inclusion"]


@dataclass(frozen=True, slots=True)
class ProofFile:
    """The parts of a proof file, none of them trusted yet.

    `hashes` go from the leaf's sibling to the root's child; `checkpoint` is the signed note as the
    log wrote it; `extra` is what docflow puts the leaf in.
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: str
    extra: bytes | None = None


@dataclass(frozen=True, slots=True)
class VerifiedEntry:
    """An entry that the log has committed to: what it says, and where it is in which log.

    `leaf_hash` is in hexadecimal; `signed_by` are the key names whose signatures hold.
    """

    fields: EntryFields
    leaf: bytes
    leaf_hash: str
    index: int
    checkpoint: Checkpoint
    signed_by: tuple[str, ...]


def write_proof(
    index: int, hashes: Sequence[bytes], checkpoint: str, *, leaf: bytes | None = None
) -> str:
    """Return the proof file; with `leaf` it can be verified with nothing but the log's key."""
    lines = [HEADER]
    if leaf is not None:
        lines.append(f"extra {to_base64(leaf)}")
    lines.append(f"index {index}")
    lines += [to_base64(hash_) for hash_ in hashes]
    return "\n".join(lines) + "\n\n" + checkpoint


def parse_proof(proof: str | bytes) -> ProofFile:
    """Return the parts of a proof file without checking that they prove anything.

    Raises:
        ProofFileError: if it is not a proof file; the step is `format`.
    """
    head, parted, checkpoint = _decode(proof).partition("\n\n")
    lines = head.split("\n")
    if lines.pop(0) != HEADER:
        raise _failed("format", f"its first line is not {HEADER}")
    if not parted or not checkpoint:
        raise _failed("format", "it has no blank line with a checkpoint after it")
    extra = None
    if lines and lines[0].startswith("extra "):
        extra = _bytes_of(lines.pop(0).removeprefix("extra "), "extra line")
    if not lines or not lines[0].startswith("index "):
        raise _failed("format", "it has no index line")
    try:
        index = from_decimal(lines.pop(0).removeprefix("index "))
    except ValueError as error:
        raise _failed("format", "its index is not a number without leading zeros") from error
    if len(lines) > MAX_PROOF_HASHES:
        raise _failed("format", f"it has more than {MAX_PROOF_HASHES} hashes")
    hashes = tuple(_bytes_of(line, f"hash {at}") for at, line in enumerate(lines, 1))
    if any(len(hash_) != HASH_BYTES for hash_ in hashes):
        raise _failed("format", f"a hash is not {HASH_BYTES} bytes")
    return ProofFile(index, hashes, checkpoint, extra)


def verify_proof(
    proof: str | bytes,
    key: VerifierKey | str,
    *,
    leaf: bytes | None = None,
    origin: str | None = None,
) -> VerifiedEntry:
    """Return the entry that the proof file proves to be in the log of `key` (a vkey).

    Args:
        proof: the file's text.
        key: the log's public key.
        leaf: the entry's leaf; left out, the file must carry it.
        origin: the log's origin line where it is not the key's name.

    Raises:
        KeyFormatError: if `key` is not a vkey.
        ProofFileError: if the file proves nothing; `extra["step"]` and the sentence say which of
            format, checkpoint, leaf and inclusion failed.
    """
    verifier = VerifierKey.parse(key) if isinstance(key, str) else key
    parts = parse_proof(proof)
    try:
        signed = open_checkpoint(parts.checkpoint, [verifier], origin=origin or verifier.name)
    except DocflowError as error:
        raise _failed("checkpoint", error) from error
    if leaf is not None and parts.extra is not None and parts.extra != leaf:
        raise _failed("leaf", "it carries another leaf than the one given")
    leaf = parts.extra if leaf is None else leaf
    if leaf is None:
        raise _failed("leaf", "it carries no leaf (extra line), and none was given")
    try:
        fields = parse_leaf(leaf)
    except DocflowError as error:
        raise _failed("leaf", error) from error
    checkpoint, hashed = signed.checkpoint, leaf_hash(leaf)
    try:
        verify_inclusion(parts.index, checkpoint.size, hashed, parts.hashes, checkpoint.root)
    except DocflowError as error:
        raise _failed("inclusion", error) from error
    names = tuple(signature.name for signature in signed.note.verified)
    return VerifiedEntry(fields, leaf, hashed.hex(), parts.index, checkpoint, names)


def _decode(proof: str | bytes) -> str:
    if len(proof) > MAX_PROOF_BYTES:
        raise _failed("format", f"it is over {MAX_PROOF_BYTES} bytes")
    try:
        return proof.decode("utf-8") if isinstance(proof, bytes) else proof
    except UnicodeDecodeError as error:
        raise _failed("format", "it is not UTF-8") from error


def _bytes_of(text: str, what: str) -> bytes:
    try:
        return from_base64(text)
    except ValueError as error:
        raise _failed("format", f"its {what} is not base64") from error


def _failed(step: Step, reason: str | DocflowError) -> ProofFileError:
    sentences = {
        "format": "This is not a proof file",
        "checkpoint": "The proof's checkpoint does not hold",
        "leaf": "The proof's leaf does not hold",
        "inclusion": "The entry is not in the log at that place",
    }
    detail = reason.detail if isinstance(reason, DocflowError) else f"{reason}."
    return ProofFileError(f"{sentences[step]}: {detail}", step=step)
