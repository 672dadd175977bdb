"""The next archive time stamp on a released file, before the newest one ends.

Rules:
- The file is copied and added to: signed bytes stay as they are, the old file is kept by its keeper.
- In the same update comes the evidence that the newest archive time stamp was good until now. If it
  no longer is, nothing can be added that would help, and the refusal says so.

Source: ETSI EN 319 142-1, 5.5 and 6; EN 319 102-1, 5.6.
"""

import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.misc import PdfError

from docflow.kernel.errors import ConflictError, IntegrityError
from docflow.signing.embedding import (
    CHUNK_BYTES,
    add_archive_stamp,
    add_evidence,
    digest_of,
)
from docflow.signing.longterm import Bench, LongTerm
from docflow.signing.stampfacts import StampFacts


@dataclass(frozen=True, slots=True)
class Renewed:
    """A file with one more archive time stamp."""

    sha256: str
    size_bytes: int
    number: int
    authority: str
    stamped_at: datetime
    facts: StampFacts


def renew(source: Path, target: Path, longterm: LongTerm, *, now: datetime) -> Renewed:
    """Write `source` with one more archive time stamp to `target`.

    Raises:
        ConflictError: code `no-archive-timestamp` if there is none yet, `archive-timestamp-lost` if
            the newest one is no longer good, so that another could not carry it on.
        OutsideUnavailableError: if no authority or no responder answers.
        IntegrityError: if the file is no PDF that this service made.
    """
    return longterm.work("B-LTA", now, lambda bench: _renewed(source, target, bench))


def _renewed(source: Path, target: Path, bench: Bench) -> Renewed:
    try:
        with source.open("rb") as original, target.open("w+b") as output:
            try:
                shutil.copyfileobj(original, output, CHUNK_BYTES)
                number = _add(IncrementalPdfFileWriter(output), bench)
                sha256, size = digest_of(output)
            except BaseException:
                output.truncate(0)
                raise
    except PdfError as error:
        raise IntegrityError(f"The released file cannot be read: {error}.") from error
    stamp = bench.timestamper.tokens[-1]
    return Renewed(
        sha256,
        size,
        number,
        bench.authority,
        stamp["encap_content_info"]["content"].parsed["gen_time"].native,
        StampFacts.of(stamp),
    )


def _add(writer: IncrementalPdfFileWriter, bench: Bench) -> int:
    stamps = writer.prev.embedded_timestamp_signatures
    if not stamps:
        raise ConflictError(
            "The file has no archive time stamp that could be renewed.",
            code="no-archive-timestamp",
        )
    newest = stamps[-1]
    try:
        evidence = bench.evidence([[newest.signer_cert, *newest.other_embedded_certs]])
    except ConflictError as error:
        raise ConflictError(
            f"The newest archive time stamp is no longer good, so another cannot carry it on: "
            f"{error.detail}",
            code="archive-timestamp-lost",
        ) from error
    add_evidence(writer, evidence)
    add_archive_stamp(writer, bench)
    return len(stamps) + 1
