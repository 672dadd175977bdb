"""The `retain` job: what a document has when it reaches a state with `retain` is locked in the store.

The job is asked for by the transition's own transaction, so it exists if and only if the document
reached the state; it is tried again like every job, and shown to the operator if it fails. Locking
comes first and the record after it: what the record says is locked is locked. Both may be done twice;
a retention is lengthened and never shortened. A folder cannot lock; the record tells `off`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

import sqlalchemy as sa

from docflow.db import Draft, Row, UnitOfWork, all_rows
from docflow.documents import rows
from docflow.documents.desk import Desk
from docflow.documents.tables import documents, files
from docflow.jobs.model import JobRun
from docflow.kernel.actor import SERVICE
from docflow.kernel.clock import parse_rfc3339, rfc3339
from docflow.kernel.errors import ConflictError, NotFoundError
from docflow.storage import ObjectStore
from docflow.upkeep.tables import file_retentions

_BATCH = 100


@runtime_checkable
class Locks(Protocol):
    """A store that can lock an object until an instant."""

    def lock(self, key: str, until: datetime) -> None:
        """Give an object a retention, or lengthen it; a longer one that it has already stays."""
        ...


@dataclass(frozen=True, slots=True)
class Retainer:
    """Locks files; `mode` is the store's: off, governance or compliance."""

    desk: Desk
    store: ObjectStore
    mode: str

    def run(self, job: JobRun) -> None:
        """Run the job; called by the job engine, again after a crash."""
        document_id = job.subject_id
        since = parse_rfc3339(job.payload["since"])
        plan = job.step("found", lambda: self._find(document_id, job.payload["state"], since))
        until = parse_rfc3339(plan["until"])
        job.step("locked", lambda: self._lock(plan["keys"], until))
        job.step("recorded", lambda: self._record(document_id, plan, job.payload["state"]))

    def catch_up(self) -> int:
        """Lock what was recorded while locking was off; return how many objects. A duty.

        Raises:
            UnavailableError: if the store does not answer; the next run goes on.
        """
        if self.mode == "off":
            return 0
        now = self.desk.database.clock.now()
        with self.desk.database.read() as connection:
            open_ = all_rows(
                connection,
                sa.select(file_retentions)
                .where(file_retentions.c.lock == "off", file_retentions.c.until > now)
                .order_by(file_retentions.c.document_id, file_retentions.c.key)
                .limit(_BATCH),
            )
        for item in open_:
            try:
                self._lock([item["key"]], item["until"])
            except NotFoundError:  # the scan tells of it
                continue
            plan = {"keys": [item["key"]], "until": rfc3339(item["until"])}
            self._record(item["document_id"], plan, None)
        return len(open_)

    def _find(self, document_id: str, state: str, since: datetime) -> dict[str, Any]:
        """Work out until when, and which files a document has now."""
        with self.desk.database.read() as connection:
            row = rows.read(connection, document_id)
            kept = all_rows(
                connection,
                sa.select(files.c.storage_key, files.c.form)
                .where(files.c.document_id == document_id, files.c.current)
                .order_by(files.c.storage_key),
            )
        written = rows.pinned(self.desk, row).compiled.definition.states[state].retain
        retention = written.retention if written is not None else None
        if retention is None:
            retention = self.desk.catalogue.retention(row["type_code"])
        if retention is None:
            raise ConflictError(
                f"The office file says no retention for the document type {row['type_code']!r}, and "
                "none for all types; write one and retry the job.",
                code="retention-unknown",
                rule="kind-retention",
                satisfied_by=f"Write `retention: 10y` at the type {row['type_code']} or for all.",
            )
        return {"keys": _keys(row, kept), "until": rfc3339(retention.until(since))}

    def _lock(self, keys: Sequence[str], until: datetime) -> int:
        if self.mode == "off" or not isinstance(self.store, Locks):
            return 0
        for key in keys:
            self.store.lock(key, until)
        return len(keys)

    def _record(self, document_id: str, plan: dict[str, Any], state: str | None) -> int:
        until = parse_rfc3339(plan["until"])
        with self.desk.database.unit_of_work(SERVICE) as uow:
            row = rows.lock(uow, document_id)
            changed = [key for key in plan["keys"] if self._write(uow, document_id, key, until)]
            if not changed:
                return 0
            told = {"objects": changed, "until": plan["until"], "lock": self.mode}
            if state is not None:
                told["state"] = state
            uow.note(documents, row, Draft("document.files-retained", told))
        return len(changed)

    def _write(self, uow: UnitOfWork, document_id: str, key: str, until: datetime) -> bool:
        """Write one record, lengthen it, or note that it is locked now; tell whether it changed."""
        mine = sa.and_(file_retentions.c.document_id == document_id, file_retentions.c.key == key)
        known = uow.connection.execute(
            sa.select(file_retentions.c.until, file_retentions.c.lock).where(mine)
        ).one_or_none()
        values = {"until": until, "lock": self.mode, "at": uow.now}
        if known is None:
            uow.put(file_retentions, {"document_id": document_id, "key": key, **values})
            return True
        if known.until >= until and self.mode in {known.lock, "off"}:
            return False
        longer = {**values, "until": max(known.until, until)}
        uow.alter(file_retentions, document_id, mine, longer)
        return True


def _keys(row: Row, kept: Sequence[Row]) -> list[str]:
    """Return what is locked: of outgoing documents what is signed and released, else what came in."""
    signed = row["direction"] == "outgoing"
    return sorted({item["storage_key"] for item in kept if (item["form"] != "original") == signed})
