"""Key files in a folder: `ORGANISATION.CLASSIFICATION.vN`, 32 bytes each, raw, hexadecimal or base64.

What local and mounted keys have in common. Files are read at each use, so a key that is taken away
is gone at once and one that is put back works at once.
"""

import base64
import binascii
import os
import re
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from docflow.kernel.errors import ConfigurationError, DocflowError, OutsideUnavailableError
from docflow.storage.sealing.context import check_key_id
from docflow.storage.sealing.format import KEY_BYTES
from docflow.storage.sealing.keys import NONCE_BYTES, WRAPPED_BYTES, key_missing, refused

_NAME = re.compile(
    r"(?P<organisation>.+)\.(?P<classification>[^.]+)\.v(?P<version>[1-9][0-9]{0,5})"
)
_HEX = re.compile(rb"[0-9A-Fa-f]{64}")
_MAX_FILE = 256


class FolderKeys:
    """Wraps with keys read from files."""

    def __init__(self, folder: Path, name: str, forbidden_mode: int) -> None:
        """Take a folder.

        Args:
            folder: where the key files are.
            name: the provider's name.
            forbidden_mode: permission bits that no key file may have.
        """
        self.folder = folder
        self._name = name
        self._forbidden = forbidden_mode

    @property
    def name(self) -> str:
        """See `KeyProvider.name`."""
        return self._name

    def key_ids(self) -> list[str]:
        """See `KeyProvider.key_ids`."""
        return sorted({key_id for key_id, _ in self._listed()})

    def versions(self, key_id: str) -> list[int]:
        """See `KeyProvider.versions`."""
        check_key_id(key_id)
        return sorted(version for listed, version in self._listed() if listed == key_id)

    def wrap(self, key_id: str, version: int, data_key: bytes, context: bytes) -> bytes:
        """See `KeyProvider.wrap`."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher(key_id, version).encrypt(nonce, data_key, context)

    def unwrap(self, key_id: str, version: int, wrapped: bytes, context: bytes) -> bytes:
        """See `KeyProvider.unwrap`."""
        cipher = self._cipher(key_id, version)
        if len(wrapped) != WRAPPED_BYTES:
            raise refused(key_id, version)
        try:
            return cipher.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], context)
        except InvalidTag:
            raise refused(key_id, version) from None

    def path(self, key_id: str, version: int) -> Path:
        """Return where a version of a key is kept."""
        organisation, classification = check_key_id(key_id)
        return self.folder / f"{organisation}.{classification}.v{version}"

    def missing(self, key_id: str, version: int) -> DocflowError:
        """Return the error of a key whose file is not there."""
        return key_missing(self._name, key_id, version)

    def _listed(self) -> list[tuple[str, int]]:
        try:
            names = [path.name for path in self.folder.iterdir()]
        except OSError as error:
            raise ConfigurationError(
                f"The folder of key-encryption keys {self.folder} cannot be read: "
                f"{error.strerror or error}.",
                code="key-folder-unreadable",
            ) from error
        found = [match for name in names if (match := _NAME.fullmatch(name))]
        return [
            (f"{match['organisation']}/{match['classification']}", int(match["version"]))
            for match in found
        ]

    def _cipher(self, key_id: str, version: int) -> AESGCM:
        path = self.path(key_id, version)
        try:
            with path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode & 0o777
                data = file.read(_MAX_FILE)
        except FileNotFoundError:
            raise self.missing(key_id, version) from None
        except OSError as error:
            raise OutsideUnavailableError(
                f"The key file {path} cannot be read: {error.strerror or error}.",
                code="key-unreadable",
            ) from error
        if mode & self._forbidden:
            raise ConfigurationError(
                f"The key file {path} is open to others (mode {mode:04o}).",
                code="key-file-open",
                satisfied_by=f"chmod {0o600 & ~self._forbidden:o} {path.name}",
            )
        return AESGCM(parse_key(data, path))


def parse_key(data: bytes, path: Path) -> bytes:
    """Return the key in a file's bytes.

    Raises:
        ConfigurationError: if they are not 32 bytes, raw, hexadecimal or base64.
    """
    if len(data) == KEY_BYTES:
        return data
    text = data.strip()
    if _HEX.fullmatch(text):
        return bytes.fromhex(text.decode())
    try:
        key = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigurationError(
            f"The key file {path} does not hold {KEY_BYTES} bytes (raw, hexadecimal or base64).",
            code="key-malformed",
            satisfied_by=f"Make one with `openssl rand {KEY_BYTES}`, or restore the right one.",
        )
    return key
