"""The fault table of the sequencer: each write × failed before or after it persisted.

A fault is injected at the edge, by real objects that wrap the real store and the real database: the
write either does not happen, or happens and the process "dies" right after. Then the sequencer runs
again, by the same code, and everything is verified: no entry without a place, none with two, the
published copy as the database has it.
"""

import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from docflow.audit.sequencer import Sequencer
from docflow.db import Database, UnitOfWork
from docflow.db.tables import history_entries, log_state
from docflow.kernel.actor import Actor
from docflow.kernel.clock import Clock, ManualClock, SystemClock
from docflow.kernel.errors import UnavailableError
from docflow.storage import ObjectStore, StagedFile, StoredObject
from tests.audit_support import KEY, Log, outlaw, told

EARLIER = 200  # entries that are sequenced and published before the fault
LATER = 100  # entries that the failing run finds: a tile fills, a new one begins


class Crash(BaseException):
    """The process died here; nothing may catch it and go on."""


@dataclasses.dataclass
class Fault:
    """Fails the n-th write of a kind, once, before or after it persisted."""

    where: str  # publish, delete or commit
    nth: int
    persisted: bool
    error: type[BaseException]
    seen: int = 0
    fired: bool = False

    @contextmanager
    def at(self, where: str) -> Iterator[None]:
        here = where == self.where and not self.fired
        if here:
            self.seen += 1
        here = here and self.seen == self.nth
        if here and not self.persisted:
            self.fire()
        yield
        if here and self.persisted:
            self.fire()

    def fire(self) -> None:
        self.fired = True
        raise self.error() if self.error is Crash else UnavailableError("injected")


class FaultyStore:
    """The real store, failing where told."""

    def __init__(self, inner: ObjectStore, fault: Fault) -> None:
        self._inner = inner
        self._fault = fault

    def put(self, key: str, staged: StagedFile, *, retain_until: datetime | None = None) -> None:
        self._inner.put(key, staged, retain_until=retain_until)

    def open(self, key: str) -> BinaryIO:
        return self._inner.open(key)

    def objects(self, prefix: str) -> Iterator[StoredObject]:
        return self._inner.objects(prefix)

    def size(self, key: str) -> int | None:
        return self._inner.size(key)

    def delete(self, key: str) -> None:
        with self._fault.at("delete"):
            self._inner.delete(key)

    def publish(self, key: str, data: bytes) -> None:
        with self._fault.at("publish"):
            self._inner.publish(key, data)


class FaultyDatabase(Database):
    """The real database, whose commits fail where told."""

    def __init__(self, url: str, clock: Clock, fault: Fault) -> None:
        super().__init__(url, clock)
        self._fault = fault

    @contextmanager
    def unit_of_work(self, actor: Actor) -> Iterator[UnitOfWork]:
        fault = self._fault
        if fault.persisted:
            with fault.at("commit"), super().unit_of_work(actor) as uow:
                yield uow
            return
        with super().unit_of_work(actor) as uow:
            yield uow
            with fault.at("commit"):
                pass


# commits: the batch, then published_size; published: 2 tiles and 2 bundles of the leaf level, the
# tile above, the checkpoint; deleted: the partial tile and bundle that are full now
STEPS = [
    *(("commit", number) for number in (1, 2)),
    *(("publish", number) for number in range(1, 7)),
    *(("delete", number) for number in (1, 2)),
]


@pytest.fixture
def log(database: Database, tmp_path: Path, clock: ManualClock) -> Log:
    log = Log(database, tmp_path, clock)
    log.add(EARLIER)
    assert log.run() == EARLIER
    return log


@pytest.mark.parametrize(
    ("persisted", "error"),
    [(False, UnavailableError), (False, Crash), (True, Crash)],
    ids=["before-unavailable", "before-killed", "after-killed"],
)
@pytest.mark.parametrize(("where", "nth"), STEPS, ids=[f"{w}{n}" for w, n in STEPS])
def test_the_next_run_repairs_every_fault(
    log: Log, where: str, nth: int, persisted: bool, error: type[BaseException]
) -> None:
    log.add(LATER)
    fault = Fault(where, nth, persisted, error)
    broken = FaultyDatabase(
        log.database.engine.url.render_as_string(hide_password=False), log.clock, fault
    )
    with pytest.raises(error):
        Sequencer(broken, FaultyStore(log.store, fault), KEY, log.clock).run()
    broken.dispose()
    half = log.verify()
    assert half.ok, told(half)  # even now: what is published is only behind
    log.add(1)
    log.run()
    check(log, EARLIER + LATER + 1)


