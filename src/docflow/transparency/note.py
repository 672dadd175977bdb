"""Signed notes (C2SP signed-note): text, a blank line, and a line for each Ed25519 signature.

Rules:
- A note is UTF-8 without control characters other than newline; its text ends in a newline and is
  parted from the signatures by the last blank line.
- A signature of a key that is not trusted is ignored, even if it shares a name or an id (but not
  both) with one that is. A signature of a trusted key that does not verify makes the whole note
  malformed. A note without a verifying signature of a trusted key proves nothing and is refused.
- Only Ed25519 (type 0x01) is read and written. A private key never appears in an error or a repr.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from docflow.transparency.encoding import from_base64, to_base64
from docflow.transparency.errors import KeyFormatError, NoteError

MAX_NOTE_BYTES = 1_000_000
MAX_SIGNATURES = 100  # the format demands at least 16

_ED25519 = b"\x01"
_KEY_BYTES = 32
_ID_BYTES = 4
_PRIVATE_PREFIX = "PRIVATE+KEY+"
_SIGNATURE_PREFIX = "— "
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_ID = re.compile(r"[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line: the key's name and id, and the raw signature."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A note that at least one trusted key signed.

    `verified` are the signatures of trusted keys, all of which verify; `ignored` those of others.
    """

    text: str
    verified: tuple[NoteSignature, ...]
    ignored: tuple[NoteSignature, ...]


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A trusted Ed25519 public key with the name that it signs as."""

    name: str
    public_key: bytes

    def __post_init__(self) -> None:
        """Refuse a name that a note cannot carry, and a key of another length."""
        _check_name(self.name)
        if len(self.public_key) != _KEY_BYTES:
            raise KeyFormatError(f"The Ed25519 key of {self.name!r} is not {_KEY_BYTES} bytes.")

    @property
    def key_id(self) -> bytes:
        """The first 4 bytes of SHA-256(name || 0x0A || 0x01 || public key)."""
        message = self.name.encode() + b"\n" + _ED25519 + self.public_key
        return hashlib.sha256(message).digest()[:_ID_BYTES]

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Return the key written as `name+id+base64(0x01 || key)` (a vkey).

        Raises:
            KeyFormatError: if the text is not a vkey of an Ed25519 key.
        """
        if _PRIVATE_PREFIX in text.upper():
            raise KeyFormatError("This is a private signing key; the public one (vkey) is wanted.")
        name, key_id, key = _split_key(text.strip())
        verifier = cls(name, key)
        if verifier.key_id.hex() != key_id:
            raise KeyFormatError(f"The id {key_id} of the key of {name!r} does not fit its bytes.")
        return verifier

    def __str__(self) -> str:
        """Return the vkey."""
        return f"{self.name}+{self.key_id.hex()}+{to_base64(_ED25519 + self.public_key)}"

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Tell whether `signature` is this key's over `message`."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


