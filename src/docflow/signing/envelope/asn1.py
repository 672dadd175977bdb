"""The structures of an envelope that asn1crypto does not have, and the one way to parse.

Source: RFC 5084 section 3.2 (GCMParameters), RFC 5753 section 7.2 (ECC-CMS-SharedInfo).
"""

from collections.abc import Iterator
from contextlib import contextmanager

from asn1crypto import cms, core
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from docflow.signing.envelope.algorithms import AES256_GCM, KEY_BYTES, TAG_BYTES
from docflow.signing.envelope.faults import damaged


class GcmParameters(core.Sequence):  # type: ignore[misc]  # asn1crypto has no types
    """GCMParameters."""

    _fields = [  # noqa: RUF012 - asn1crypto's way
        ("nonce", core.OctetString),
        ("tag_length", core.Integer, {"default": 12}),
    ]


class ContentEncryption(core.Sequence):  # type: ignore[misc]
    """ContentEncryptionAlgorithmIdentifier with the parameters of AES-GCM."""

    _fields = [  # noqa: RUF012
        ("algorithm", core.ObjectIdentifier),
        ("parameters", core.Any, {"optional": True}),
    ]


class SharedInfo(core.Sequence):  # type: ignore[misc]
    """ECC-CMS-SharedInfo, without keying material of the sender (entityUInfo)."""

    _fields = [  # noqa: RUF012
        ("key_info", cms.KeyEncryptionAlgorithm),
        ("supp_pub_info", core.OctetString, {"explicit": 2}),
    ]


def content_encryption(nonce: bytes) -> bytes:
    """Return the AlgorithmIdentifier of AES-256-GCM with this nonce and a tag of 16 bytes."""
    parameters = GcmParameters({"nonce": nonce, "tag_length": TAG_BYTES})
    return bytes(ContentEncryption({"algorithm": AES256_GCM, "parameters": parameters}).dump())


def shared_info(key_info: bytes) -> bytes:
    """Return ECC-CMS-SharedInfo; `key_info` is the wrap algorithm as it stands in the message."""
    info = SharedInfo(
        {
            "key_info": cms.KeyEncryptionAlgorithm.load(key_info),
            "supp_pub_info": (KEY_BYTES * 8).to_bytes(4, "big"),
        }
    )
    return bytes(info.dump())


def to_asn1(certificate: x509.Certificate) -> asn1_x509.Certificate:
    """Return `certificate` as an asn1crypto object, its names byte for byte as they are."""
    return asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER))


@contextmanager
def parsing(what: str) -> Iterator[None]:
    """Turn whatever asn1crypto raises on bytes that do not parse into one refusal.

    Raises:
        IntegrityError: code `envelope-damaged`.
    """
    try:
        yield
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise damaged(f"{what} cannot be read") from error
