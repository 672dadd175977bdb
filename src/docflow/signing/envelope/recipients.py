"""The file's key, wrapped for each recipient's certificate.

Rules:
- A recipient is named by issuer and serial number of the certificate (RFC 5652 section 6.2), the
  issuer byte for byte as the certificate has it.
- Each ECDH recipient has an ephemeral key of its own; it ends with the call.

Source: RFC 5652 section 6.2, RFC 4055 section 4.1, RFC 5753 section 3.1.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from asn1crypto import algos, cms, core, keys
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from docflow.kernel.errors import InvalidInputError
from docflow.signing.envelope.algorithms import (
    AES256_WRAP,
    CURVES,
    LEAST_RSA_BITS,
    MOST_RSA_BITS,
    RSAES_OAEP,
    agreed_key,
    oaep,
    scheme_of,
)
from docflow.signing.envelope.asn1 import shared_info, to_asn1
from docflow.signing.trust import written

MAX_RECIPIENTS = 256

_OAEP_HASH = "sha256"


@dataclass(frozen=True, slots=True)
class RecipientFacts:
    """To which certificate a file was encrypted, and how: what the history records."""

    issuer: str
    """Distinguished name, RFC 4514."""
    serial: str
    """Hexadecimal, lower case."""
    sha256: str
    """Fingerprint of the certificate, 64 lower-case hexadecimal digits."""
    algorithm: str
    """`rsa-3072-oaep-sha256`, `ecdh-p-256-sha256kdf-aes256-wrap`, …"""

    def as_json(self) -> dict[str, Any]:
        """Return the facts as JSON-able values."""
        return asdict(self)


def wrap_for_all(
    certificates: Sequence[x509.Certificate], key: bytes
) -> tuple[bytes, tuple[RecipientFacts, ...]]:
    """Return RecipientInfos (DER) for `key`, and the facts in the order of `certificates`.

    A certificate that occurs twice is used once.

    Raises:
        InvalidInputError: if there is no recipient, or too many, or one whose key cannot be used.
    """
    unique = tuple(dict.fromkeys(certificates))
    if not 1 <= len(unique) <= MAX_RECIPIENTS:
        raise InvalidInputError(
            f"A file is encrypted to 1 to {MAX_RECIPIENTS} recipients, not to {len(unique)}.",
            code="recipient-count",
        )
    wrapped = [_wrap(certificate, key) for certificate in unique]
    infos = cms.RecipientInfos([info for info, _ in wrapped])
    return bytes(infos.dump()), tuple(facts for _, facts in wrapped)


def _wrap(certificate: x509.Certificate, key: bytes) -> tuple[cms.RecipientInfo, RecipientFacts]:
    public = _public_key(certificate)
    if isinstance(public, rsa.RSAPublicKey):
        info, algorithm = _key_transport(certificate, public, key)
    else:
        info, algorithm = _key_agreement(certificate, public, key)
    return info, RecipientFacts(
        issuer=written(certificate.issuer),
        serial=f"{certificate.serial_number:x}",
        sha256=certificate.fingerprint(hashes.SHA256()).hex(),
        algorithm=algorithm,
    )


def _public_key(
    certificate: x509.Certificate,
) -> rsa.RSAPublicKey | ec.EllipticCurvePublicKey:
    """Return the key if its kind can be used at all; `suitability` says what else must hold."""
    try:
        public = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _no_usable_key(certificate) from error
    if isinstance(public, rsa.RSAPublicKey) and LEAST_RSA_BITS <= public.key_size <= MOST_RSA_BITS:
        return public
    if isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name in CURVES:
        return public
    raise _no_usable_key(certificate)


def _no_usable_key(certificate: x509.Certificate) -> InvalidInputError:
    return InvalidInputError(
        f"The certificate {certificate.serial_number:x} of {written(certificate.issuer)} "
        "holds no key that can be encrypted to.",
        code="recipient-key",
        satisfied_by=f"An RSA key of {LEAST_RSA_BITS} bits or more, or a key on P-256, P-384 or P-521.",
    )


def _key_transport(
    certificate: x509.Certificate, public: rsa.RSAPublicKey, key: bytes
) -> tuple[cms.RecipientInfo, str]:
    digest = algos.DigestAlgorithm({"algorithm": _OAEP_HASH})
    parameters = algos.RSAESOAEPParams(
        {
            "hash_algorithm": digest,
            "mask_gen_algorithm": {"algorithm": "mgf1", "parameters": digest},
        }
    )
    info = cms.KeyTransRecipientInfo(
        {
            "version": "v0",
            "rid": cms.RecipientIdentifier("issuer_and_serial_number", _name(certificate)),
            "key_encryption_algorithm": {"algorithm": RSAES_OAEP, "parameters": parameters},
            "encrypted_key": public.encrypt(key, oaep(_OAEP_HASH, _OAEP_HASH)),
        }
    )
    return cms.RecipientInfo("ktri", info), f"rsa-{public.key_size}-oaep-{_OAEP_HASH}"


def _key_agreement(
    certificate: x509.Certificate, public: ec.EllipticCurvePublicKey, key: bytes
) -> tuple[cms.RecipientInfo, str]:
    curve, hash_name = CURVES[public.curve.name]
    ephemeral = ec.generate_private_key(public.curve)
    wrap = cms.KeyEncryptionAlgorithm({"algorithm": AES256_WRAP})
    kek = agreed_key(ephemeral, public, hash_name, shared_info(wrap.dump()))
    point = ephemeral.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    originator = keys.PublicKeyInfo(
        {"algorithm": {"algorithm": "ec"}, "public_key": keys.ECPointBitString(point)}
    )
    recipient = {
        "rid": cms.KeyAgreementRecipientIdentifier("issuer_and_serial_number", _name(certificate)),
        "encrypted_key": aes_key_wrap(kek, key),
    }
    info = cms.KeyAgreeRecipientInfo(
        {
            "version": "v3",
            "originator": cms.OriginatorIdentifierOrKey("originator_key", originator),
            "key_encryption_algorithm": {
                "algorithm": scheme_of(hash_name),
                "parameters": core.Any(wrap),
            },
            "recipient_encrypted_keys": [recipient],
        }
    )
    return cms.RecipientInfo("kari", info), f"ecdh-{curve.lower()}-{hash_name}kdf-aes256-wrap"


def _name(certificate: x509.Certificate) -> cms.IssuerAndSerialNumber:
    parsed = to_asn1(certificate)
    return cms.IssuerAndSerialNumber(
        {"issuer": parsed.issuer, "serial_number": parsed.serial_number}
    )
