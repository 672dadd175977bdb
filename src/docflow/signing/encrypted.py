"""A signed file, encrypted to one recipient: what alone leaves the house of a confidential document.

Rules:
- Only what passed `validate_release` can be encrypted, and only the very bytes that passed: they are
  hashed once more on the way into the envelope.
- `EncryptedFile` is the only thing a confidential delivery accepts, and `encrypt_signed` the only
  thing that makes it.
- The escrow of the organisation, where there is one, is a recipient like the other.
"""

import hashlib
from dataclasses import InitVar, dataclass
from typing import Any, BinaryIO, NoReturn, cast

from docflow.kernel.errors import IntegrityError
from docflow.signing.certificates import EncryptionCertificate
from docflow.signing.envelope import EnvelopeFacts, encrypt
from docflow.signing.strict import SignedFile

_KEY = object()  # held by nobody else


@dataclass(frozen=True, slots=True)
class EncryptedFile:
    """An envelope around a signed file: which file, to whose certificate, and what it became."""

    signed_sha256: str
    certificate_sha256: str
    recovery_sha256: str | None
    facts: EnvelopeFacts
    key: InitVar[object]

    def __post_init__(self, key: object) -> None:
        """Let nobody but `encrypt_signed` in.

        Raises:
            TypeError: always, for everyone else.
        """
        if key is not _KEY:
            raise TypeError("an EncryptedFile is made by encrypt_signed only")

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: what is stored is the envelope and its record."""
        raise TypeError("an EncryptedFile is not stored; its envelope and record are")


def encrypt_signed(
    signed: SignedFile,
    source: BinaryIO,
    target: BinaryIO,
    recipient: EncryptionCertificate,
    recovery: EncryptionCertificate | None,
) -> EncryptedFile:
    """Encrypt a signed file to a recipient, in constant memory.

    Whether the certificates may be used was asked before. If this raises, what `target` holds is no
    envelope and must be thrown away.

    Args:
        signed: the proof that the file may be released.
        source: its bytes, from the first one.
        target: takes the envelope.
        recipient: whose key opens it.
        recovery: whose key opens it too; None where there is no escrow.

    Raises:
        IntegrityError: if the bytes are not those that were validated (code `content-size` or
            `stored-file-changed`).
    """
    openers = {one.sha256: one.certificate for one in (recipient, recovery) if one is not None}
    reader = _HashingReader(source)
    facts = encrypt(cast("BinaryIO", reader), signed.size_bytes, target, list(openers.values()))
    if reader.sha256 != signed.sha256:
        raise IntegrityError(
            "The stored file is not the one that was validated; it was not encrypted.",
            code="stored-file-changed",
        )
    return EncryptedFile(
        signed_sha256=signed.sha256,
        certificate_sha256=recipient.sha256,
        recovery_sha256=recovery.sha256 if recovery is not None else None,
        facts=facts,
        key=_KEY,
    )


class _HashingReader:
    """Reads through, hashing."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._hash = hashlib.sha256()

    def read(self, size: int = -1) -> Any:
        data = self._source.read(size)
        self._hash.update(data)
        return data

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()
