"""What can be wrong with an entry, a proof, a tile, a note or a checkpoint.

Every parser and verifier of this room raises one of these and nothing else, whatever bytes it is
given. Invalid input means that the caller gave something wrong; the others mean that stored or
received evidence does not hold.
"""

from typing import ClassVar

from docflow.kernel.errors import IntegrityError, InvalidInputError


class EntryError(InvalidInputError):
    """A history entry cannot be made from these fields."""

    default_code: ClassVar[str] = "history-entry-invalid"


class KeyFormatError(InvalidInputError):
    """A log's key is not written as a signed-note key."""

    default_code: ClassVar[str] = "history-key-malformed"


class LeafError(IntegrityError):
    """Bytes that should be the leaf of a history entry are not."""

    default_code: ClassVar[str] = "history-leaf-malformed"


class MerkleError(IntegrityError):
    """An inclusion or consistency proof does not hold."""

    default_code: ClassVar[str] = "history-proof-invalid"


class TileError(IntegrityError):
    """A tile or entry bundle is not what the log's size says it must be."""

    default_code: ClassVar[str] = "history-tile-invalid"


class NoteError(IntegrityError):
    """A signed note is malformed, or no trusted key signed it."""

    default_code: ClassVar[str] = "history-note-invalid"


class CheckpointError(IntegrityError):
    """A checkpoint is malformed or of another log."""

    default_code: ClassVar[str] = "history-checkpoint-invalid"


class ProofFileError(IntegrityError):
    """A proof file does not prove its entry; `extra["step"]` names the step that failed."""

    default_code: ClassVar[str] = "history-proof-file-invalid"
