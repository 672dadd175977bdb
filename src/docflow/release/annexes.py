"""Annexes that are no PDF: signed beside, not inside.

Rules:
- The bytes of such an annex are never changed. Each person's signature is a signer of one signature file
  (CAdES, .p7s) over exactly those bytes; the file of the form `signed` is that signature file.
- A card signs them as it signs PDFs: it is offered the attributes of each, and all are finished or none.
- They are signed at the level that the PDFs are signed at; the evidence is in the signature file.
- They leave the house only inside the release's container (`containers`), beside their signatures.
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from docflow.db import Row
from docflow.documents.content import PDF
from docflow.release import persons
from docflow.release.levels import evidence_of, newest_stamp, no_earlier
from docflow.release.studio import Studio, Workbench, file_row
from docflow.signing.besides import finish_beside, prepare_beside
from docflow.signing.containing import validate_detached
from docflow.signing.detached import sign_detached
from docflow.signing.embedding import Embedded
from docflow.signing.identity import SignerIdentity
from docflow.signing.levels import Level
from docflow.signing.manifest import SIGNATURE_TYPE
from docflow.signing.offered import Offered
from docflow.signing.signed import Expected

SUFFIX = ".p7s"


def is_pdf(source: Row) -> bool:
    """Tell whether what a step works on comes from a PDF, by the type of the original."""
    return bool(source["media_type"] == PDF)


def sign(
    studio: Studio,
    source: Row,
    path: Path,
    target: Path,
    identity: SignerIdentity,
    *,
    now: datetime,
    level: Level,
) -> dict[str, Any]:
    """Write the signature file of an annex to `target`, checked strictly; return what is kept of it.

    Args:
        studio: the room's tools.
        source: the record of the step before: the annex, or the signature file of others over it.
        path: its bytes.
        target: takes the signature file.
        identity: who signs.
        now: the time of the signature.
        level: the level that the PDFs are signed at.

    Raises:
        IntegrityError: if the result is not what it must be (code `signature-not-valid`).
        OutsideUnavailableError: code `tsa-unavailable` or `revocation-unavailable`.
    """
    longterm = studio.desk.levels.longterm

    def make(data: Path, beside: Path | None) -> Embedded:
        return sign_detached(
            data, target, identity, now=now, level=level, longterm=longterm, beside=beside
        )

    return _judged(studio, source, path, target, identity, now, make)


def offer(
    studio: Studio, source: Row, identity: SignerIdentity, *, now: datetime
) -> dict[str, Any]:
    """Return what a card has to sign of an annex, and the annex's size, to be kept until it did.

    Args:
        studio: the room's tools.
        source: the record of the step before: the annex, or the signature file of others over it.
        identity: whose card signs.
        now: the time of the signature.
    """
    with Workbench(studio, source["document_id"]) as bench:
        original = file_row(studio, source["file_id"])
        offered = prepare_beside(bench.fetch(original), identity, now=now)
    return offered.to_json() | {"size": original["size"]}


def finish(
    studio: Studio,
    source: Row,
    path: Path,
    target: Path,
    identity: SignerIdentity,
    signature: bytes,
    *,
    now: datetime,
    level: Level,
) -> dict[str, Any]:
    """Write the signature file of an annex with a card's signature, as `sign` does with a key of here.

    Args:
        studio: the room's tools.
        source: the record of the step `prepared`, with what was offered.
        path: the annex, or the signature file of others over it.
        target: takes the signature file.
        identity: whose card signed.
        signature: what the card gave.
        now: the current instant.
        level: the level that the PDFs are signed at.

    Raises:
        InvalidInputError: code `signature-refused`.
        IntegrityError: if the annex is not the one that was offered, or the result is not what it must
            be (code `signature-not-valid`).
        OutsideUnavailableError: code `tsa-unavailable` or `revocation-unavailable`.
    """
    longterm = studio.desk.levels.longterm
    offered = Offered.from_json(source["evidence"])

    def make(data: Path, beside: Path | None) -> Embedded:
        return finish_beside(
            data, target, identity, offered, signature,
            now=now, level=level, longterm=longterm, beside=beside,
        )  # fmt: skip

    return _judged(studio, source, path, target, identity, now, make)


def _judged(
    studio: Studio,
    source: Row,
    path: Path,
    target: Path,
    identity: SignerIdentity,
    now: datetime,
    make: Callable[[Path, Path | None], Embedded],
) -> dict[str, Any]:
    """Have `make` write the signature file beside those of before, and judge it strictly."""
    before = persons.earlier(source)
    with Workbench(studio, source["document_id"]) as bench:
        data = bench.fetch(file_row(studio, source["file_id"])) if before else path
        made = make(data, path if before else None)
        told = evidence_of(made)
        validate_detached(
            target,
            data,
            studio.signers.own_roots,
            persons=[*persons.expected(before), Expected(identity.certificate, made.level)],
            now=no_earlier(now, newest_stamp((*before, told))),
            timestamp_roots=studio.desk.levels.longterm.timestamp_roots,
            algorithms=studio.signers.algorithms,
        )
    return told | {
        "signer": identity.name,
        "certificate_sha256": identity.sha256,
        "media_type": SIGNATURE_TYPE,
        "suffix": SUFFIX,
        "persons": before,
    }
