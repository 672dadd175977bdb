"""What a card is offered to sign of a file, whatever kind of file it is, and what comes back.

Rules:
- A card signs the DER of the signed attributes of one file; they vouch for the file by its digest.
- What goes between asking and answering are plain values (`Offered.to_json`), never a pickle.
- A signature that does not verify under the certificate is refused and embedded nowhere.

`interrupted` and `finishing` put it into PDFs, `besides` beside any other file.

Source: RFC 5652, 5.4 (what is signed).
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from pyhanko.sign.signers.pdf_cms import PdfCMSSignedAttributes

from docflow.kernel.errors import IntegrityError, InvalidInputError
from docflow.signing.blocking import blocking
from docflow.signing.dated import NewSignatures
from docflow.signing.fitness import Kind
from docflow.signing.identity import SignerIdentity
from docflow.signing.keysigner import (
    CURVE_DIGESTS,
    PSS_SALT_BYTES,
    IdentitySigner,
    VerifyingKey,
    signature_bytes,
    verifies,
)
from docflow.signing.trust import TrustRoots


class CardSigner(IdentitySigner):
    """Stands for a key that is not here: it gives the one signature that was handed to it, if any."""

    def __init__(
        self,
        public_key: VerifyingKey,
        certificate: x509.Certificate,
        chain: Sequence[x509.Certificate],
        signature: bytes | None = None,
    ) -> None:
        """Hold `signature`, checked by the caller."""
        super().__init__(public_key, certificate, chain)
        self._signature = signature

    def sign_bytes(self, data: bytes) -> bytes:
        """Return the signature that was handed over.

        Raises:
            TypeError: if there is none: the key is on a card.
        """
        if self._signature is None:
            raise TypeError("the key of this identity is on its owner's card")
        if not verifies(self.public_key, self.digest_name, self._signature, data):
            raise IntegrityError("the card's signature is over something else")
        return self._signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """What the card has to sign of one file.

    Attributes:
        document_digest: what the attributes vouch for: of a PDF without the room, of any other file whole.
        attributes: DER of the signed attributes: what the card signs (it is told their digest).
        digest_name: sha256, sha384 or sha512.
        sha256: of the file that the signature goes into, or beside.
    """

    document_digest: bytes
    attributes: bytes
    digest_name: str
    sha256: str

    @property
    def to_sign(self) -> bytes:
        """The digest of the signed attributes."""
        return hashlib.new(self.digest_name, self.attributes).digest()

    def to_json(self) -> dict[str, Any]:
        """Return plain values for a database or a job."""
        return {
            "document_digest": self.document_digest.hex(),
            "attributes": base64.b64encode(self.attributes).decode(),
            "digest_name": self.digest_name,
            "sha256": self.sha256,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote.

        Raises:
            IntegrityError: if it is something else.
        """
        try:
            return cls(**cls.fields_in(value))
        except (KeyError, TypeError, ValueError, binascii.Error) as error:
            raise IntegrityError("what was kept of a prepared file cannot be read") from error

    @classmethod
    def fields_in(cls, value: Mapping[str, Any]) -> dict[str, Any]:
        """Return this class's fields from what `to_json` wrote; raises whatever that lacks."""
        return {
            "document_digest": bytes.fromhex(value["document_digest"]),
            "attributes": base64.b64decode(value["attributes"], validate=True),
            "digest_name": str(value["digest_name"]),
            "sha256": str(value["sha256"]),
        }


def card_identity(
    holder: str,
    certificates: Sequence[x509.Certificate],
    *,
    roots: TrustRoots,
    now: datetime,
    expect: Kind = "person",
    algorithms: NewSignatures | None = None,
) -> SignerIdentity:
    """Return the identity of a card from its certificate and the authorities above it.

    Raises:
        ConfigurationError: code `signer-identity` or `algorithm-out-of-policy`, naming the holder and
            what would be right.
    """
    leaf, *chain = certificates
    return SignerIdentity.checked(
        holder,
        leaf,
        chain,
        lambda public, links: CardSigner(public, leaf, links),
        roots=roots,
        now=now,
        expect=expect,
        algorithms=algorithms,
    )


def algorithm_of(pem: str) -> tuple[str, str, int | None]:
    """Return how the key of a certificate signs here: name, hash, and bytes of salt for RSA."""
    key = x509.load_pem_x509_certificate(pem.encode()).public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        return "ECDSA", CURVE_DIGESTS[key.curve.name], None
    return "RSASSA-PSS", "sha256", PSS_SALT_BYTES


def attributes_of(signer: IdentitySigner, digest: bytes, signing_time: datetime | None) -> bytes:
    """Return the DER of the attributes that a signature over what has this digest signs.

    `signing_time` is among them outside a PDF, and not inside one, where it is `/M`.
    """
    attributes = blocking(
        signer.signed_attrs(
            digest,
            signer.digest_name,
            attr_settings=PdfCMSSignedAttributes(signing_time=signing_time),
            use_pades=True,  # of the CAdES family: bound to the certificate, no more attributes
            is_pdf_sig=signing_time is None,
        )
    )
    return bytes(attributes.dump())


def check_signature(identity: SignerIdentity, offered: Offered, signature: bytes) -> None:
    """Refuse a signature over what was offered that is not by the identity's key.

    Raises:
        InvalidInputError: code `signature-refused`.
    """
    signer = identity.signer
    if len(signature) <= signature_bytes(signer.public_key) and verifies(
        signer.public_key, signer.digest_name, signature, offered.attributes
    ):
        return
    raise InvalidInputError(
        f"The signature does not verify under the certificate of {identity.name}.",
        code="signature-refused",
        rule="signature-verifies",
        satisfied_by="Sign the digest that the session gives, with the key of the certificate it names "
        "and the algorithm it names.",
    )


def handed(identity: SignerIdentity, offered: Offered, signature: bytes) -> CardSigner:
    """Return the signer that gives a card's signature over what was offered, verified here.

    Raises:
        InvalidInputError: code `signature-refused`.
    """
    check_signature(identity, offered, signature)
    return CardSigner(identity.signer.public_key, identity.certificate, identity.chain, signature)
