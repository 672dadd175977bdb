"""Short texts sealed for a database column: AES-256-GCM, bound to table, column and row.

A sealed text is `sealed:v1:` and base64url of nonce (12 bytes) and ciphertext. Its key comes from a
data key of the document (`SealContext.of_fields`) by HKDF-Expand, apart from what seals files. The
length of the text shows, its content does not. Column types take `SealedText` and nothing else, so
plaintext cannot slip in, and what they give prints as `***`.
"""

import base64
import re
import secrets
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from docflow.kernel.canonical import canonical_json
from docflow.kernel.errors import IntegrityError
from docflow.storage.sealing.format import KEY_BYTES, TAG_BYTES

_PREFIX: Final = "sealed:v1:"
_FORM = re.compile(r"sealed:v1:(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-]{2}==|[A-Za-z0-9_-]{3}=)?")
_INFO = b"docflow sealed text v1"
_NONCE_BYTES = 12
HIDDEN: Final = "***"


@dataclass(frozen=True, slots=True)
class TextPlace:
    """Where a sealed text lives."""

    table: str
    column: str
    row: str

    def encode(self) -> bytes:
        """Return the bytes that are bound in."""
        return canonical_json(["docflow-sealed-text-v1", self.table, self.column, self.row])


class SealedText:
    """A sealed text as a column holds it; opened with its key, printed as `***`."""

    __slots__ = ("token",)

    def __init__(self, token: object) -> None:
        """Take what `seal_text` made.

        Raises:
            IntegrityError: if it is not a sealed text, for instance plaintext.
        """
        if not isinstance(token, str) or not _FORM.fullmatch(token):
            raise IntegrityError(
                "A sealed column holds or was given something that is not sealed.",
                code="text-not-sealed",
            )
        self.token: str = token

    def open(self, key: bytes, place: TextPlace) -> str:
        """Return the text. Raises as `open_text`."""
        return open_text(key, self.token, place)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SealedText) and other.token == self.token

    def __hash__(self) -> int:
        return hash(self.token)

    def __str__(self) -> str:
        return HIDDEN

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return format(HIDDEN, spec)

    def __reduce__(self) -> NoReturn:
        """Refuse pickling: sealed texts travel in their column only."""
        raise TypeError("a sealed text is not pickled")

    def __copy__(self) -> "SealedText":
        return self

    def __deepcopy__(self, _memo: Any) -> "SealedText":
        return self


def seal_text(key: bytes, text: str, place: TextPlace) -> SealedText:
    """Seal a text for one place; twice the same text gives two different results."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    sealed = _cipher(key).encrypt(nonce, text.encode("utf-8"), place.encode())
    return SealedText(_encode(nonce + sealed))


def open_text(key: bytes, token: str, place: TextPlace) -> str:
    """Return a sealed text.

    Raises:
        IntegrityError: if key or place are not those it was sealed with, or it was changed.
    """
    data = base64.urlsafe_b64decode(SealedText(token).token.removeprefix(_PREFIX))
    if len(data) < _NONCE_BYTES + TAG_BYTES or _encode(data) != token:
        raise _refused(place)
    try:
        opened = _cipher(key).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], place.encode())
    except InvalidTag:
        raise _refused(place) from None
    return opened.decode("utf-8")


def _encode(data: bytes) -> str:
    return _PREFIX + base64.urlsafe_b64encode(data).decode()


def _cipher(key: bytes) -> AESGCM:
    if len(key) != KEY_BYTES:
        raise ValueError(f"a data key has {KEY_BYTES} bytes, not {len(key)}")
    return AESGCM(HKDFExpand(SHA512(), KEY_BYTES, _INFO).derive(key))


def _refused(place: TextPlace) -> IntegrityError:
    return IntegrityError(
        f"The sealed text in {place.table}.{place.column} does not open: its key is another one, or "
        "it was changed or moved there from another row.",
        code="sealed-text-damaged",
    )
