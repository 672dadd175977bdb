"""Instances of before a migration was changed in place get what they lack, and are told what is left."""

import pytest

from docflow.db import Database, migrate
from docflow.kernel.errors import ConfigurationError

INDEX = "ix_archive_stamps_storage_key"


def _ddl(database: Database, statement: str) -> None:
    with database.engine.begin() as connection:
        connection.exec_driver_sql(statement)


def test_an_index_that_was_added_to_a_migration_afterwards_is_made_where_it_lacks(
    database: Database,
) -> None:
    migrate.downgrade(database, "0014")
    _ddl(database, f"DROP INDEX {INDEX}")
    migrate.upgrade(database)
    assert migrate.drift(database) == []
    migrate.downgrade(database, "0014")
    migrate.upgrade(database)
    assert migrate.drift(database) == []


def test_an_older_instance_goes_back_below_the_migration_that_was_changed(
    database: Database,
) -> None:
    migrate.downgrade(database, "0014")
    _ddl(database, f"DROP INDEX {INDEX}")
    migrate.downgrade(database, "0006")
    migrate.upgrade(database)
    assert migrate.drift(database) == []


def test_a_missing_index_is_told_with_the_statement_that_makes_it(database: Database) -> None:
    migrate.require_schema(database)
    _ddl(database, f"DROP INDEX {INDEX}")
    with pytest.raises(ConfigurationError) as refused:
        migrate.require_schema(database)
    assert f"The index {INDEX} of the table archive_stamps is missing." in refused.value.detail
    assert "by hand" in str(refused.value.satisfied_by)
    statement = refused.value.detail.partition("no data: ")[2].removesuffix(";")
    _ddl(database, statement)
    migrate.require_schema(database)


def test_each_difference_is_told_in_words(database: Database) -> None:
    statements = (
        "CREATE INDEX ix_of_an_operator ON people (kind)",
        "ALTER TABLE jobs ADD COLUMN remark TEXT",
        "ALTER TABLE archive_stamps DROP COLUMN attempts",
        "DROP TABLE log_tiles",
    )
    for statement in statements:
        _ddl(database, statement)
    with pytest.raises(ConfigurationError) as refused:
        migrate.require_schema(database)
    for told in (
        "The index ix_of_an_operator of the table people is there and must not be.",
        "The column jobs.remark is there and must not be.",
        "The column archive_stamps.attempts is missing.",
        "The table log_tiles is missing.",
    ):
        assert told in refused.value.detail
    assert "(" not in refused.value.detail  # nothing of Alembic's own notation


def test_another_nullability_is_told_in_words(database: Database) -> None:
    if database.is_sqlite:
        pytest.skip("SQLite cannot change a column in place")
    _ddl(database, "ALTER TABLE people ALTER COLUMN name DROP NOT NULL")
    with pytest.raises(ConfigurationError, match=r"people\.name takes or refuses NULL otherwise"):
        migrate.require_schema(database)


def test_a_database_of_a_newer_version_is_not_called_an_old_one(database: Database) -> None:
    _ddl(database, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigurationError, match="a newer docflow made it") as refused:
        migrate.require_current(database)
    assert "docflow migrate" not in refused.value.detail
