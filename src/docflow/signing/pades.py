"""Sign a PDF as a person, then seal it as the organisation: PAdES baseline B-B.

Rules, in this order and no other:
1. The personal signature comes first. Its update adds both signature fields, `Person` and `Seal`; the
   seal's field carries the lock (all fields, no changes) that its signature will put in force. The
   personal signature certifies the document and admits form filling: the seal.
2. The seal comes last and covers every byte. After it nothing may change.
3. What comes out here is not yet released: `strict.validate_release` judges it first.

Both are incremental updates, so the signed bytes of the person stay as they were. Files of 100 MB pass
through in bounded memory.

Source: ISO 32000-2, 12.8; ETSI EN 319 142-1 (B-B: no signing-time attribute, the time is /M).
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from io import BufferedRandom
from pathlib import Path

from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.sign.fields import (
    FieldMDPAction,
    FieldMDPSpec,
    MDPPerm,
    SigFieldSpec,
    SigSeedSubFilter,
    append_signature_field,
    enumerate_sig_fields,
)
from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner
from pyhanko.sign.signers.pdf_cms import PdfCMSSignedAttributes

from docflow.kernel.errors import ConflictError, InvalidInputError
from docflow.signing.blocking import blocking
from docflow.signing.identity import Kind, SignerIdentity

PERSON_FIELD = "Person"
SEAL_FIELD = "Seal"
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class PersonSigned:
    """A file with the personal signature on it, not yet sealed."""

    path: Path
    sha256: str
    size_bytes: int
    signer: str
    certificate_sha256: str
    signed_at: datetime


@dataclass(frozen=True, slots=True)
class Sealed:
    """A file with both signatures on it, not yet judged."""

    path: Path
    sha256: str
    size_bytes: int
    signer: str
    certificate_sha256: str
    signed_at: datetime


def sign_person(
    source: Path,
    target: Path,
    identity: SignerIdentity,
    *,
    now: datetime,
    reason: str | None = None,
    location: str | None = None,
) -> PersonSigned:
    """Write `source`, signed by a person, to `target`.

    Raises:
        InvalidInputError: code `pdf-broken` if the file cannot be signed as it is.
        ConflictError: code `already-signed` if it carries signature fields.
        ValueError: if `identity` is not a person's, or `now` has no offset.
    """
    _require(identity, "person", now)
    metadata = person_metadata(identity, reason, location)
    sha256, size = _sign(source, target, identity, metadata, prepare=add_fields, now=now)
    return PersonSigned(target, sha256, size, identity.name, identity.sha256, now)


def seal(
    source: Path,
    target: Path,
    identity: SignerIdentity,
    *,
    now: datetime,
    reason: str | None = None,
    location: str | None = None,
) -> Sealed:
    """Write `source`, which a person signed here, to `target` with the organisation's seal on it.

    Raises:
        InvalidInputError: code `pdf-broken` if the file cannot be sealed as it is.
        ConflictError: code `not-signed` if the personal signature or the seal's field is missing,
            `already-sealed` if the seal is there.
        ValueError: if `identity` is not an organisation's, or `now` has no offset.
    """
    _require(identity, "organisation", now)

    def prepare(writer: IncrementalPdfFileWriter) -> None:
        fields = {name: value is not None for name, value, _ in enumerate_sig_fields(writer.prev)}
        if fields == {PERSON_FIELD: True, SEAL_FIELD: False}:
            return
        if fields.get(SEAL_FIELD):
            raise ConflictError("The file already carries the seal.", code="already-sealed")
        raise ConflictError(
            "Only a file with one personal signature made here can be sealed; this one has "
            f"{', '.join(sorted(fields)) or 'no signature field'}.",
            code="not-signed",
        )

    metadata = PdfSignatureMetadata(
        field_name=SEAL_FIELD,
        md_algorithm=identity.signer.digest_name,
        subfilter=SigSeedSubFilter.PADES,
        docmdp_permissions=MDPPerm.NO_CHANGES,
        reason=reason,
        location=location,
        name=identity.name,
    )
    sha256, size = _sign(source, target, identity, metadata, prepare=prepare, now=now)
    return Sealed(target, sha256, size, identity.name, identity.sha256, now)


def person_metadata(
    identity: SignerIdentity, reason: str | None, location: str | None
) -> PdfSignatureMetadata:
    """Return what a personal signature says of itself: it certifies, and admits form filling."""
    return PdfSignatureMetadata(
        field_name=PERSON_FIELD,
        md_algorithm=identity.signer.digest_name,
        subfilter=SigSeedSubFilter.PADES,
        certify=True,
        docmdp_permissions=MDPPerm.FILL_FORMS,
        reason=reason,
        location=location,
        name=identity.name,
    )


def add_fields(writer: IncrementalPdfFileWriter) -> None:
    """Add the fields of both signatures to a file that has none.

    Raises:
        ConflictError: code `already-signed` if it has any.
    """
    if any(True for _ in enumerate_sig_fields(writer.prev)):
        raise ConflictError(
            "The file already has signature fields; the personal signature must be the first.",
            code="already-signed",
        )
    append_signature_field(writer, SigFieldSpec(PERSON_FIELD))
    lock = FieldMDPSpec(FieldMDPAction.ALL)
    append_signature_field(
        writer,
        # without field_mdp_spec pyHanko silently leaves the lock out
        SigFieldSpec(SEAL_FIELD, field_mdp_spec=lock, doc_mdp_update_value=MDPPerm.NO_CHANGES),
    )


def _require(identity: SignerIdentity, kind: Kind, now: datetime) -> None:
    if identity.kind != kind:
        raise ValueError(f"{identity!r} cannot sign as {kind}")
    if now.tzinfo is None:
        raise ValueError("the signing time needs an offset")


def _sign(
    source: Path,
    target: Path,
    identity: SignerIdentity,
    metadata: PdfSignatureMetadata,
    *,
    prepare: Callable[[IncrementalPdfFileWriter], None],
    now: datetime,
) -> tuple[str, int]:
    """Sign into `target` and return its SHA-256 and size; leave no half-made file behind."""
    try:
        with source.open("rb") as original, target.open("w+b") as output:
            try:
                writer = IncrementalPdfFileWriter(original)
                prepare(writer)
                _embed(writer, identity, metadata, output, now)
            except (PdfError, ValueError, KeyError, TypeError, RecursionError) as error:
                # pyHanko's SigningError is a ValueError
                raise InvalidInputError(
                    f"The file cannot be signed as it is: {error}. Save it again as PDF.",
                    code="pdf-broken",
                ) from error
            return _digest(output)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _embed(
    writer: IncrementalPdfFileWriter,
    identity: SignerIdentity,
    metadata: PdfSignatureMetadata,
    output: BufferedRandom,
    now: datetime,
) -> None:
    """Do what `PdfSigner.sign_pdf` does, with the time that we were given."""
    session = PdfSigner(metadata, signer=identity.signer).init_signing_session(
        writer, existing_fields_only=True
    )
    session.system_time = now
    document = session.prepare_tbs_document(
        validation_info=None, bytes_reserved=identity.signer.reserved_digits
    )
    prepared, _ = document.digest_tbs_document(output=output, chunk_size=_CHUNK_BYTES)
    blocking(document.perform_signature(prepared.document_digest, PdfCMSSignedAttributes()))


def _digest(file: BufferedRandom) -> tuple[str, int]:
    file.flush()
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    return digest, file.tell()
