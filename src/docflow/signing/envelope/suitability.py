"""May a file be encrypted to this certificate? Asked before a release, answered in sentences.

Rules:
- Every reason is told at once, so that a recipient renews a certificate once.
- RSA below 3072 bits is refused (TS 119 312, SP 800-57: 128-bit security); a deployment whose partners
  hold RSA-2048 cards may accept them with a reason of its own, which the caller records. Below 2048
  nothing is accepted.
- Whether the certificate is really the recipient's, and whether it was revoked, is not asked here: it
  was decided by whoever put it into the recipient's record.

Source: RFC 5280 sections 4.1.2.5 and 4.2.1.3, RFC 4055 section 1.2, RFC 5753 section 7.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from docflow.kernel.clock import rfc3339
from docflow.kernel.errors import ConflictError
from docflow.signing.envelope.algorithms import CURVES, LEAST_RSA_BITS, MOST_RSA_BITS

GOOD_RSA_BITS = 3072

_ENCRYPTING_RSA = {"1.2.840.113549.1.1.1", "1.2.840.113549.1.1.7"}  # rsaEncryption, RSAES-OAEP
_SOUND_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


@dataclass(frozen=True, slots=True)
class Suitability:
    """What a deployment accepts."""

    rsa_2048_reason: str = ""
    """Why RSA keys of 2048 to 3071 bits are accepted here; empty: they are not."""


STRICT = Suitability()


def unsuitable(
    certificate: x509.Certificate, now: datetime, policy: Suitability = STRICT
) -> list[str]:
    """Return why `certificate` cannot be encrypted to at `now`; nothing if it can.

    Each reason reads on from "its certificate": "expired on …", "holds an RSA key of …".
    """
    return [
        *_dates(certificate, now),
        *_key(certificate, policy),
        *_usage(certificate),
        *_signature(certificate),
    ]


def require_suitable(
    recipients: Mapping[str, x509.Certificate | None],
    now: datetime,
    policy: Suitability = STRICT,
) -> None:
    """Check that a file can be encrypted to everyone it is released to.

    Args:
        recipients: the recipient's name → its certificate, None where it has none.
        now: the current instant.
        policy: what the deployment accepts.

    Raises:
        ConflictError: who cannot be encrypted to and why (code `recipient-certificate`); the member
            `recipients` holds the same for a program.
    """
    refused: dict[str, list[str]] = {}
    for name, certificate in recipients.items():
        if certificate is None:
            refused[name] = ["is not on record"]
        elif reasons := unsuitable(certificate, now, policy):
            refused[name] = [f"({_serial(certificate)}) {reason}" for reason in reasons]
    if refused:
        raise cannot_encrypt(refused)


def cannot_encrypt(refused: Mapping[str, list[str]]) -> ConflictError:
    """Return the refusal of a release, from each recipient's name → reasons as `unsuitable` gives."""
    said = "; ".join(f"{name}: its certificate {_joined(why)}" for name, why in refused.items())
    return ConflictError(
        f"The document cannot be released encrypted. {said}.",
        code="recipient-certificate",
        rule="recipients-can-decrypt",
        satisfied_by="Have a valid encryption certificate recorded for each recipient named.",
        recipients=[{"recipient": name, "reasons": why} for name, why in refused.items()],
    )


def _joined(reasons: list[str]) -> str:
    return ", and ".join(reasons)


def _serial(certificate: x509.Certificate) -> str:
    return f"serial {certificate.serial_number:x}"


def _dates(certificate: x509.Certificate, now: datetime) -> Iterator[str]:
    if now < certificate.not_valid_before_utc:
        yield f"is valid only from {rfc3339(certificate.not_valid_before_utc)}"
    if now > certificate.not_valid_after_utc:
        yield f"expired on {rfc3339(certificate.not_valid_after_utc)}"


def _key(certificate: x509.Certificate, policy: Suitability) -> Iterator[str]:
    try:
        public = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        yield "holds a key of an unknown kind; RSA, P-256, P-384 or P-521 can be encrypted to"
        return
    if isinstance(public, rsa.RSAPublicKey):
        yield from _rsa(certificate, public.key_size, policy)
    elif isinstance(public, ec.EllipticCurvePublicKey):
        if public.curve.name not in CURVES:
            yield f"holds a key on the curve {public.curve.name}; P-256, P-384 or P-521 are used"
    else:
        yield "holds a key that only signs; RSA, P-256, P-384 or P-521 can be encrypted to"


def _rsa(certificate: x509.Certificate, bits: int, policy: Suitability) -> Iterator[str]:
    if certificate.public_key_algorithm_oid.dotted_string not in _ENCRYPTING_RSA:
        yield "holds an RSA key for PSS signatures only"
    least = LEAST_RSA_BITS if policy.rsa_2048_reason else GOOD_RSA_BITS
    if bits < least:
        yield f"holds an RSA key of {bits} bits; at least {least} are needed"
    if bits > MOST_RSA_BITS:
        yield f"holds an RSA key of {bits} bits; at most {MOST_RSA_BITS} are used"


def _usage(certificate: x509.Certificate) -> Iterator[str]:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        algorithm = certificate.public_key_algorithm_oid.dotted_string
    except x509.ExtensionNotFound:
        return  # RFC 5280: without the extension every use is allowed
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        yield "holds extensions that cannot be read"
        return
    if algorithm in _ENCRYPTING_RSA:
        if not usage.key_encipherment:
            yield "does not allow keyEncipherment, which encryption to an RSA key is"
    elif not usage.key_agreement:
        yield "does not allow keyAgreement, which encryption to an elliptic-curve key is"


def _signature(certificate: x509.Certificate) -> Iterator[str]:
    try:
        used = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        yield "is itself signed with an algorithm that is not known"
        return
    if used is not None and not isinstance(used, _SOUND_HASHES):
        yield f"is itself signed with {used.name.upper()}; SHA-256 or better is needed"
