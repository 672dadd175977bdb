"""A recipient's private key and certificate, from the files people have.

Rules:
- PKCS#12 (.p12, .pfx), PEM and DER are told apart by content, not by name.
- A passphrase is asked for only when the file needs one, and never shown.

Source: RFC 7292 (PKCS#12), RFC 7468 (PEM), RFC 5958 (PKCS#8).
"""

from collections.abc import Callable
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    load_der_private_key,
    load_pem_private_key,
    pkcs12,
)

from docflow.kernel.errors import InvalidInputError
from docflow.signing.envelope.unwrap import PrivateKey

MOST_KEY_BYTES = 1024 * 1024

Passphrase = Callable[[], bytes]
Loaded = tuple[object, x509.Certificate | None]
_Loader = Callable[[bytes, bytes | None], Loaded]

_WRONG = (ValueError, TypeError, UnsupportedAlgorithm)


def load_key(path: Path, passphrase: Passphrase) -> tuple[PrivateKey, x509.Certificate | None]:
    """Read a private key, and the certificate if the file holds it too.

    Args:
        path: a PKCS#12, PEM or DER file.
        passphrase: asked only if the file is encrypted.

    Raises:
        InvalidInputError: if there is no such key (code `key-file`) or the passphrase is wrong (code
            `key-passphrase`).
    """
    data = _read(path)
    loader = _loader(data)
    try:
        key, certificate = loader(data, None)
    except _WRONG:
        key, certificate = _with_passphrase(path, loader, data, passphrase)
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise _no_key(path, "holds no RSA or elliptic-curve private key")
    return key, certificate


def load_certificate(path: Path) -> x509.Certificate:
    """Read one certificate, PEM or DER.

    Raises:
        InvalidInputError: if the file holds none (code `key-file`).
    """
    data = _read(path)
    try:
        if b"-----BEGIN" in data:
            return x509.load_pem_x509_certificate(data)
        return x509.load_der_x509_certificate(data)
    except ValueError as error:
        raise _no_key(path, "holds no certificate") from error


def _with_passphrase(path: Path, loader: _Loader, data: bytes, passphrase: Passphrase) -> Loaded:
    if not _may_be_encrypted(data):
        raise _no_key(path, "is neither PKCS#12 nor a private key in PEM or DER")
    try:
        return loader(data, passphrase())
    except _WRONG as error:
        raise InvalidInputError(
            f"The key file {path} cannot be opened with this passphrase.",
            code="key-passphrase",
            satisfied_by="Give the passphrase that the file was made with.",
        ) from error


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_KEY_BYTES + 1)
    except OSError as error:
        raise _no_key(path, f"cannot be read ({error.strerror})") from error
    if not data or len(data) > MOST_KEY_BYTES:
        raise _no_key(path, f"is empty, or larger than {MOST_KEY_BYTES} bytes")
    return data


def _no_key(path: Path, why: str) -> InvalidInputError:
    return InvalidInputError(
        f"The file {path} {why}.",
        code="key-file",
        satisfied_by="Name a PKCS#12 file, or a PEM or DER file with the private key.",
    )


def _loader(data: bytes) -> _Loader:
    if b"-----BEGIN" in data:
        return _load_pem
    return _load_pkcs12 if _is_pkcs12(data) else _load_der


def _is_pkcs12(data: bytes) -> bool:
    """PFX begins with version 3, PrivateKeyInfo with 0, EncryptedPrivateKeyInfo with a sequence."""
    return b"\x02\x01\x03" in data[:12] and data[:1] == b"\x30"


def _may_be_encrypted(data: bytes) -> bool:
    if b"-----BEGIN" in data:
        return b"ENCRYPTED" in data
    return data[:1] == b"\x30"


def _load_pem(data: bytes, passphrase: bytes | None) -> Loaded:
    certificate = None
    if b"-----BEGIN CERTIFICATE" in data:
        certificate = x509.load_pem_x509_certificate(data)
    return load_pem_private_key(_private_part(data), passphrase), certificate


def _private_part(data: bytes) -> bytes:
    """Leave out what stands before the private key, such as its certificate."""
    at = data.find(b"PRIVATE KEY-----")
    begin = data.rfind(b"-----BEGIN", 0, max(at, 0))
    return data[begin:] if begin >= 0 else data


def _load_pkcs12(data: bytes, passphrase: bytes | None) -> Loaded:
    bundle = pkcs12.load_pkcs12(data, passphrase)
    return bundle.key, bundle.cert.certificate if bundle.cert else None


def _load_der(data: bytes, passphrase: bytes | None) -> Loaded:
    return load_der_private_key(data, passphrase), None
