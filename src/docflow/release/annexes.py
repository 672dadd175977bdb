"""Annexes that are no PDF: signed beside, not inside.

Rules:
- The bytes of such an annex are never changed. Each person's signature is a signer of one signature file
  (CAdES, .p7s) over exactly those bytes; the file of the form `signed` is that signature file.
- They are signed at B-B, or at B-T where the workflow asks for that or more.
- They leave the house only inside the release's container (`containers`), beside their signatures.
"""

from datetime import datetime
from pathlib import Path
from typing import Any

from docflow.db import Row
from docflow.documents.content import PDF
from docflow.release import persons
from docflow.release.levels import evidence_of, no_earlier
from docflow.release.studio import Studio, Workbench, file_row
from docflow.signing.containing import validate_detached
from docflow.signing.detached import SIGNATURE_TYPE, sign_detached
from docflow.signing.identity import SignerIdentity
from docflow.signing.levels import Level, reaches
from docflow.signing.signed import Expected

SUFFIX = ".p7s"


def is_pdf(source: Row) -> bool:
    """Tell whether what a step works on comes from a PDF, by the type of the original."""
    return bool(source["media_type"] == PDF)


def attainable(level: Level) -> Level:
    """Return the level at which what is no PDF is signed where a PDF is signed at `level`."""
    return "B-T" if reaches(level, "B-T") else "B-B"


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
        OutsideUnavailableError: code `tsa-unavailable`.
    """
    before, own = persons.earlier(source), attainable(level)
    longterm = studio.desk.levels.longterm
    with Workbench(studio, source["document_id"]) as bench:
        data = bench.fetch(file_row(studio, source["file_id"])) if before else path
        made = sign_detached(
            data, target, identity,
            now=now, level=own, longterm=longterm, beside=path if before else None,
        )  # fmt: skip
        told = evidence_of(made)
        validate_detached(
            target,
            data,
            studio.signers.own_roots,
            persons=[*persons.expected(before), Expected(identity.certificate, own)],
            now=no_earlier(now, told["stamped_at"]),
            timestamp_roots=longterm.timestamp_roots,
            algorithms=studio.signers.algorithms,
        )
    return told | {
        "signer": identity.name,
        "certificate_sha256": identity.sha256,
        "media_type": SIGNATURE_TYPE,
        "suffix": SUFFIX,
    }
