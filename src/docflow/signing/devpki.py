"""A throw-away PKI, so that a fresh instance signs on its first start.

Rules:
- It says what it is: every subject carries "DEVELOPMENT ONLY – NOT A REAL SIGNATURE", and every use
  warns with `DevelopmentModeWarning`. Production refuses it.
- The root's key is used once and never stored. The issuing authority's key is kept encrypted, so that
  people can be added later.
- Calling it again changes nothing that is still good; two processes may call it at once.

Files in the folder: `root.pem`, `authority.p12`, `seal.p12`, `people/<login>.p12`, and beside each
`.p12` its passphrase in a `.pass` file; all readable by their owner only.
"""

import contextlib
import fcntl
import os
import re
import secrets
import tempfile
import threading
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    pkcs12,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from docflow.kernel.errors import ConfigurationError, DevelopmentModeWarning
from docflow.signing.keysigner import SigningKey

Algorithm = Literal["ecdsa-p256", "rsa-3072"]

DISCLAIMER = "DEVELOPMENT ONLY – NOT A REAL SIGNATURE"
_DOCUMENT_SIGNING = ObjectIdentifier("1.3.6.1.5.5.7.3.36")  # RFC 9336
_LOGIN = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_AUTHORITY_YEARS, _SIGNER_YEARS = 10, 2
_YEAR = timedelta(days=365)
_CLOCK_SKEW = timedelta(hours=1)
_RENEW_BEFORE = timedelta(days=7)
_LONGEST_NAME = 64  # RFC 5280: ub-common-name, ub-organization-name

_warned: set[Path] = set()
_warned_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Credential:
    """An encrypted PKCS#12 file and the file that holds its passphrase."""

    pkcs12: Path
    passphrase_file: Path

    def passphrase(self) -> bytes:
        """Read the passphrase."""
        return self.passphrase_file.read_bytes()


@dataclass(frozen=True, slots=True)
class DevPki:
    """Where the parts of the throw-away PKI lie."""

    root: Path
    organisation: Credential
    people: Mapping[str, Credential]


@dataclass(frozen=True, slots=True)
class _Authority:
    key: SigningKey
    certificate: x509.Certificate


def ensure_devpki(
    folder: Path,
    organisation: str,
    people: Mapping[str, str],
    *,
    now: datetime,
    algorithm: Algorithm = "ecdsa-p256",
) -> DevPki:
    """Return the throw-away PKI in `folder`, made or completed as needed.

    Args:
        folder: where it lies or shall lie.
        organisation: the organisation's name, for its seal.
        people: login → display name of everyone who signs.
        now: the current instant.
        algorithm: of keys that are made now; what exists stays as it is.

    Raises:
        ConfigurationError: on a login that cannot be a file name, or a folder whose files do not
            belong together.
    """
    for login in people:
        if not _LOGIN.fullmatch(login):
            raise ConfigurationError(
                f"The login {login!r} cannot name a file; use a-z, 0-9, dot, dash and underscore."
            )
    _warn_once(folder)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / "people").mkdir(exist_ok=True, mode=0o700)
    with locked(folder):
        authority = _ensure_authority(folder, organisation, now, algorithm)
        seal = credential_at(folder / "seal")
        if not _is_good(seal, authority, now):
            subject = _organisation_subject(organisation)
            _issue(seal, subject, authority, now, algorithm)
        members = {login: credential_at(folder / "people" / login) for login in people}
        for login, name in people.items():
            if not _is_good(members[login], authority, now):
                subject = _person_subject(login, name, organisation)
                _issue(members[login], subject, authority, now, algorithm)
    return DevPki(folder / "root.pem", seal, MappingProxyType(members))


def is_throwaway(certificate: x509.Certificate) -> bool:
    """Tell whether a certificate says of itself that it is for development only."""
    return DISCLAIMER in certificate.subject.rfc4514_string()


def _warn_once(folder: Path) -> None:
    with _warned_lock:
        if folder in _warned:
            return
        warnings.warn(
            f"Signing with the throw-away keys in {folder}: {DISCLAIMER}. Name real PKCS#12 files for "
            "production.",
            DevelopmentModeWarning,
            stacklevel=3,
        )
        _warned.add(folder)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes and threads out of `folder`."""
    handle = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def credential_at(stem: Path) -> Credential:
    """Return the files of a PKCS#12 and its passphrase at a path without suffix."""
    return Credential(stem.with_name(stem.name + ".p12"), stem.with_name(stem.name + ".pass"))


def _ensure_authority(
    folder: Path, organisation: str, now: datetime, algorithm: Algorithm
) -> _Authority:
    """Load the issuing authority; make root and authority if neither is there yet."""
    files, root = credential_at(folder / "authority"), folder / "root.pem"
    if files.pkcs12.exists() and root.exists():
        bundle = load_credential(files)
        authority = _Authority(*bundle)
        if now < authority.certificate.not_valid_after_utc - _RENEW_BEFORE:
            return authority
    root_key, root_name = new_key(algorithm), subject_name("docflow root", organisation)
    root_certificate = _sign(
        certificate_builder(root_name, root_name, root_key, now, _AUTHORITY_YEARS),
        root_key,
        root_key,
        depth=1,
    )
    key, name = new_key(algorithm), subject_name("docflow issuing authority", organisation)
    certificate = _sign(
        certificate_builder(name, root_name, key, now, _AUTHORITY_YEARS), key, root_key, depth=0
    )
    store_credential(files, name, key, certificate, [root_certificate])
    write_private(root, root_certificate.public_bytes(Encoding.PEM))
    return _Authority(key, certificate)  # the root's key ends here


