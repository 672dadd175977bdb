"""Put one signature at a level into a PDF: what `PdfSigner.sign_pdf` does, with our time and evidence.

Rules:
- Evidence (DSS) goes into the signature's own update, so that B-B, B-T and B-LT are one update of
  the file and B-LTA two: the signature's, and the archive time stamp's. (A card's signature is the
  exception, see `interrupted`.)
- Only the paths given are opened, and nothing else is touched on the disk: for confidential files
  they are memory. A target that failed is left empty.
- If an authority fails in the middle, everything is begun anew with the next one, since the evidence
  is about that authority.

Source: ISO 32000-2, 12.8; ETSI EN 319 142-1.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from io import BufferedRandom
from pathlib import Path

from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import SigFieldSpec
from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner
from pyhanko.sign.signers.pdf_cms import PdfCMSSignedAttributes
from pyhanko.sign.signers.pdf_signer import PdfTimeStamper
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko.sign.validation.generic_cms import extract_tst_data_iter
from pyhanko.stamp import BaseStampStyle

from docflow.kernel.errors import InvalidInputError
from docflow.signing.blocking import blocking
from docflow.signing.identity import SignerIdentity
from docflow.signing.levels import Level, reaches
from docflow.signing.longterm import Bench, LongTerm
from docflow.signing.outside.revocation import Evidence
from docflow.signing.outside.timestamps import signer_of
from docflow.signing.stampfacts import StampFacts
from docflow.signing.standing import Chain
from docflow.signing.update import Update, add_field, update_of
from docflow.signing.verifying.stamps import time_told

CHUNK_BYTES = 1 << 20
ARCHIVE_FIELD = "Archive"


@dataclass(frozen=True, slots=True)
class Embedded:
    """The file that came out, and what stands behind its level.

    Attributes:
        sha256: of the file.
        size_bytes: of the file.
        level: as made.
        authority: name of the time-stamp authority, None at B-B.
        stamped_at: what the authority says the time was, None at B-B.
        stamp: how long its newest time stamp lasts, None at B-B.
    """

    sha256: str
    size_bytes: int
    level: Level
    authority: str | None
    stamped_at: datetime | None
    stamp: StampFacts | None


def sign_into(
    source: Path,
    target: Path,
    identity: SignerIdentity,
    metadata: PdfSignatureMetadata,
    *,
    prepare: Callable[[Update], None],
    now: datetime,
    level: Level,
    longterm: LongTerm | None,
    style: BaseStampStyle | None = None,
) -> Embedded:
    """Write `source`, signed, to `target`; `style` draws what a visible field shows.

    Raises:
        InvalidInputError: code `pdf-broken` if the file cannot be signed as it is.
        OutsideUnavailableError: code `tsa-unavailable` or `revocation-unavailable`.
        ConflictError: code `level-unavailable` or `signer-revoked`; and what `prepare` raises.
    """
    if level == "B-B":
        return _once(source, target, identity, metadata, prepare, now, level, None, style)
    if longterm is None:
        raise ValueError(f"a signature at {level} needs time-stamp authorities")
    return longterm.work(
        level,
        now,
        lambda bench: _once(source, target, identity, metadata, prepare, now, level, bench, style),
    )


def _once(
    source: Path,
    target: Path,
    identity: SignerIdentity,
    metadata: PdfSignatureMetadata,
    prepare: Callable[[Update], None],
    now: datetime,
    level: Level,
    bench: Bench | None,
    style: BaseStampStyle | None,
) -> Embedded:
    with source.open("rb") as original:
        try:
            writer = update_of(original)
            prepare(writer)
            with target.open("w+b") as output:
                try:
                    _embed(writer, identity, metadata, output, now, level, bench, style)
                    sha256, size = digest_of(output)
                except BaseException:
                    output.truncate(0)
                    raise
        except (PdfError, ValueError, KeyError, TypeError, RecursionError) as error:
            # pyHanko's SigningError is a ValueError
            raise InvalidInputError(
                f"The file cannot be signed as it is: {error}. Save it again as PDF.",
                code="pdf-broken",
            ) from error
    return made_at(level, bench, sha256, size)


def made_at(level: Level, bench: Bench | None, sha256: str, size: int) -> Embedded:
    """Return what is known of a file whose newest signature was just made with `bench`, if any."""
    if bench is None:
        return Embedded(sha256, size, level, None, None, None)
    token = bench.timestamper.tokens[-1]
    facts = StampFacts.of(token)
    return Embedded(sha256, size, level, bench.authority, time_told(token), facts)


def _embed(
    writer: Update,
    identity: SignerIdentity,
    metadata: PdfSignatureMetadata,
    output: BufferedRandom,
    now: datetime,
    level: Level,
    bench: Bench | None,
    style: BaseStampStyle | None,
) -> None:
    signer = identity.signer
    digits = signer.reserved_digits
    stamper = None
    if bench is not None:
        digits += bench.token_digits
        stamper = bench.timestamper
        if reaches(level, "B-LT"):
            ours = [signer.signing_cert, *signer.cert_registry]
            add_evidence(writer, bench.evidence([ours, *chains_in(writer.prev)]))
    session = PdfSigner(
        metadata, signer=signer, timestamper=stamper, stamp_style=style
    ).init_signing_session(writer, existing_fields_only=True)
    session.system_time = now
    document = session.prepare_tbs_document(validation_info=None, bytes_reserved=digits)
    prepared, _ = document.digest_tbs_document(output=output, chunk_size=CHUNK_BYTES)
    blocking(document.perform_signature(prepared.document_digest, PdfCMSSignedAttributes()))
    if bench is not None and level == "B-LTA":
        add_archive_stamp(update_of(output), bench)


def chains_in(reader: PdfFileReader) -> list[Chain]:
    """Return, for every signature and time stamp in a file, its certificate and those with it."""
    found: list[Chain] = []
    for one in (*reader.embedded_regular_signatures, *reader.embedded_timestamp_signatures):
        found.append([one.signer_cert, *one.other_embedded_certs])
        for token in extract_tst_data_iter(one.signer_info, signed=False):
            stamping = signer_of(token)
            if stamping is not None:
                found.append([stamping, *(choice.chosen for choice in token["certificates"])])
    return list({chain[0].sha256: chain for chain in found}.values())


def add_evidence(writer: Update, evidence: Evidence) -> None:
    """Put certificates, roots too, and what is said of them into the file's store."""
    DocumentSecurityStore.supply_dss_in_writer(
        writer,
        None,
        certs=evidence.certificates,
        ocsps=evidence.ocsps,
        crls=evidence.crls,
    )


def add_archive_stamp(writer: Update, bench: Bench) -> None:
    """Put a time stamp over the whole file that `writer` reads into that file, as one more update."""
    number = 1 + len(writer.prev.embedded_timestamp_signatures)
    name = f"{ARCHIVE_FIELD}{number}"
    add_field(writer, SigFieldSpec(name, readable_field_name="Timestamp"))
    stamper = PdfTimeStamper(bench.timestamper, field_name=name)
    blocking(
        stamper.async_timestamp_pdf(
            writer,
            "sha256",
            bytes_reserved=bench.token_digits,
            in_place=True,
            chunk_size=CHUNK_BYTES,
        )
    )


def digest_of(file: BufferedRandom) -> tuple[str, int]:
    """Return SHA-256 and size of an open file."""
    file.flush()
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    return digest, file.tell()
