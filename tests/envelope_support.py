"""Recipients with keys and certificates, and streams that are slow, short or watched."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from io import BytesIO
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import NameOID

from docflow.kernel.errors import DocflowError
from docflow.signing.envelope import EnvelopeFacts, decrypt, encrypt

NOW = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
DAY = timedelta(days=1)
PASSPHRASE = b"a passphrase for tests"

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
_USES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


@cache
def rsa_key(bits: int = 2048, which: int = 0) -> rsa.RSAPrivateKey:
    """One key for the whole run: RSA keys are slow to make."""
    del which
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@dataclass(frozen=True)
class Recipient:
    """Someone with a private key and its certificate."""

    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Write key and certificate as PEM files."""
        key, certificate = folder / f"{name}.key", folder / f"{name}.pem"
        key.write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        certificate.write_bytes(self.certificate.public_bytes(Encoding.PEM))
        return key, certificate

    def pkcs12(self, passphrase: bytes | None = PASSPHRASE) -> bytes:
        how: KeySerializationEncryption = (
            BestAvailableEncryption(passphrase) if passphrase is not None else NoEncryption()
        )
        return pkcs12.serialize_key_and_certificates(
            b"recipient", self.key, self.certificate, None, how
        )


def certificate_for(
    key: Key,
    *,
    name: str = "Sở Nội vụ",
    uses: Iterable[str] | None = None,
    valid_from: datetime = NOW - DAY,
    valid_until: datetime = NOW + 365 * DAY,
) -> x509.Certificate:
    """Return a certificate of `key`; without `uses` it has no key usage extension."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(valid_from)
        .not_valid_after(valid_until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if uses is not None:
        allowed = {use: use in set(uses) for use in _USES}
        builder = builder.add_extension(x509.KeyUsage(**allowed), critical=True)
    signer = key if not isinstance(key, ed25519.Ed25519PrivateKey) else ec_key(ec.SECP256R1())
    return builder.sign(signer, hashes.SHA256())


def ec_key(curve: ec.EllipticCurve) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve)


@cache
def recipient(kind: str, which: int = 0) -> Recipient:
    """Return `rsa`, `p256`, `p384` or `p521`; another one for another number."""
    curves = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}
    key = rsa_key(2048, which) if kind == "rsa" else ec_key(curves[kind])
    return Recipient(key, certificate_for(key, name=f"{kind} số {which}"))


class Slow(BytesIO):
    """A stream that gives at most a few bytes at once, as a socket may."""

    def __init__(self, data: bytes, most: int) -> None:
        super().__init__(data)
        self._most = most

    def read(self, size: int | None = -1) -> bytes:
        wanted = self._most if size is None or size < 0 else min(size, self._most)
        return super().read(wanted)


class Watched(BytesIO):
    """A stream that remembers the largest piece that was asked for."""

    largest = 0

    def read(self, size: int | None = -1) -> bytes:
        assert size is not None
        assert size >= 0, "asked for everything at once"
        self.largest = max(self.largest, size)
        return super().read(size)


def sealed(plain: bytes, *recipients: Recipient) -> bytes:
    """Return `plain`, encrypted."""
    return sealed_with_facts(plain, *recipients)[0]


def sealed_with_facts(plain: bytes, *recipients: Recipient) -> tuple[bytes, EnvelopeFacts]:
    target = BytesIO()
    facts = encrypt(BytesIO(plain), len(plain), target, [one.certificate for one in recipients])
    return target.getvalue(), facts


def opened(envelope: bytes, by: Recipient, *, named: bool = True) -> bytes:
    """Return the plaintext."""
    target = BytesIO()
    decrypt(BytesIO(envelope), target, by.key, by.certificate if named else None)
    return target.getvalue()


def refusal(envelope: bytes, by: Recipient, *, named: bool = True) -> DocflowError:
    """Return how opening is refused, having checked that nothing was written."""
    target = BytesIO()
    try:
        decrypt(BytesIO(envelope), target, by.key, by.certificate if named else None)
    except DocflowError as error:
        assert target.getvalue() == b""
        return error
    raise AssertionError("opened")
