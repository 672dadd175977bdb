"""`python -m bench`: measure, print, and fail on a wrong result. See `python -m bench --help`."""

import argparse
import platform
import shutil
import sqlite3
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

from bench import measures
from bench.baselines import bare
from bench.client import Clients, WrongResultError
from bench.figures import Figure, table
from bench.growth import grower
from bench.instance import Instance, prepare, serving
from bench.measures import Stage
from bench.signatures import signatures

NAMES = ("signatures", "posts", "transitions", "evidence", "releases", "sizes", "memory")
_LIBRARIES = ("fastapi", "sqlalchemy", "psycopg", "pyhanko", "cryptography", "dbos", "uvicorn")
_WITHOUT = ("-m", "bench.without_evidence", "serve")


def main() -> int:
    """Run the bench; return the process's status."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few repeats, small counts")
    parser.add_argument("--only", choices=NAMES, action="append", help="measure just this")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), action="append")
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
    try:
        if "signatures" in (options.only or NAMES):
            for figure in signatures(folder, repeats, 3 if options.quick else 10):
                figures.append(figure)
                print(f"… {figure.what}: {figure.ours}", file=sys.stderr, flush=True)
        served = set(options.only or NAMES) != {"signatures"}
        for database in (options.database or ("sqlite", "postgresql")) if served else ():
            for figure in _measure(folder, database, options.only or NAMES, repeats, count):
                figures.append(figure)
                print(f"… {figure.what} ({database}): {figure.ours}", file=sys.stderr, flush=True)
    except WrongResultError as error:
        print(f"bench: wrong result, the run is worth nothing: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(table(figures))
    print(f"{time.perf_counter() - started:.0f} s in all; figures are of this run on this machine")
    return 0


def _machine(repeats: int, count: int) -> str:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    import os

    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}\n{libraries}\n"
        f"{repeats} repeats in turns with the baseline, {count} documents for each of 8 clients"
    )


def _measure(
    folder: Path, database: str, only: tuple[str, ...] | list[str], repeats: int, count: int
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
