"""The bare things that docflow is measured against, each in eight threads of one process.

They are as good as their libraries let them be: raw drivers, prepared statements, connections kept, one
writer at a time behind a lock on SQLite (busy-waiting writers are slower), and the same durability as
docflow's (fsync of file and folder, synchronous=FULL, PostgreSQL's defaults).
"""

import itertools
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import psycopg
from sqlalchemy.engine import make_url

from bench.client import fresh
from docflow.storage import LocalStore, Staging, content_key

THREADS = 8
_TABLES = (
    "CREATE TABLE bare_files (id TEXT PRIMARY KEY, subject TEXT, sha256 TEXT, size BIGINT, at TEXT)",
    "CREATE TABLE bare_rows (id TEXT PRIMARY KEY, state TEXT, version INTEGER, fired TEXT, at TEXT)",
    "CREATE TABLE bare_entries (id TEXT PRIMARY KEY, row_id TEXT, seq INTEGER, leaf TEXT, "
    "UNIQUE (row_id, seq))",
)
_LEAF = "x" * 600  # as long as an entry's leaf


class Session(Protocol):
    """One thread's connection."""

    def transaction(self, statements: Sequence[tuple[str, tuple[Any, ...]]]) -> None:
        """Run statements (with `?` for values) in one transaction."""
        ...


class _Sqlite:
    lock = threading.Lock()

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000"):
            self.connection.execute(f"PRAGMA {pragma}")

    def transaction(self, statements: Sequence[tuple[str, tuple[Any, ...]]]) -> None:
        with self.lock:
            self.connection.execute("BEGIN IMMEDIATE")
            for text, values in statements:
                cursor = self.connection.execute(text.removesuffix(" FOR UPDATE"), values)
                if text.startswith("SELECT"):
                    cursor.fetchone()
            self.connection.execute("COMMIT")


class _Postgres:
    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url, autocommit=False, prepare_threshold=1)

    def transaction(self, statements: Sequence[tuple[str, tuple[Any, ...]]]) -> None:
        for text, values in statements:
            cursor = self.connection.execute(text.replace("?", "%s"), values)
            if text.startswith("SELECT"):
                cursor.fetchone()
        self.connection.commit()


class Bare:
    """The baselines of one database; their tables lie in a database of their own beside it."""

    def __init__(self, folder: Path, database_url: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._url = database_url
        self._store = LocalStore(folder / "store")
        self._staging = Staging(folder / "staging", 2**30)
        self._sessions = [self._session() for _ in range(THREADS)]
        for text in _TABLES:
            self._sessions[0].transaction([(text, ())])
        self._rows = [[secrets.token_hex(16) for _ in range(25)] for _ in range(THREADS)]
        for row_id in itertools.chain(*self._rows):
            insert = "INSERT INTO bare_rows VALUES (?, 'draft', 1, '{}', '')"
            self._sessions[0].transaction([(insert, (row_id,))])

    def _session(self) -> Session:
        url = make_url(self._url)
        if url.get_backend_name() == "sqlite":
            return _Sqlite(self._folder / "bare.sqlite3")
        plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
        return _Postgres(plain)

    def posts(self, pdf: bytes, count: int) -> float:
        """Hash, store and insert `count` fresh files; return how many a second."""
        files = [fresh(pdf) for _ in range(count)]

        def one(session: Session, number: int) -> None:
            receiving = self._staging.begin()
            receiving.write(files[number])
            staged = receiving.finish()
            self._store.put(content_key(staged.sha256), staged)
            values = (secrets.token_hex(16), "a subject", staged.sha256, staged.size, "now")
            session.transaction([("INSERT INTO bare_files VALUES (?, ?, ?, ?, ?)", values)])

        return self._rate(count, one)

    def transitions(self, count: int) -> float:
        """Lock a row, change it and insert an entry, `count` times; return how many a second."""

        def one(session: Session, number: int) -> None:
            own = self._rows[number % THREADS]
            row_id = own[(number // THREADS) % len(own)]
            session.transaction(
                [
                    ("SELECT * FROM bare_rows WHERE id = ? FOR UPDATE", (row_id,)),
                    (
                        "UPDATE bare_rows SET state = ?, version = version + 1, fired = ?, at = ? "
                        "WHERE id = ?",
                        ("next", '{"submit":["someone"]}', "now", row_id),
                    ),
                    (
                        "INSERT INTO bare_entries VALUES (?, ?, ?, ?)",
                        (secrets.token_hex(16), row_id, secrets.randbits(31), _LEAF),
                    ),
                ]
            )

        return self._rate(count, one)

    def _rate(self, count: int, one: Callable[[Session, int], None]) -> float:
        failures: list[BaseException] = []

        def work(thread: int) -> None:
            try:
                for number in range(thread, count, THREADS):
                    one(self._sessions[thread], number)
            except BaseException as error:  # noqa: BLE001 - raised again by the caller
                failures.append(error)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(THREADS)]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - started
        if failures:
            raise failures[0]
        return count / seconds

    def close(self) -> None:
        for session in self._sessions:
            session.connection.close()  # type: ignore[attr-defined]


@contextmanager
def bare(folder: Path, database_url: str) -> Iterator[Bare]:
    made = Bare(folder, database_url)
    try:
        yield made
    finally:
        made.close()


def documented_loop(source: bytes, person: Path, seal: Path, count: int) -> float:
    """Sign `source` twice, `count` times, as pyHanko's documentation shows; return how many a second.

    `person` and `seal` are PKCS#12 files with a `.pass` file beside them.
    """
    import io

    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
    from pyhanko.sign import signers
    from pyhanko.sign.fields import SigSeedSubFilter

    started = time.perf_counter()
    for _ in range(count):
        data = source
        for field, key in (("Person", person), ("Seal", seal)):
            signer = signers.SimpleSigner.load_pkcs12(
                str(key), passphrase=key.with_suffix(".pass").read_bytes()
            )
            metadata = signers.PdfSignatureMetadata(
                field_name=field, subfilter=SigSeedSubFilter.PADES, certify=field == "Person"
            )
            writer = IncrementalPdfFileWriter(io.BytesIO(data))
            data = signers.sign_pdf(writer, metadata, signer=signer).getvalue()
    return count / (time.perf_counter() - started)
