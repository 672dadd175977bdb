"""The integrity scan: reads every stored file that a row needs and holds it to its digests.

A round takes all keys in order; where it stands is in the database, so that it goes on after a crash
with at most a page of objects read twice. A run does a bounded piece at a bounded rate; one scanner
works at a time. Objects that are added behind the place where the round stands come in the next one.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa

from docflow.db import Database, Row, one_row
from docflow.kernel.actor import SERVICE
from docflow.storage import ObjectStore
from docflow.storage.store import digest_of_key
from docflow.upkeep import findings
from docflow.upkeep.inspect import Fault, Pace, StoreAwayError, examine, told_by_history
from docflow.upkeep.references import keys_after, references_of
from docflow.upkeep.tables import scan_rounds

_PAGE = 50
_PIECE_SECONDS = 5.0
_RECHECK = timedelta(hours=1)
_RECHECKED = 20
_MOST = 500
_KEPT_ROUNDS = 100
_TRY_SECONDS = 0.2

_logger = logging.getLogger("docflow.upkeep")


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a run did.

    Attributes:
        objects, bytes: how much was read.
        found, cleared: findings that are new or healed.
        finished: whether no round is under way any more.
        away: why the store did not answer, None if it did.
        idle: whether another scanner was at work.
    """

    objects: int = 0
    bytes: int = 0
    found: int = 0
    cleared: int = 0
    finished: bool = False
    away: str | None = None
    idle: bool = False


