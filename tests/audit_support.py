"""A log to write to, to break and to verify; and the hand of someone who changes the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from docflow.audit.report import AuditReport
from docflow.audit.sequencer import Sequencer
from docflow.audit.verify import verify_everything
from docflow.db import Database, Draft, Row, all_rows, migrate
from docflow.db.tables import history_entries, history_pending, log_leaves
from docflow.kernel.actor import SERVICE, Actor
from docflow.kernel.clock import ManualClock
from docflow.kernel.ids import new_id
from docflow.people.tables import units
from docflow.people.writing import add_unit
from docflow.storage import LocalStore, ObjectStore
from docflow.transparency.note import SigningKey

ORIGIN = "log.example/history"
KEY = SigningKey(ORIGIN, bytes(range(32)))
AUDITOR = Actor(id="0198-auditor", kind="person", name="Kiểm tra", offices=())


class Log:
    """A database with a store and a sequencer; subjects are units, which cost nothing to write."""

    def __init__(self, database: Database, folder: Path, clock: ManualClock) -> None:
        self.database = database
        self.clock = clock
        self.store: ObjectStore = LocalStore(folder / "store")
        self.sequencer = Sequencer(database, self.store, KEY, clock)

    def add(self, count: int = 1) -> list[str]:
        """Write the first entries of so many new subjects, in one transaction."""
        ids = [new_id() for _ in range(count)]
        with self.database.unit_of_work(SERVICE) as uow:
            for unit_id in ids:
                unit = {"id": unit_id, "code": unit_id, "name": "Phòng", "parent_id": None}
                add_unit(uow, unit)
        return ids

    def change(self, unit_id: str, name: str = "Phòng khác") -> None:
        """Write another entry about a subject."""
        with self.database.unit_of_work(SERVICE) as uow:
            statement = sa.select(units).where(units.c.id == unit_id).with_for_update()
            row = uow.connection.execute(statement).one()._asdict()
            uow.change(units, row, {"name": name}, Draft("unit.changed", {}, {"name": name}))

    def run(self) -> int:
        """Let some time pass, and run the sequencer."""
        self.clock.advance(timedelta(seconds=1))
        return self.sequencer.run()

    def read(self, table: sa.Table, *order: Any) -> list[Row]:
        with self.database.read() as connection:
            return all_rows(connection, sa.select(table).order_by(*order))

    def count(self, table: sa.Table) -> int:
        return len(self.read(table))

    def pending(self) -> int:
        return self.count(history_pending)

    def order(self) -> list[Row]:
        """Return the entries in the order of the log."""
        statement = (
            sa.select(history_entries, log_leaves.c["index"])
            .join(log_leaves, log_leaves.c.entry_id == history_entries.c.id)
            .order_by(log_leaves.c["index"])
        )
        with self.database.read() as connection:
            return all_rows(connection, statement)

    def verify(self, **options: Any) -> AuditReport:
        return verify_everything(self.database, self.store, KEY.verifier, **options)


@contextmanager
def outlaw(database: Database) -> Iterator[sa.Connection]:
    """Give a connection of someone who owns the database and switches its triggers off for a while."""
    engine = sa.create_engine(database.engine.url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            triggers = connection.exec_driver_sql(
                "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
            ).all()
            for name, _ in triggers:
                connection.exec_driver_sql(f"DROP TRIGGER {name}")
            yield connection
            for _, sql in triggers:
                connection.exec_driver_sql(sql)
        else:
            connection.exec_driver_sql("SET session_replication_role = replica")
            yield connection
    engine.dispose()


def table(name: str) -> sa.Table:
    """Return any table of docflow."""
    return migrate.load_metadata().tables[name]


def told(report: AuditReport) -> str:
    """Return the findings as lines, for messages of failing tests."""
    return "\n".join(f"{item.check}: {item.sentence}" for item in report.findings)
