"""Several persons on one file: whose signatures it carries, and which of them the next one is.

Rules:
- How many persons sign is the workflow's, the same on each of its ways to the seal; the first
  signature makes room for all. Which room a person has follows from their transition, and was decided
  when it was asked for (`documents.placing.seat_of`).
- Whose signatures a file carries is what the jobs recorded of that very file, by its digest; it is
  never read from the file and believed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from docflow.db import Row, all_rows
from docflow.documents import rows
from docflow.jobs.model import JobRun
from docflow.kernel.errors import ConflictError, IntegrityError
from docflow.release import studio as work
from docflow.release.studio import Studio
from docflow.release.tables import signature_steps
from docflow.signing.levels import level_named
from docflow.signing.pades import Slot
from docflow.signing.strict import Expected

_KEPT = ("signer", "certificate_sha256", "level", "stamped_at", "evidence_apart", "slot")
_BASIC = "B-B"  # of signatures that were recorded before levels were

Signature = Mapping[str, Any]


def stage_signed(studio: Studio, document_id: str, job_id: str, signed: Sequence[Row]) -> int:
    """Note which signed files the next signature goes on, and whose signatures are on each."""
    sources = [{**row, "file_id": row["origin_id"]} for row in signed]
    known = on_files(studio, document_id)
    work.record_evidence(
        studio,
        document_id,
        job_id,
        "staged",
        [(row, {"file": row["id"], "persons": list(carried(known, row))}) for row in sources],
    )
    return len(sources)


def on_files(studio: Studio, document_id: str) -> dict[str, list[Signature]]:
    """Return, by digest of a signed file, the personal signatures on it, in order of signing."""
    table = signature_steps
    with studio.desk.database.read() as connection:
        found = all_rows(
            connection,
            sa.select(table.c.sha256, table.c.evidence).where(
                table.c.document_id == document_id, table.c.step == "signed"
            ),
        )
    return {row["sha256"]: [*earlier(row), _kept(row["evidence"])] for row in found}


def carried(known: Mapping[str, Sequence[Signature]], file: Row) -> Sequence[Signature]:
    """Return the signatures on one of the document's signed files.

    Raises:
        IntegrityError: if no job recorded that it made this file.
    """
    if file["sha256"] not in known:
        raise IntegrityError(f"no signature is on record for the signed file {file['file_id']}")
    return known[file["sha256"]]


def earlier(step: Row) -> list[Signature]:
    """Return the personal signatures that a recorded step found on its file, in order."""
    return list((step["evidence"] or {}).get("persons", ()))


def _kept(evidence: Signature) -> Signature:
    return {name: evidence[name] for name in _KEPT if name in evidence}


def slot_of(studio: Studio, job: JobRun, staged: Row) -> Slot:
    """Return where the personal signature of a job goes on a staged file, and which are there.

    Raises:
        ConflictError: code `already-signed` if every person has signed.
    """
    of = how_many(studio, job.subject_id)
    filled = slots(earlier(staged))
    if len(filled) >= of:
        raise ConflictError(
            f"The file carries all {of} personal signatures that its workflow makes room for.",
            code="already-signed",
        )
    number = (job.payload.get("seat") or {}).get("number") or len(filled) + 1
    return Slot(number, of, filled)


def how_many(studio: Studio, document_id: str) -> int:
    """Return how many persons sign a file of the document before it is sealed."""
    row = work.document_row(studio, document_id)
    return rows.pinned(studio.desk, row).compiled.persons


def signs(studio: Studio, document: Row, trigger: str) -> bool:
    """Tell whether a person signs by a transition; also True of one that there is not."""
    known = rows.pinned(studio.desk, document).compiled.definition.transitions
    transition = known.get(trigger)
    return transition is None or (transition.sign is not None and transition.sign.as_ == "person")


def require_all(persons: Sequence[Signature], of: int) -> None:
    """Refuse to seal what not every person of the workflow has signed.

    Raises:
        ConflictError: code `signature-missing`.
    """
    if len(persons) != of:
        raise ConflictError(
            f"The file carries {len(persons)} of {of} personal signatures.",
            code="signature-missing",
        )


def slots(persons: Sequence[Signature]) -> tuple[int, ...]:
    """Return in which place each of these signatures is, in the order of signing."""
    return tuple(one.get("slot") or number for number, one in enumerate(persons, 1))


def expected(persons: Sequence[Signature]) -> list[Expected]:
    """Return what the strict validation shall find of these signatures."""
    return [
        Expected(
            one["certificate_sha256"],
            level_named(one.get("level", _BASIC)),
            one.get("evidence_apart", False),
            slot,
        )
        for one, slot in zip(persons, slots(persons), strict=True)
    ]
