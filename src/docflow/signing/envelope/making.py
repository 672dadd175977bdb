"""A file, encrypted to certificates as one stream.

The size is known beforehand, so every length of the DER structure is written before the first byte
of content: what holds after each step is that the target is a prefix of the finished file.

Source: RFC 5083 section 2, RFC 5084 section 3.2, NIST SP 800-38D.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import GCM

from docflow.kernel.errors import IntegrityError, InvalidInputError
from docflow.signing.envelope.algorithms import (
    AUTH_ENVELOPED_DATA,
    DATA,
    KEY_BYTES,
    MOST_CONTENT,
    NONCE_BYTES,
    TAG_BYTES,
)
from docflow.signing.envelope.asn1 import content_encryption
from docflow.signing.envelope.recipients import RecipientFacts, wrap_for_all
from docflow.signing.envelope.tlv import (
    CHUNK,
    CONTEXT_0,
    CONTEXT_0_PRIMITIVE,
    OCTETS,
    SEQUENCE,
    element,
    head,
)

_VERSION_0 = b"\x02\x01\x00"


@dataclass(frozen=True, slots=True)
class EnvelopeFacts:
    """What was made: of which bytes it consists and whose keys open it."""

    sha256: str
    """Of the encrypted file, 64 lower-case hexadecimal digits."""
    size: int
    """Of the encrypted file, bytes."""
    recipients: tuple[RecipientFacts, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the facts as JSON-able values."""
        return {
            "sha256": self.sha256,
            "size": self.size,
            "recipients": [recipient.as_json() for recipient in self.recipients],
        }


def encrypt(
    source: BinaryIO, size: int, target: BinaryIO, recipients: Sequence[x509.Certificate]
) -> EnvelopeFacts:
    """Encrypt the `size` bytes of `source` to `recipients`; write the envelope to `target`.

    Whether the certificates may be used is `suitability`'s question, asked before. If this raises,
    what `target` holds is no envelope and must be thrown away.

    Raises:
        InvalidInputError: on no recipient, too many, one whose key cannot be used (codes
            `recipient-count`, `recipient-key`), or more content than one key may encrypt.
        IntegrityError: if `source` has not exactly `size` bytes.
    """
    if not 0 <= size <= MOST_CONTENT:
        raise InvalidInputError(
            f"A file of {size} bytes cannot be encrypted at once; at most {MOST_CONTENT} bytes can.",
            code="envelope-size",
        )
    key, nonce = os.urandom(KEY_BYTES), os.urandom(NONCE_BYTES)
    infos, facts = wrap_for_all(recipients, key)
    out = _HashingWriter(target)
    out.write(_prefix(infos, nonce, size))
    encryptor = Cipher(AES256(key), GCM(nonce)).encryptor()
    buffer = memoryview(bytearray(CHUNK))
    left = size
    while left:
        chunk = source.read(min(left, CHUNK))
        if not chunk:
            raise _wrong_size(size)
        left -= len(chunk)
        out.write(buffer[: encryptor.update_into(chunk, buffer)])
    if source.read(1):
        raise _wrong_size(size)
    encryptor.finalize()
    out.write(element(OCTETS, encryptor.tag))
    return EnvelopeFacts(out.sha256, out.size, facts)


def _prefix(infos: bytes, nonce: bytes, size: int) -> bytes:
    """Return everything before the first byte of encrypted content."""
    about = (
        bytes(core.ObjectIdentifier(DATA).dump())
        + content_encryption(nonce)
        + head(CONTEXT_0_PRIMITIVE, size)
    )
    content = head(SEQUENCE, len(about) + size) + about
    body = _VERSION_0 + infos + content
    tag = len(head(OCTETS, TAG_BYTES)) + TAG_BYTES
    enveloped = head(SEQUENCE, len(body) + size + tag) + body
    tagged = head(CONTEXT_0, len(enveloped) + size + tag) + enveloped
    whole = bytes(core.ObjectIdentifier(AUTH_ENVELOPED_DATA).dump()) + tagged
    return head(SEQUENCE, len(whole) + size + tag) + whole


def _wrong_size(size: int) -> IntegrityError:
    return IntegrityError(
        f"The content to encrypt does not have the {size} bytes that it was said to have.",
        code="content-size",
    )


class _HashingWriter:
    """Writes through, hashing and counting."""

    def __init__(self, target: BinaryIO) -> None:
        self._target = target
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes | memoryview) -> None:
        self._target.write(data)
        self._hash.update(data)
        self.size += len(data)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()