def test_the_fault_table_names_every_write(log: Log) -> None:
    log.add(LATER)
    seen: dict[str, int] = {}
    for where in ("publish", "delete", "commit"):
        fault = Fault(where, 10_000, False, Crash)
        url = log.database.engine.url.render_as_string(hide_password=False)
        broken = FaultyDatabase(url, log.clock, fault)
        if where != "publish":
            log.add(256)  # again a tile fills and a new one begins
        Sequencer(broken, FaultyStore(log.store, fault), KEY, log.clock).run()
        broken.dispose()
        seen[where] = fault.seen
    steps = {where: max(n for w, n in STEPS if w == where) for where, _ in STEPS}
    assert seen == steps


def check(log: Log, total: int) -> None:
    report = log.verify()
    assert report.ok, told(report)
    assert (report.size, report.pending) == (total, 0)
    assert [row["index"] for row in log.order()] == list(range(total))
    (state,) = log.read(log_state)
    assert state["published_size"] == total


def test_faults_one_after_another_change_nothing_in_the_end(log: Log) -> None:
    """Every run fails at another step, and new entries come in between."""
    total = EARLIER
    for where, nth in STEPS * 2:
        log.add(60)
        total += 60
        fault = Fault(where, nth, persisted=nth % 2 == 0, error=Crash)
        url = log.database.engine.url.render_as_string(hide_password=False)
        broken = FaultyDatabase(url, log.clock, fault)
        try:
            Sequencer(broken, FaultyStore(log.store, fault), KEY, log.clock).run()
        except Crash:
            pass
        finally:
            broken.dispose()
    log.add(1)
    log.run()
    check(log, total + 1)


def test_entries_that_are_refused_twice_are_not_lost(log: Log) -> None:
    """A run that stops loudly leaves all as it was; once put right, the next one goes on."""
    log.add(3)
    entry = log.read(history_entries, history_entries.c.id)[-1]
    changed = history_entries.c.id == entry["id"]
    for leaf in (entry["leaf"].replace("Z", "X"), entry["leaf"]):
        with outlaw(log.database) as connection:
            connection.execute(history_entries.update().where(changed).values(leaf=leaf))
        if leaf != entry["leaf"]:
            with pytest.raises(Exception, match="was altered before it was sequenced"):
                log.run()
    assert log.run() == 3
    check(log, EARLIER + 3)


CHILD = """
    import sys
    from pathlib import Path
    from docflow.audit.sequencer import Sequencer
    from docflow.db import Database
    from docflow.kernel.clock import SystemClock
    from docflow.storage import LocalStore
    from tests.audit_support import KEY

    url, folder = sys.argv[1:]
    sequencer = Sequencer(Database(url, SystemClock()), LocalStore(Path(folder)), KEY, SystemClock())
    print("ready", flush=True)
    while True:
        sequencer.run()
"""


def test_a_sequencer_that_is_killed_anywhere_loses_nothing(
    log: Log, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = log.database.engine.url.render_as_string(hide_password=False)
    log.clock = SystemClock()  # type: ignore[assignment]
    total = EARLIER
    root = Path(str(request.config.rootpath))
    environment = {**os.environ, "PYTHONPATH": f"{root / 'src'}:{root}"}
    for milliseconds in (5, 20, 40):
        child = start(url, tmp_path, environment)
        deadline = time.monotonic() + milliseconds / 1000
        while time.monotonic() < deadline:
            log.add(20)
            total += 20
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert child.stdout is not None
        child.stdout.close()
    Sequencer(log.database, log.store, KEY, SystemClock()).run()
    check(log, total)


def start(url: str, folder: Path, environment: dict[str, str]) -> "subprocess.Popen[Any]":
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD), url, str(folder / "store")],
        stdout=subprocess.PIPE,
        env=environment,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    return child
