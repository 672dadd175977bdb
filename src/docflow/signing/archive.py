"""The next archive time stamp on a released file, before the newest one ends.

Rules:
- The file is copied and added to: signed bytes stay as they are, the old file is kept by its keeper.
- The new stamp must last longer than the newest one.
- In the same update comes the evidence that the newest archive time stamp was good until now. If it
  no longer is, nothing can be added that would help, and the refusal says so.

Source: ETSI EN 319 142-1, 5.5 and 6; EN 319 102-1, 5.6.
"""

import hashlib
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from asn1crypto import cms
from pyhanko.pdf_utils.misc import PdfError

from docflow.kernel.errors import ConflictError, IntegrityError
from docflow.signing.ades import levels_reached
from docflow.signing.embedding import (
    ARCHIVE_FIELD,
    CHUNK_BYTES,
    add_archive_stamp,
    add_evidence,
    digest_of,
)
from docflow.signing.longterm import Bench, LongTerm
from docflow.signing.outside.revocation import Evidence
from docflow.signing.outside.timestamps import TimestampFault
from docflow.signing.pades import SEAL_FIELD, person_fields
from docflow.signing.report import VerificationReport
from docflow.signing.stampfacts import StampFacts
from docflow.signing.standing import Chain
from docflow.signing.trust import TrustRoots
from docflow.signing.update import Update, update_of
from docflow.signing.validate import verify
from docflow.signing.verifying.algorithms import AlgorithmPolicy, shipped_policy
from docflow.signing.verifying.stamps import time_told
from docflow.signing.verifying.terms import Policy


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


def require_gain(newest: cms.SignedData, bench: Bench) -> None:
    """Pass over an authority whose stamp would last no longer, by the same algorithms."""
    had = StampFacts.of(newest)
    (sample, *_) = bench.timestamper.samples.values()
    gets = StampFacts.of(sample["content"])
    if gets.until <= had.until and gets.algorithms == had.algorithms:
        raise TimestampFault(
            bench.authority,
            f"its certificate ends on {gets.until:%Y-%m-%d}, no later than that of the newest archive "
            "time stamp.",
        )


def _renewed(source: Path, target: Path, bench: Bench) -> Renewed:
    try:
        with source.open("rb") as original, target.open("w+b") as output:
            try:
                shutil.copyfileobj(original, output, CHUNK_BYTES)
                number = _add(update_of(output), bench)
                sha256, size = digest_of(output)
            except BaseException:
                output.truncate(0)
                raise
    except PdfError as error:
        raise IntegrityError(f"The released file cannot be read: {error}.") from error
    return made_with(bench, number, sha256, size)


def made_with(bench: Bench, number: int, sha256: str, size: int) -> Renewed:
    """Return what is known of a file whose newest archive time stamp was just made with `bench`."""
    stamp = bench.timestamper.tokens[-1]
    return Renewed(
        sha256,
        size,
        number,
        bench.authority,
        time_told(stamp),
        StampFacts.of(stamp),
    )


def _add(writer: Update, bench: Bench) -> int:
    stamps = writer.prev.embedded_timestamp_signatures
    if not stamps:
        raise ConflictError(
            "The file has no archive time stamp that could be renewed.",
            code="no-archive-timestamp",
        )
    newest = stamps[-1]
    require_gain(newest.signed_data, bench)
    add_evidence(
        writer, evidence_on_newest([newest.signer_cert, *newest.other_embedded_certs], bench)
    )
    add_archive_stamp(writer, bench)
    return len(stamps) + 1


def evidence_on_newest(known: Chain, bench: Bench) -> Evidence:
    """Return evidence on the authority of the newest archive time stamp, and on the next one's.

    Args:
        known: its certificate, then others that may lead to a root.
        bench: gathers it.

    Raises:
        ConflictError: code `archive-timestamp-lost` if it is no longer good.
    """
    try:
        return bench.evidence([known])
    except ConflictError as error:
        raise ConflictError(
            f"The newest archive time stamp is no longer good, so another cannot carry it on: "
            f"{error.detail}",
            code="archive-timestamp-lost",
        ) from error


def validate_renewed(
    path: Path,
    roots: TrustRoots,
    timestamp_roots: TrustRoots,
    *,
    now: datetime,
    before: tuple[str, int],
    number: int,
    algorithms: AlgorithmPolicy | None = None,
) -> None:
    """Refuse a renewed file that is anything but the one before it with one good time stamp more.

    Args:
        path: the renewed file.
        roots: the organisation's own roots.
        timestamp_roots: roots of time-stamp authorities.
        now: the validation time.
        before: SHA-256 and size of the file before.
        number: of the archive time stamp that was added, from 1.
        algorithms: the dated policy; by default the shipped one.

    Raises:
        IntegrityError: code `renewal-not-valid`, with every reason in `extra["reasons"]`.
    """
    dated = algorithms or shipped_policy()
    policy = Policy(algorithms=dated)
    reasons = [
        *(() if _begins_with(path, *before) else ("It does not begin with the file before.",)),
        *_faults(verify(path, timestamp_roots, now=now, own_roots=roots, policy=policy), number),
        *(
            f"The signature {one.field} reaches {one.level}, and not B-LTA ({one.why_not_more})."
            for one in levels_reached(path, roots + timestamp_roots, now=now, algorithms=dated)
            if one.level != "B-LTA"
        ),
    ]
    if reasons:
        raise IntegrityError(
            f"The renewed file is not kept: {' '.join(reasons)}",
            code="renewal-not-valid",
            reasons=reasons,
        )


def _faults(report: VerificationReport, number: int) -> list[str]:
    archive = [f"{ARCHIVE_FIELD}{n}" for n in range(1, number + 1)]
    # how many persons signed was judged when it was released; all that may differ is a stamp
    persons = max(1, len(report.field_names) - 1 - number)
    fields = tuple(sorted([*person_fields(persons), SEAL_FIELD, *archive]))
    by_field = {one.field: one for one in report.signatures}
    newest, sealed = by_field.get(archive[-1]), by_field.get(SEAL_FIELD)
    rules = (
        (
            sealed is not None and sealed.revision == report.revisions - 1 - number,
            f"It has {report.revisions} versions.",
        ),
        (report.field_names == fields, f"Its fields are {', '.join(report.field_names)}."),
        (
            newest is not None
            and newest.coverage == "entire-file"
            and newest.intact
            and newest.valid
            and newest.trusted
            and newest.padding_is_empty,
            "Its newest archive time stamp is not good or not over the whole file.",
        ),
        (
            sealed is not None and sealed.changes_after == "long-term-validation",
            "More than data for long-term validation came after the seal.",
        ),
    )
    return [sentence for holds, sentence in rules if not holds]


def _begins_with(path: Path, sha256: str, size: int) -> bool:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        left = size
        while left > 0 and (chunk := file.read(min(CHUNK_BYTES, left))):
            digest.update(chunk)
            left -= len(chunk)
    return left == 0 and digest.hexdigest() == sha256
