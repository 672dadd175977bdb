"""The three locks of history, and what a unit of work promises, on both databases."""

import threading

import pytest
import sqlalchemy as sa

from docflow.db import Database, Draft, UnitOfWork, idempotency
from docflow.db.guard import UnguardedWriteError
from docflow.db.idempotency import Claim
from docflow.db.tables import history_entries, history_pending
from docflow.db.uow import UnrecordedChangeError
from docflow.documents.tables import files
from docflow.kernel.actor import SERVICE
from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import (
    ConfigurationError,
    ConflictError,
    InvalidInputError,
    StaleVersionError,
    UnavailableError,
)
from docflow.kernel.ids import new_id
from docflow.people.tables import login_attempts, offices, people, units
from docflow.transparency.entry import check_details, parse_leaf


def make_unit(uow: UnitOfWork, code: str = "VP") -> str:
    unit_id = new_id()
    uow.create(
        units,
        {"id": unit_id, "code": code, "name": "Văn phòng", "parent_id": None},
        Draft("unit.created", {"code": code}, {"name": "Văn phòng"}),
    )
    return unit_id


def the(database: Database, table: sa.Table, row_id: str) -> dict[str, object]:
    with database.read() as connection:
        return connection.execute(sa.select(table).where(table.c.id == row_id)).one()._asdict()


def entries(database: Database) -> list[dict[str, object]]:
    with database.read() as connection:
        statement = sa.select(history_entries).order_by(history_entries.c.id)
        return [row._asdict() for row in connection.execute(statement)]


def test_a_change_and_its_entry_are_one(database: Database) -> None:
    with database.unit_of_work(SERVICE) as uow:
        unit_id = make_unit(uow)
    current = the(database, units, unit_id)
    with database.unit_of_work(SERVICE) as uow:
        assert uow.change(units, current, {"name": "Phòng"}, Draft("unit.renamed", {})) == 2
    first, second = entries(database)
    leaf = parse_leaf(str(second["leaf"]).encode())
    assert (leaf.seq, leaf.prev, leaf.action) == (2, first["leaf_hash"], "unit.renamed")
    changed = the(database, units, unit_id)
    assert (changed["version"], changed["history_seq"]) == (2, 2)
    assert changed["history_hash"] == second["leaf_hash"]
    with database.read() as connection:
        queued = set(connection.execute(sa.select(history_pending.c.entry_id)).scalars())
    assert queued == {first["id"], second["id"]}


def test_details_are_committed_to_and_stay_out_of_the_leaf(database: Database) -> None:
    with database.unit_of_work(SERVICE) as uow:
        make_unit(uow)
    (entry,) = entries(database)
    assert "Văn phòng" not in str(entry["leaf"])
    leaf = parse_leaf(str(entry["leaf"]).encode())
    assert leaf.details is not None
    key = bytes.fromhex(str(entry["details_key"]))
    assert check_details(entry["details"], key, leaf.details)  # type: ignore[arg-type]
    assert not check_details({"name": "khác"}, key, leaf.details)


