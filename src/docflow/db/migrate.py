"""Schema migrations, safe to run twice and at once from two processes.

The whole upgrade is one transaction under a lock: a file lock beside an SQLite file, an advisory lock
on PostgreSQL. A process that comes second waits, finds nothing to do and succeeds.
"""

import fcntl
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from docflow.db.base import METADATA
from docflow.db.differences import described
from docflow.db.engine import Database
from docflow.kernel.errors import ConfigurationError
from docflow.kernel.resources import bundled

_ADVISORY_KEY = 0x646F63666C6F77  # "docflow"
_SEARCH_INDEX = "ix_documents_search"  # on an expression; made by migration 0002
_TABLE_MODULES = (
    "docflow.db.tables",
    "docflow.people.tables",
    "docflow.people.signing_tables",
    "docflow.documents.tables",
    "docflow.release.tables",
    "docflow.custody.tables",
    "docflow.release.signing_tables",
    "docflow.jobs.tables",
    "docflow.upkeep.tables",
)


def load_metadata() -> sa.MetaData:
    """Return the metadata with the tables of every room in it."""
    for module in _TABLE_MODULES:
        importlib.import_module(module)  # the rooms above register their tables; no names are used
    return METADATA


def include_name(name: str | None, kind: str, _parents: Any) -> bool:
    """Keep the job engine's tables and the full-text index out of comparisons."""
    if kind == "index":
        return name != _SEARCH_INDEX
    return kind != "table" or name in load_metadata().tables


def config(connection: sa.Connection) -> Config:
    """Return an Alembic configuration that uses `connection`."""
    settings = Config()
    settings.set_main_option("script_location", str(bundled("migrations")).replace("%", "%%"))
    settings.attributes["connection"] = connection
    return settings


@contextmanager
def migration_lock(database: Database) -> Iterator[None]:
    """Let one process at a time change the schema."""
    if database.is_sqlite:
        lock = Path(str(database.engine.url.database) + ".migrating")
        with lock.open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
    else:
        with database.engine.connect() as connection:
            connection.execute(sa.text("SET statement_timeout = 0; SET lock_timeout = 0"))
            connection.execute(sa.select(sa.func.pg_advisory_lock(_ADVISORY_KEY)))
            connection.commit()
            try:
                yield
            finally:
                connection.execute(sa.select(sa.func.pg_advisory_unlock(_ADVISORY_KEY)))
                connection.commit()


def upgrade(database: Database, revision: str = "head") -> None:
    """Bring the schema to `revision`; the caller holds the migration lock."""
    load_metadata()
    with database.engine.begin() as connection:
        command.upgrade(config(connection), revision)


def downgrade(database: Database, revision: str) -> None:
    """Take the schema back to `revision` (`base` empties it); loses what later tables hold."""
    load_metadata()
    with database.engine.begin() as connection:
        command.downgrade(config(connection), revision)


def current(database: Database) -> str | None:
    """Return the revision that the database is at, None if it is empty."""
    with database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def head() -> str:
    """Return the newest revision that this version of docflow knows."""
    settings = Config()
    settings.set_main_option("script_location", str(bundled("migrations")).replace("%", "%%"))
    revision = ScriptDirectory.from_config(settings).get_current_head()
    if revision is None:
        raise ConfigurationError("this installation carries no migrations")
    return revision


def _is_of_newer_version(revision: str | None) -> bool:
    settings = Config()
    settings.set_main_option("script_location", str(bundled("migrations")).replace("%", "%%"))
    known = {one.revision for one in ScriptDirectory.from_config(settings).walk_revisions()}
    return revision is not None and revision not in known


def require_current(database: Database) -> None:
    """Refuse to work on a database of another version.

    Raises:
        ConfigurationError: saying which revision is there, which is needed and what to run.
    """
    found, needed = current(database), head()
    if found != needed and _is_of_newer_version(found):
        raise ConfigurationError(
            f"The database is at revision {found}, which this version does not know (it needs {needed}); "
            "a newer docflow made it. Run that one, or restore a backup of before the upgrade."
        )
    if found != needed:
        raise ConfigurationError(
            f"The database is at revision {found or 'none'}, this version needs {needed}; "
            "run `docflow migrate`."
        )


def drift(database: Database) -> list[Any]:
    """Return the differences between the migrated schema and the tables in the code."""
    metadata = load_metadata()
    with database.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_name": include_name, "compare_type": True}
        )
        return list(compare_metadata(context, metadata))


def require_schema(database: Database) -> None:
    """Refuse a schema that differs from the code although every migration was run.

    Raises:
        ConfigurationError: saying what differs, and what to do about it.
    """
    differences = described(drift(database), database.engine.dialect)
    if not differences:
        return
    raise ConfigurationError(
        "Every migration was run, and yet the schema is not this version's. "
        + " ".join(differences),
        satisfied_by="`docflow migrate` does not mend this. Back the database up, then make what is missing"
        " by hand, or restore a backup whose schema is right, and check again.",
    )