class Scanner:
    """Scans one store by one database."""

    def __init__(
        self,
        database: Database,
        store: ObjectStore,
        *,
        bytes_per_second: float | None,
        every: timedelta,
        piece_seconds: float = _PIECE_SECONDS,
        page: int = _PAGE,
    ) -> None:
        """Hold both.

        Args:
            database: whose rows say what must be there.
            store: what lies as it lies, sealed or not.
            bytes_per_second: the rate of `run`.
            every: from the beginning of a round to that of the next.
            piece_seconds: after how long a run ends, with the object at hand.
            page: objects after which the place is noted.
        """
        self._database = database
        self._store = store
        self._rate = bytes_per_second
        self._every = every
        self._piece_seconds = piece_seconds
        self._page = page

    def run(self) -> Scanned:
        """Do the next piece at the set rate; begin a round if one is due.

        Raises:
            UnavailableError: if the database does not answer.
        """
        with self._database.exclusive("storage-scan") as free:
            if not free:
                return Scanned(idle=True)
            pace = Pace(self._rate)
            recheck = self._recheck(pace)
            current = self._current()
            if recheck.away is not None or not self._due(current):
                return recheck
            if current is None or current["finished_at"] is not None:
                current = self._begin(current)
            return _sum(recheck, self._advance(current, pace))

    def run_on(
        self,
        *,
        anew: bool,
        progress: Callable[[Row], None] = lambda _: None,
        wait_seconds: float = 0.0,
    ) -> Scanned:
        """Go on to the end of the round as fast as it goes; for a person who waits.

        Args:
            anew: whether to begin at the first object even if a round is under way.
            progress: told where the round stands, every few seconds.
            wait_seconds: how long to wait for another scanner's piece.

        Returns:
            All that was done; `away` or `idle` tell why it ended early.
        """
        deadline = time.monotonic() + wait_seconds
        while True:
            with self._database.exclusive("storage-scan") as free:
                if free:
                    return self._to_the_end(anew, progress)
            if time.monotonic() >= deadline:
                return Scanned(idle=True)
            time.sleep(_TRY_SECONDS)

    def _to_the_end(self, anew: bool, progress: Callable[[Row], None]) -> Scanned:
        done = self._recheck(Pace(None), everything=True)
        current = self._current()
        if current is None or current["finished_at"] is not None or anew:
            current = self._begin(current)
        while done.away is None and not done.finished:
            done = _sum(done, self._advance(current, Pace(None)))
            current = self._current() or current
            progress(current)
        return done

    def _current(self) -> Row | None:
        with self._database.read() as connection:
            return latest_round(connection)

    def _due(self, current: Row | None) -> bool:
        if current is None or current["finished_at"] is None:
            return True
        return bool(current["started_at"] + self._every <= self._database.clock.now())

    def _begin(self, current: Row | None) -> Row:
        """Begin a round; one that was under way is begun anew."""
        with self._database.unit_of_work(SERVICE) as uow:
            number = (current["number"] if current else 0) + 1
            if current is not None and current["finished_at"] is None:
                uow.remove(scan_rounds, None, scan_rounds.c.number == current["number"])
                number -= 1
            row = {
                "number": number,
                "started_at": uow.now,
                "finished_at": None,
                "last_key": "",
                "objects": 0,
                "bytes": 0,
                "found": 0,
                "updated_at": uow.now,
            }
            uow.put(scan_rounds, row)
            uow.remove(scan_rounds, None, scan_rounds.c.number <= number - _KEPT_ROUNDS)
        return row

    def _advance(self, current: Row, pace: Pace) -> Scanned:
        """Scan from where a round stands until the piece's time is up or the round is done."""
        done = Scanned()
        deadline = time.monotonic() + self._piece_seconds
        last = current["last_key"]
        while True:  # one page at least, however short the time
            with self._database.read() as connection:
                keys = keys_after(connection, last, self._page)
            piece, last = self._look_at(keys, last, pace, deadline)
            finished = (
                len(keys) < self._page and piece.away is None and last == (keys or [last])[-1]
            )
            piece = Scanned(
                piece.objects, piece.bytes, piece.found, piece.cleared, finished, piece.away
            )
            self._record(current["number"], piece, last)
            done = _sum(done, piece)
            if done.finished or done.away is not None or time.monotonic() >= deadline:
                return done

    def _recheck(self, pace: Pace, *, everything: bool = False) -> Scanned:
        """Look again at what was found, a few at a time, so that what is healed is soon known."""
        long_ago = self._database.clock.now() - (timedelta(0) if everything else _RECHECK)
        keys = findings.due(self._database, long_ago, _MOST if everything else _RECHECKED)
        return self._look_at(keys, "", pace, None)[0]

    def _look_at(
        self, keys: list[str], last: str, pace: Pace, deadline: float | None
    ) -> tuple[Scanned, str]:
        """Examine some objects; return what was done and the last one that was."""
        if not keys:
            return Scanned(), last
        with self._database.read() as connection:
            references = references_of(connection, keys)
            documents = {
                row.document_id
                for found in references.values()
                for row in found
                if row.document_id is not None and row.source == "files"
            }
            told = told_by_history(connection, documents)
            open_keys = findings.with_findings(connection, [*keys, ""])
        objects = size = found = cleared = 0
        for key in keys:
            try:
                read, faults = examine(self._store, key, references[key], told, pace)
            except StoreAwayError as error:
                noted = findings.note(self._database, "", [Fault("store-away", None, error.detail)])
                if noted.found:
                    _logger.warning("the scan waits: %s", error.detail)
                return Scanned(objects, size, found + noted.found, cleared, away=error.detail), last
            objects, size, last = objects + 1, size + read, key
            if faults or key in open_keys:
                noted = findings.note(self._database, key, faults)
                found, cleared = found + noted.found, cleared + noted.cleared
                for fault in faults if noted.found else ():
                    _logger.error("stored object %s is %s: %s", key, fault.kind, fault.detail)
            if deadline is not None and time.monotonic() >= deadline:
                break
        if "" in open_keys:  # the store answers again
            cleared += findings.note(self._database, "", []).cleared
        return Scanned(objects, size, found, cleared), last

    def _record(self, number: int, piece: Scanned, last: str) -> None:
        with self._database.unit_of_work(SERVICE) as uow:
            columns = scan_rounds.c
            uow.alter(
                scan_rounds,
                None,
                columns.number == number,
                {
                    "last_key": last,
                    "objects": columns.objects + piece.objects,
                    "bytes": columns.bytes + piece.bytes,
                    "found": columns.found + piece.found,
                    "finished_at": uow.now if piece.finished else None,
                    "updated_at": uow.now,
                },
            )


def latest_round(connection: sa.Connection) -> Row | None:
    """Return the newest round, under way or finished."""
    statement = sa.select(scan_rounds).order_by(scan_rounds.c.number.desc()).limit(1)
    return one_row(connection, statement)


def share_done(row: Row) -> float:
    """Return how far a round is, from 0 to 1.

    Keys are digests in order, so the digest where it stands tells it; nothing is counted.
    """
    if row["finished_at"] is not None:
        return 1.0
    digest = digest_of_key(row["last_key"])
    return int(digest[:8], 16) / 16**8 if digest else 0.0


def _sum(one: Scanned, other: Scanned) -> Scanned:
    return Scanned(
        one.objects + other.objects,
        one.bytes + other.bytes,
        one.found + other.found,
        one.cleared + other.cleared,
        other.finished,
        one.away or other.away,
    )
