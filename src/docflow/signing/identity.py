"""Who signs: a certificate with its key, read once from an encrypted PKCS#12 file and checked.

Rules:
- Everything that could make a signature worthless later is refused at start, naming the file and
  what would be right. The service does not start with a signer identity that fails.
- Secrets are never printed: not in messages, not in `repr`, not in pickles.

Source: RFC 7292 (PKCS#12), ETSI TS 119 312 (algorithms and sizes), EN 319 412-2 and -3 (what the
subject of a person's and of an organisation's certificate holds).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, NoReturn

from asn1crypto import pkcs12 as asn1_pkcs12
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, pkcs12
from cryptography.x509.oid import NameOID, ObjectIdentifier
from pyhanko_certvalidator import CertificateValidator
from pyhanko_certvalidator.errors import PathBuildingError, ValidationError

from docflow.kernel.clock import rfc3339
from docflow.kernel.errors import ConfigurationError
from docflow.signing.blocking import blocking
from docflow.signing.keysigner import CURVE_DIGESTS, KeySigner, SigningKey
from docflow.signing.trust import TrustRoots, sha256_of, to_asn1

Kind = Literal["person", "organisation"]

LEAST_RSA_BITS = 3072
_GOOD_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_USER_ID = NameOID.USER_ID  # Vietnamese authorities put MST:… (tax code) or CCCD:… (citizen) there
_PERSON_MARKS = ("CCCD:", "CMND:", "HC:", "PNO", "IDC", "PAS")
_ORGANISATION_MARKS = ("MST:", "MNS:", "NTR", "VAT")


@dataclass(frozen=True, slots=True)
class SignerIdentity:
    """A signer that was checked: certificate, chain up to the root (without it), and its signer."""

    kind: Kind
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    signer: KeySigner = field(repr=False, compare=False)

    @classmethod
    def from_pkcs12(
        cls,
        path: Path,
        passphrase: bytes,
        *,
        roots: TrustRoots,
        now: datetime,
        expect: Kind,
    ) -> "SignerIdentity":
        """Read and check the identity in `path`.

        Raises:
            ConfigurationError: with the file and what would be right, if the file is missing or no
                PKCS#12, the passphrase is wrong, key or certificate are missing or do not belong
                together, the certificate is not valid at `now`, may not sign, is weak, is of the
                other kind, or does not lead to one of `roots`.
        """
        key, certificate, chain = _read(path, passphrase)
        _check_pair(path, key, certificate)
        _check_strength(path, key, [certificate, *chain])
        _check_dates(path, certificate, now)
        _check_usage(path, certificate)
        _check_kind(path, certificate, expect)
        _check_chain(path, certificate, chain, roots, now)
        links = tuple(link for link in chain if link.subject != link.issuer)
        return cls(expect, certificate, links, KeySigner(key, certificate, links))

    @property
    def sha256(self) -> str:
        """SHA-256 of the certificate, 64 lower-case hexadecimal digits."""
        return sha256_of(self.certificate)

    @property
    def name(self) -> str:
        """The common name of the certificate's subject."""
        return common_name(self.certificate)

    def __repr__(self) -> str:
        return f"<SignerIdentity {self.kind} {self.name!r} {self.sha256[:12]}>"

    def __reduce__(self) -> str:
        raise TypeError("a signer identity does not leave its process")


