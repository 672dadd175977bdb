"""An envelope, opened by a recipient.

Rules:
- Two passes over the file: the first decrypts into nothing and checks the tag, the second hands the
  plaintext on (and checks again). No byte that is not authentic reaches a caller or a disk.
- Only AES-256-GCM inside AuthEnvelopedData is opened. Data without integrity (EnvelopedData, CBC) is
  refused, so that a changed file cannot turn the recipient's key into an oracle.
- What no algorithm protects (versions, attributes, bytes after the end) is allowed in one form only.

Source: RFC 5083 section 2, RFC 5084 section 3.2.
"""

import functools
from collections.abc import Callable
from typing import BinaryIO

from asn1crypto import core
from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import GCM

from docflow.kernel.errors import IntegrityError
from docflow.signing.envelope.algorithms import (
    AES256_GCM,
    AUTH_ENVELOPED_DATA,
    DATA,
    MOST_CONTENT,
    NONCE_BYTES,
    TAG_BYTES,
)
from docflow.signing.envelope.asn1 import ContentEncryption, GcmParameters, parsing
from docflow.signing.envelope.faults import damaged, not_an_envelope, unsupported
from docflow.signing.envelope.tlv import (
    CHUNK,
    CONTEXT_0,
    INTEGER,
    OCTETS,
    OID,
    SEQUENCE,
    SET,
    Reader,
)
from docflow.signing.envelope.unwrap import PrivateKey, file_key

_MOST_RECIPIENT_BYTES = 1024 * 1024
_MOST_SMALL_BYTES = 1024
_OTHER_TYPES = {
    "1.2.840.113549.1.7.1": "CMS data that is not encrypted",
    "1.2.840.113549.1.7.2": "a CMS signature (SignedData)",
    "1.2.840.113549.1.7.3": "CMS EnvelopedData, whose content could be changed unnoticed",
    "1.2.840.113549.1.7.6": "CMS EncryptedData",
}

Sink = Callable[[memoryview], object]


def decrypt(
    source: BinaryIO, target: BinaryIO, key: PrivateKey, certificate: x509.Certificate | None
) -> None:
    """Open the envelope that begins at the position of `source`; write the plaintext to `target`.

    Nothing is written before the whole envelope has proved authentic. `source` must be seekable; it
    is read twice, and if it changes in between this raises though a part was written.

    Args:
        source: the encrypted file.
        target: takes the plaintext.
        key: the recipient's private key.
        certificate: its certificate, by which the recipient's entry is found; without it, every
            entry that a key of this kind could open is tried.

    Raises:
        InvalidInputError: with the codes `not-an-envelope`, `envelope-unsupported`,
            `not-a-recipient`, `key-does-not-open`.
        IntegrityError: if the file was cut, extended or changed (code `envelope-damaged`).
    """
    if not source.seekable():
        raise not_an_envelope("it comes from a pipe, but it must be read twice; store it first")
    start = source.tell()

    @functools.lru_cache(maxsize=1)
    def unlock(infos: bytes) -> bytes:
        return file_key(infos, key, certificate)

    _open(source, unlock, lambda _plain: None)
    source.seek(start)
    _open(source, unlock, target.write)


def _open(source: BinaryIO, unlock: Callable[[bytes], bytes], sink: Sink) -> None:
    """Walk the structure once; hand the plaintext to `sink` before the tag is checked."""
    reader = Reader(source)
    _enter_enveloped_data(reader)
    if reader.whole(INTEGER, _MOST_SMALL_BYTES) != b"\x02\x01\x00":
        raise damaged("AuthEnvelopedData has version 0, and it has another")
    if reader.peek() == CONTEXT_0:
        raise unsupported("certificates of its originator")
    infos = reader.whole(SET, _MOST_RECIPIENT_BYTES)
    nonce = _enter_content(reader)
    decryptor = Cipher(AES256(unlock(infos)), GCM(nonce)).decryptor()
    buffer, total = memoryview(bytearray(CHUNK)), 0
    for chunk in reader.octets():
        total += len(chunk)
        if total > MOST_CONTENT:
            raise damaged("it has more content than one key may encrypt")
        sink(buffer[: decryptor.update_into(chunk, buffer)])
    reader.leave()
    tag = _leave_enveloped_data(reader)
    try:
        decryptor.finalize_with_tag(tag)
    except InvalidTag:
        raise damaged("its content does not match its tag") from None


def _enter_content(reader: Reader) -> bytes:
    """Go inside EncryptedContentInfo, up to the content; return the nonce."""
    reader.enter(SEQUENCE)
    if _oid(reader.whole(OID, _MOST_SMALL_BYTES)) != DATA:
        raise unsupported("content of another type than plain data")
    nonce = _nonce(reader.whole(SEQUENCE, _MOST_SMALL_BYTES))
    if not reader.more():
        raise unsupported("content that is stored elsewhere (detached)")
    return nonce


def _leave_enveloped_data(reader: Reader) -> bytes:
    """Read what follows the content, up to the end of the file; return the tag."""
    if reader.peek() != OCTETS:
        raise unsupported("attributes beside the content")
    tag = reader.whole(OCTETS, _MOST_SMALL_BYTES)[2:]
    if len(tag) != TAG_BYTES:
        raise damaged("its tag is cut")
    if reader.more():
        raise unsupported("attributes beside the content")
    for _ in range(3):  # AuthEnvelopedData, its explicit tag, ContentInfo
        reader.leave()
    reader.finish()
    return tag


def _enter_enveloped_data(reader: Reader) -> None:
    """Go inside AuthEnvelopedData; whatever else the file is, say so."""
    try:
        reader.enter(SEQUENCE)
        kind = _oid(reader.whole(OID, _MOST_SMALL_BYTES))
    except IntegrityError as error:
        raise not_an_envelope("it does not begin as CMS in DER does") from error
    if kind != AUTH_ENVELOPED_DATA:
        raise not_an_envelope(f"it is {_OTHER_TYPES.get(kind, 'another type of CMS')}")
    reader.enter(CONTEXT_0)
    reader.enter(SEQUENCE)


def _oid(der: bytes) -> str:
    with parsing("an object identifier"):
        return str(core.ObjectIdentifier.load(der, strict=True).dotted)


def _nonce(der: bytes) -> bytes:
    """Return the nonce of AES-256-GCM; refuse other algorithms and other sizes."""
    with parsing("the content encryption algorithm"):
        algorithm = ContentEncryption.load(der, strict=True)
        if algorithm["algorithm"].dotted != AES256_GCM:
            raise unsupported("another content encryption than AES-256-GCM")
        parameters = GcmParameters.load(algorithm["parameters"].dump(), strict=True)
        nonce, tag_length = parameters["nonce"].native, parameters["tag_length"].native
    if len(nonce) != NONCE_BYTES or tag_length != TAG_BYTES:
        raise unsupported("a nonce or a tag of other than 12 and 16 bytes")
    return bytes(nonce)
