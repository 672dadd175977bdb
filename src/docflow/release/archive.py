"""Keeping released files provable: the next archive time stamp before the newest one ends.

Rules:
- A stamp ends when its authority's certificate ends or, by the dated policy, its algorithms; it is due
  some time before. A duty finds what is due and asks for an `archive` job for each.
- The job adds one more time stamp to a copy, of a PDF or a container. What was delivered stays what
  it is, under its own digest; the copy is a stored file of its own, listed here.
- Every change of a stamp is history of its document. What fails says why.
- What time can heal is tried again by the duty, each time later; what it cannot heal, and a stamp that
  is over, is left to a person. A person may retry either at any time.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from docflow.db import Draft, Row, UnitOfWork, all_rows, one_row
from docflow.documents import rows
from docflow.documents.desk import Desk, Enqueue
from docflow.documents.tables import documents
from docflow.documents.telling import cause
from docflow.jobs.model import Job, JobRun
from docflow.kernel.actor import SERVICE
from docflow.kernel.clock import parse_rfc3339, rfc3339
from docflow.kernel.errors import ConflictError, NotFoundError
from docflow.kernel.ids import new_id
from docflow.release import studio as work
from docflow.release.studio import Made, Studio
from docflow.release.tables import archive_stamps
from docflow.signing.archive import Renewed, renew, validate_renewed
from docflow.signing.containerrenewal import validate_renewed_container
from docflow.signing.containerstamp import renew_container
from docflow.signing.detached import CONTAINER_TYPE
from docflow.signing.stampfacts import algorithms_until
from docflow.signing.verifying.algorithms import AlgorithmPolicy

KIND = "archive"
_OPEN = ("current", "due", "failed")
_AT_ONCE = 100
_LONGEST_PAUSE = timedelta(days=7)
_MOST_DOUBLINGS = 16
_GIVEN_UP = "Its renewal was given up by a person."


@dataclass(frozen=True, slots=True)
class Keeper:
    """Finds what is due, and what is to be tried again.

    Attributes:
        desk: where documents are.
        enqueue: asks for a job.
        retry: has a failed job run again.
        policy: says when algorithms end.
        lead: how long before its end a stamp is renewed.
        pause: from the first failed renewal to the next; doubles each time, at most a week.
    """

    desk: Desk
    enqueue: Enqueue
    retry: Callable[[UnitOfWork, str], Job]
    policy: AlgorithmPolicy
    lead: timedelta
    pause: timedelta

    def run(self) -> int:
        """Ask for the renewal of what is due, the earliest end first; return how many were asked for."""
        return self._ask_for_due() + self._try_again()

    def next_try(self, attempts: int, until: datetime, now: datetime) -> datetime | None:
        """Return when a renewal that failed `attempts` times is begun again; None if it is too late.

        Never later than half-way to the end of the stamp, as long as that is not before `pause` is over.
        """
        if until <= now:
            return None
        wait: timedelta = min(self.pause * 2 ** min(attempts - 1, _MOST_DOUBLINGS), _LONGEST_PAUSE)
        return now + max(self.pause, min(wait, (until - now) / 2))

    def _ask_for_due(self) -> int:
        now = self.desk.database.clock.now()
        with self.desk.database.read() as connection:
            due = all_rows(
                connection,
                sa.select(archive_stamps)
                .where(archive_stamps.c.state == "current", self.ending(connection, now))
                .order_by(archive_stamps.c.until, archive_stamps.c.id)
                .limit(_AT_ONCE),
            )
        for stamp in due:
            self._ask(stamp)
        return len(due)

    def _try_again(self) -> int:
        now = self.desk.database.clock.now()
        stamps = archive_stamps.c
        # no failure was counted: it failed before failures were, and nobody knows by what
        ready = sa.or_(stamps.next_at <= now, stamps.attempts == 0)
        with self.desk.database.read() as connection:
            failed = all_rows(
                connection,
                sa.select(archive_stamps)
                .where(stamps.state == "failed", ready)
                .order_by(stamps.until, stamps.id)
                .limit(_AT_ONCE),
            )
        return sum(self._again(stamp) for stamp in failed)

    def _again(self, stamp: Row) -> bool:
        try:
            with self.desk.database.unit_of_work(SERVICE) as uow:
                row = rows.lock(uow, stamp["document_id"])
                if _stamp_row(uow.connection, stamp["id"])["attempts"] != stamp["attempts"]:
                    return False  # another worker was first
                if not _set(uow, row, stamp, ("failed",), {"state": "due", "next_at": None}):
                    return False
                told = _told(stamp) | {"attempts": stamp["attempts"]}
                uow.note(documents, row, Draft("document.archive-retried", told))
                self.retry(uow, job_of(stamp))
        except ConflictError as error:  # a person runs it now, or gave it up
            if error.extra.get("state") == "cancelled":
                self._leave(stamp)
            return False
        return True

    def _leave(self, stamp: Row) -> None:
        """Leave to a person what a person gave up."""
        values = {"error": _GIVEN_UP, "attempts": max(1, stamp["attempts"]), "next_at": None}
        details = cause(self.desk, stamp["document_id"], _GIVEN_UP)
        with self.desk.database.unit_of_work(SERVICE) as uow:
            row = rows.lock(uow, stamp["document_id"])
            if _set(uow, row, stamp, ("failed",), values):
                draft = Draft("document.archive-failed", _told(stamp), details)
                uow.note(documents, row, draft)

    def ending(self, connection: sa.Connection, now: datetime) -> sa.ColumnElement[bool]:
        """Return the condition of stamps that end within the lead."""
        horizon = now + self.lead
        used = connection.execute(
            sa.select(archive_stamps.c.algorithms)
            .where(archive_stamps.c.state.in_(_OPEN))
            .distinct()
        ).scalars()
        ends = {one: algorithms_until(one, self.policy, now) for one in used}
        weak = [name for name, end in ends.items() if end is not None and end <= horizon]
        return sa.or_(archive_stamps.c.until <= horizon, archive_stamps.c.algorithms.in_(weak))

    def _ask(self, stamp: Row) -> None:
        with self.desk.database.unit_of_work(SERVICE) as uow:
            row = rows.lock(uow, stamp["document_id"])
            changed = _set(uow, row, stamp, ("current",), {"state": "due"})
            if not changed:
                return
            uow.note(documents, row, Draft("document.archive-due", _told(stamp)))
            self.enqueue(
                uow,
                kind=KIND,
                job_id=job_of(stamp),
                subject_id=stamp["document_id"],
                payload={"stamp_id": stamp["id"]},
            )


def job_of(stamp: Mapping[str, Any]) -> str:
    """Return the id of the job that renews a stamp."""
    return f"{KIND}-{stamp['id']}"


def first_stamps(uow: UnitOfWork, sealed: list[Row], files: list[Mapping[str, Any]]) -> None:
    """List the archive time stamps of files that are released now, in the release's transaction.

    Args:
        uow: the open unit of work.
        sealed: what the seal step recorded.
        files: the released files, in the same order, each with its `id`.
    """
    uow.put(
        archive_stamps,
        *(
            {
                "id": new_id(),
                "document_id": item["document_id"],
                "file_id": file["id"],
                "number": 1,
                "state": "current",
                "authority": item["evidence"]["timestamp_authority"],
                "stamped_at": parse_rfc3339(item["evidence"]["stamped_at"]),
                "until": parse_rfc3339(item["evidence"]["stamp_until"]),
                "algorithms": item["evidence"]["stamp_algorithms"],
                "storage_key": item["storage_key"],
                "data_key_id": item["data_key_id"],
                "sha256": item["sha256"],
                "size": item["size"],
                "error": None,
                "attempts": 0,
                "next_at": None,
                "changed_at": uow.now,
            }
            for item, file in zip(sealed, files, strict=True)
            if item["evidence"].get("level") == "B-LTA"
        ),
    )


def run(studio: Studio, job: JobRun) -> None:
    """Renew one stamp; called by the job engine, again after a crash."""
    job.step("stamped", lambda: _stamp(studio, job.payload["stamp_id"]))


def on_failed(keeper: Keeper, job: JobRun, error: str) -> None:
    """Tell the stamp that its renewal failed, and when it is begun again, if time can heal the cause."""
    desk = keeper.desk
    details = cause(desk, job.subject_id, error)
    with desk.database.unit_of_work(SERVICE) as uow:
        row = rows.lock(uow, job.subject_id)
        stamp = _stamp_row(uow.connection, job.payload["stamp_id"])
        if (stamp["state"], stamp["error"]) == ("failed", error):
            return  # told already
        attempts = stamp["attempts"] + 1
        later = None
        if not job.cannot_heal:
            later = keeper.next_try(attempts, stamp["until"], uow.now)
        values = {"error": error, "attempts": attempts, "next_at": later}
        if _set(uow, row, stamp, _OPEN, {"state": "failed", **values}):
            told = _told(stamp) | {
                "attempts": attempts,
                "next_at": rfc3339(later) if later else None,
            }
            uow.note(documents, row, Draft("document.archive-failed", told, details))


def _stamp(studio: Studio, stamp_id: str) -> int:
    with studio.desk.database.read() as connection:
        stamp = _stamp_row(connection, stamp_id)
    if stamp["state"] == "renewed":
        return int(stamp["number"]) + 1
    contained = work.file_row(studio, stamp["file_id"])["media_type"] == CONTAINER_TYPE
    renewed = _renewed_container if contained else _renewed_pdf

    def make(source: Row, path: Path, target: Path) -> dict[str, Any]:
        made = renewed(studio, source, path, target)
        return {
            "authority": made.authority,
            "stamped_at": made.stamped_at,
            "until": made.facts.until,
            "algorithms": made.facts.algorithms,
        }

    step = f"archive-{stamp['number'] + 1}"
    (made,) = work.each(studio, stamp["document_id"], step, [stamp], make, file_id="file_id")
    _keep(studio, stamp, made)
    return int(stamp["number"]) + 1


def _renewed_pdf(studio: Studio, source: Row, path: Path, target: Path) -> Renewed:
    """Write a PDF with its next archive time stamp to `target`, checked strictly."""
    longterm = studio.desk.levels.longterm
    now = studio.desk.database.clock.now()
    made = renew(path, target, longterm, now=now)
    validate_renewed(
        target,
        studio.signers.own_roots,
        longterm.timestamp_roots,
        now=max(now, made.stamped_at),
        before=(source["sha256"], source["size"]),
        number=source["number"] + 1,
        algorithms=studio.signers.algorithms.policy,
    )
    return made


def _renewed_container(studio: Studio, source: Row, path: Path, target: Path) -> Renewed:
    """Write a container with its next archive time stamp to `target`, checked strictly."""
    longterm = studio.desk.levels.longterm
    now = studio.desk.database.clock.now()
    made = renew_container(path, target, longterm, now=now)
    validate_renewed_container(
        target,
        path,
        studio.signers.own_roots,
        longterm.timestamp_roots,
        now=max(now, made.stamped_at),
        number=source["number"] + 1,
        algorithms=studio.signers.algorithms.policy,
    )
    return made


def _keep(studio: Studio, stamp: Row, made: Made) -> None:
    level = work.document_row(studio, stamp["document_id"])["classification"]
    key = studio.desk.vault.put(made.staged, level)
    with studio.desk.database.unit_of_work(SERVICE) as uow:
        row = rows.lock(uow, stamp["document_id"])
        if not _set(uow, row, stamp, _OPEN, {"state": "renewed", "error": None, "next_at": None}):
            return  # another run was first; its file counts
        new = {
            "id": new_id(),
            "document_id": stamp["document_id"],
            "file_id": stamp["file_id"],
            "number": stamp["number"] + 1,
            "state": "current",
            **made.evidence,
            "storage_key": key,
            "data_key_id": studio.desk.vault.keep_key(uow, made.staged),
            "sha256": made.staged.sha256,
            "size": made.staged.size,
            "error": None,
            "attempts": 0,
            "next_at": None,
            "changed_at": uow.now,
        }
        uow.put(archive_stamps, new)
        uow.note(documents, row, Draft("document.archive-stamped", _told(new)))


def _set(
    uow: UnitOfWork, row: Row, stamp: Row, states: tuple[str, ...], values: dict[str, Any]
) -> bool:
    """Change a stamp if it is still in one of `states`; tell whether it was."""
    still = uow.connection.execute(
        sa.select(archive_stamps.c.id).where(
            archive_stamps.c.id == stamp["id"], archive_stamps.c.state.in_(states)
        )
    ).one_or_none()
    if still is None:
        return False
    uow.alter(
        archive_stamps,
        row["id"],
        archive_stamps.c.id == stamp["id"],
        {**values, "changed_at": uow.now},
    )
    return True


def _told(stamp: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "stamp": stamp["id"],
        "file": stamp["file_id"],
        "number": stamp["number"],
        "sha256": stamp["sha256"],
        "size": stamp["size"],
        "authority": stamp["authority"],
        "until": rfc3339(stamp["until"]),
    }


def _stamp_row(connection: sa.Connection, stamp_id: str) -> Row:
    row = one_row(connection, sa.select(archive_stamps).where(archive_stamps.c.id == stamp_id))
    if row is None:
        raise NotFoundError("There is no such archive time stamp.", code="archive-stamp-not-found")
    return row