class SigningKey:
    """A log's Ed25519 private key with its name. `str` and `repr` show the public key only."""

    __slots__ = ("_private", "verifier")

    def __init__(self, name: str, seed: bytes) -> None:
        """Hold the key made of a 32-byte seed (RFC 8032 5.1.5).

        Raises:
            KeyFormatError: if the name cannot be a key's or the seed has another length.
        """
        if len(seed) != _KEY_BYTES:
            raise KeyFormatError(f"The seed of the key of {name!r} is not {_KEY_BYTES} bytes.")
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = VerifierKey(name, self._private.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, name: str) -> "SigningKey":
        """Return a new random key.

        Raises:
            KeyFormatError: if the name cannot be a key's.
        """
        return cls(name, Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> "SigningKey":
        """Return the key written as `PRIVATE+KEY+name+id+base64(0x01 || seed)` (an skey).

        Raises:
            KeyFormatError: if the text is not an skey; the error does not repeat it.
        """
        text = text.strip()
        if not text.startswith(_PRIVATE_PREFIX):
            raise KeyFormatError("A private signing key begins with PRIVATE+KEY+.")
        name, key_id, seed = _split_key(text.removeprefix(_PRIVATE_PREFIX))
        key = cls(name, seed)
        if key.verifier.key_id.hex() != key_id:
            raise KeyFormatError(f"The id {key_id} of the key of {name!r} does not fit its bytes.")
        return key

    def export(self) -> str:
        """Return the skey: a secret, to be written only where keys are kept."""
        key_id = self.verifier.key_id.hex()
        secret = to_base64(_ED25519 + self._private.private_bytes_raw())
        return f"{_PRIVATE_PREFIX}{self.verifier.name}+{key_id}+{secret}"

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature over `message`."""
        return self._private.sign(message)

    def __repr__(self) -> str:
        """Return the public half."""
        return f"SigningKey({self.verifier})"


def sign_note(text: str, keys: Iterable[SigningKey]) -> str:
    """Return `text` as a note signed by `keys`, in their order.

    Raises:
        NoteError: if the text does not end in a newline or holds a control character, or there is
            no key.
    """
    message = _check_text(text)
    lines = [
        f"{_SIGNATURE_PREFIX}{key.verifier.name} "
        f"{to_base64(key.verifier.key_id + key.sign(message))}\n"
        for key in keys
    ]
    if not 1 <= len(lines) <= MAX_SIGNATURES:
        raise NoteError(f"A note has 1 to {MAX_SIGNATURES} signatures, not {len(lines)}.")
    return f"{text}\n{''.join(lines)}"


def parse_note(note: str | bytes) -> tuple[str, tuple[NoteSignature, ...]]:
    """Return a note's text and signatures without checking any: nothing in it may be trusted.

    Raises:
        NoteError: if it is not a note.
    """
    content = _decode(note)
    body, parted, tail = content.rpartition("\n\n")
    if not parted or not tail.endswith("\n"):
        raise NoteError("A note is a text, a blank line and signature lines, each ending in \\n.")
    lines = tail[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise NoteError(f"The note has more than {MAX_SIGNATURES} signatures.")
    text = body + "\n"
    _check_text(text)
    return text, tuple(_signature(line, number) for number, line in enumerate(lines, 1))


def open_note(note: str | bytes, keys: Iterable[VerifierKey]) -> Note:
    """Return the note if one of `keys` signed it and no signature of any of them fails.

    Raises:
        NoteError: if it is not a note, a trusted key's signature does not verify, or no trusted
            key signed it (code `history-note-unsigned`).
    """
    text, signatures = parse_note(note)
    trusted = {(key.name, key.key_id): key for key in keys}
    message = text.encode("utf-8")
    verified: list[NoteSignature] = []
    ignored: list[NoteSignature] = []
    for signature in signatures:
        key = trusted.get((signature.name, signature.key_id))
        if key is None:
            ignored.append(signature)
        elif key.verifies(message, signature.signature):
            verified.append(signature)
        else:
            raise NoteError(f"The signature of {key.name} on the note does not verify.")
    if not verified:
        wanted = ", ".join(f"{name} {key_id.hex()}" for name, key_id in trusted) or "none"
        found = ", ".join(f"{item.name} {item.key_id.hex()}" for item in ignored)
        raise NoteError(
            f"No trusted key signed the note: it is signed by {found}; trusted: {wanted}.",
            code="history-note-unsigned",
        )
    return Note(text, tuple(verified), tuple(ignored))


def _decode(note: str | bytes) -> str:
    if len(note) > MAX_NOTE_BYTES:
        raise NoteError(f"The note is over {MAX_NOTE_BYTES} bytes.")
    try:
        return note.decode("utf-8") if isinstance(note, bytes) else note
    except UnicodeDecodeError as error:
        raise NoteError("The note is not UTF-8.") from error


def _check_text(text: str) -> bytes:
    if not text.endswith("\n"):
        raise NoteError("The text of a note ends in a newline.")
    if _CONTROL.search(text):
        raise NoteError("The text of a note holds a control character.")
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise NoteError("The text of a note is not UTF-8.") from error


def _signature(line: str, number: int) -> NoteSignature:
    if not line.startswith(_SIGNATURE_PREFIX):
        raise NoteError(f"Signature line {number} of the note does not begin with '— '.")
    name, _, encoded = line.removeprefix(_SIGNATURE_PREFIX).partition(" ")
    try:
        _check_name(name)
        content = from_base64(encoded)
    except (ValueError, KeyFormatError) as error:
        raise NoteError(
            f"Signature line {number} of the note is not a key name and base64."
        ) from error
    if len(content) <= _ID_BYTES:
        raise NoteError(f"Signature line {number} of the note has no signature after the key id.")
    return NoteSignature(name, content[:_ID_BYTES], content[_ID_BYTES:])


def _check_name(name: str) -> None:
    bad = any(char.isspace() or char == "+" or char < " " for char in name)
    if not name or bad or not _is_utf8(name):
        raise KeyFormatError("A key's name is not empty and has no spaces and no '+'.")


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _split_key(text: str) -> tuple[str, str, bytes]:
    """Return name, id and the 32 bytes after the type of a vkey, or of an skey's rest."""
    name, _, rest = text.partition("+")
    key_id, _, encoded = rest.partition("+")
    try:
        content = from_base64(encoded)
    except ValueError as error:
        raise KeyFormatError("A signed-note key is written name+id+base64.") from error
    if _ID.fullmatch(key_id) is None or content[:1] != _ED25519:
        raise KeyFormatError("A signed-note key is written name+id+base64, of type Ed25519 (1).")
    return name, key_id, content[1:]
