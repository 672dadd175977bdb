"""A PDF's personal signature in two steps, for a key that is somewhere else: on the person's own card.

1. `prepare_person` writes the file as it will be signed, with room for the signature, and tells what
   the card has to sign: the DER of the signed attributes.
2. `offered.check_signature` judges the signature that came back, and `finishing.finish_person` puts it
   into that very room.

Rules:
- The room for a time stamp is made before anyone knows who will give it: it fits every authority.
- Both steps only open the paths that they are given.

Source: RFC 5652, 5.4 (what is signed); ETSI EN 319 142-1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

from pyhanko.pdf_utils.misc import PdfError
from pyhanko.sign.signers import PdfSigner
from pyhanko.sign.signers.pdf_byterange import PreparedByteRangeDigest

from docflow.kernel.errors import InvalidInputError
from docflow.signing.appearance import Looks
from docflow.signing.embedding import CHUNK_BYTES, digest_of
from docflow.signing.identity import SignerIdentity
from docflow.signing.keysigner import IdentitySigner
from docflow.signing.offered import Offered, attributes_of
from docflow.signing.pades import (
    ONLY,
    Slot,
    make_room,
    person_metadata,
    person_style,
)
from docflow.signing.update import Update, update_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared(Offered):
    """A file with room for a signature, and what the card has to sign.

    Attributes:
        start: offset of the room's first byte, the `<`.
        end: offset after the room's last byte, the `>`.
    """

    start: int
    end: int

    def to_json(self) -> dict[str, Any]:
        """See `Offered.to_json`."""
        return {**Offered.to_json(self), "start": self.start, "end": self.end}

    @classmethod
    def fields_in(cls, value: Mapping[str, Any]) -> dict[str, Any]:
        """See `Offered.fields_in`."""
        return {
            **Offered.fields_in(value),
            "start": int(value["start"]),
            "end": int(value["end"]),
        }


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
            writer = update_of(original)
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
            document_digest=digest.document_digest,
            start=digest.reserved_region_start,
            end=digest.reserved_region_end,
            attributes=attributes_of(signer, digest.document_digest, None),
            digest_name=signer.digest_name,
            sha256=digest_of(output)[0],
        )


def _with_room(
    writer: Update,
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
