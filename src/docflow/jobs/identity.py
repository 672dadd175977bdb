"""Who a worker is, and which workers live.

A worker's name is kept in a locked file, so that one that starts again on the same data folder has
the same name and goes on with its own jobs at once, and two on one folder never share one. A worker
shows that it lives by a beat in the `workers` table; who has not beaten for a while is taken for dead.
"""

import fcntl
import os
import re
import socket
import uuid
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from docflow.db import UnitOfWork
from docflow.jobs.tables import workers
from docflow.kernel.errors import ConfigurationError

_MOST_SLOTS = 1000
_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")


class WorkerSlot:
    """A worker's name, held until `release`."""

    def __init__(self, folder: Path) -> None:
        """Take the first free name of a folder.

        Raises:
            ConfigurationError: if the folder cannot be written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._handle, self.name = _first_free(folder)
        except OSError as error:
            raise ConfigurationError(
                f"The worker cannot keep its name in {folder}: {error.strerror}."
            ) from error

    def release(self) -> None:
        """Let another worker have the name."""
        os.close(self._handle)


def _first_free(folder: Path) -> tuple[int, str]:
    for slot in range(1, _MOST_SLOTS):
        handle = os.open(folder / f"worker-{slot}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            continue
        except OSError:
            os.close(handle)
            raise
        return handle, _name_in(handle, slot)
    raise ConfigurationError(f"{_MOST_SLOTS} workers run in {folder} already.")


def _name_in(handle: int, slot: int) -> str:
    kept = os.pread(handle, 256, 0).decode("ascii", errors="replace").strip()
    if _NAME.fullmatch(kept):
        return kept
    name = f"{fresh_name()[:110]}-{slot}"
    os.ftruncate(handle, 0)
    os.pwrite(handle, name.encode("ascii"), 0)
    os.fsync(handle)
    return name


def fresh_name() -> str:
    """Return a name that no other worker has: the host's, for people, and a random part."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:64]
    return f"{host}-{uuid.uuid4().hex[:12]}"


def beat(uow: UnitOfWork, name: str) -> None:
    """Show that a worker lives."""
    if not uow.alter(workers, None, workers.c.executor_id == name, {"beat_at": uow.now}):
        uow.put(workers, {"executor_id": name, "beat_at": uow.now})


def beats(connection: sa.Connection) -> dict[str, datetime]:
    """Return every worker on the list and when it last beat."""
    rows = connection.execute(sa.select(workers))
    return {row.executor_id: row.beat_at for row in rows}


def forget(uow: UnitOfWork, name: str) -> None:
    """Take a worker off the list; it has stopped."""
    uow.remove(workers, None, workers.c.executor_id == name)


def forget_silent(uow: UnitOfWork, since: datetime) -> None:
    """Take off the list those that have not beaten since an instant."""
    uow.remove(workers, None, workers.c.beat_at < since)
