"""Prepared statements: the short way gives what SQLAlchemy's way gives, and is guarded as it is."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from docflow.db import Database, Prepared, UnitOfWork
from docflow.db.guard import UnguardedWriteError
from docflow.db.tables import idempotency_keys
from docflow.documents.tables import documents, files
from docflow.kernel.actor import SERVICE
from docflow.kernel.errors import UnavailableError
from docflow.people.tables import units

_KEY = {"actor_id": "a", "operation": "POST /x", "key": "k", "fingerprint": "0" * 64}
_AT = datetime(2026, 3, 2, 1, 30, 0, 123456, tzinfo=UTC)
_INSERT = Prepared(sa.insert(idempotency_keys))
_BY_KEY = Prepared(sa.select(idempotency_keys).where(idempotency_keys.c.key == sa.bindparam("key")))


def insert(database: Database, **changed: Any) -> None:
    with database.unit_of_work(SERVICE) as uow:
        _INSERT.run(uow.connection, {**_KEY, "result": {}, "created_at": _AT} | changed)


@pytest.mark.parametrize("result", ["tệp", {}, {"a": [1, True, None]}, [], "100%"])
def test_json_and_instants_come_back_as_they_went_in(database: Database, result: object) -> None:
    insert(database, result=result)
    with database.read() as connection:
        row = _BY_KEY.row(connection, {"key": "k"})
        same = connection.execute(sa.select(idempotency_keys)).one()._asdict()
    assert row == same
    assert row["created_at"] == _AT


def test_types_that_only_one_database_knows_are_translated(database: Database) -> None:
    columns: dict[str, sa.ColumnElement[Any]] = {
        "yes": sa.literal(True, sa.Boolean),
        "day": sa.literal(date(2026, 3, 2), sa.Date),
        "big": sa.literal(2**62, sa.BigInteger),
        "none": sa.literal(None, sa.Date),
    }
    chosen = [sa.label(name, value) for name, value in columns.items()]
    with database.read() as connection:
        row = Prepared(sa.select(*chosen)).row(connection, {})
    assert row == {"yes": True, "day": date(2026, 3, 2), "big": 2**62, "none": None}
    assert row["yes"] is True


def test_a_value_that_is_sql_stays_a_value(database: Database) -> None:
    insert(database)
    with database.read() as connection:
        assert _BY_KEY.rows(connection, {"key": "' OR 1=1 --"}) == []
        assert _BY_KEY.rows(connection, {"key": "%(key)s ? :key"}) == []


def test_more_than_one_row_is_an_error_where_one_is_expected(database: Database) -> None:
    insert(database)
    insert(database, actor_id="b")
    with database.read() as connection, pytest.raises(sa.exc.MultipleResultsFound):
        _BY_KEY.row(connection, {"key": "k"})


def test_a_broken_constraint_is_sqlalchemys_error_and_tells_no_value(database: Database) -> None:
    insert(database, fingerprint="secret")
    with pytest.raises(sa.exc.IntegrityError) as raised:
        insert(database, fingerprint="secret")
    assert "secret" not in str(raised.value).partition("DETAIL")[0]
    insert(database, key="another")  # the connection is whole again


def test_a_statement_the_database_refuses_is_told_as_unavailable(sqlite: Database) -> None:
    lost = Prepared(sa.select(sa.table("no_such_table", sa.column("x")).c.x))
    with pytest.raises(UnavailableError), sqlite.read() as connection:
        lost.rows(connection, {})


def test_a_rollback_undoes_it(database: Database) -> None:
    class AbandonedError(Exception):
        pass

    with pytest.raises(AbandonedError), database.unit_of_work(SERVICE) as uow:
        _INSERT.run(uow.connection, {**_KEY, "result": {}, "created_at": _AT})
        raise AbandonedError
    with database.read() as connection:
        assert _BY_KEY.rows(connection, {"key": "k"}) == []


@pytest.mark.parametrize("table", [documents, files, units])
def test_a_write_to_an_audited_table_is_refused(table: sa.Table) -> None:
    for statement in (sa.insert(table), sa.update(table), sa.delete(table)):
        with pytest.raises(UnguardedWriteError):
            Prepared(statement)


def test_an_expanding_list_is_refused(database: Database) -> None:
    listed = Prepared(sa.select(units.c.id).where(units.c.code.in_(["A", "B"])))
    with database.read() as connection, pytest.raises(TypeError, match="expanding"):
        listed.rows(connection, {})


def test_who_listens_to_statements_hears_it(database: Database) -> None:
    heard: list[str] = []

    def listen(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        heard.append(statement)

    event.listen(database.engine, "before_cursor_execute", listen)
    with database.read() as connection:
        _BY_KEY.rows(connection, {"key": "k"})
    assert [text for text in heard if "idempotency_keys" in text]


def test_what_a_unit_of_work_puts_is_read_back_equal(database: Database) -> None:
    row = {**_KEY, "result": {"số": 1}, "created_at": _AT}

    def put(uow: UnitOfWork, *rows: dict[str, Any]) -> None:
        uow.put(idempotency_keys, *rows)

    with database.unit_of_work(SERVICE) as uow:
        put(uow, row)  # one goes the short way, several the other
        put(uow, {**row, "key": "l"}, {**row, "key": "m"})
    with database.read() as connection:
        found = [_BY_KEY.row(connection, {"key": key}) for key in "klm"]
    assert found == [{**row, "key": key} for key in "klm"]