def _issue(
    files: Credential,
    subject: x509.Name,
    authority: _Authority,
    now: datetime,
    algorithm: Algorithm,
) -> None:
    key = new_key(algorithm)
    builder = certificate_builder(subject, authority.certificate.subject, key, now, _SIGNER_YEARS)
    certificate = _sign(builder, key, authority.key, depth=None)
    store_credential(files, subject, key, certificate, [authority.certificate])


def _is_good(files: Credential, authority: _Authority, now: datetime) -> bool:
    """Tell whether the identity is there, of this authority, and not about to expire."""
    if not (files.pkcs12.exists() and files.passphrase_file.exists()):
        return False
    _, certificate = load_credential(files)
    return (
        certificate.issuer == authority.certificate.subject
        and _is_signed_by(certificate, authority.certificate)
        and now < certificate.not_valid_after_utc - _RENEW_BEFORE
    )


def _is_signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it is not this authority's
        return False
    return True


def load_credential(files: Credential) -> tuple[SigningKey, x509.Certificate]:
    """Read key and certificate.

    Raises:
        ConfigurationError: if the files do not belong together.
    """
    try:
        bundle = pkcs12.load_pkcs12(files.pkcs12.read_bytes(), files.passphrase())
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"The throw-away PKI file {files.pkcs12} cannot be opened with {files.passphrase_file}; "
            "remove the whole folder to make a new one."
        ) from error
    if bundle.cert is None or not isinstance(
        bundle.key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    ):
        raise ConfigurationError(
            f"The throw-away PKI file {files.pkcs12} holds no pair of key and certificate; remove the "
            "whole folder to make a new one."
        )
    return bundle.key, bundle.cert.certificate


def store_credential(
    files: Credential,
    name: x509.Name,
    key: SigningKey,
    certificate: x509.Certificate,
    chain: list[x509.Certificate],
) -> None:
    """Write passphrase, then key: a key file never lies there without its passphrase."""
    passphrase = secrets.token_urlsafe(32).encode()
    label = name.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    bundle = pkcs12.serialize_key_and_certificates(
        str(label).encode(), key, certificate, chain, BestAvailableEncryption(passphrase)
    )
    files.pkcs12.unlink(missing_ok=True)
    write_private(files.passphrase_file, passphrase)
    write_private(files.pkcs12, bundle)


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner reads, all of it or nothing."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def new_key(algorithm: Algorithm) -> SigningKey:
    """Make a private key."""
    if algorithm == "rsa-3072":
        return rsa.generate_private_key(public_exponent=65537, key_size=3072)
    return ec.generate_private_key(ec.SECP256R1())


def subject_name(common: str, organisation: str, *more: x509.NameAttribute[str]) -> x509.Name:
    """Return a name that carries the disclaimer."""
    # The organisation gives way to the disclaimer: a name has 64 characters at most.
    room = _LONGEST_NAME - len(DISCLAIMER) - 1
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "VN"),
            x509.NameAttribute(
                NameOID.ORGANIZATION_NAME, f"{organisation[:room].strip()} {DISCLAIMER}"
            ),
            *more,
            x509.NameAttribute(NameOID.COMMON_NAME, _cut(common)),
        ]
    )


def _cut(name: str) -> str:
    """Return as much of `name` as a common name holds; the library counts bytes, not characters."""
    return name.encode()[:_LONGEST_NAME].decode("utf-8", "ignore").strip()


def _person_subject(login: str, name: str, organisation: str) -> x509.Name:
    surname, _, given = name.partition(" ")  # Vietnamese names begin with the surname
    return subject_name(
        name,
        organisation,
        x509.NameAttribute(NameOID.SURNAME, surname[:40]),
        x509.NameAttribute(NameOID.GIVEN_NAME, (given or surname)[:16]),
        x509.NameAttribute(NameOID.USER_ID, login),
    )


def _organisation_subject(organisation: str) -> x509.Name:
    identifier = x509.NameAttribute(NameOID.ORGANIZATION_IDENTIFIER, "NTRVN-DEVELOPMENT")
    return subject_name(organisation, organisation, identifier)


def certificate_builder(
    subject: x509.Name, issuer: x509.Name, key: SigningKey, now: datetime, years: int
) -> x509.CertificateBuilder:
    """Return a certificate that lacks its extensions and its signature."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + years * _YEAR)
    )


def _sign(
    builder: x509.CertificateBuilder, key: SigningKey, issuer_key: SigningKey, *, depth: int | None
) -> x509.Certificate:
    """Add the extensions of an authority (`depth` further ones below it) or a signer, and sign."""
    authority = depth is not None
    usage = x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=not authority,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    builder = (
        builder.add_extension(x509.BasicConstraints(ca=authority, path_length=depth), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(issuer, critical=False)
    )
    if not authority:
        purposes = [ExtendedKeyUsageOID.EMAIL_PROTECTION, _DOCUMENT_SIGNING]
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())
