import multiprocessing
from pathlib import Path

import pytest
import sqlalchemy as sa

from docflow.db import Database, migrate
from docflow.kernel.clock import ManualClock, SystemClock
from docflow.kernel.errors import ConfigurationError
from tests.servers import PostgresServer


def test_schema_equals_the_models(database: Database) -> None:
    assert migrate.drift(database) == []


def test_migrations_go_down_to_nothing_and_up_again(database: Database) -> None:
    migrate.downgrade(database, "base")
    with database.read() as connection:
        assert set(sa.inspect(connection).get_table_names()) == {"alembic_version"}
    migrate.upgrade(database)
    migrate.upgrade(database)
    assert migrate.current(database) == migrate.head()
    assert migrate.drift(database) == []


def test_an_old_database_is_refused_with_what_to_run(database: Database) -> None:
    migrate.downgrade(database, "-1")
    with pytest.raises(ConfigurationError, match="docflow migrate"):
        migrate.require_current(database)


def _migrate(url: str, results: "multiprocessing.Queue[str | None]") -> None:
    database = Database(url, SystemClock())
    with migrate.migration_lock(database):
        migrate.upgrade(database)
    results.put(migrate.current(database))


def _migrate_from_two_processes(url: str) -> list[str | None]:
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[str | None] = context.Queue()
    processes = [context.Process(target=_migrate, args=(url, results)) for _ in range(2)]
    for process in processes:
        process.start()
    found = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(timeout=60)
    return found


def test_two_processes_may_migrate_sqlite_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.sqlite3'}"
    assert _migrate_from_two_processes(url) == [migrate.head()] * 2


def test_two_processes_may_migrate_postgresql_at_once(postgres: PostgresServer) -> None:
    url = postgres.create("migrate_twice")
    assert _migrate_from_two_processes(url) == [migrate.head()] * 2
    postgres.drop("migrate_twice")


@pytest.mark.parametrize("table", ["history_entries", "log_leaves", "log_checkpoints"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET {} = {}", "DELETE FROM {}"])
def test_the_database_refuses_to_change_history(
    database: Database, clock: ManualClock, table: str, statement: str
) -> None:
    now = clock.now()
    metadata = migrate.load_metadata()
    entry = {
        "id": "e1", "subject_kind": "document", "subject_id": "d1", "subject_seq": 1,
        "action": "document.registered", "actor_id": "a", "actor_kind": "person", "at": now,
        "leaf": "{}", "leaf_hash": "0" * 64,
    }  # fmt: skip
    with database.engine.begin() as connection:
        connection.execute(sa.insert(metadata.tables["history_entries"]), entry)
        connection.execute(sa.insert(metadata.tables["log_leaves"]), {"index": 0, "entry_id": "e1"})
        connection.execute(
            sa.insert(metadata.tables["log_checkpoints"]),
            {"size": 1, "root": "0" * 64, "note": "", "created_at": now},
        )
        queued = connection.execute(sa.select(metadata.tables["history_pending"])).all()
    assert queued == [("e1",)]
    key = {"history_entries": "action", "log_leaves": "entry_id", "log_checkpoints": "root"}[table]
    sql = statement.format(table, key, "'x'")
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), database.engine.begin() as c:
        c.exec_driver_sql(sql)
