"""The duties of this room together, made from the settings and run by a worker."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, Self, runtime_checkable

from docflow.db import Database
from docflow.documents import retaining
from docflow.documents.desk import Desk
from docflow.jobs.engine import JobEngine
from docflow.settings import Settings
from docflow.storage import ObjectStore
from docflow.upkeep.retain import Retainer
from docflow.upkeep.scan import Scanner
from docflow.upkeep.sweep import Sweeper

_SWEEP_SECONDS = 900.0
_RETENTION_SECONDS = 3600.0
_SCAN_SECONDS = 5.0  # rest between two pieces, which take as long

Duty = tuple[str, float, Callable[[], object]]


@runtime_checkable
class Retries(Protocol):
    """A store that tries a request more than once unless told otherwise."""

    def once(self) -> ObjectStore:
        """Return the same store, which tries each request once."""
        ...


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What keeps the stored files of one instance whole."""

    sweeper: Sweeper
    scanner: Scanner
    retainer: Retainer | None

    @classmethod
    def of(
        cls, settings: Settings, database: Database, store: ObjectStore, desk: Desk | None = None
    ) -> "Upkeep":
        """Make them.

        Args:
            settings: say how often, how fast, how old, and how to lock.
            database: whose rows say what is needed.
            store: what lies as it lies, not one that opens or guards.
            desk: the documents room's tools; without it, nothing is retained.
        """
        mode = settings.s3_object_lock if settings.s3_endpoint else "off"
        return cls(
            retainer=Retainer(desk, store, mode) if desk is not None else None,
            sweeper=Sweeper(
                database,
                # whether a deletion was done must be known for sure: no second try behind our back
                store.once() if isinstance(store, Retries) else store,
                after=timedelta(hours=settings.sweep_after_hours),
            ),
            scanner=Scanner(
                database,
                store,
                bytes_per_second=settings.scan_mib_per_second * 2**20,
                every=timedelta(hours=settings.scan_every_hours),
            ),
        )

    def duties(self) -> list[Duty]:
        """Return the recurring duties: name, interval in seconds, what to call."""
        duties: list[Duty] = [
            ("storage-sweep", _SWEEP_SECONDS, self.sweeper.run),
            ("storage-scan", _SCAN_SECONDS, self.scanner.run),
        ]
        if self.retainer is not None:
            duties.append(("retention", _RETENTION_SECONDS, self.retainer.catch_up))
        return duties

    def register(self, engine: JobEngine) -> Self:
        """Name the handler of the jobs of retention; returns itself."""
        if self.retainer is not None:
            engine.register(retaining.KIND, self.retainer.run)
        return self
