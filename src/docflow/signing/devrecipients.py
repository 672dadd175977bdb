"""Throw-away certificates for recipients, so that a confidential release can be tried at once.

Rules:
- They say what they are: every subject carries "DEVELOPMENT ONLY – NOT A REAL SIGNATURE", and making
  them warns with `DevelopmentModeWarning`. The private keys lie beside the instance, where no real
  recipient's key ever is; production refuses them.
- Calling it again changes nothing that is still good.

Files in the folder: `<code>.p12`, its passphrase in `<code>.pass`, the certificate in `<code>.pem`; all
readable by their owner only. They are self-signed: nobody but this office is to trust them.
"""

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from docflow.kernel.errors import ConfigurationError, DevelopmentModeWarning
from docflow.signing import devpki
from docflow.signing.certificates import EncryptionCertificate
from docflow.signing.devpki import Algorithm, Credential
from docflow.signing.keysigner import SigningKey

_CODE = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_RENEW_BEFORE = timedelta(days=30)
_YEARS = 2


@dataclass(frozen=True, slots=True)
class DevRecipient:
    """A recipient's throw-away key, and its certificate as a file and as an object."""

    credential: Credential
    certificate_file: Path
    certificate: EncryptionCertificate


def ensure_recipients(
    folder: Path, recipients: Mapping[str, str], *, now: datetime
) -> dict[str, DevRecipient]:
    """Return, by code, throw-away keys and certificates in `folder`, made as needed.

    The first of the recipients has an RSA key, the others a P-256 one, so that both kinds are tried.

    Args:
        folder: where they lie or shall lie.
        recipients: code → name.
        now: the current instant.

    Raises:
        ConfigurationError: on a code that cannot be a file name, or files that do not belong together.
    """
    names = {code: code.lower() for code in recipients}
    for code, name in names.items():
        if not _CODE.fullmatch(name):
            raise ConfigurationError(
                f"The code {code!r} cannot name a file; use letters, digits, dot, dash, underscore."
            )
    warnings.warn(
        f"Recipients' throw-away keys lie in {folder}: {devpki.DISCLAIMER}. In production recipients "
        "keep their own.",
        DevelopmentModeWarning,
        stacklevel=2,
    )
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    made: dict[str, DevRecipient] = {}
    with devpki.locked(folder):
        for code, name in names.items():
            files = devpki.credential_at(folder / name)
            algorithm: Algorithm = "ecdsa-p256" if made else "rsa-3072"
            certificate = _certificate(files, now) or _issue(
                files, recipients[code], algorithm, now
            )
            pem = folder / f"{name}.pem"
            data = certificate.public_bytes(Encoding.PEM)
            if not pem.exists() or pem.read_bytes() != data:
                devpki.write_private(pem, data)
            made[code] = DevRecipient(files, pem, EncryptionCertificate(certificate))
    return made


def _certificate(files: Credential, now: datetime) -> x509.Certificate | None:
    if not (files.pkcs12.exists() and files.passphrase_file.exists()):
        return None
    _, certificate = devpki.load_credential(files)
    return certificate if now < certificate.not_valid_after_utc - _RENEW_BEFORE else None


def _issue(files: Credential, name: str, algorithm: Algorithm, now: datetime) -> x509.Certificate:
    key = devpki.new_key(algorithm)
    subject = devpki.subject_name(name, name)
    certificate = (
        devpki.certificate_builder(subject, subject, key, now, _YEARS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(key), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    devpki.store_credential(files, subject, key, certificate, [])
    return certificate


def _usage(key: SigningKey) -> x509.KeyUsage:
    is_rsa = isinstance(key, rsa.RSAPrivateKey)
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=is_rsa,
        data_encipherment=False,
        key_agreement=not is_rsa,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