def common_name(certificate: x509.Certificate) -> str:
    """Return the subject's common name, or the whole subject where it has none."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else certificate.subject.rfc4514_string()


def _read(
    path: Path, passphrase: bytes
) -> tuple[SigningKey, x509.Certificate, list[x509.Certificate]]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        _wrong(path, "does not exist; name an existing PKCS#12 file (.p12)")
    except OSError as error:
        _wrong(
            path, f"cannot be read ({error.strerror}); the service's user must be able to read it"
        )
    try:
        asn1_pkcs12.Pfx.load(data, strict=True)["version"].native  # noqa: B018 - parses it
    except (ValueError, TypeError, KeyError):
        _wrong(path, "is not a PKCS#12 file; give an encrypted .p12 with key and certificate")
    try:
        bundle = pkcs12.load_pkcs12(data, passphrase)
    except (ValueError, TypeError):
        _wrong(path, "cannot be opened with the passphrase given; check the passphrase file")
    except Exception as error:  # noqa: BLE001 - the parser's own errors, whatever they are
        _wrong(path, f"cannot be parsed as PKCS#12 ({type(error).__name__})")
    if bundle.key is None:
        _wrong(path, "holds no private key; export it together with its key")
    chain = [extra.certificate for extra in bundle.additional_certs]
    if not isinstance(bundle.key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        _wrong(path, "holds a key that is neither ECDSA nor RSA; use ECDSA P-256 or RSA 3072")
    if bundle.cert is None:
        what = "the certificate of another key" if chain else "no certificate"
        _wrong(
            path, f"holds a private key and {what}; export key and certificate that belong together"
        )
    return bundle.key, bundle.cert.certificate, chain


def _check_pair(path: Path, key: SigningKey, certificate: x509.Certificate) -> None:
    encoding = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    ours = key.public_key().public_bytes(*encoding)
    if ours != certificate.public_key().public_bytes(*encoding):
        _wrong(path, "holds the certificate of another key; export the pair that belongs together")


def _check_strength(path: Path, key: SigningKey, chain: Sequence[x509.Certificate]) -> None:
    if isinstance(key, rsa.RSAPrivateKey):
        if key.key_size < LEAST_RSA_BITS:
            _wrong(
                path,
                f"holds an RSA key of {key.key_size} bits; at least {LEAST_RSA_BITS}, or ECDSA "
                "P-256",
            )
    elif key.curve.name not in CURVE_DIGESTS:
        _wrong(path, f"holds a key on the curve {key.curve.name}; use P-256, P-384 or P-521")
    for certificate in chain:
        used = certificate.signature_hash_algorithm
        if not isinstance(used, _GOOD_HASHES):
            name = used.name if used else "an unknown hash"
            _wrong(
                path,
                f"holds a certificate for {common_name(certificate)!r} that is itself signed "
                f"with {name}; it must be SHA-256 or better",
            )


def _check_dates(path: Path, certificate: x509.Certificate, now: datetime) -> None:
    if now < certificate.not_valid_before_utc:
        _wrong(
            path,
            f"holds a certificate that is valid only from "
            f"{rfc3339(certificate.not_valid_before_utc)} (the time is {rfc3339(now)})",
        )
    if now > certificate.not_valid_after_utc:
        _wrong(
            path,
            f"holds a certificate that expired on "
            f"{rfc3339(certificate.not_valid_after_utc)}; renew it",
        )


def _check_usage(path: Path, certificate: x509.Certificate) -> None:
    extensions = certificate.extensions
    try:
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        _wrong(
            path,
            "holds a certificate without key usage; it must allow digitalSignature or "
            "nonRepudiation",
        )
    if not (usage.digital_signature or usage.content_commitment):
        _wrong(
            path,
            "holds a certificate that may not sign; its key usage must have "
            "digitalSignature or nonRepudiation",
        )
    try:
        is_authority = extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        is_authority = False
    if is_authority:
        _wrong(path, "holds the certificate of an authority; documents are signed by an end entity")


def _check_kind(path: Path, certificate: x509.Certificate, expect: Kind) -> None:
    found = kind_of(certificate)
    if found is not None and found != expect:
        _wrong(
            path,
            f"holds the certificate of {'a person' if found == 'person' else 'an organisation'}"
            f" ({common_name(certificate)}), and one of "
            f"{'a person' if expect == 'person' else 'the organisation'} is needed here",
        )


def kind_of(certificate: x509.Certificate) -> Kind | None:
    """Tell whether the subject is a person or an organisation, where it says so."""
    subject = certificate.subject

    def values(*oids: ObjectIdentifier) -> list[str]:
        return [str(a.value) for oid in oids for a in subject.get_attributes_for_oid(oid)]

    identifiers = values(_USER_ID, NameOID.SERIAL_NUMBER)
    if values(NameOID.SURNAME, NameOID.GIVEN_NAME, NameOID.PSEUDONYM):
        return "person"
    if any(text.startswith(_PERSON_MARKS) for text in identifiers):
        return "person"
    if values(NameOID.ORGANIZATION_IDENTIFIER):
        return "organisation"
    if any(text.startswith(_ORGANISATION_MARKS) for text in identifiers):
        return "organisation"
    return None


def _check_chain(
    path: Path,
    certificate: x509.Certificate,
    chain: Sequence[x509.Certificate],
    roots: TrustRoots,
    now: datetime,
) -> None:
    others = [to_asn1(link) for link in chain]
    context = roots.validation_context(now, others)
    validator = CertificateValidator(to_asn1(certificate), others, validation_context=context)
    try:
        blocking(validator.async_validate_path())
    except (PathBuildingError, ValueError):
        _wrong(
            path,
            f"holds a certificate of {common_name(certificate)!r} that does not lead to a configured "
            "root; include the authorities between in the file, and name the right root",
        )
    except ValidationError as error:
        reason = str(error).split("\n", 1)[0].rstrip(".")
        _wrong(
            path,
            f"holds a certificate whose chain to a configured root is not valid ({reason}); check the "
            "authorities' certificates in the file, and the root",
        )


def _wrong(path: Path, what: str) -> NoReturn:
    raise ConfigurationError(f"The signer file {path} {what}.", code="signer-identity")
