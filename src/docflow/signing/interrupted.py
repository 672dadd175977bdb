"""A personal signature in two steps, for a key that is somewhere else: on the person's own card.

1. `prepare_person` writes the file as it will be signed, with room for the signature, and tells what
   the card has to sign: the DER of the signed attributes.
2. `check_signature` judges the signature that came back, and `finishing.finish_person` puts it into that
   very room.

Rules:
- The room for a time stamp is made before anyone knows who will give it: it fits every authority.
- What goes between the steps are plain values (`Prepared.to_json`), never a pickle.
- A signature that does not verify under the certificate is refused and embedded nowhere.
- Both steps only open the paths that they are given.

Source: RFC 5652, 5.4 (what is signed); ETSI EN 319 142-1.
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

from asn1crypto import cms
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.sign.signers import PdfSigner
from pyhanko.sign.signers.pdf_byterange import PreparedByteRangeDigest
from pyhanko.sign.signers.pdf_cms import PdfCMSSignedAttributes

from docflow.kernel.errors import IntegrityError, InvalidInputError
from docflow.signing.appearance import Looks
from docflow.signing.blocking import blocking
from docflow.signing.dated import NewSignatures
from docflow.signing.embedding import CHUNK_BYTES, digest_of
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
from docflow.signing.pades import (
    ONLY,
    Slot,
    make_room,
    person_metadata,
    person_style,
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


@dataclass(frozen=True, slots=True)
class Prepared:
    """A file with room for a signature, and what the card has to sign.

    Attributes:
        document_digest: digest over the file without the room.
        start: offset of the room's first byte, the `<`.
        end: offset after the room's last byte, the `>`.
        attributes: DER of the signed attributes: what the card signs (it is told their digest).
        digest_name: sha256, sha384 or sha512.
        sha256: of the prepared file.
    """

    document_digest: bytes
    start: int
    end: int
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
            "start": self.start,
            "end": self.end,
            "attributes": base64.b64encode(self.attributes).decode(),
            "digest_name": self.digest_name,
            "sha256": self.sha256,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Prepared":
        """Read what `to_json` wrote.

        Raises:
            IntegrityError: if it is something else.
        """
        try:
            return cls(
                bytes.fromhex(value["document_digest"]),
                int(value["start"]),
                int(value["end"]),
                base64.b64decode(value["attributes"], validate=True),
                str(value["digest_name"]),
                str(value["sha256"]),
            )
        except (KeyError, TypeError, ValueError, binascii.Error) as error:
            raise IntegrityError("what was kept of a prepared file cannot be read") from error


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


def prepare_person(
    source: Path,
    target: Path,
    identity: SignerIdentity,
    *,
    now: datetime,
    reason: str | None = None,
    location: str | None = None,
    slot: Slot = ONLY,
    looks: Looks | None = None,
    token_digits: int = 0,
) -> Prepared:
    """Write `source` to `target` with room for a personal signature, and tell what to sign.

    `slot` says which person of how many; `token_digits` how much room a time stamp needs, none at B-B.

    Raises:
        InvalidInputError: code `pdf-broken` if the file cannot be signed as it is.
        ConflictError: code `already-signed` or `not-signed` if it does not carry exactly the signatures
            that come before.
    """
    signer = identity.signer
    with source.open("rb") as original, target.open("w+b") as output:
        try:
            writer = IncrementalPdfFileWriter(original)
            make_room(writer, looks, slot=slot)
            pdf_signer = PdfSigner(
                person_metadata(identity, reason, location, slot),
                signer=signer,
                stamp_style=person_style(looks),
            )
            digest = _with_room(writer, pdf_signer, output, now, token_digits)
        except (PdfError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise InvalidInputError(
                f"The file cannot be signed as it is: {error}. Save it again as PDF.",
                code="pdf-broken",
            ) from error
        return Prepared(
            digest.document_digest,
            digest.reserved_region_start,
            digest.reserved_region_end,
            _attributes(signer, digest.document_digest),
            signer.digest_name,
            digest_of(output)[0],
        )


def _attributes(signer: IdentitySigner, document_digest: bytes) -> bytes:
    """Return the DER of the attributes that a signature over the digest signs."""
    attributes: cms.CMSAttributes = blocking(
        signer.signed_attrs(
            document_digest,
            signer.digest_name,
            attr_settings=PdfCMSSignedAttributes(),
            use_pades=True,
        )
    )
    return bytes(attributes.dump())


def _with_room(
    writer: IncrementalPdfFileWriter,
    pdf_signer: PdfSigner,
    output: BinaryIO,
    now: datetime,
    token_digits: int,
) -> PreparedByteRangeDigest:
    """Write the file with room for the signature, and return the digest over the rest of it."""
    session = pdf_signer.init_signing_session(writer, existing_fields_only=True)
    session.system_time = now
    reserved = cast(IdentitySigner, pdf_signer.signer).reserved_digits + token_digits
    document = session.prepare_tbs_document(validation_info=None, bytes_reserved=reserved)
    digest, _ = document.digest_tbs_document(output=output, chunk_size=CHUNK_BYTES)
    return digest


def check_signature(identity: SignerIdentity, prepared: Prepared, signature: bytes) -> None:
    """Refuse a signature over the prepared file that is not by the identity's key.

    Raises:
        InvalidInputError: code `signature-refused`.
    """
    signer = identity.signer
    if len(signature) <= signature_bytes(signer.public_key) and verifies(
        signer.public_key, signer.digest_name, signature, prepared.attributes
    ):
        return
    raise InvalidInputError(
        f"The signature does not verify under the certificate of {identity.name}.",
        code="signature-refused",
        rule="signature-verifies",
        satisfied_by="Sign the digest that the session gives, with the key of the certificate it names "
        "and the algorithm it names.",
    )
