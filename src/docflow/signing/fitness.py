"""Is a certificate fit to sign here? Everything that could make its signatures worthless later.

Rule: each check names the holder (a file, a token, a card) and what would be right.

Source: ETSI TS 119 312 (algorithms and sizes), EN 319 412-2 and -3 (what the subject of a person's
and of an organisation's certificate holds).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NoReturn

from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID, ObjectIdentifier
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import PathBuildingError, ValidationError

from docflow.kernel.clock import rfc3339
from docflow.kernel.errors import ConfigurationError
from docflow.signing.blocking import blocking
from docflow.signing.dated import NewSignatures
from docflow.signing.keysigner import CURVE_DIGESTS, VerifyingKey
from docflow.signing.purpose import is_for_documents
from docflow.signing.trust import TrustRoots, to_asn1, written
from docflow.signing.verifying.algorithms import DatedAlgorithms

Kind = Literal["person", "organisation"]

LEAST_RSA_BITS = 3072
_GOOD_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_USER_ID = NameOID.USER_ID  # Vietnamese authorities put MST:… (tax code) or CCCD:… (citizen) there
_PERSON_MARKS = ("CCCD:", "CMND:", "HC:", "PNO", "IDC", "PAS")
_ORGANISATION_MARKS = ("MST:", "MNS:", "NTR", "VAT")


def check_identity(
    holder: str,
    certificate: x509.Certificate,
    chain: Sequence[x509.Certificate],
    *,
    roots: TrustRoots,
    now: datetime,
    expect: Kind,
    algorithms: NewSignatures | None = None,
) -> VerifyingKey:
    """Check a certificate with its chain and return its public key.

    Args:
        holder: what holds it, as a sentence begins: `The signer file …`.
        certificate: the signer's.
        chain: the authorities between it and the root.
        roots: what it must lead to.
        now: the current instant.
        expect: whether a person's or the organisation's is needed.
        algorithms: the dated policy that new signatures have to meet; by default the shipped one.

    Raises:
        ConfigurationError: code `signer-identity`, or `algorithm-out-of-policy` for what the dated
            policy refuses, with the holder and what would be right.
    """
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        wrong(holder, "holds a key that is neither ECDSA nor RSA; use ECDSA P-256 or RSA 3072")
    _check_strength(holder, key, [certificate, *chain])
    rules = algorithms or NewSignatures()
    if late := rules.identity_faults(certificate, chain, roots.certificates, now):
        raise ConfigurationError(
            f"{holder} {late[0]}.",
            code="algorithm-out-of-policy",
            satisfied_by="Have a certificate made with a key and a hash that last longer.",
        )
    _check_dates(holder, certificate, now)
    _check_usage(holder, certificate)
    _check_kind(holder, certificate, expect)
    dated = DatedAlgorithms(rules.policy, now)
    _check_chain(
        holder, certificate, chain, roots.validation_context(now, _links(chain), algorithms=dated)
    )
    return key


def between(chain: Sequence[x509.Certificate]) -> tuple[x509.Certificate, ...]:
    """Return the authorities of a chain without its root."""
    return tuple(link for link in chain if link.subject != link.issuer)


def common_name(certificate: x509.Certificate) -> str:
    """Return the subject's common name, or the whole subject where it has none."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else written(certificate.subject)


def check_pair(holder: str, key: VerifyingKey, certificate: x509.Certificate) -> None:
    """Refuse the certificate of another key.

    Raises:
        ConfigurationError: code `signer-identity`.
    """
    encoding = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    ours = key.public_bytes(*encoding)
    if ours != certificate.public_key().public_bytes(*encoding):
        wrong(holder, "holds the certificate of another key; export the pair that belongs together")


def _check_strength(holder: str, key: VerifyingKey, chain: Sequence[x509.Certificate]) -> None:
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < LEAST_RSA_BITS:
            wrong(
                holder,
                f"holds an RSA key of {key.key_size} bits; at least {LEAST_RSA_BITS}, or ECDSA "
                "P-256",
            )
    elif key.curve.name not in CURVE_DIGESTS:
        wrong(holder, f"holds a key on the curve {key.curve.name}; use P-256, P-384 or P-521")
    for certificate in chain:
        used = certificate.signature_hash_algorithm
        if not isinstance(used, _GOOD_HASHES):
            name = used.name if used else "an unknown hash"
            wrong(
                holder,
                f"holds a certificate for {common_name(certificate)!r} that is itself signed "
                f"with {name}; it must be SHA-256 or better",
            )


def _check_dates(holder: str, certificate: x509.Certificate, now: datetime) -> None:
    if now < certificate.not_valid_before_utc:
        wrong(
            holder,
            f"holds a certificate that is valid only from "
            f"{rfc3339(certificate.not_valid_before_utc)} (the time is {rfc3339(now)})",
        )
    if now > certificate.not_valid_after_utc:
        wrong(
            holder,
            f"holds a certificate that expired on "
            f"{rfc3339(certificate.not_valid_after_utc)}; renew it",
        )


def _check_usage(holder: str, certificate: x509.Certificate) -> None:
    extensions = certificate.extensions
    try:
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        wrong(
            holder,
            "holds a certificate without key usage; it must allow digitalSignature or "
            "nonRepudiation",
        )
    if not (usage.digital_signature or usage.content_commitment):
        wrong(
            holder,
            "holds a certificate that may not sign; its key usage must have "
            "digitalSignature or nonRepudiation",
        )
    if not is_for_documents(to_asn1(certificate)):
        wrong(
            holder,
            "holds a certificate for other purposes than signing documents; its extended key usage, if it "
            "has any, must name emailProtection, documentSigning (RFC 9336) or anyExtendedKeyUsage",
        )
    try:
        is_authority = extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        is_authority = False
    if is_authority:
        wrong(
            holder, "holds the certificate of an authority; documents are signed by an end entity"
        )


def _check_kind(holder: str, certificate: x509.Certificate, expect: Kind) -> None:
    found = kind_of(certificate)
    if found is not None and found != expect:
        wrong(
            holder,
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
    holder: str,
    certificate: x509.Certificate,
    chain: Sequence[x509.Certificate],
    context: ValidationContext,
) -> None:
    validator = CertificateValidator(
        to_asn1(certificate), _links(chain), validation_context=context
    )
    try:
        blocking(validator.async_validate_path())
    except (PathBuildingError, ValueError):
        wrong(
            holder,
            f"holds a certificate of {common_name(certificate)!r} that does not lead to a configured "
            "root; include the authorities between in the file, and name the right root",
        )
    except ValidationError as error:
        reason = str(error).split("\n", 1)[0].rstrip(".")
        wrong(
            holder,
            f"holds a certificate whose chain to a configured root is not valid ({reason}); check the "
            "authorities' certificates in the file, and the root",
        )


def _links(chain: Sequence[x509.Certificate]) -> list[asn1_x509.Certificate]:
    return [to_asn1(link) for link in chain]


def wrong(holder: str, what: str) -> NoReturn:
    """Refuse an identity: `holder` begins the sentence, `what` ends it."""
    raise ConfigurationError(f"{holder} {what}.", code="signer-identity")