def test_what_raises_leaves_neither_change_nor_entry(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.unit_of_work(SERVICE) as uow:
        make_unit(uow)
        _ = 1 / 0
    assert entries(database) == []
    with database.read() as connection:
        assert connection.execute(sa.select(units)).all() == []


def test_two_changes_from_the_same_version_do_not_both_pass(database: Database) -> None:
    with database.unit_of_work(SERVICE) as uow:
        unit_id = make_unit(uow)
    current = the(database, units, unit_id)
    with database.unit_of_work(SERVICE) as uow:
        uow.change(units, current, {"name": "một"}, Draft("unit.renamed", {}))
    with pytest.raises(StaleVersionError), database.unit_of_work(SERVICE) as uow:
        uow.change(units, current, {"name": "hai"}, Draft("unit.renamed", {}))
    assert the(database, units, unit_id)["name"] == "một"


def test_a_note_is_an_entry_that_changes_no_version(database: Database) -> None:
    with database.unit_of_work(SERVICE) as uow:
        unit_id = make_unit(uow)
    with database.unit_of_work(SERVICE) as uow:
        uow.note(units, the(database, units, unit_id), Draft("unit.read", {}))
    noted = the(database, units, unit_id)
    assert (noted["version"], noted["history_seq"]) == (1, 2)


def test_a_part_cannot_change_without_an_entry_for_its_subject(database: Database) -> None:
    with (
        pytest.raises(UnrecordedChangeError, match="person"),
        database.unit_of_work(SERVICE) as uow,
    ):
        unit_id = make_unit(uow)
        person_id = new_id()
        row = {"id": person_id, "kind": "person", "login": "a", "name": "A", "active": True,
               "created_at": uow.now}  # fmt: skip
        uow.create(people, row, Draft("person.created", {}))
        uow._recorded.discard(("person", person_id))  # as if nobody had written the entry
        uow.put(offices, {"person_id": person_id, "unit_id": unit_id, "role": "clerk"})
    assert entries(database) == []


@pytest.mark.parametrize(
    "statement",
    [
        sa.update(units).values(name="x"),
        sa.delete(units),
        sa.insert(units).values(id="1", code="x", name="x", version=1, history_seq=1,
                                history_hash="0" * 64),
        sa.delete(files),
        sa.text("UPDATE units SET name = 'x'"),
        sa.text('DELETE FROM "documents"'),
    ],
    ids=["update", "delete", "insert", "part", "text-update", "text-delete"],
)  # fmt: skip
def test_bulk_writes_to_audited_tables_are_refused(
    database: Database, statement: sa.Executable
) -> None:
    with pytest.raises(UnguardedWriteError), database.unit_of_work(SERVICE) as uow:
        uow.connection.execute(statement)
    with pytest.raises(UnguardedWriteError), database.engine.begin() as connection:
        connection.execute(statement)


def test_subjects_are_not_written_as_parts_nor_parts_without_their_subject(
    sqlite: Database,
) -> None:
    with sqlite.unit_of_work(SERVICE) as uow:
        with pytest.raises(UnguardedWriteError, match="create"):
            uow.put(units, {"id": "1"})
        with pytest.raises(UnguardedWriteError, match="change"):
            uow.alter(units, "1", sa.true(), {"name": "x"})
        with pytest.raises(UnguardedWriteError, match="name their person"):
            uow.remove(offices, None, sa.true())


def test_a_unit_of_work_is_not_opened_inside_another(sqlite: Database) -> None:
    with sqlite.unit_of_work(SERVICE), pytest.raises(RuntimeError, match="already open"):
        with sqlite.unit_of_work(SERVICE):
            pass


def test_writers_in_many_threads_wait_for_each_other(database: Database) -> None:
    with database.unit_of_work(SERVICE) as uow:
        unit_id = make_unit(uow)

    def rename(number: int) -> None:
        done = 0
        while done < 10:
            try:
                with database.unit_of_work(SERVICE) as uow:
                    row = uow.connection.execute(
                        sa.select(units).where(units.c.id == unit_id).with_for_update()
                    ).one()
                    name = {"name": f"{number}-{done}"}
                    uow.change(units, row._asdict(), name, Draft("unit.renamed", {}))
                done += 1
            except StaleVersionError:
                continue

    threads = [threading.Thread(target=rename, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert the(database, units, unit_id)["version"] == 61
    assert [parse_leaf(str(e["leaf"]).encode()).seq for e in entries(database)] == list(
        range(1, 62)
    )


def test_an_idempotency_key_remembers_what_was_created(database: Database) -> None:
    claim = Claim("POST /v1/units", "k1", "a" * 64)
    assert idempotency.recall(database, SERVICE, claim) is None
    with database.unit_of_work(SERVICE) as uow:
        idempotency.remember(uow, claim, {"id": "u1"})
    assert idempotency.recall(database, SERVICE, claim) == {"id": "u1"}
    with pytest.raises(InvalidInputError, match="other content"):
        idempotency.recall(database, SERVICE, Claim("POST /v1/units", "k1", "b" * 64))
    with pytest.raises(ConflictError), database.unit_of_work(SERVICE) as uow:
        idempotency.remember(uow, claim, {"id": "u2"})


def test_a_database_that_is_away_is_an_error_to_try_again(clock: ManualClock) -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/none", clock)
    with pytest.raises(UnavailableError, match="Try again"), database.read():
        pass
    with pytest.raises(UnavailableError), database.unit_of_work(SERVICE):
        pass


@pytest.mark.parametrize("url", ["nonsense", "sqlite://", "sqlite:///:memory:", "mysql://x/y"])
def test_other_databases_are_refused_with_what_would_be_right(url: str, clock: ManualClock) -> None:
    with pytest.raises(ConfigurationError, match=r"sqlite|SQLite"):
        Database(url, clock)


def test_login_attempts_are_no_history(database: Database) -> None:
    assert "audited" not in login_attempts.info
    assert "part_of" not in login_attempts.info
