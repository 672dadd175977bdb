"""Making signatures at the level asked for, or at the fallback that the workflow names, never silently.

Rules:
- What is away (a time-stamp authority, a responder) makes the job wait: the document's stage is then
  `waiting`, and says why; the job says when it tries next.
- What its authority revoked signs at no level. Where nobody tells, a signature that does not need the
  answer (B-B, B-T) is made, and its evidence says why nobody told.
- A fallback is made only where the workflow names one and the operator's time has passed; evidence
  and history say which level was asked for and why it was not made.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from docflow.jobs.model import JobRun
from docflow.kernel.clock import parse_rfc3339, rfc3339
from docflow.kernel.errors import UnavailableError
from docflow.release.studio import Made, Studio, document_row
from docflow.signing.embedding import Embedded
from docflow.signing.identity import SignerIdentity
from docflow.signing.levels import Level, level_named, reaches
from docflow.signing.longterm import AWAY_CODES
from docflow.signing.pades import PersonSigned, Sealed


def at_level(
    studio: Studio,
    job: JobRun,
    identity: SignerIdentity,
    now: datetime,
    make: Callable[[Level], Sequence[Made]],
) -> Sequence[Made]:
    """Return what `make` makes at the level that the job asks for, or at its fallback.

    Raises:
        UnavailableError: if what the level needs is away, and there is no fallback yet.
        ConflictError: code `signer-revoked` if the authority of `identity` revoked it; nothing is made.
    """
    told = standing_of(studio, identity, now)
    made = _made(studio, job, make)
    for item in made:
        if not reaches(level_named(item.evidence["level"]), "B-LT"):
            item.evidence.update(told)
    return made


def _made(studio: Studio, job: JobRun, make: Callable[[Level], Sequence[Made]]) -> Sequence[Made]:
    """Return what `make` makes at the level, or at its fallback once that is due."""
    level = level_named(job.payload.get("level") or "B-B")
    try:
        return make(level)
    except UnavailableError as error:
        fallback = job.payload.get("fallback")
        pending = document_row(studio, job.subject_id)["pending"]
        if error.code not in AWAY_CODES or not fallback or not pending:
            raise
        now = studio.desk.database.clock.now()
        if not studio.desk.levels.may_fall_back(parse_rfc3339(pending["since"]), now):
            raise
        made = make(level_named(fallback))
        for item in made:
            item.evidence.update(level_asked=level, fell_back_because=error.detail)
        return made


def evidence_of(made: PersonSigned | Sealed | Embedded) -> dict[str, Any]:
    """Return what is kept of a signature's level."""
    evidence = {"level": made.level, "timestamp_authority": made.authority, "stamped_at": None}
    if made.stamped_at is not None and made.stamp is not None:
        evidence |= {
            "stamped_at": rfc3339(made.stamped_at),
            "stamp_until": rfc3339(made.stamp.until),
            "stamp_algorithms": made.stamp.algorithms,
        }
    return evidence


def standing_of(studio: Studio, identity: SignerIdentity, now: datetime) -> dict[str, str]:
    """Refuse what its authority revoked, at any level; return what a step keeps if nobody tells.

    Raises:
        ConflictError: code `signer-revoked`.
    """
    why = studio.desk.levels.longterm.standing(identity, now)
    return {"revocation_unknown": why} if why else {}


def newest_stamp(signatures: Iterable[Mapping[str, Any]]) -> str | None:
    """Return the newest time stamp of what is kept of signatures, None without any."""
    return max((one["stamped_at"] for one in signatures if one.get("stamped_at")), default=None)


def no_earlier(now: datetime, stamped_at: str | None) -> datetime:
    """Return the time at which a signature is judged: not before its own time stamp."""
    return max(now, parse_rfc3339(stamped_at)) if stamped_at else now
