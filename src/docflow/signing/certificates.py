"""Recipients' certificates: read from what people send, described, judged against a policy.

Rules:
- A certificate comes as PEM (it may be followed by the authorities between it and its root) or as
  DER; more than `MOST_BYTES`, more than `MOST_CERTIFICATES`, or a private key is refused.
- Judged by the same code when it is put on record and at every release: key, dates and usage
  (`envelope.suitability`), and, where roots are configured, a chain that leads to one of them.
- Nothing is fetched. The time is given by the caller.

Source: RFC 5280 (certificates, paths), RFC 7468 (PEM).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko_certvalidator import CertificateValidator
from pyhanko_certvalidator.errors import PathBuildingError, ValidationError

from docflow.kernel.errors import ConfigurationError, InvalidInputError
from docflow.signing.blocking import blocking
from docflow.signing.envelope.suitability import STRICT, Suitability, unsuitable
from docflow.signing.trust import TrustRoots, sha256_of, to_asn1, written

MOST_BYTES = 64 * 1024
MOST_CERTIFICATES = 8
_MOST_NAME = 1000  # letters of a subject or an issuer that are kept
_MOST_SERIAL = 64  # digits; RFC 5280 allows 40
_WANTED = "Send one X.509 certificate in PEM or DER; its authorities may follow it in PEM."


@dataclass(frozen=True, slots=True)
class EncryptionCertificate:
    """A recipient's certificate and the authorities sent with it."""

    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def sha256(self) -> str:
        """SHA-256 of the certificate, 64 lower-case hexadecimal digits."""
        return sha256_of(self.certificate)

    @property
    def subject(self) -> str:
        """The subject, as RFC 4514 writes it."""
        return _name(self.certificate.subject)

    @property
    def issuer(self) -> str:
        """The issuer, as RFC 4514 writes it."""
        return _name(self.certificate.issuer)

    @property
    def serial(self) -> str:
        """The serial number in hexadecimal digits."""
        return f"{self.certificate.serial_number:x}"[:_MOST_SERIAL]

    @property
    def key(self) -> tuple[str, int]:
        """Kind of the key (`rsa`, a curve's name, `unknown`) and its size in bits."""
        try:
            public = self.certificate.public_key()
        except (ValueError, UnsupportedAlgorithm):
            return "unknown", 0
        if isinstance(public, rsa.RSAPublicKey):
            return "rsa", public.key_size
        if isinstance(public, ec.EllipticCurvePublicKey):
            return public.curve.name, public.key_size
        return "unknown", 0

    def to_pem(self) -> str:
        """Return certificate and authorities as PEM text."""
        every = (self.certificate, *self.chain)
        return "".join(one.public_bytes(Encoding.PEM).decode() for one in every)


@dataclass(frozen=True, slots=True)
class CertificatePolicy:
    """What this deployment accepts of a recipient's certificate."""

    suitability: Suitability = STRICT
    roots: TrustRoots | None = None
    """Where a recipient's chain must lead; None: the one who records it vouches for it."""

    def faults(self, found: EncryptionCertificate, now: datetime) -> list[str]:
        """Return why `found` cannot be encrypted to at `now`, as sentences that begin "its certificate"."""
        reasons = unsuitable(found.certificate, now, self.suitability)
        if self.roots is not None and not reasons:
            reasons += _chain_faults(found, self.roots, now)
        return reasons


def read_certificate(data: bytes) -> EncryptionCertificate:
    """Read what someone sent as their certificate.

    Raises:
        InvalidInputError: if it is none (code `certificate-unreadable`), or a private key comes with
            it (code `certificate-with-key`).
    """
    if b"PRIVATE KEY-----" in data:
        raise InvalidInputError(
            "A private key was sent with the certificate. Nothing of it was kept; whoever else may "
            "have seen it, it is no secret any more.",
            code="certificate-with-key",
            satisfied_by="Make a new key, have it certified, and send its certificate alone.",
        )
    if not data or len(data) > MOST_BYTES:
        raise _unreadable(f"it has {len(data)} bytes, and 1 to {MOST_BYTES} are accepted")
    try:
        if b"-----BEGIN" in data:
            found = x509.load_pem_x509_certificates(data)
        else:
            found = [x509.load_der_x509_certificate(data)]
        first, *chain = found
        read = EncryptionCertificate(first, tuple(chain))
        _ = (
            read.subject,
            read.issuer,
            read.key,
            first.not_valid_after_utc,
        )  # parsed when asked for
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _unreadable("it is no X.509 certificate in PEM or DER") from error
    if len(found) > MOST_CERTIFICATES:
        raise _unreadable(f"it holds {len(found)} certificates; at most {MOST_CERTIFICATES} may be")
    return read


def read_certificate_file(path: Path, what: str) -> EncryptionCertificate:
    """Read a certificate that the configuration names; `what` says whose it is.

    Raises:
        ConfigurationError: naming the file and what is wrong with it.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(
            f"The certificate of {what}, {path}, cannot be read ({error.strerror})."
        ) from error
    try:
        return read_certificate(data)
    except InvalidInputError as error:
        raise ConfigurationError(f"The certificate of {what}, {path}: {error.detail}") from error


def _unreadable(why: str) -> InvalidInputError:
    return InvalidInputError(
        f"The certificate cannot be used: {why}.",
        code="certificate-unreadable",
        satisfied_by=_WANTED,
    )


def _name(name: x509.Name) -> str:
    return "".join(c if c.isprintable() else "?" for c in written(name)[:_MOST_NAME])


def _chain_faults(found: EncryptionCertificate, roots: TrustRoots, now: datetime) -> Sequence[str]:
    others = [to_asn1(link) for link in found.chain]
    context = roots.validation_context(now, others)
    validator = CertificateValidator(to_asn1(found.certificate), others, validation_context=context)
    try:
        blocking(validator.async_validate_path())
    except (PathBuildingError, ValueError):
        return [
            "does not lead to an authority that is trusted here for recipients; the authorities "
            "between may be sent after it in PEM"
        ]
    except ValidationError as error:
        reason = str(error).split("\n", 1)[0].rstrip(".")
        return [f"has a chain that is not valid ({reason})"]
    return []
