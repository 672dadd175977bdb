"""Keeping released files provable: the next archive time stamp before the newest one ends.

Rules:
- A stamp ends when its authority's certificate ends or, by the dated policy, its algorithms; it is due
  some time before. A duty finds what is due and asks for an `archive` job for each.
- The job adds one more time stamp to a copy. What was delivered stays what it is, under its own
  digest; the copy is a stored file of its own, listed here.
- Every change of a stamp is history of its document. What fails says why, and a person may retry it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from docflow.db import Draft, Row, UnitOfWork, all_rows, one_row
from docflow.documents import rows
from docflow.documents.desk import Desk, Enqueue
from docflow.documents.tables import documents
from docflow.jobs.model import JobRun
from docflow.kernel.actor import SERVICE
from docflow.kernel.clock import parse_rfc3339, rfc3339
from docflow.kernel.errors import NotFoundError
from docflow.kernel.ids import new_id
from docflow.release import studio as work
from docflow.release.studio import Made, Studio
from docflow.release.tables import archive_stamps
from docflow.signing.archive import renew, validate_renewed
from docflow.signing.stampfacts import algorithms_until
from docflow.signing.verifying.algorithms import AlgorithmPolicy

KIND = "archive"
_OPEN = ("current", "due", "failed")
_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Keeper:
    """Finds what is due: the policy, and how long before its end a stamp is renewed."""

    desk: Desk
    enqueue: Enqueue
    policy: AlgorithmPolicy
    lead: timedelta

    def run(self) -> int:
        """Ask for the renewal of what is due, the earliest end first; return how many were found."""
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
                job_id=f"{KIND}-{stamp['id']}",
                subject_id=stamp["document_id"],
                payload={"stamp_id": stamp["id"]},
            )


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
                "changed_at": uow.now,
            }
            for item, file in zip(sealed, files, strict=True)
            if item["evidence"].get("level") == "B-LTA"
        ),
    )


def run(studio: Studio, job: JobRun) -> None:
    """Renew one stamp; called by the job engine, again after a crash."""
    job.step("stamped", lambda: _stamp(studio, job.payload["stamp_id"]))


def on_failed(desk: Desk, job: JobRun, error: str) -> None:
    """Tell the stamp that its renewal failed."""
    with desk.database.unit_of_work(SERVICE) as uow:
        row = rows.lock(uow, job.subject_id)
        stamp = _stamp_row(uow.connection, job.payload["stamp_id"])
        if (stamp["state"], stamp["error"]) == ("failed", error):
            return  # told already
        if _set(uow, row, stamp, _OPEN, {"state": "failed", "error": error}):
            uow.note(
                documents, row, Draft("document.archive-failed", _told(stamp), {"error": error})
            )


def _stamp(studio: Studio, stamp_id: str) -> int:
    with studio.desk.database.read() as connection:
        stamp = _stamp_row(connection, stamp_id)
    if stamp["state"] == "renewed":
        return int(stamp["number"]) + 1
    longterm = studio.desk.levels.longterm
    now = studio.desk.database.clock.now()

    def make(source: Row, path: Path, target: Path) -> dict[str, Any]:
        made = renew(path, target, longterm, now=now)
        validate_renewed(
            target,
            studio.signers.own_roots,
            longterm.timestamp_roots,
            now=max(now, made.stamped_at),
            before=(source["sha256"], source["size"]),
            number=source["number"] + 1,
        )
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


def _keep(studio: Studio, stamp: Row, made: Made) -> None:
    level = work.document_row(studio, stamp["document_id"])["classification"]
    key = studio.desk.vault.put(made.staged, level)
    with studio.desk.database.unit_of_work(SERVICE) as uow:
        row = rows.lock(uow, stamp["document_id"])
        if not _set(uow, row, stamp, _OPEN, {"state": "renewed", "error": None}):
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
