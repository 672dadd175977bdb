"""Checkpoints (C2SP tlog-checkpoint): a log's origin, size and root as a signed note.

Rules:
- The text is origin, size and root, a line each; extension lines are read, and never written.
- A checkpoint counts only once its note is opened with the log's key and it is of the log asked
  for; parsing alone proves nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from docflow.transparency.encoding import MAX_SIZE, from_base64, from_decimal, to_base64
from docflow.transparency.errors import CheckpointError
from docflow.transparency.merkle import EMPTY_ROOT, HASH_BYTES
from docflow.transparency.note import Note, SigningKey, VerifierKey, open_note, sign_note

_LINES = 3


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's tree head: `size` leaves under `root` (32 bytes), of the log named `origin`."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what no log can state."""
        lines = (self.origin, *self.extensions)
        if not all(line and "\n" not in line for line in lines):
            raise CheckpointError("The lines of a checkpoint are not empty.")
        if not 0 <= self.size <= MAX_SIZE:
            raise CheckpointError(f"A log cannot have {self.size} leaves.")
        if len(self.root) != HASH_BYTES:
            raise CheckpointError(f"A root is {HASH_BYTES} bytes, not {len(self.root)}.")
        if self.size == 0 and self.root != EMPTY_ROOT:
            raise CheckpointError("The root of an empty log is the SHA-256 of nothing.")

    @property
    def text(self) -> str:
        """The note text."""
        lines = (self.origin, str(self.size), to_base64(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint whose signature by the log's key holds, with the note that carried it."""

    checkpoint: Checkpoint
    note: Note


def parse_checkpoint(text: str) -> Checkpoint:
    """Return the checkpoint that a note text states.

    Raises:
        CheckpointError: if it is not a checkpoint.
    """
    lines = text.split("\n")
    if lines.pop() != "" or len(lines) < _LINES:
        raise CheckpointError("A checkpoint is origin, size and root, each on a line of its own.")
    try:
        size = from_decimal(lines[1])
    except ValueError as error:
        raise CheckpointError("Line 2 of the checkpoint is not a number of leaves.") from error
    try:
        root = from_base64(lines[2])
    except ValueError as error:
        raise CheckpointError("Line 3 of the checkpoint is not a root in base64.") from error
    return Checkpoint(lines[0], size, root, tuple(lines[_LINES:]))


def sign_checkpoint(checkpoint: Checkpoint, keys: Iterable[SigningKey]) -> str:
    """Return the checkpoint as a note signed by the log's keys.

    Whoever signs must know that it extends every checkpoint the log has signed before.

    Raises:
        NoteError: if the origin holds a control character, or there is no key.
    """
    return sign_note(checkpoint.text, keys)


def open_checkpoint(
    note: str | bytes, keys: Iterable[VerifierKey], *, origin: str
) -> SignedCheckpoint:
    """Return the checkpoint if one of the log's `keys` signed it and it is of the log `origin`.

    Raises:
        NoteError: if it is not a note that one of the keys signed.
        CheckpointError: if the note is not a checkpoint, or it is another log's.
    """
    opened = open_note(note, keys)
    checkpoint = parse_checkpoint(opened.text)
    if checkpoint.origin != origin:
        raise CheckpointError(
            f"The checkpoint is of the log {checkpoint.origin!r}, not of {origin!r}."
        )
    return SignedCheckpoint(checkpoint, opened)
