"""The second step of a card's signature: into its room, at the level that was asked for.

Rules:
- A signature that does not verify under the certificate is embedded nowhere.
- From B-LT on, the evidence follows in an update of its own (`evidence_apart`). It is gathered now and
  not when the file was prepared: the card has minutes, an authority may be away for hours, and
  evidence of before would be old, or about another authority.
- A target that failed is left empty or not made; the prepared file stays as it was, for the next try.

Source: RFC 5652, 5.4; RFC 3161; ETSI EN 319 142-1; ISO 32000-2, 12.8.4.3 (DSS).
"""

import shutil
from datetime import datetime
from functools import partial
from io import BufferedRandom
from pathlib import Path

from asn1crypto import cms
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.signers.pdf_byterange import PreparedByteRangeDigest
from pyhanko.sign.signers.pdf_signer import PdfTBSDocument

from docflow.kernel.errors import IntegrityError
from docflow.signing.blocking import blocking
from docflow.signing.embedding import (
    CHUNK_BYTES,
    Embedded,
    add_evidence,
    chains_in,
    digest_of,
    made_at,
)
from docflow.signing.identity import SignerIdentity
from docflow.signing.interrupted import Prepared
from docflow.signing.levels import Level, reaches
from docflow.signing.longterm import Bench, LongTerm
from docflow.signing.offered import CardSigner, handed
from docflow.signing.outside.timestamps import TimestampTooLarge
from docflow.signing.pades import PersonSigned
from docflow.signing.update import update_of


def evidence_apart(level: Level) -> bool:
    """Tell whether a card's signature at this level is followed by an update with its evidence."""
    return reaches(level, "B-LT")


def finish_person(
    source: Path,
    target: Path,
    identity: SignerIdentity,
    prepared: Prepared,
    signature: bytes,
    *,
    signed_at: datetime,
    now: datetime,
    level: Level = "B-B",
    longterm: LongTerm | None = None,
) -> PersonSigned:
    """Write the prepared file `source` to `target` with the card's signature in its room.

    Args:
        source: what `prepare_person` wrote.
        target: the signed file; if it failed, empty or not there.
        identity: whose card signed.
        prepared: what `prepare_person` told.
        signature: DER for ECDSA, RSA-PSS otherwise.
        signed_at: the time that `prepare_person` was given.
        now: the current instant.
        level: of the signature; what is above B-B needs the room that was prepared for it.
        longterm: makes levels above B-B.

    Raises:
        InvalidInputError: code `signature-refused` if the signature is not by the identity's key.
        IntegrityError: if `source` is not the file that was prepared.
        OutsideUnavailableError: code `tsa-unavailable` or `revocation-unavailable`.
        ConflictError: code `level-unavailable`, `signer-revoked` or `stamp-too-large`.
        ValueError: if the level is B-LTA.
    """
    if level == "B-LTA":
        raise ValueError("the archive time stamp comes after the seal, not before it")
    signer = handed(identity, prepared, signature)
    finish = partial(_finish, source, target, signer, prepared, level)
    if level == "B-B":
        made = finish(None)
    elif longterm is None:
        raise ValueError(f"a signature at {level} needs time-stamp authorities")
    else:
        made = longterm.work(level, now, finish)
    return PersonSigned(
        target, made.sha256, made.size_bytes, identity.name, identity.sha256, signed_at,
        made.level, made.authority, made.stamped_at, made.stamp,
    )  # fmt: skip


def _finish(
    source: Path,
    target: Path,
    signer: CardSigner,
    prepared: Prepared,
    level: Level,
    bench: Bench | None,
) -> Embedded:
    with source.open("rb") as original, target.open("w+b") as output:
        try:
            shutil.copyfileobj(original, output, CHUNK_BYTES)
            if digest_of(output)[0] != prepared.sha256:
                raise IntegrityError("the prepared file is not the one that the card signed")
            _fill(output, signer, prepared, None)
            if bench is not None:
                _lengthen(output, signer, prepared, level, bench)
            sha256, size = digest_of(output)
        except BaseException:
            output.truncate(0)
            raise
    return made_at(level, bench, sha256, size)


def _lengthen(
    output: BufferedRandom, signer: CardSigner, prepared: Prepared, level: Level, bench: Bench
) -> None:
    """Put the time stamp into the signature, and the evidence after it."""
    evidence = None
    if evidence_apart(level):
        # first, so that a responder that is away does not cost a time stamp at each try
        evidence = bench.evidence(chains_in(PdfFileReader(output)))
    _fill(output, signer, prepared, bench)
    if evidence is not None:
        writer = update_of(output)
        add_evidence(writer, evidence)
        writer.write_in_place()  # type: ignore[no-untyped-call]


def _fill(
    output: BufferedRandom, signer: CardSigner, prepared: Prepared, bench: Bench | None
) -> None:
    """Write the signature into its room, with a time stamp of the bench's authority if there is one.

    Raises:
        TimestampTooLarge: if they need more room than was prepared.
    """
    signed = blocking(
        signer.async_sign_prescribed_attributes(
            prepared.digest_name,
            cms.CMSAttributes.load(prepared.attributes),
            timestamper=bench.timestamper if bench else None,
        )
    ).dump()
    over = 2 * len(signed) - (prepared.end - prepared.start - len("<>"))
    if bench is not None and over > 0:
        raise TimestampTooLarge(
            bench.authority, f"its token needs {over // 2} bytes more than the file has room for."
        )
    room = PreparedByteRangeDigest(prepared.document_digest, prepared.start, prepared.end)
    PdfTBSDocument.resume_signing(output, room, signed)
